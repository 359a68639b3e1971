"""Tables 1 to 3 of a section: methods and ablations, with the paper's numbers beside ours."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cofusion.method_names import method_title
from cofusion.reports.names import method_rank
from cofusion.reports.records.budget import budget, seconds
from cofusion.reports.records.recipe import differences
from cofusion.reports.sections import Entry, Section, section_title
from cofusion.reports.tables.ablation import ablation_table
from cofusion.reports.tables.marks import DELTA, PEAK, PUBLISHED, STYLE, marks
from cofusion.reports.tables.paper import ABLATION, METHODS, table_1, table_2
from cofusion.reports.tables.spread import Column, Row, Spread, SpreadTable, metric_column, spreads

Published = Mapping[str, Mapping[str, float]]

_STYLED = f"{STYLE} In the style of that method, whose code is not public."
_QNR = (
    "The paper does not say how it extends these indices to several multispectral bands: its numbers and "
    "ours cannot be compared (docs/metrics.md)."
)


def main_table(section: Section) -> SpreadTable | None:
    """Make Table 1 of a section: PSNR, SSIM, SAM and ERGAS; None where no run has a reference.

    Beside the paper's numbers, PSNR with the reference's maximum as peak has a column of its own, and so has
    ERGAS with the paper's factor at another scale than 4.
    """
    published = table_1(section.dataset, section.scale)
    metrics = ["psnr", *(["psnr_max"] if published else []), "ssim", "sam", "ergas"]
    if section.scale == 4:
        published = {
            name: {"ergas" if key == "ergas_100_4" else key: value for key, value in row.items()}
            for name, row in published.items()
        }
    elif published:
        metrics.append("ergas_100_4")
    return _table(section, metrics, published, "1", [PEAK] if published else [])


def no_reference_table(section: Section) -> SpreadTable | None:
    """Make Table 2 of a section: D_lambda, D_s and QNR; None where no run has them."""
    published = table_2(section.dataset, section.scale)
    return _table(section, ["d_lambda", "d_s", "qnr"], published, "2", [_QNR] if published else [])


def ablation_tables(section: Section) -> list[SpreadTable]:
    """Make Table 3 of a section, once for every recipe with which an ablation was trained."""
    groups: dict[str, dict[str, Entry]] = {}
    for entry in section.entries:
        if entry.method == "CoFusion" and entry.variant in ABLATION:
            key = json.dumps(_shared(entry), sort_keys=True, default=str)
            groups.setdefault(key, {})[entry.variant] = entry
    tables = [entries for entries in groups.values() if entries.keys() != {"full"}]
    apart = differences([_shared(next(iter(entries.values()))) for entries in tables])
    return [_ablation(section, entries, how) for entries, how in zip(tables, apart, strict=True)]


def _shared(entry: Entry) -> dict[str, Any]:
    """What the rows of an ablation have in common."""
    return {key: value for key, value in entry.recipe.items() if not key.endswith(".variant")}


def _ablation(section: Section, entries: Mapping[str, Entry], apart: str) -> SpreadTable:
    measured = {
        variant: (len(entry.runs), dict(entry.numbers) | _parameters(entry))
        for variant, entry in entries.items()
    }
    runs = [run for entry in entries.values() for run in entry.runs]
    trained = ", ".join(filter(None, [apart, budget(runs)]))
    return ablation_table(
        measured, section.protocol, f"{section_title(section)}; {trained}.", *_latency(entries)
    )


def _latency(entries: Mapping[str, Entry]) -> tuple[dict[str, float], str]:
    """Read what `cofusion sweep table` measured of these runs, where it did."""
    for entry in entries.values():
        for run in entry.runs:
            try:
                kept = json.loads((run.folder.parent / "latency.json").read_text(encoding="utf-8"))
                named: Mapping[str, str] = kept["runs"]
                ours = {
                    variant: float(kept["ms"][variant])
                    for variant, each in entries.items()
                    if named.get(variant) in {one.folder.name for one in each.runs}
                }
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue
            if ours:
                return ours, str(kept.get("device"))
    return {}, ""


def _table(
    section: Section, metrics: Sequence[str], published: Published, number: str, notes: Sequence[str]
) -> SpreadTable | None:
    entries = [entry for entry in section.entries if entry.variant == "full"]
    if not any(metric in entry.numbers for entry in entries for metric in metrics):
        return None
    marked, explained = marks(section.protocol, section.dataset, section.scale) if published else ("", [])
    rows = [_row(entry, metrics, published, marked) for entry in entries]
    # What neither we nor the paper measured, as interpolation without these indices, is no row.
    rows = [row for row in rows if row.numbers]
    rows += [
        Row((method_title(name), "0"), _theirs(metrics, published[paper]), note="-")
        for name, paper in METHODS.items()
        if paper in published and name not in {entry.method for entry in entries}
    ]
    order = {method_title(name): method_rank(name) for name in METHODS}
    order |= {entry.title: method_rank(entry.method) for entry in entries}
    baselines = [entry.title for entry in entries if not entry.runs]
    rows.sort(key=lambda row: (row.labels[0] in baselines, order[row.labels[0]]))
    styled = any(STYLE in row.marks for row in rows)
    caption = [
        f"{section_title(section)}: mean over {_scenes(section)}, ± standard deviation over the runs.",
        *([f"Paper: its Table {number}; {DELTA}"] if published else []),
        *explained,
        *notes,
        *([_STYLED] if styled else []),
    ]
    return SpreadTable(("Method", "Runs"), _columns(metrics, published), rows, " ".join(caption), "Training")


def _row(entry: Entry, metrics: Sequence[str], published: Published, marked: str) -> Row:
    theirs = published.get(METHODS.get(entry.method, ""), {})
    numbers = {key: spread for key, spread in entry.numbers.items() if key in metrics}
    style = STYLE if theirs and METHODS[entry.method] != method_title(entry.method) else ""
    runs = str(len(entry.runs)) if entry.runs else ""
    return Row(
        (entry.title, runs),
        numbers | _theirs(metrics, theirs),
        len(entry.runs),
        marked + style,
        budget(entry.runs) if entry.runs else "nothing to train",
        seconds(entry.runs),
    )


def _theirs(metrics: Sequence[str], published: Mapping[str, float]) -> dict[str, Spread]:
    return {f"{key}_paper": Spread((published[key],)) for key in metrics if key in published}


def _columns(metrics: Sequence[str], published: Published) -> list[Column]:
    columns = []
    for metric in metrics:
        columns.append(ours := metric_column(metric))
        if any(metric in row for row in published.values()):
            columns.append(Column(f"{metric}_paper", PUBLISHED, ours.decimals, beside=metric))
    return columns


def _scenes(section: Section) -> str:
    scenes: list[Any] = section.protocol["test_scenes"]
    return "the one test scene" if len(scenes) == 1 else f"{len(scenes)} test scenes"


def _parameters(entry: Entry) -> dict[str, Spread]:
    counts = [run.results["parameters"] / 1e6 for run in entry.runs if run.needs_training]
    return spreads({"parameters": counts})
