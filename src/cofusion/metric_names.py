"""The names of the metrics, for whoever reads results without computing any: nothing heavy is imported."""

# The four that the field's tables have; results hold the other conventions too.
MAIN_METRICS = ("psnr", "ssim", "sam", "ergas")

# Those that need no reference.
NO_REFERENCE_METRICS = ("d_lambda", "d_s", "qnr", "lr_hsi_error", "hr_msi_error")

LABELS = {
    "psnr": "PSNR (dB)",
    "psnr_max": "PSNR, peak max (dB)",
    "ssim": "SSIM",
    "sam": "SAM (°)",
    "ergas": "ERGAS",
    "ergas_100_4": "ERGAS (100/4)",
    "d_lambda": "D_λ",
    "d_s": "D_s",
    "qnr": "QNR",
    "lr_hsi_error": "LRHSI error (%)",
    "hr_msi_error": "HRMSI error (%)",
}

# What is printed; two where nothing is said.
DECIMALS = {"ssim": 4, "ergas": 3, "ergas_100_4": 3, "d_lambda": 4, "d_s": 4, "qnr": 4}

HIGHER_IS_BETTER = {
    "psnr": True,
    "psnr_max": True,
    "ssim": True,
    "sam": False,
    "ergas": False,
    "ergas_100_4": False,
    "d_lambda": False,
    "d_s": False,
    "qnr": True,
    "lr_hsi_error": False,
    "hr_msi_error": False,
}


def heading(metric: str) -> str:
    """Return a metric's label with an arrow towards the better side; a name that is not known stays alone."""
    arrow = {True: " ↑", False: " ↓", None: ""}[HIGHER_IS_BETTER.get(metric)]
    return LABELS.get(metric, metric) + arrow
