"""What the CoFusion paper reports, to stand beside what was measured here (arXiv 2604.10584)."""

from collections.abc import Mapping
from typing import Any

import yaml

from cofusion.resources import find_resource

# Order of the columns, of data sets as of metrics, in Tables 1 and 2; scales of Table 1.
DATASETS = ("chikusei", "cave", "pavia_u")
SCALES = (2, 4, 8)
# The paper states no peak of its PSNR; its author's code takes each reference's own maximum, which is our
# psnr_max. Its ERGAS has the factor 100 / 4 at every scale. See docs/metrics.md.
_METRICS_1 = ("psnr_max", "ssim", "sam", "ergas_100_4")
_METRICS_2 = ("d_lambda", "d_s", "qnr")

# Scale, method, then four metrics for each data set.
_TABLE_1 = """
2 HSRnet 51.5324 0.9951 2.0982 1.5893 50.5410 0.9926 2.4608 2.0012 39.4947 0.9662 3.9012 2.4531
2 Fusformer 52.3104 0.9954 2.0596 1.5698 51.3352 0.9935 2.3294 1.9692 40.3442 0.9703 3.5187 2.2514
2 PSRT 52.3821 0.9957 2.0091 1.4692 51.4128 0.9941 2.1795 1.8891 40.4956 0.9766 2.3996 2.0812
2 U2Net 52.4657 0.9961 2.0003 1.4098 51.4816 0.9948 2.1297 1.8496 40.7347 0.9789 2.3092 1.5398
2 3DT-Net 52.4155 0.9974 1.9498 1.4195 51.5043 0.9958 2.0496 1.8294 39.7224 0.9784 2.4692 1.7896
2 BUGPan 51.6205 0.9957 2.1194 1.5902 50.5846 0.9933 2.4992 2.0418 39.5856 0.9724 3.2294 2.2715
2 FMPM-DNet 51.9826 0.9962 2.0497 1.4996 50.9621 0.9943 2.2693 1.9397 40.2562 0.9767 2.9594 2.1312
2 SMGU-Net 51.2751 0.9971 2.0195 1.3897 51.5052 0.9956 2.0792 1.8194 37.8881 0.9753 3.0192 2.0496
2 CoFusion 53.0875 0.9981 1.8756 1.2536 51.5247 0.9972 2.0238 1.7421 41.3824 0.9872 1.8341 1.2268
4 HSRnet 47.8521 0.9884 2.6137 2.0845 46.8219 0.9845 3.1328 2.5831 35.7642 0.9517 4.0413 3.4476
4 Fusformer 48.6413 0.9892 2.5481 2.0429 47.6254 0.9852 3.0047 2.4716 36.2917 0.9531 4.1105 3.1428
4 PSRT 49.0346 0.9905 2.3518 1.9247 47.9921 0.9863 2.8354 2.2913 36.7725 0.9628 3.5932 2.6541
4 U2Net 49.0028 0.9913 2.3245 1.8617 47.9315 0.9872 2.7719 2.1634 37.2641 0.9672 3.2358 2.4015
4 3DT-Net 46.6914 0.9941 2.5832 2.3218 45.6013 0.9904 3.1947 2.8312 36.6821 0.9725 3.0416 2.5327
4 BUGPan 48.3217 0.9903 2.4756 2.1432 47.2612 0.9875 2.9731 2.5518 37.0654 0.9612 3.8427 2.9613
4 FMPM-DNet 48.7125 0.9914 2.3918 1.9925 47.7058 0.9882 2.8841 2.3521 37.7113 0.9653 3.4618 2.7052
4 SMGU-Net 49.8316 0.9962 2.2531 1.7428 48.8157 0.9934 2.7215 2.0531 37.4258 0.9731 3.2045 2.1643
4 CoFusion 50.6742 0.9971 2.1494 1.7252 49.1382 0.9948 2.6045 2.0087 38.3195 0.9824 2.5637 1.9482
8 HSRnet 46.2231 0.9882 2.8054 2.5317 45.2015 0.9831 3.3621 3.0854 28.6942 0.8921 6.4913 5.4128
8 Fusformer 46.3947 0.9893 2.7415 2.4358 45.3452 0.9853 3.2847 2.9631 28.9813 0.8982 6.4152 5.3947
8 PSRT 47.1428 0.9921 2.6951 2.2134 46.1157 0.9872 3.1658 2.7215 30.2642 0.9161 6.0825 5.3218
8 U2Net 47.3945 0.9945 2.5518 2.1132 46.3618 0.9892 3.0354 2.6317 30.4251 0.9184 5.9328 5.0715
8 3DT-Net 46.1816 0.9895 2.9231 2.5014 45.3147 0.9856 3.5042 3.1358 29.4851 0.9042 6.1547 5.3321
8 BUGPan 46.8613 0.9897 2.9654 2.5081 45.7819 0.9842 3.4215 3.0162 29.4817 0.9128 6.2631 5.4182
8 FMPM-DNet 47.2851 0.9908 2.8137 2.2945 46.2346 0.9861 3.2158 2.8213 30.1812 0.9175 5.8143 5.0429
8 SMGU-Net 48.1512 0.9954 2.4831 1.9315 47.1354 0.9911 2.9054 2.4132 28.2813 0.9382 5.8817 4.8516
8 CoFusion 48.9371 0.9963 2.2156 1.8124 47.4931 0.9934 2.8276 2.3552 30.7428 0.9481 5.7142 4.5213
"""
# The same with three metrics.
_TABLE_2 = """
4 HSRnet 0.0842 0.0915 0.8321 0.0921 0.1045 0.8142 0.1124 0.1256 0.7785
4 Fusformer 0.0795 0.0882 0.8456 0.0884 0.0998 0.8265 0.1085 0.1198 0.7892
4 PSRT 0.0768 0.0854 0.8532 0.0852 0.0965 0.8348 0.1042 0.1145 0.7965
4 U2Net 0.0685 0.0792 0.8698 0.0765 0.0885 0.8512 0.0945 0.1052 0.8124
4 3DT-Net 0.0712 0.0765 0.8645 0.0798 0.0862 0.8465 0.0982 0.1025 0.8056
4 BUGPan 0.0815 0.0895 0.8398 0.0905 0.1012 0.8198 0.1105 0.1215 0.7825
4 FMPM-DNet 0.0745 0.0825 0.8585 0.0825 0.0935 0.8412 0.1015 0.1112 0.8015
4 SMGU-Net 0.0695 0.0785 0.8652 0.0782 0.0892 0.8485 0.0965 0.1065 0.8095
4 CoFusion 0.0638 0.0712 0.8768 0.0715 0.0810 0.8604 0.0882 0.0956 0.8223
"""

# Table 3: ablation on Pavia University at scale 4; parameters in millions, latency in ms on a CPU, of an
# image whose size it does not state.
ABLATION = {
    "no_spacam": {"psnr_max": 37.1245, "ssim": 0.9612, "parameters": 3.58, "latency": 4.12},
    "no_specam": {"psnr_max": 37.5862, "ssim": 0.9694, "parameters": 4.15, "latency": 4.85},
    "no_sscfm": {"psnr_max": 37.9518, "ssim": 0.9752, "parameters": 4.62, "latency": 5.28},
    "full": {"psnr_max": 38.3195, "ssim": 0.9824, "parameters": 4.91, "latency": 5.65},
}
ABLATION_NAMES = {
    "no_spacam": "w/o SpaCAM",
    "no_specam": "w/o SpeCAM",
    "no_sscfm": "w/o SSCFM",
    "full": "Full Model",
}
ABLATION_DATASET, ABLATION_SCALE = "pavia_u", 4

# Our classes that stand for a row of the paper's tables, in its order.
METHODS = {
    "HSRnet": "HSRnet",
    "Fusformer": "Fusformer",
    "PSRT": "PSRT",
    "U2Net": "U2Net",
    "ThreeDTNet": "3DT-Net",
    "BUGPan": "BUGPan",
    "FMPMDNetStyle": "FMPM-DNet",
    "SMGUNetStyle": "SMGU-Net",
    "CoFusion": "CoFusion",
}

# How this project reads the paper's protocol: docs/paper-notes.md and the configs of the same name.
PROTOCOL: Mapping[str, Any] = {
    "preset": "paper",
    "psf": "the preset's",
    "phase": 0.0,
    "border": "reflect",
    "hsi_snr": None,
    "msi_snr": None,
}
DATA: Mapping[str, Mapping[str, Any]] = {
    "chikusei": {
        "scaling": 10000.0,
        "split": "chikusei_1000x2000",
        "response": "ikonos",
        "msi_bands": ["blue", "green", "red"],
    },
    "cave": {
        "scaling": 65535.0,
        "split": "cave_20_11",
        "response": "nikon_d700",
        "msi_bands": ["red", "green", "blue"],
    },
    "pavia_u": {
        "scaling": 8000.0,
        "split": "pavia_u_centre_128",
        "response": "ikonos",
        "msi_bands": ["blue", "green", "red", "nir"],
    },
}


def table_1(dataset: str, scale: int) -> dict[str, dict[str, float]]:
    """Return the paper's Table 1 of a data set at a scale: `{method: {metric: value}}`, perhaps empty.

    Args:
        dataset: The data set's stem.
        scale: 2, 4 or 8 are in the paper.
    """
    return _published(_TABLE_1, _METRICS_1, dataset, scale)


def table_2(dataset: str, scale: int) -> dict[str, dict[str, float]]:
    """Return the paper's Table 2 likewise: D_lambda, D_s and QNR at scale 4."""
    return _published(_TABLE_2, _METRICS_2, dataset, scale)


def departures(protocol: Mapping[str, Any], dataset: str, scale: int) -> tuple[list[str], list[str]]:
    """Say where a protocol differs from the one that this project reads from the paper.

    Args:
        protocol: As in `Run.protocol`.
        dataset: The data set of the paper's value beside it.
        scale: That value's scale.

    Returns:
        What differs in the simulation of the pairs, and what differs in the scenes tested; both empty where
        nothing is known to differ.
    """
    theirs = {**PROTOCOL, **DATA[dataset]}
    split = theirs.pop("split")
    simulation: list[str] = []
    if protocol.get("dataset") != dataset:
        return simulation, [f"{protocol.get('dataset')}, not {dataset}"]
    if protocol.get("scale") != scale:
        simulation.append(f"scale {protocol.get('scale')}, not {scale}")
    for key, value in theirs.items():
        if protocol.get(key) != value:
            simulation.append(f"{key} {_plain(protocol.get(key))}, not {_plain(value)}")
    if protocol.get("split") != split:
        return simulation, [f"split {protocol.get('split')}, not {split}"]
    tested, there = len(protocol.get("test_scenes") or ()), _test_regions(split)
    return simulation, [f"{tested} of the {there} test scenes"] if tested != there else []


def _published(table: str, metrics: tuple[str, ...], dataset: str, scale: int) -> dict[str, dict[str, float]]:
    if dataset not in DATASETS:
        return {}
    first = DATASETS.index(dataset) * len(metrics)
    rows = [line.split() for line in table.split("\n") if line]
    return {
        method: dict(zip(metrics, map(float, numbers[first : first + len(metrics)]), strict=True))
        for of, method, *numbers in rows
        if int(of) == scale
    }


def _test_regions(split: str) -> int:
    content = yaml.safe_load(find_resource("splits", split, ".yaml").read_text(encoding="utf-8"))
    return len(content["test"])


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    return " + ".join(map(str, value)) if isinstance(value, list) else str(value)
