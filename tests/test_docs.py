"""What the documents claim and a computer can check."""

import re
from pathlib import Path

import pytest

from cofusion import CoFusion

NOTES = Path(__file__).parents[1] / "docs" / "paper-notes.md"
TOTALS = {"full": 4.91, "no_spacam": 3.58, "no_specam": 4.15, "no_sscfm": 4.62}


def parameter_table() -> dict[str, dict[str, int]]:
    """Read the notes' table of parameters: `{variant: {module: count}}`."""
    text = re.search(r"<!-- parameters -->\n(.*?)<!-- /parameters -->", NOTES.read_text(), re.DOTALL)
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in text[1].splitlines())
    return {
        variant: {row[0].strip("`"): int(row[column].replace(",", "")) for row in rows}
        for column, variant in enumerate(head[1:], start=1)
    }


@pytest.mark.parametrize("variant", TOTALS)
def test_parameters_are_as_the_notes_say(variant):
    net = CoFusion(103, 4, 4, variant=variant)
    counts = {name: sum(p.numel() for p in child.parameters()) for name, child in net.named_children()}
    counts["total"] = sum(counts.values())
    assert parameter_table()[variant] == counts
    assert counts["total"] / 1e6 == pytest.approx(TOTALS[variant], rel=0.01)


@pytest.mark.parametrize("document", [NOTES, NOTES.parents[1] / "README.md"], ids=lambda path: path.name)
def test_result_files_that_documents_name_exist(document):
    named = re.findall(r"docs/results/[\w./]+", document.read_text(encoding="utf-8"))
    assert named
    for name in named:
        assert (NOTES.parents[1] / name).exists(), name
