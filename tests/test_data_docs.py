"""What the pages about data claim and a computer can check."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.io import savemat

from cofusion.cli import main
from cofusion.data import FusionDataModule
from cofusion.scenes import Synthetic
from cofusion.sensors import BandPick

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "data.md"
README = ROOT / "data" / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", [PAGE, README], ids=["docs", "data"])
def test_linked_files_exist(page):
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert targets
    for target in targets:
        assert (page.parent / target).is_file(), target


def table(result: str) -> list[list[str]]:
    """Return the cells below the mark of a result's file."""
    text = PAGE.read_text(encoding="utf-8").partition(f"<!-- docs/results/{result}.json -->\n")[2]
    _, _, *rows = text.partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def results(name: str) -> Any:
    return json.loads((ROOT / f"docs/results/{name}.json").read_text())


def test_tables_of_costs_hold_the_recorded_numbers():
    assert table("chikusei_cpu") == [
        [
            str(row["scale"]),
            *(f"{row[key]:.2f}" for key in ("first_fit_gb", "second_fit_gb")),
            f"{row['batch_s']:.1f}",
        ]
        for row in results("chikusei_cpu")["scales"]
    ]
    assert table("simulation_cpu") == [
        [f"`{row['preset']}`", f"{row['simulation / clone']:.2f}"]
        for row in results("simulation_cpu")["rows"]
    ]


def test_table_of_damaged_files_holds_the_recorded_numbers():
    recorded = results("fuzz_readers")["formats"]
    assert table("fuzz_readers") == [
        [name, str(each["refused"]), str(each["read"]), str(len(each["violations"]))]
        for name, each in recorded.items()
    ]


def test_printed_config_and_split_show_a_file_of_that_layout(tmp_path, monkeypatch, capsys):
    for text in blocks("yaml"):
        (tmp_path / text.split()[1]).write_text(text)
    cube = np.random.default_rng(0).integers(0, 6000, (105, 120, 102), dtype=np.uint16)
    savemat(tmp_path / "pavia_centre_crop_105x120x102.mat", {"PaviaCenter": cube})
    monkeypatch.chdir(tmp_path)
    command = next(line for line in "".join(blocks("bash")).splitlines() if "pavia_crop.yaml" in line)
    assert main(command.replace("DIR", ".").split()[1:]) == 0
    assert "wrote pavia_crop.png" in capsys.readouterr().out
    assert (tmp_path / "pavia_crop.png").is_file()


def test_protocol_on_the_page_has_the_recorded_keys():
    (text,) = blocks("json")
    data = FusionDataModule(Synthetic, split="synthetic", scale=2, response=BandPick([0]))
    assert list(json.loads(text)) == list(data.protocol)
    section = PAGE.read_text(encoding="utf-8").partition("## What a run records")[2].partition("## ")[0]
    keys = " ".join(re.findall(r"^\| (`.*?) \|", section, re.M))
    explained = re.findall("`(.*?)`", keys)
    assert sorted(explained) == sorted(data.protocol)


def test_every_shipped_split_is_in_the_table():
    text = README.read_text(encoding="utf-8").partition("## Splits")[2]
    listed = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text, re.M)
    shipped = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / "data/splits").glob("*.yaml")}
    assert sorted(name for name, _ in listed) == sorted(shipped)
