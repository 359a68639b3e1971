"""The report's page and its statement of protocol."""

import re

import pytest
import torch

from cofusion.errors import UserError
from cofusion.reports.records.blurs import blur
from cofusion.reports.report import files, read_report
from cofusion.sensors import gaussian_psf
from cofusion.sensors.presets import PRESETS
from run_folders import CAVE, metrics, write_classical, write_run


def page(folder):
    return files(read_report(folder))["report.md"]


def part(text, heading):
    """What stands below a heading, up to the next one of its level."""
    level = heading.split()[0]
    return re.search(rf"^{re.escape(heading)}\n(.*?)(?=^{level} |\Z)", text, re.DOTALL | re.MULTILINE)[1]


def test_the_page_has_all_tables_the_protocol_and_the_runs(tmp_path):
    write_run(tmp_path / "cave" / "fit_0", seed=1)
    write_run(tmp_path / "cave" / "fit_1", seed=2)
    write_run(tmp_path / "cave" / "no_sscfm", arguments={"variant": "no_sscfm"})
    write_run(tmp_path / "untested", scenes={})
    text = page(tmp_path)
    headings = re.findall(r"^##? (.*)$", text, re.MULTILINE)
    assert headings == [
        "Results", "Table 1: against the reference", "Table 2: without a reference", "Table 3: ablation",
        "Protocol", "Runs",
    ]  # fmt: skip
    assert "No run holds the indices without a reference." in text
    assert "w/o SSCFM" in part(text, "## Table 3: ablation")
    runs = part(text, "## Runs")
    assert "Counted, 3: `cave/fit_0`, `cave/fit_1`, `cave/no_sscfm`." in runs
    assert "- `untested`: not tested: results.json holds no scene" in runs
    assert str(tmp_path) not in text


def test_data_sets_of_the_paper_without_a_run_are_named(tmp_path):
    write_run(tmp_path / "a")
    (line,) = re.findall(
        r"^In the paper's Table 1 and without a run here: (.*)\.$", page(tmp_path), re.MULTILINE
    )
    every = [f"{name} x{scale}" for name in ("Chikusei", "CAVE", "PaviaU") for scale in (2, 4, 8)]
    assert line.split(", ") == [name for name in every if name != "CAVE x4"]


def test_mixed_protocols_have_tables_and_headings_of_their_own(tmp_path):
    write_run(tmp_path / "a", 40.0)
    write_run(tmp_path / "b", 20.0, protocol=CAVE | {"preset": "wald"})
    table = part(page(tmp_path), "## Table 1: against the reference")
    one, other = part(table, "### CAVE x4, preset paper"), part(table, "### CAVE x4, preset wald")
    assert "| CoFusion | 1 | **40.00** | 40.00 | 49.14 (-9.14)‡ |" in one
    assert "| CoFusion | 1 | 20.00 | 20.00 | 49.14 (-29.14)†‡ |" in other


def test_the_statement_says_data_sensors_recipe_hardware_and_software(tmp_path):
    scenes = {"balloons": {"scaling": 65535.0, "clipped": 3}, "beads": {"scaling": 65535.0, "clipped": 50}}
    protocol = CAVE | {"hsi_snr": 30.0, "noise_seed": 4, "scenes": scenes}
    config = {"data.response.init_args": {"table": "nikon_d700"}, "model.optimizer.init_args.lr": 0.005}
    write_run(tmp_path / "a", seed=3, protocol=protocol, config=config, arguments={"dim": 48})
    write_classical(tmp_path / "b", 30.0, protocol=protocol, config=config, commit=None)
    text = files(read_report(tmp_path))["protocol.md"]
    for words in (
        "- split: cave_20_11; trained on 20 scenes (beads, cloth, egyptian_statue, ",
        "superballs, thread_spools); tested on balloons",
        "values divided by 65535; 3 values of the test scenes clipped",
        "preset paper, Gaussian of sigma 0.5 pixels, 3 x 3 taps, scale 4, phase 0, border reflect",
        "border reflect, noise of 30.0 dB (seed 4)",
        "response nikon_d700 (table nikon_d700), bands red, green, blue, no noise",
        "**CoFusion**: seed 3; 4,780,000 parameters; CoFusion (dim 48), AdamW (lr 0.005), ",
        "batch_size 8, patch 32, max_epochs 2; 400 steps",
        "400 steps, 2 epochs, 1.5 min, cpu (a test); runs `a`",
        "**GSA**: GSA; nothing to train; runs `b`",
        "cofusion 0.1.0, commit 0123abc, python 3.11.7, torch 2.9.0, trained and tested on cpu (a test), "
        "threads not recorded: `a`",
        "commit not recorded",
        "ERGAS: factor 100 / scale",
    ):
        assert words in text, words
    assert text.replace("\n#", "\n##").splitlines()[-1] in page(tmp_path)


def test_the_statement_says_what_a_training_was_made_with_where_its_test_was_not(tmp_path):
    fit = write_run(tmp_path / "fit", scenes={}, commit="abc-dirty", version="0.0.9", threads=1)
    checkpoint = str(fit / "checkpoints" / "best.ckpt")
    write_run(tmp_path / "test", commit="def", device="GPU", checkpoint=checkpoint)
    write_run(tmp_path / "other", commit="def", arguments={"dim": 8}, threads=2)
    text = files(read_report(tmp_path))["protocol.md"]
    versions = "python 3.11.7, torch 2.9.0"
    for line in (
        f"- cofusion 0.0.9, commit abc with changes that were not committed, {versions}, "
        "trained on cpu (a test), 1 thread: `test`",
        f"- cofusion 0.1.0, commit def, {versions}, tested on GPU: `test`",
        f"- cofusion 0.1.0, commit def, {versions}, trained and tested on cpu (a test), 2 threads: `other`",
    ):
        assert line in text.splitlines(), line


def test_the_statement_names_the_blur_of_a_real_pair(tmp_path):
    pair = {"dataset": "real_pair", "scale": 4, "split": "right_0.2", "lr_hsi": "a.tif", "psf_size": 14}
    response = {"class_path": "cofusion.sensors.GaussianResponse", "init_args": {"centres": [500.0]}}
    known = {"data.preset": "wald", "data.response": response}
    own = {"data.psf": {"class_path": "cofusion.sensors.GaussianPSF", "init_args": {"sigma": 1.5}}}
    for name, config in (("preset", known), ("own", known | own), ("estimated", {"data.preset": "wald"})):
        write_run(tmp_path / name, {"x": {"qnr": 0.5}}, protocol=pair, config=config, bicubic={"qnr": 0.4})
    text = files(read_report(tmp_path))["protocol.md"]
    assert "preset wald, Gaussian of sigma 1.699 pixels, 14 x 14 taps" in text
    assert "preset wald, PSF sigma 1.5, 14 x 14 taps" in text
    assert "- LRHSI: PSF not recorded, 14 x 14 taps" in text
    assert "- split: right_0.2; trained on scenes that are not recorded; tested on x" in text


def test_the_scenes_of_a_split_of_ones_own_are_named(tmp_path):
    split = tmp_path / "mine.yaml"
    split.write_text("train: [{scene: a}, {scene: b, rows: [0, 8]}, {scene: b}]")
    write_run(tmp_path / "runs/a", protocol=CAVE | {"split": "mine"}, config={"data.split": str(split)})
    text = files(read_report(tmp_path / "runs"))["protocol.md"]
    assert "- split: mine; trained on 2 scenes (a, b); tested on balloons" in text


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("preset", list(PRESETS))
def test_the_blur_of_every_preset_is_the_one_said(preset, scale):
    said, psf = blur(preset, scale), PRESETS[preset].psf(scale)
    if sigma := re.fullmatch(r"Gaussian of sigma (\S+) pixels", said):
        torch.testing.assert_close(psf, gaussian_psf(len(psf), float(sigma[1])), rtol=0, atol=1e-4)
    else:
        assert said.endswith(("bilinear resize", "binomial filter", "mean of the block"))


def test_a_metric_that_is_not_a_number_is_said(tmp_path):
    write_run(tmp_path / "a", {"x": metrics(40.0, sam=None)})
    assert "a: sam missing or not a number in a scene" in page(tmp_path)


def test_names_of_runs_are_code_whatever_they_hold(tmp_path):
    write_run(tmp_path / "a`b``c")
    write_run(tmp_path / "<b>bold", scenes={})
    text = page(tmp_path)
    assert "Counted, 1: ``` a`b``c ```." in text and "- `<b>bold`: not tested" in text
    assert "runs ``` a`b``c ```" in text


def test_a_recipe_that_is_not_known_is_said(tmp_path):
    write_run(tmp_path / "a", checkpoint="/gone/fit_0/checkpoints/best.ckpt")
    text = page(tmp_path)
    assert "recipe not known" in text and "/gone" not in text


def test_equal_runs_are_reported_equally_whatever_their_order(tmp_path):
    for seed in (1, 2, 3):
        write_run(tmp_path / "one" / f"r{seed}", 40.0 + seed, seed=seed)
        write_run(tmp_path / "other" / f"r{4 - seed}", 40.0 + seed, seed=seed)
    one, other = (files(read_report(tmp_path / name))["table1.csv"] for name in ("one", "other"))
    assert one == other


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "no results.json anywhere"),
        (lambda folder: write_run(folder / "a", scenes={}), "a: not tested"),
        (lambda folder: (write_run(folder / "a", 40.0), write_run(folder / "b", 41.0)), "a: contradicts b"),
    ],
)
def test_where_no_run_counts_there_is_no_report(tmp_path, make, words):
    make(tmp_path)
    with pytest.raises(UserError, match=words):
        read_report(tmp_path)
