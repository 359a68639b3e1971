"""docs/report.md shows what the command makes and says what it does."""

import re
from pathlib import Path

from cofusion.cli import main
from cofusion.report_command import _parser
from cofusion.reports.tables import marks

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")


def test_the_table_shown_is_the_one_made(tmp_path):
    assert main(["report", str(ROOT / "docs" / "results"), "-o", str(tmp_path / "report")]) == 0
    shown = re.search(r"<!-- cofusion report docs/results: Indian Pines x4 -->\n((?:\|.*\n)+)", TEXT)[1]
    assert f"### Indian Pines x4\n\n{shown}" in (tmp_path / "report" / "report.md").read_text(
        encoding="utf-8"
    )


def test_every_mark_and_flag_is_explained():
    assert set(re.findall(r"^\| (\W) \|", TEXT, re.MULTILINE)) == {marks.PROTOCOL, marks.SCENES, marks.STYLE}
    flags = re.findall(r"--[a-z]+", _parser("report").format_help())
    assert set(flags) - {"--help", "--output"} <= set(re.findall(r"--[a-z]+", TEXT))


def test_linked_files_exist():
    for target in re.findall(r"\]\((?!http)([^)#]+)", TEXT):
        assert (ROOT / "docs" / target).exists(), target
