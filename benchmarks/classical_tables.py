"""The record of `classical.py` as the Markdown tables that docs/methods.md holds."""

import re
from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
HEADING = "## Quality, time and memory"
# Cases whose time and memory are shown: noise and phase change neither.
COSTS = r"`wald`, x\d+"
# Methods in the order of the tables; those that are not named here follow under the names of their configs.
LABELS = {
    "bicubic": "bicubic",
    "pca": "PCA",
    "ihs": "IHS",
    "brovey": "Brovey",
    "gs": "GS",
    "gsa_selection": "GSA (selected bands)",
    "gsa": "GSA",
    "bdsd": "BDSD",
    "bdsd_pc": "BDSD-PC",
    "sfim": "SFIM",
    "sfim_hs": "SFIM-HS",
    "mtf_glp": "MTF-GLP",
    "mtf_glp_hpm": "MTF-GLP-HPM",
    "glp_hs": "GLP-HS",
    "awlp": "AWLP",
    "dwt": "DWT",
    "tv": "TV",
    "cnmf": "CNMF",
    "sup_res_palm": "SupResPALM",
    "ltmr": "LTMR",
    "hysure": "HySure",
    "fuse_ml": "FUSE (no prior)",
    "fuse": "FUSE",
}
SCENES = {
    "balloons": "CAVE balloons",
    "hairs": "CAVE hairs",
    "indian_pines": "Indian Pines",
    "pavia_centre_crop": "Pavia Centre crop",
}


def tables(record: dict[str, list[Row]]) -> list[str]:
    """Return the quality of every case, what the phase is worth, time with memory, and speed."""
    groups: dict[str, list[Row]] = {}
    for row in sorted(
        record["quality"], key=lambda row: (row["preset"] == "paper", row["snr"] != [None, None])
    ):
        groups.setdefault(case(row), []).append(row)
    found = []
    for title, rows in groups.items():
        told = [row for row in rows if right(row)]
        found.append(by_method(title, told, quality))
        if len(told) < len(rows):
            found.append(by_method(f"{title}: told the phase, not told", rows, phase_told))
    costs = [by_method(title, rows, cost) for title, rows in groups.items() if re.fullmatch(COSTS, title)]
    return [*found, *costs, speed(record["speed"])]


def case(row: Row) -> str:
    """Return the conditions of a row, but for the phase that the method was told."""
    hsi, msi = row["snr"]
    noise = "" if hsi is None else f", {hsi:g} and {msi:g} dB"
    return f"`{row['preset']}`, x{row['scale']}{noise}"


def into_page(page: str, found: list[str]) -> str:
    """Return a page with its tables, from the heading on, replaced by those found, which are as many."""
    before, heading, after = page.partition(HEADING)
    fresh = iter(found)
    return before + heading + re.sub(r"(?:^\|.*\n)+", lambda _: next(fresh) + "\n", after, flags=re.MULTILINE)


def right(row: Row) -> bool:
    """Whether the method was told the phase that the preset has."""
    return bool(row["told"] == (0.0 if row["preset"] == "paper" else (row["scale"] - 1) / 2))


def by_method(title: str, rows: list[Row], cell: Callable[[list[Row]], str]) -> str:
    """Return a table of methods by scenes; a cell shows what there is of one method on one scene."""
    methods = dict.fromkeys(row["method"] for row in rows)
    scenes = [name for name in SCENES if any(row["scene"] == name for row in rows)]
    lines = [
        [
            LABELS.get(method, method),
            *(
                cell([row for row in rows if (row["method"], row["scene"]) == (method, scene)])
                for scene in scenes
            ),
        ]
        for method in [*(known for known in LABELS if known in methods), *(methods.keys() - LABELS.keys())]
    ]
    return markdown([title, *(SCENES[scene] for scene in scenes)], lines)


def quality(rows: list[Row]) -> str:
    return " ".join(f"{row['psnr']:.2f} / {row['sam']:.2f} / {row['ergas']:.2f}" for row in rows)


def phase_told(rows: list[Row]) -> str:
    return ", ".join(f"{row['psnr']:.2f}" for row in sorted(rows, key=right, reverse=True))


def cost(rows: list[Row]) -> str:
    return " ".join(f"{row['seconds']:.3g} s, {row['gb']:.2f} GB" for row in rows)


def speed(rows: list[Row]) -> str:
    sizes = list(dict.fromkeys(row["size"] for row in rows))
    lines = [
        [
            method,
            *(
                f"{row['seconds']:.2f}, {row['literal']:.2f}: **{row['literal / ours']:.1f}**"
                for size in sizes
                for row in rows
                if (row["method"], row["size"]) == (method, size)
            ),
        ]
        for method in dict.fromkeys(row["method"] for row in rows)
    ]
    return markdown(["ours, literal: ratio", *sizes], lines)


def markdown(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
