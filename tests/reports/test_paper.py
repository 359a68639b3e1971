"""The paper's numbers are the paper's, and where ours are not comparable it is said."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from cofusion.reports.records.runs import protocol
from cofusion.reports.tables.marks import marks
from cofusion.reports.tables.paper import (
    ABLATION,
    ABLATION_NAMES,
    DATA,
    DATASETS,
    METHODS,
    PROTOCOL,
    SCALES,
    departures,
    table_1,
    table_2,
)
from cofusion.resources import resource_dir
from cofusion.scenes.catalogue import find_set
from cofusion.sensors import Sensors, SpectralResponse
from run_folders import CAVE, PAVIA

PAPER = Path(__file__).parents[3] / "shared" / "paper" / "cofusion.txt"
CAVE_SCENES = 11


def rows(number: int, form: str) -> dict[tuple[str, int], list[str]]:
    """Read a table of the paper's text: numbers by method and scale."""
    text = PAPER.read_text(encoding="utf-8")
    table = text[text.index(f"\nTable {number}: ") + 1 :].split("\n\n")[0]
    found = {}
    for line in table.splitlines():
        scale = re.search(r" \W([248])\\times", line)
        numbers = re.findall(rf"(?<!\S){form}(?!\S)", line)
        if len(numbers) >= 9:
            found[line.split()[0], int(scale[1]) if scale else 4] = numbers
    return found


@pytest.mark.skipif(not PAPER.is_file(), reason="the paper's text is not in the repository")
def test_every_value_of_table_1_is_the_papers():
    paper = rows(1, r"\d+\.\d{4}")
    assert len(paper) == 9 * 3
    for (method, scale), numbers in paper.items():
        ours = [value for dataset in DATASETS for value in table_1(dataset, scale)[method].values()]
        assert [f"{value:.4f}" for value in ours] == numbers, (method, scale)


@pytest.mark.skipif(not PAPER.is_file(), reason="the paper's text is not in the repository")
def test_every_value_of_table_2_is_the_papers():
    paper = rows(2, r"0\.\d{4}")
    assert len(paper) == 9
    for (method, scale), numbers in paper.items():
        ours = [value for dataset in DATASETS for value in table_2(dataset, scale)[method].values()]
        assert [f"{value:.4f}" for value in ours] == numbers, method


@pytest.mark.skipif(not PAPER.is_file(), reason="the paper's text is not in the repository")
def test_every_value_of_table_3_is_the_papers():
    text = PAPER.read_text(encoding="utf-8")
    for variant, values in ABLATION.items():
        line = "{} {psnr_max:.4f} {ssim:.4f} {parameters:.2f} {latency:.2f}".format(
            ABLATION_NAMES[variant], **values
        )
        assert f"\n{line}\n" in text


def test_tables_have_all_methods_metrics_and_scales_in_their_places():
    for dataset in DATASETS:
        for scale in SCALES:
            table = table_1(dataset, scale)
            assert list(table) == list(METHODS.values())
            assert all(list(row) == ["psnr_max", "ssim", "sam", "ergas_100_4"] for row in table.values())
        assert list(table_2(dataset, 4)) == list(METHODS.values()) and not table_2(dataset, 8)
    # Read off the paper by eye.
    assert table_1("cave", 4)["CoFusion"] == {
        "psnr_max": 49.1382,
        "ssim": 0.9948,
        "sam": 2.6045,
        "ergas_100_4": 2.0087,
    }
    assert table_1("pavia_u", 8)["HSRnet"]["ergas_100_4"] == 5.4128
    assert table_1("indian_pines", 4) == {} and table_1("cave", 3) == {}


def as_tested(recorded, scenes=CAVE_SCENES):
    return protocol({"protocol": recorded, "scenes": {str(scene): {} for scene in range(scenes)}})


def test_the_protocol_read_from_the_paper_has_no_mark():
    assert departures(as_tested(CAVE), "cave", 4) == ([], [])
    assert departures(as_tested(PAVIA, 1), "pavia_u", 4) == ([], [])
    assert marks(as_tested(CAVE), "cave", 4) == ("", [])


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"preset": "wald"}, "preset wald, not paper"),
        ({"msi_snr": 30.0}, "msi_snr 30.0, not none"),
        ({"response": "ikonos"}, "response ikonos, not nikon_d700"),
        ({"msi_bands": ["red"]}, "msi_bands red, not red + green + blue"),
        ({"phase": 1.5}, "phase 1.5, not 0.0"),
        ({"border": "circular"}, "border circular, not reflect"),
        ({"scaling": "max"}, "scaling max, not 65535.0"),
        ({"psf": "a disc"}, "psf a disc, not the preset's"),
        ({"scale": 8}, "scale 8, not 4"),
    ],
)
def test_another_simulation_is_marked(changed, text):
    mark, (note,) = marks(as_tested(CAVE | changed), "cave", 4)
    assert mark == "†" and note == f"† Another protocol than the paper's: {text}."


def test_other_scenes_are_marked():
    assert marks(as_tested(CAVE, 5), "cave", 4) == (
        "‡",
        ["‡ Not the paper's scenes: 5 of the 11 test scenes."],
    )
    assert departures(as_tested(CAVE | {"split": "mine"}), "cave", 4) == ([], ["split mine, not cave_20_11"])
    assert departures(as_tested(CAVE), "pavia_u", 4) == ([], ["cave, not pavia_u"])
    assert marks(as_tested(CAVE | {"preset": "wald"}, 5), "cave", 4)[0] == "†‡"


def test_the_configs_of_the_papers_data_sets_are_the_protocol_read_from_it():
    sensors = Sensors.preset("paper", 8, SpectralResponse.gaussian([500], [70], torch.linspace(400, 700, 31)))
    assert (sensors.phase, sensors.border) == (PROTOCOL["phase"], PROTOCOL["border"])
    for dataset, ours in DATA.items():
        data = yaml.safe_load((resource_dir("configs") / "data" / f"{dataset}.yaml").read_text())["data"]
        arguments = data["response"]["init_args"]
        assert (data["split"], arguments["table"]) == (ours["split"], ours["response"])
        assert arguments.get("columns", ours["msi_bands"]) == ours["msi_bands"]
        assert find_set(dataset).scaling == ours["scaling"]
