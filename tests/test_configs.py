"""Every shipped config is read and runs; every ablation runs on every leaf."""

import json
import re
from pathlib import Path

import pytest
import yaml

import scene_files
from cofusion.cli import main
from cofusion.resources import resource_dir
from command import QUICK, SMALL, SMALL_RUN, SMALL_SCENES

CONFIGS = resource_dir("configs")
ALL = sorted(CONFIGS.rglob("*.yaml"))
LEAVES = [path for path in ALL if path.parent == CONFIGS and "config" in yaml.safe_load(path.read_text())]
# Sweep files are no configs of a run; tests/cluster/test_shipped.py runs them.
SWEEPS = sorted((CONFIGS / "sweep").glob("*.yaml"))
# Methods without weights are tested, not trained.
CLASSICAL = sorted((CONFIGS / "classical").glob("*.yaml"))
OVERLAYS = [path for path in ALL if path not in (*LEAVES, *SWEEPS, *CLASSICAL)]
BATCH_SCRIPTS = sorted((CONFIGS / "slurm").glob("*.sh"))
ABLATIONS = sorted((CONFIGS / "ablation").glob("*.yaml"))
# One batch of everything, on the CPU whatever the config says.
ONE_STEP = [
    "--trainer.accelerator=cpu",
    "--trainer.devices=1",
    "--trainer.num_nodes=1",
    "--trainer.strategy=auto",
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=1",
    "--trainer.limit_val_batches=1",
    "--trainer.limit_test_batches=1",
]
REQUIRED = {f"{scene}_x{scale}" for scene in ("chikusei", "cave", "pavia_u") for scale in (2, 4, 8)}


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The data sets that do not ship, as tiny files in their real containers."""
    root = tmp_path_factory.mktemp("scenes")
    scene_files.write_cave(root / "cave")
    scene_files.write_pavia_u(root / "pavia_u")
    scene_files.write_pavia_c(root / "pavia_c")
    scene_files.write_chikusei(root / "chikusei")
    scene_files.write_houston_2018(root / "houston_2018")
    scene_files.write_real_pair(root / "own_scene")
    return {path.name: path for path in root.iterdir()}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a folder that holds no config."""
    monkeypatch.chdir(tmp_path)


def test_all_required_leaves_ship():
    assert {path.stem for path in LEAVES} >= REQUIRED | {"quickstart", "demo"}
    assert {path.stem for path in ABLATIONS} == {"full", "no_spacam", "no_specam", "no_sscfm"}


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda path: path.stem)
@pytest.mark.parametrize("leaf", LEAVES, ids=lambda path: path.stem)
def test_every_ablation_of_every_leaf_trains_validates_and_tests(leaf, ablation, roots):
    overlay = f"ablation/{ablation.name}"
    args = ["--config", leaf.name, "--config", overlay, *SMALL, *ONE_STEP, *_small_scenes(leaf, roots)]
    assert main(["fit", *args, "--run_dir", "run", "--trainer.callbacks", "null"]) == 0
    results = json.loads(Path("run/results.json").read_text())
    assert results["epochs_done"] == 1
    # To a real pair there is no reference.
    assert results["mean"]["qnr" if leaf.stem == "own_scene" else "psnr"] > 0
    resolved = yaml.safe_load(Path("run/config.yaml").read_text())
    assert resolved["model"]["net"]["init_args"]["variant"] == ablation.stem
    if leaf.stem in REQUIRED:
        dataset, scale = re.fullmatch(r"(\w+)_x(\d)", leaf.stem).groups()
        assert results["protocol"]["dataset"] == dataset
        assert results["protocol"]["scale"] == int(scale)
        assert results["protocol"]["preset"] == "paper"


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: str(path.relative_to(CONFIGS).with_suffix("")))
def test_every_other_config_runs_on_the_quick_start(overlay, roots):
    name = str(overlay.relative_to(CONFIGS).with_suffix(""))
    if overlay.parent.name in ("deep", "recipe"):
        # A recipe is that of a network; none of them has the flags that make CoFusion small.
        networks = ["--config", f"deep/{overlay.stem}"]
        args = ["--config", "quickstart", *networks, "--config", name, *SMALL_RUN, *SMALL_SCENES]
    elif overlay.parent.name == "data" and name != "data/synthetic":
        # Another data set replaces the synthetic scenes: flags for those would not fit.
        args = ["--config", "quickstart", "--config", name, *SMALL, *_small_scenes(overlay, roots)]
    else:
        args = [*QUICK, "--config", name, *SMALL]
    if overlay.parent.name == "logger":
        # Not into the account of whoever runs the tests.
        args.append("--trainer.logger.offline=true")
    assert main(["fit", *args, *ONE_STEP, "--run_dir", "run"]) == 0
    assert Path("run/results.json").is_file()


@pytest.mark.parametrize("config", CLASSICAL, ids=lambda path: path.stem)
def test_every_classical_method_is_measured_on_the_quick_start(config):
    args = ["--config=quickstart.yaml", "--config", f"classical/{config.stem}", *SMALL_RUN, *SMALL_SCENES]
    assert main(["test", *args, "--run_dir", "run"]) == 0
    assert json.loads(Path("run/results.json").read_text())["mean"]["psnr"] > 10


def test_a_model_is_given_with_either_flag(capsys):
    printed = []
    for flag in ("--config", "--model"):
        assert main(["test", "--config=quickstart.yaml", flag, "classical/cnmf.yaml", "--print_config"]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] and "CNMF" in printed[0]
    assert main(["test", "--config=quickstart.yaml", "--model=topology/cpu.yaml"]) == 1
    assert "expected settings of the model alone" in capsys.readouterr().err


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_config_begins_with_what_it_is_and_leaves_with_their_command(path):
    first = path.read_text().splitlines()[0]
    assert first.startswith("# ")
    if path in LEAVES:
        assert first.startswith(f"# cofusion fit --config {path.name}")
    if path in SWEEPS:
        assert first.startswith(f"# cofusion sweep run sweep/{path.name}")


@pytest.mark.parametrize("path", BATCH_SCRIPTS, ids=lambda path: path.stem)
def test_every_batch_script_says_its_command_and_asks_for_a_warning_and_one_task_per_device(path):
    lines = path.read_text().splitlines()
    assert lines[:1] == ["#!/usr/bin/env bash"]
    command = re.fullmatch(
        rf"# sbatch configs/slurm/{path.name}(( --config [\w/.]+)+)( --data.root DIR)?", lines[1]
    )
    for name in command[1].split()[1::2]:
        assert (CONFIGS / name).is_file(), name
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=?(\S*)$", path.read_text(), re.MULTILINE))
    assert asked["signal"] == "SIGUSR1@90"
    assert asked["open-mode"] == "append"
    assert "requeue" in asked
    assert asked["ntasks-per-node"] == asked["gpus-per-node"]


def _small_scenes(config: Path, roots: dict[str, Path]) -> list[str]:
    """Flags that put a tiny data set in the place of the real one."""
    if config.stem == "own_scene":
        pair = [f"--data.lr_hsi={roots['own_scene']}/hsi.npy", f"--data.hr_msi={roots['own_scene']}/msi.npy"]
        return [*pair, "--data.patch=8", "--data.held_out_share=0.3"]
    for name, root in roots.items():
        if config.stem.startswith(name):
            return ["--data.root", str(root), "--data.split", str(root / "split.yaml")]
    return []
