"""Marks beside the paper's numbers, where ours cannot simply be compared with them."""

from collections.abc import Mapping
from typing import Any

from cofusion.reports.tables.paper import departures

PROTOCOL, SCENES, STYLE = "†", "‡", "§"
# Heading of published numbers, and what the captions say of it.
PUBLISHED, DELTA = "paper (Δ)", "Δ: ours minus the paper's."
PEAK = (
    "The paper states no peak of its PSNR; its author's code takes each reference's own maximum, so it "
    "stands beside ours of that peak."
)


def marks(protocol: Mapping[str, Any], dataset: str, scale: int) -> tuple[str, list[str]]:
    """Return the marks of a table's differences from the paper, and a note that explains each.

    Args:
        protocol: Of the table, as in `runs.protocol`.
        dataset: The data set of the paper's numbers.
        scale: Their scale.
    """
    simulation, scenes = departures(protocol, dataset, scale)
    notes = []
    if simulation:
        notes.append(f"{PROTOCOL} Another protocol than the paper's: {'; '.join(simulation)}.")
    if scenes:
        notes.append(f"{SCENES} Not the paper's scenes: {'; '.join(scenes)}.")
    return "".join(note[0] for note in notes), notes
