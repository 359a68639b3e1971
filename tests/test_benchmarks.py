"""The scripts that measure the network, and the readings they compare, at toy size."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

from cofusion import cli
from command import SHALLOW, SMALL_NET, SMALL_SCENES

# The scripts are no package; they import one another by name, as they do when they are run.
sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
decisions, equal_budget, network, readings, tiles = (
    importlib.import_module(name) for name in ("decisions", "equal_budget", "network", "readings", "tiles")
)


def run(script, monkeypatch, *args):
    monkeypatch.setattr(sys, "argv", [script.__name__, *map(str, args)])
    script.main()


@pytest.mark.parametrize(("question", "reading"), readings.all_readings())
def test_every_reading_is_another_network_that_trains(question, reading):
    pair = torch.rand(1, 5, 4, 4), torch.rand(1, 3, 16, 16)

    def outputs(*which):
        torch.manual_seed(0)
        net = readings.build(*which, 5, 3, 4, 0.0, dim=16, **SHALLOW).train()
        torch.manual_seed(1)
        return net, net(*pair)

    net, fused = outputs(question, reading)
    fused.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters() if p.requires_grad)
    if (question, reading) != (readings.START, readings.START):
        assert not torch.equal(fused, outputs(readings.START, readings.START)[1])


def test_decisions_are_recorded_and_not_repeated(cave_root, tmp_path, monkeypatch, capsys):
    out = tmp_path / "found" / "decisions.json"
    args = [
        "--root",
        cave_root,
        "--split",
        cave_root / "split.yaml",
        "--out",
        out,
        "--width",
        8,
        "--steps",
        2,
    ]
    args += [
        "--patch",
        16,
        "--batch",
        2,
        "--seeds",
        1,
        "--processes",
        1,
        "--only",
        readings.START,
        "base image",
    ]
    run(decisions, monkeypatch, *args)
    runs = json.loads(out.read_text())["runs"]
    assert [r["reading"] for r in runs] == [readings.START, *readings.BASES]
    assert all(r["psnr"] > 0 and r["sam"] > 0 for r in runs)
    run(decisions, monkeypatch, *args)
    assert json.loads(out.read_text())["runs"] == runs
    capsys.readouterr()
    run(decisions, monkeypatch, "--out", out, "--table")
    assert capsys.readouterr().out.count("| base image |") == len(readings.BASES)
    with pytest.raises(SystemExit, match="give another --out"):
        run(decisions, monkeypatch, *args, "--batch", 4)


def test_cost_of_a_network_is_above_that_of_its_convolutions(monkeypatch, capsys):
    monkeypatch.setattr(network, "BANDS", ((5, 3),))
    run(network, monkeypatch, "--variants", "full", "--sizes", 16, "--turns", 3, "--threads", 1)
    names, _, values = (line.split(" | ") for line in capsys.readouterr().out.splitlines()[1:4])
    row = dict(zip(names, values, strict=True))
    assert float(row["forward / convolutions"]) > 1
    assert float(row["training / convolutions"]) > 1


def test_tiles_with_wide_margins_equal_the_whole_image(monkeypatch):
    torch.manual_seed(0)
    net = readings.CoFusion(5, 3, 4, dim=8, **SHALLOW, pool_extent=32).eval()
    lr_hsi, hr_msi = torch.rand(1, 5, 40, 40), torch.rand(1, 3, 160, 160)
    scene = {"lr_hsi": lr_hsi, "hr_msi": hr_msi, "hr_hsi": torch.rand(1, 5, 160, 160)}
    whole = tiles.fuse(net, scene)
    torch.testing.assert_close(tiles.fuse_tiles(net, scene, margin=160), whole)
    monkeypatch.setattr(tiles, "INTERIOR", 64)
    torch.testing.assert_close(tiles.fuse_tiles(net, scene, margin=128), whole, rtol=0, atol=1e-6)
    assert (tiles.fuse_tiles(net, scene, margin=0) - whole).abs().max() > 1e-4


def test_a_folder_of_one_budget_takes_no_other(monkeypatch, tmp_path):
    out = tmp_path / "runs"
    args = ["--out", out, "--minutes", 1, "--methods", "psrt"]
    plan = {name: {"seconds per step": 0.1, "steps": 600, "lr": "2e-3"} for name in ("psrt", "u2net")}
    began = []
    monkeypatch.setattr(equal_budget, "step", lambda *given: 0.1)
    monkeypatch.setattr(
        equal_budget, "whole", lambda args, name, one: began.append((name, one["steps"])) or True
    )
    out.mkdir()
    monkeypatch.setattr(sys, "argv", ["equal_budget", *map(str, args)])
    equal_budget.save(equal_budget.arguments(), plan)
    before = (out / "plan.json").read_text()
    run(equal_budget, monkeypatch, *args)
    assert began == [("psrt", 600)] and (out / "plan.json").read_text() == before
    for other, told in (
        (["--minutes", 2], "--minutes 1.0, not 2.0"),
        (["--steps", 5], "--steps None, not 5"),
    ):
        with pytest.raises(SystemExit, match=f"was made with {told}; give another --out"):
            run(equal_budget, monkeypatch, *args, *other)
    assert (out / "plan.json").read_text() == before and len(began) == 1


def test_a_rate_with_which_training_fails_is_never_the_best(monkeypatch, tmp_path):
    def fit(args, folder, name, rate, steps, epochs, more):
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text(f"val/psnr\n{'nan' if rate == '1e9' else 20}\n")
        return True

    monkeypatch.setattr(equal_budget, "fit", fit)
    monkeypatch.setattr(equal_budget, "say_budget", lambda args, path: None)
    args = ["--out", tmp_path, "--steps", 10, "--methods", "psrt", "--rates", "1e9", "1e-3"]
    run(equal_budget, monkeypatch, *args)
    plan = json.loads((tmp_path / "plan.json").read_text(), parse_constant=pytest.fail)["methods"]["psrt"]
    assert plan == {"steps": 10, "trials": {"1e9": -1.0, "1e-3": 20.0}, "lr": "1e-3"}


@pytest.mark.slow
def test_networks_train_for_the_same_time_and_stand_in_one_table(monkeypatch, tmp_path):
    out = tmp_path / "runs"
    size = ["--bands", 6, 3, "--patch", 16, "--batch", 2, "--minutes", 0.05]
    (tmp_path / "plan.json").write_text('{"methods": {"psrt": {"steps": 99, "lr": "3e-4"}}}')
    known = ["--rates-of", tmp_path / "plan.json"]
    args = ["--out", out, "--config", "quickstart.yaml", *size, "--methods", "psrt", "cofusion", *known]
    monkeypatch.setattr(equal_budget, "SECONDS", 0.2)
    run(equal_budget, monkeypatch, *args, "--", *SMALL_NET[:1], *SMALL_SCENES)
    plan = json.loads((out / "plan.json").read_text())["methods"]
    for name, one in plan.items():
        assert one["steps"] == int(3 / one["seconds per step"])
        if name == "psrt":
            assert one["lr"] == "3e-4" and "trials" not in one
        else:
            assert one["trials"][one["lr"]] == max(one["trials"].values()) > 0
        results = json.loads((out / "runs" / name / "results.json").read_text())
        assert (
            results["steps"] == 10 * max(1, one["steps"] // 10) and results["budget"] == "0.05 min of steps"
        )
    before = {path: path.stat().st_mtime_ns for path in out.rglob("results.json")}
    # Nothing is trained again.
    run(equal_budget, monkeypatch, *args, "--", *SMALL_NET[:1], *SMALL_SCENES)
    assert json.loads((out / "plan.json").read_text())["methods"] == plan
    assert {path: path.stat().st_mtime_ns for path in out.rglob("results.json")} == before
    assert cli.main(["report", str(out / "runs"), "-o", str(tmp_path / "report")]) == 0
    table = (tmp_path / "report" / "table1.md").read_text()
    assert "| CoFusion |" in table and "| PSRT |" in table


@pytest.mark.slow
def test_networks_train_for_the_same_steps_with_known_rates(monkeypatch, tmp_path):
    (tmp_path / "plan.json").write_text('{"methods": {"psrt": {"steps": 99, "lr": "3e-4"}}}')
    out = tmp_path / "runs"
    size = ["--bands", 6, 3, "--patch", 16, "--batch", 2, "--steps", 10]
    args = ["--out", out, "--config", "quickstart.yaml", *size, "--methods", "psrt", "hsrnet"]
    run(equal_budget, monkeypatch, *args, "--rates-of", tmp_path / "plan.json", "--", *SMALL_SCENES)
    plan = json.loads((out / "plan.json").read_text())["methods"]
    assert plan["psrt"] == {"steps": 10, "lr": "3e-4"} and set(plan["hsrnet"]["trials"]) == {"2e-3", "5e-4"}
    for name in plan:
        results = json.loads((out / "runs" / name / "results.json").read_text())
        assert (results["steps"], results["budget"]) == (10, "10 steps")
