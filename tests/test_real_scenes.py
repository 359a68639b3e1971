"""Whole trainings on real scenes, as the README describes them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SHARED = Path(__file__).parents[2] / "shared"
CAVE_TEST = ["balloons", "chart_and_stuffed_toy", "fake_and_real_beers", "feathers", "hairs"]


def cofusion(verb: str, run_dir: Path, *args: str) -> dict:
    """Run a verb in a process of its own, on all cores, and return its results."""
    command = [sys.executable, "-m", "cofusion", verb, *args, "--run_dir", str(run_dir)]
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    subprocess.run([*command, "--trainer.enable_progress_bar", "false"], check=True, env=environment)
    return json.loads((run_dir / "results.json").read_text())


def gain(results: dict) -> float:
    """PSNR over plain bicubic interpolation, in dB."""
    return results["mean"]["psnr"] - results["baselines"]["bicubic"]["mean"]["psnr"]


def test_demo_beats_bicubic_by_5_db(tmp_path):
    results = cofusion("fit", tmp_path, "--config", "demo.yaml")
    assert gain(results) > 5
    assert results["epochs_done"] == results["epochs_planned"]
    assert list((tmp_path / "figures").glob("test_indian_pines*.png"))


@pytest.fixture(scope="module")
def cave(tmp_path_factory) -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the packed CAVE scenes are not on this machine: {SHARED}")
    root = tmp_path_factory.mktemp("cave")
    subprocess.run([sys.executable, SHARED / "tools" / "unpack_cave.py", root], check=True)
    return root


def test_quarter_of_an_hour_on_cave_beats_bicubic_by_12_db(cave, tmp_path):
    args = ["--config", "cave_x4.yaml", "--config", "budget/cpu_15min.yaml", "--data.root", str(cave)]
    args += ["--data.test_scenes", f"[{','.join(CAVE_TEST)}]"]
    results = cofusion("fit", tmp_path / "fit", *args)
    assert sorted(results["scenes"]) == CAVE_TEST
    assert gain(results) > 12
    # The same weights in bfloat16.
    mixed = ["--ckpt_path", str(tmp_path / "fit"), "--trainer.precision", "bf16-mixed"]
    results_bf16 = cofusion("test", tmp_path / "test", *args, *mixed)
    assert results_bf16["mean"]["psnr"] == pytest.approx(results["mean"]["psnr"], abs=0.05)
