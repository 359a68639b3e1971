"""The scripts that measure the network, and the readings they compare, at toy size."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

from command import SHALLOW

# The scripts are no package; they import one another by name, as they do when they are run.
sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
decisions, network, readings, tiles = (
    importlib.import_module(name) for name in ("decisions", "network", "readings", "tiles")
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


def test_methods_are_compared(monkeypatch, capsys):
    monkeypatch.setattr(network, "BANDS", ((5, 3),))
    run(network, monkeypatch, "--methods", "--sizes", 16, "--turns", 1, "--threads", 1)
    table = capsys.readouterr().out
    assert all(name in table for name in ("CoFusion", "U2Net", "PSRT", "3DT-Net"))


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
