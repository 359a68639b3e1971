import base64
import io
import json
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from cofusion.reports.figures.comparison import NO_VALUE, compare
from cofusion.reports.figures.method_lines import method_lines
from cofusion.reports.page import Cell, PageTable, build_page, page_scene, sample_step
from cofusion.reports.page.scenes import PICTURES_BUDGET, pack, picture_uri
from cofusion.reports.records.images import read_scene, write_scene
from cofusion.reports.report_page import page_table, statement_facts
from cofusion.reports.tables.spread import Column, Row, Spread, SpreadTable
from picture_runs import BANDS, COLS, ROWS, WAVELENGTHS, cubes

HOSTILE = """</script><script>alert(1)</script>"'&<img src=x onerror=alert(2)>"""


class Page(HTMLParser):
    """Keeps tags with their attributes, the cells of tables and the text of scripts."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.tables, self.scripts, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.open.pop(len(self.open) - 1 - self.open[::-1].index(tag))

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data.strip()


@pytest.fixture
def make(tmp_path):
    def scene(names=("GSA", "CoFusion"), step=2, name="field", **options):
        recorded = {}
        for number, method in enumerate(names, start=1):
            path = tmp_path / f"{number}.npz"
            write_scene(path, name, cubes(0.1 / number, **options), WAVELENGTHS)
            recorded[method] = read_scene(path)
        compared = compare(recorded, {names[0]: {"sam": 3.0, "ssim": float("nan")}}, step=step)
        return page_scene(compared, "synthetic x4", 2 * len(names) + 3, method_lines(names)), recorded

    return scene


def unpacked(text, grid):
    """Read samples by the description of `pack`, in plain loops."""
    raw = zlib.decompress(base64.b64decode(text))
    bands, rows, cols = grid
    count = bands * rows * cols
    values = [raw[i] + 256 * raw[count + i] for i in range(count)]
    for i in range(rows * cols, count):
        values[i] = (values[i] + values[i - rows * cols]) % 65536
    return np.array(values).reshape(grid)


def test_samples_come_back_exactly():
    samples = np.random.default_rng(0).integers(0, 65536, (5, 3, 4)).astype(np.uint16)
    samples[2, 1, 1] = NO_VALUE
    np.testing.assert_array_equal(unpacked(pack(samples), samples.shape), samples)


def test_the_page_holds_the_right_spectra_of_every_method(make):
    scene, recorded = make()
    (_, data) = Page(build_page("Results", scenes=[scene])).scripts[::-1][:2]
    (held,) = json.loads(data)
    assert [cube["name"] for cube in held["cubes"]] == ["Reference", "GSA", "CoFusion"]
    assert held["x"] == pytest.approx(WAVELENGTHS) and held["grid"] == [BANDS, ROWS // 2, COLS // 2]
    for cube in held["cubes"][1:]:
        fused = recorded[cube["name"]].cube("fused")[:, 1::2, 1::2]
        found = (unpacked(cube["samples"], held["grid"]) - held["zero"]) / held["steps"]
        np.testing.assert_allclose(found, fused, atol=0.5001 / held["steps"])
    assert held["cubes"][1]["scores"] == {"sam": 3.0}  # NaN is no JSON
    assert held["cubes"][0]["map"] is None


def test_without_a_reference_the_lrhsi_is_one_choice(make):
    scene, _ = make(with_reference=False)
    names = [each["name"] for each in (*scene["inputs"], *scene["cubes"])]
    assert names == ["HRMSI", "LRHSI", "GSA", "CoFusion"]


def test_pictures_are_those_of_the_scene(make):
    scene, _ = make()
    pictures = [cube[key] for cube in scene["cubes"] for key in ("picture", "map") if cube[key]]
    assert len(pictures) == 5 and len(set(pictures)) == 5
    for uri in [*pictures, *(each["picture"] for each in scene["inputs"])]:
        kind, _, text = uri.partition(",")
        assert kind == "data:image/webp;base64"
        with Image.open(io.BytesIO(base64.b64decode(text))) as image:
            assert np.asarray(image.convert("L")).std() > 5
            assert image.size in ((COLS, ROWS), (COLS // 4, ROWS // 4))


def test_the_page_needs_nothing_from_outside(make):
    text = build_page("Results", scenes=[make()[0]], figures=[("c", "data:image/png;base64,AAAA")])
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "base")
        for key in ("src", "href", "action", "srcset"):
            assert (attributes.get(key) or "#").startswith(("#", "data:")), (tag, attributes)
    (policy,) = [a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", text)
    assert page.open.count("p") + page.open.count("table") == 0  # everything that is opened is closed


def test_hostile_names_stay_text(make):
    scene, _ = make(names=(HOSTILE, f"CoFusion {HOSTILE}"), name=HOSTILE)
    table = PageTable(HOSTILE, [HOSTILE, "PSNR"], [[Cell(HOSTILE), Cell("1", 1.0, 1)]], HOSTILE)
    text = build_page(
        HOSTILE,
        tables=[table],
        scenes=[scene],
        figures=[(HOSTILE, "data:image/png;base64,AAAA")],
        protocol=[(HOSTILE, [(HOSTILE, HOSTILE)])],
        runs=[(HOSTILE, [(HOSTILE, HOSTILE)])],
        notes=[HOSTILE],
    )
    page = Page(text)
    assert len(page.scripts) == 2 and "onerror" not in str([attributes.keys() for _, attributes in page.tags])
    (held,) = json.loads(page.scripts[0])
    assert held["name"] == HOSTILE and held["cubes"][1]["name"] == HOSTILE
    assert page.tables[0] == [[HOSTILE, "PSNR"], [HOSTILE, "1"]]
    # Names are written by the script as text, never as HTML.
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", page.scripts[1])


def test_tables_hold_what_the_report_prints(make):
    columns = [
        Column("psnr", "PSNR ↑", 2, True),
        Column("psnr_paper", "paper (Δ)", 2, beside="psnr"),
        Column("sam", "SAM ↓", 2, False),
    ]
    rows = [
        Row(("A", "2"), {"psnr": Spread((30.0, 32.0)), "sam": Spread((2.0, 2.0))}, 2, "", "an hour", 3600.0),
        Row(
            ("B", "1"),
            {"psnr": Spread((35.0,)), "psnr_paper": Spread((34.0,)), "sam": Spread((3.0,))},
            1,
            effort=0.0,
        ),
        Row(("C", "0"), {"psnr_paper": Spread((36.0,))}),
        Row(("D", ""), {"psnr": Spread((20.0,)), "sam": Spread((9.0,))}),
    ]
    table = SpreadTable(("Method", "Runs"), columns, rows, "caption", "Training")
    found = page_table("Table 1", table)
    printed = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in table.markdown().splitlines()
        if line.startswith("|")
    ]
    plain = [[re.sub(r"\*\*|</?u>", "", cell) for cell in line] for line in (printed[0], *printed[2:])]
    assert [list(found.heads), *([cell.text for cell in row] for row in found.rows)] == plain
    assert [row[2].value for row in found.rows] == [31.0, 35.0, None, 20.0]
    assert [row[2].rank for row in found.rows] == [2, 1, 0, 0]
    assert [row[4].rank for row in found.rows] == [1, 2, 0, 0]
    page = Page(build_page("Results", tables=[found]))
    assert page.tables[0] == plain
    assert [a["scope"] for tag, a in page.tags if tag == "th"] == ["col"] * 6 + ["row"] * 4
    assert [tag for tag, _ in page.tags].count("caption") == 1
    assert found.numeric == [False, True, True, True, True, False]
    assert [row[5].value for row in found.rows] == [3600.0, 0.0, None, None]
    ranks = [attributes.get("class", "") for tag, attributes in page.tags if tag == "td"]
    assert sum("rank1" in rank for rank in ranks) == sum("rank2" in rank for rank in ranks) == 2


def test_a_statement_is_taken_apart():
    text = """\
# Protocol

## CAVE x4

- data: cave

Methods:

- **GSA**: nothing; runs `gsa`

## Metrics

In float64;
all.

- PSNR: one
  MSE.
"""
    assert statement_facts(text) == [
        ("CAVE x4", [("data", "cave"), ("GSA", "nothing; runs gsa")]),
        ("Metrics", [("in general", "In float64; all."), ("PSNR", "one MSE.")]),
    ]


def test_samples_and_pictures_keep_to_their_budgets():
    cave = [(31, 512, 512)] * 70
    step = sample_step(cave)
    assert step > 4 and sample_step([(31, 64, 64)]) == 1
    noise = np.random.default_rng(0).integers(0, 256, (900, 700, 3)).astype(np.uint8)
    room = PICTURES_BUDGET // 150
    uri = picture_uri(noise, room)
    assert len(uri) <= room
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        assert image.height > 64


def test_a_page_of_fourteen_methods_and_five_scenes_stays_below_15_mb(make):
    scene, _ = make()
    rng = np.random.default_rng(0)
    cube = (rng.normal(0.3, 0.05, (31, 1, 1)) + rng.normal(0, 0.01, (31, 512, 512))).clip(0, 1)
    step = sample_step([cube.shape] * 75)
    samples = np.round(cube[:, ::step, ::step] * 10000).astype(np.uint16)
    # Noise in every band packs worse than any spectrum.
    assert 75 * len(pack(samples)) + PICTURES_BUDGET + len(build_page("Results", scenes=[scene])) < 15e6
