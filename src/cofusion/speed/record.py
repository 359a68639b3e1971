"""What a comparison leaves behind: a record, and its rows as tables. Reading it needs no torch."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from cofusion.files import write_text
from cofusion.reports.tables.texts import as_text
from cofusion.speed import PRECISIONS

# How many times as long as CoFusion others take at 103/4 bands, according to the paper (section 4.4: 5.65 ms
# against 16.66 and 36.43 ms) and, for PSRT, to what this project asks of its own network.
AIMS = {"U2Net": 2.9, "3DT-Net": 6.4, "PSRT": 1.0}
AIM_BANDS = "103/4"

HEADINGS = (
    "method",
    "latency (ms)",
    "Mpixel/s",
    "peak (MiB)",
    "parameters (M)",
    "multiply-adds (G)",
    "time / CoFusion's",
    "aim",
)


@dataclass(frozen=True)
class Row:
    """One method under one set of conditions.

    Attributes:
        method: What the method is called.
        precision: `float32`, `bf16` or `compiled`.
        size: Rows and columns of the output.
        bands: HSI and MSI bands, as in `103/4`.
        turns: How often it was timed.
        latency_ms: Median time of a forward pass.
        mpixels_per_s: Output pixels, in millions, in a second.
        peak_mib: Memory that a forward pass adds at most; None where it was not measured.
        parameters: How many the network has.
        multiply_adds: Of convolutions, matrix products and attentions.
        ratio: Median over the turns of its time over CoFusion's.
    """

    method: str
    precision: str
    size: int
    bands: str
    turns: int
    latency_ms: float
    mpixels_per_s: float
    peak_mib: float | None
    parameters: int
    multiply_adds: int
    ratio: float


def aim(row: Row) -> float | None:
    """Return how many times as long as CoFusion a method should take at least; None where there is no aim."""
    return AIMS.get(row.method) if row.bands == AIM_BANDS else None


def missed(rows: Iterable[Row]) -> list[str]:
    """Say which aims are missed, one phrase each."""
    return [
        f"{row.method} at {title(row)}: {row.ratio:.2f} (aim {least})"
        for row in rows
        if (least := aim(row)) is not None and row.ratio < least
    ]


def title(row: Row) -> str:
    """Return the conditions of a row."""
    return f"{row.size} x {row.size}, {row.bands} bands, {row.precision}"


def cells(row: Row) -> list[str]:
    """Print a row, a cell for each of `HEADINGS`."""
    least = aim(row)
    return [
        row.method,
        f"{row.latency_ms:.1f}",
        f"{row.mpixels_per_s:.4f}",
        "-" if row.peak_mib is None else f"{row.peak_mib:.0f}",
        f"{row.parameters / 1e6:.3f}",
        f"{row.multiply_adds / 1e9:.2f}",
        f"{row.ratio:.2f}",
        "" if least is None else f"{least}",
    ]


def text_table(rows: Sequence[Row]) -> str:
    """Return rows of one case as lines for the terminal, the conditions above them."""
    lines = [list(HEADINGS), *map(cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    printed = (
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
    return "\n".join([title(rows[0]), *printed])


def markdown(rows: Sequence[Row]) -> str:
    """Return all rows in Markdown, a table for each of the conditions."""
    parts = []
    for heading, group in groupby(rows, title):
        lines = [list(HEADINGS), [":---", *("---:" for _ in HEADINGS[1:])], *map(cells, group)]
        parts.append(
            f"### {heading}\n\n"
            + "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines)
        )
    return "\n".join(parts)


def write_record(path: Path, about: Mapping[str, Any], rows: Iterable[Row]) -> None:
    """Write a record as JSON.

    Args:
        path: The file.
        about: `machine`, `versions` and `arguments`, in plain values.
        rows: What was measured.

    Raises:
        OSError: The file cannot be written.
    """
    write_text(path, json.dumps({**about, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")


def read_record(path: Path) -> tuple[str, list[Row]]:
    """Return the machine and the rows of a record.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no record.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        rows = [_checked(row) for row in record["rows"]]
        if not rows:
            raise ValueError("it has no rows")
        return as_text(record["machine"]), rows
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path} is no record of `cofusion benchmark speed` ({error})") from None


def _checked(recorded: Mapping[str, Any]) -> Row:
    texts = {name: as_text(recorded[name]) for name in ("method", "bands")}
    row = Row(**{**recorded, **texts})
    if row.precision not in PRECISIONS:
        raise ValueError(f"the precision of {row.method} is {row.precision!r}")
    for name in ("size", "latency_ms", "parameters"):
        value = getattr(row, name)
        if not value > 0 or not math.isfinite(value):
            raise ValueError(f"{name} of {row.method} is {value!r}")
    return row
