"""The page of speeds shows what was recorded."""

import re
from pathlib import Path

import pytest

from cofusion.speed.methods import names, title
from cofusion.speed.record import aim, markdown, read_record

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
RECORDS = sorted((ROOT / "docs" / "results" / "speed_cpu").glob("*/speed.json"))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.parent.name)
def test_the_page_holds_the_tables_of_every_record(path):
    name = path.relative_to(ROOT).as_posix()
    assert f"<!-- {name} -->\n\n{markdown(read_record(path)[1])}" in PAGE


def test_every_method_is_on_the_page():
    methods = {row.method for row in read_record(RECORDS[-1])[1]}
    assert methods == {title(name) for name in names()}


def test_the_page_says_of_every_aim_what_was_measured():
    said = re.search(r"<!-- aims -->\n(.*?)<!-- /aims -->", PAGE, re.DOTALL)
    found = [
        f"| {row.method} | {row.size} x {row.size} | {row.precision} | {aim(row)} | {row.ratio:.2f} | "
        f"{'yes' if row.ratio >= aim(row) else 'no'} |"
        for path in RECORDS
        for row in read_record(path)[1]
        if aim(row) is not None
    ]
    assert said[1].splitlines()[2:] == found
