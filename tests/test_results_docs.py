"""docs/results.md shows what reports on the kept records say, the README what the shipped weights reach."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "docs" / "results"
README = (ROOT / "README.md").read_text(encoding="utf-8")

sys.path.append(str(ROOT / "benchmarks"))
results_page = importlib.import_module("results_page")
PAGE = results_page.PAGE.read_text(encoding="utf-8")


def test_every_table_is_the_one_that_the_command_makes():
    assert len(results_page.BLOCK.findall(PAGE)) >= 4
    assert results_page.filled(PAGE) == PAGE


def test_numbers_in_sentences_are_in_the_tables():
    tables = "\n".join(line for line in PAGE.splitlines() if line.startswith(("|", "<!--", "- ")))
    sentences = "\n".join(line for line in results_page.BLOCK.sub("", PAGE).splitlines() if line[:1] != "|")
    for number in re.findall(r"\d+\.\d{2,}", sentences):
        assert number in tables, number


def test_linked_files_exist():
    for target in re.findall(r"\]\((?!http)([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize("path", sorted(RECORDS.rglob("config.yaml")), ids=lambda path: path.parent.name)
def test_records_name_no_folder_of_a_machine(path):
    found = re.findall(r"(?:root|lr_hsi|hr_msi): (/.*)", path.read_text(encoding="utf-8"))
    assert not found


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_the_readme_says_what_the_shipped_weights_reach(scale):
    record = json.loads((RECORDS / f"weights/cave_x{scale}/results.json").read_text(encoding="utf-8"))
    means = {"CoFusion": record["mean"]} | {
        name: baseline["mean"] for name, baseline in record["baselines"].items()
    }
    for name, mean in means.items():
        cells = (f"{mean['psnr']:.2f}", f"{mean['ssim']:.4f}", f"{mean['sam']:.2f}", f"{mean['ergas']:.3f}")
        bold = [f"**{cell}**" if name == "CoFusion" else cell for cell in cells]
        assert " | ".join([f"| x{scale}", name, *bold]) in README
