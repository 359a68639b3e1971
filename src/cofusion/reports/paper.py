"""What the CoFusion paper reports, to stand beside what was measured here (arXiv 2604.10584)."""

# Table 3: ablation on Pavia University at scale 4; parameters in millions, latency in ms on a CPU, of an
# image whose size it does not state.
ABLATION = {
    "no_spacam": {"psnr": 37.1245, "ssim": 0.9612, "parameters": 3.58, "latency": 4.12},
    "no_specam": {"psnr": 37.5862, "ssim": 0.9694, "parameters": 4.15, "latency": 4.85},
    "no_sscfm": {"psnr": 37.9518, "ssim": 0.9752, "parameters": 4.62, "latency": 5.28},
    "full": {"psnr": 38.3195, "ssim": 0.9824, "parameters": 4.91, "latency": 5.65},
}
ABLATION_NAMES = {
    "no_spacam": "w/o SpaCAM",
    "no_specam": "w/o SpeCAM",
    "no_sscfm": "w/o SSCFM",
    "full": "Full Model",
}
ABLATION_PROTOCOL = {"dataset": "pavia_u", "scale": 4}
