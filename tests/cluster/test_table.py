"""`cofusion sweep table`, with results that are written here."""

import csv
import io
import json
import math
import re
import statistics
from pathlib import Path

import pytest
import yaml
from PIL import Image

from cofusion.cli import main
from cofusion.cluster.plan import Plan
from cofusion.cluster.record import Attempt, write_record
from cofusion.cluster.sweep import read_sweep

SHARED = Path(__file__).parents[3] / "shared"
VARIANTS = ("full", "no_spacam", "no_specam", "no_sscfm")


def results(psnr: float | None, dataset: str = "pavia_u", scale: int = 4, **changes: object) -> dict:
    mean = {"psnr": psnr, "psnr_max": psnr, "ssim": 0.9, "sam": 2.0, "ergas": 1.0}
    plain = {"psnr": 20.0, "ssim": 0.5, "sam": 4.0, "ergas": 3.0}
    return {
        "scenes": {"a": mean},
        "mean": mean,
        "baselines": {"bicubic": {"scenes": {"a": plain}, "mean": plain}},
        "epochs_done": 2,
        "parameters": 4_914_000,
        "protocol": {
            "dataset": dataset,
            "scale": scale,
            "preset": "paper",
            "phase": 0.0,
            "border": "reflect",
            "scaling": 8000.0,
            "split": "pavia_u_centre_128",
            "response": "ikonos",
            "msi_bands": ["blue", "green", "red", "nir"],
        },
    } | changes


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(parameters: dict, **changes: object) -> Plan:
    command = ["cofusion", "fit", "--config", "quickstart.yaml", "${args}"]
    file = {"name": "swept", "method": "grid", "parameters": parameters, "command": command}
    Path("sweep.yaml").write_text(yaml.safe_dump(file | changes, sort_keys=False))
    return Plan(read_sweep("sweep.yaml"), Path("runs"))


def complete(plan: Plan, index: int, record: dict) -> Path:
    """Make a complete trial."""
    trial = plan.sweep.trials()[index]
    run = plan.run_dir(trial)
    run.mkdir(parents=True)
    wanted = plan.wanted(trial)
    wanted.attempts.append(Attempt(outcome="complete"))
    write_record(wanted, run)
    (run / "config.yaml").write_text("trainer: {max_epochs: 2}\n")
    (run / "results.json").write_text(json.dumps(record))
    return run


def table(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    capsys.readouterr()
    assert main(["sweep", "table", "sweep.yaml", *args]) == 0
    return capsys.readouterr().out


def cells(text: str) -> list[list[str]]:
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def ablation(seeds: int = 3) -> Plan:
    plan = write(
        {"seed_everything": {"values": list(range(seeds))}, "model.net.variant": {"values": VARIANTS}}
    )
    for trial in plan.sweep.trials():
        seed, variant = trial.values["seed_everything"], trial.values["model.net.variant"]
        complete(plan, trial.index, results(30 + VARIANTS.index(variant) + seed**2))
    return plan


def test_table_3_stands_beside_the_papers(capsys):
    ablation()
    text = table(capsys)
    head, _, *rows = cells(text)
    assert head[:5] == ["Variant", "Seeds", "PSNR (dB) ↑", "PSNR, peak max (dB) ↑", "paper (Δ)"]
    assert [row[0] for row in rows] == ["w/o SpaCAM", "w/o SpeCAM", "w/o SSCFM", "Full Model"]
    spread = statistics.stdev([0, 1, 4])
    assert [row[2] for row in rows] == [
        f"{31 + 5 / 3:.2f} ± {spread:.2f}",
        f"<u>{32 + 5 / 3:.2f} ± {spread:.2f}</u>",
        f"**{33 + 5 / 3:.2f} ± {spread:.2f}**",
        f"{30 + 5 / 3:.2f} ± {spread:.2f}",
    ]
    assert [row[4] for row in rows] == ["37.12 (-4.46)", "37.59 (-3.92)", "37.95 (-3.29)", "38.32 (-6.65)"]
    assert [row[1] for row in rows] == ["3"] * 4
    assert rows[3][7] == "**4.91**"
    assert "The paper states no peak of its PSNR" in text
    assert "pavia_u x4; 2 epochs" in text and "cannot be compared" not in text


@pytest.mark.skipif(not SHARED.is_dir(), reason="the paper's text is not in the repository")
def test_the_papers_numbers_are_the_papers(capsys):
    ablation(1)
    text = (SHARED / "paper/cofusion.txt").read_text(encoding="utf-8")
    for row in csv.DictReader(io.StringIO(table(capsys, "--format", "csv"))):
        keys = {"psnr_max": ".4f", "ssim": ".4f", "parameters": ".2f", "latency": ".2f"}
        numbers = [format(float(row[f"{key}_paper"]), form) for key, form in keys.items()]
        line = rf"^{re.escape(row['Variant'])} {' '.join(map(re.escape, numbers))}$"
        assert re.search(line, text, re.M), row["Variant"]


def test_other_data_are_not_called_comparable(capsys):
    plan = write({"model.net.variant": {"values": ["full"]}})
    complete(plan, 0, results(30, dataset="synthetic"))
    text = table(capsys)
    assert "synthetic x4" in text and "cannot be compared with the paper's" in text
    rows = cells(text)[2:]
    assert rows[0][2] == "-" and rows[3][4] == "38.32 (-8.32)‡"


def test_csv_holds_the_numbers_and_latex_the_same_table(capsys):
    ablation()
    (spacam, *_) = csv.DictReader(io.StringIO(table(capsys, "--format", "csv")))
    assert spacam["Variant"] == "w/o SpaCAM"
    assert float(spacam["psnr"]) == pytest.approx(31 + 5 / 3)
    assert float(spacam["psnr_std"]) == pytest.approx(statistics.stdev([31, 32, 35]))
    assert (spacam["psnr_n"], float(spacam["psnr_max_paper"])) == ("3", 37.1245)
    latex = table(capsys, "--format", "latex")
    lines = latex.splitlines()
    start, end = lines.index(r"\midrule"), lines.index(r"\bottomrule")
    assert [line.count("&") for line in lines[start + 1 : end]] == [10] * 4
    assert r"\textbf{34.67 $\pm$ 2.08}" in latex and r"pavia\_u" in latex
    assert lines[3] == r"\begin{tabular}{llrrrrrrrrr}"
    # Whatever is printed, all are written.
    for name, text in {
        "table.csv": "w/o SpaCAM,3,",
        "table.tex": latex,
        "table.md": "| w/o SpaCAM | 3 |",
    }.items():
        assert text in Path("runs/swept", name).read_text()
    with Image.open("runs/swept/table.png") as picture:
        assert picture.width > picture.height > 100


def test_methods_without_training_come_once_per_data_set(capsys):
    plan = write(
        {
            "config": {"values": ["cave_x4.yaml", "pavia_u_x4.yaml"]},
            "model.net": {"values": [{"class_path": "a.One"}, {"class_path": "b.Two"}]},
            "seed_everything": {"values": [1, 2]},
        },
        command=["cofusion", "fit", "${args}"],
    )
    for trial in plan.sweep.trials():
        data = trial.values["config"].removesuffix("_x4.yaml")
        complete(plan, trial.index, results(30 + trial.index, dataset=data))
    head, _, *rows = cells(table(capsys))
    assert head[:4] == ["config", "net", "runs", "PSNR (dB) ↑"]
    assert [row[:4] for row in rows] == [
        ["cave_x4", "One", "2", "30.50 ± 0.71"],
        ["cave_x4", "Two", "2", "32.50 ± 0.71"],
        ["pavia_u_x4", "One", "2", "<u>34.50 ± 0.71</u>"],
        ["pavia_u_x4", "Two", "2", "**36.50 ± 0.71**"],
        ["cave_x4", "bicubic", "", "20.00"],
        ["pavia_u_x4", "bicubic", "", "20.00"],
    ]


def test_what_is_not_complete_or_not_finite_does_not_count(capfd):
    plan = write({"seed_everything": {"values": [1, 2, 3, 4]}, "model.net.dim": {"values": [8]}})
    complete(plan, 0, results(30))
    complete(plan, 1, results(None))
    complete(plan, 2, results(99, epochs_done=1))
    text = table(capfd)
    assert cells(text)[2][:3] == ["8", "2", "**30.00 (n = 1)**"]
    main(["sweep", "table", "sweep.yaml"])
    assert "2 of 4 trials are not complete" in capfd.readouterr().err


def test_a_search_lists_the_best_first(capsys):
    plan = write({"model.optimizer.lr": {"min": 0.1, "max": 0.9}}, method="random", run_cap=3)
    for index, psnr in enumerate([31, None, 32]):
        complete(plan, index, results(psnr))
    rows = cells(table(capsys))[2:]
    rates = [str(trial.values["model.optimizer.lr"]) for trial in plan.sweep.trials()]
    assert [row[0] for row in rows] == [rates[2], rates[0], rates[1], "bicubic"]
    assert [row[2] for row in rows] == ["**32.00**", "<u>31.00</u>", "-", "20.00"]


def test_a_sweep_over_seeds_alone_is_one_row(capsys):
    plan = write({"seed_everything": {"values": [1, 2]}})
    for index in range(2):
        complete(plan, index, results(30 + 2 * index))
    assert cells(table(capsys))[2][:3] == ["all", "2", f"**31.00 ± {math.sqrt(2):.2f}**"]
