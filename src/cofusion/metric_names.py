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
