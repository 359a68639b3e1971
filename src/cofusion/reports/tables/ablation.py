"""The paper's Table 3, with the numbers measured here beside it."""

from collections.abc import Mapping
from typing import Any

from cofusion.reports.tables.marks import DELTA, PEAK, PUBLISHED, marks
from cofusion.reports.tables.paper import ABLATION, ABLATION_DATASET, ABLATION_NAMES, ABLATION_SCALE
from cofusion.reports.tables.spread import Column, Row, Spread, SpreadTable, metric_column

_COLUMNS = (
    metric_column("psnr"),
    metric_column("psnr_max"),
    metric_column("ssim"),
    Column("parameters", "Params (M) ↓", higher_is_better=False, exact=True),
    Column("latency", "Latency (ms) ↓", higher_is_better=False, exact=True),
)
# The paper's columns, each with that of ours.
PAPER = {f"{key}_paper": key for key in ABLATION["full"]}


def ablation_table(
    measured: Mapping[str, tuple[int, Mapping[str, Spread]]],
    protocol: Mapping[str, Any],
    what: str,
    latency: Mapping[str, float],
    device: str,
) -> SpreadTable:
    """Make Table 3.

    Args:
        measured: By variant the number of runs, and their numbers: metrics, and `parameters` in millions.
        protocol: That they share, as in `runs.protocol`.
        what: Data and training, for the caption.
        latency: Variant to ms; variants may be missing.
        device: What the latency was measured on.
    """
    marked, notes = marks(protocol, ABLATION_DATASET, ABLATION_SCALE)
    rows = []
    for variant, published in ABLATION.items():
        runs, found = measured.get(variant, (0, {}))
        numbers = dict(found) | {f"{key}_paper": Spread((value,)) for key, value in published.items()}
        if runs and variant in latency:
            numbers["latency"] = Spread((latency[variant],))
        rows.append(Row((ABLATION_NAMES[variant], str(runs)), numbers, runs, marked))
    columns = []
    for ours in _COLUMNS:
        columns.append(ours)
        if (theirs := f"{ours.key}_paper") in PAPER:
            columns.append(Column(theirs, PUBLISHED, ours.decimals, beside=ours.key))
    caption = [
        f"Ablation of CoFusion, mean ± standard deviation over the seeds: {what}",
        f"Paper: its Table 3, {ABLATION_DATASET} x{ABLATION_SCALE}; {DELTA} {PEAK}",
        *notes,
        *(["So PSNR and SSIM cannot be compared with the paper's."] if notes else []),
        *([f"Latency here: {device}; the paper's: a CPU, image size not stated."] if latency else []),
    ]
    return SpreadTable(("Variant", "Seeds"), columns, rows, " ".join(caption))
