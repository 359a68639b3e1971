"""The shipped sweeps: every trial's command is understood, and one of each kind runs for a step."""

import json
from pathlib import Path

import pytest
import yaml

import scene_files
from cofusion.cli import main
from cofusion.cluster.sweep import Sweep, read_sweep
from cofusion.cluster.trial import Trial, short_value
from command import SMALL_RUN

ONE_STEP = ["--trainer.accelerator=cpu", "--trainer.max_epochs=1", "--trainer.limit_train_batches=1"]
SWEEPS = ("ablation", "benchmark", "search")


def one_per_setting(sweep: Sweep) -> list[Trial]:
    """The trials without those that differ from another in their seed alone."""
    found = {}
    for trial in sweep.trials():
        found.setdefault(str({k: v for k, v in trial.values.items() if k != "seed_everything"}), trial)
    return list(found.values())


def config(capsys: pytest.CaptureFixture[str], trial: Trial) -> dict:
    capsys.readouterr()
    assert main([*trial.arguments, "--print_config"]) == 0, trial.name
    return yaml.safe_load(capsys.readouterr().out)


def test_the_ablation_is_table_3_with_several_seeds():
    trials = read_sweep("sweep/ablation.yaml").trials()
    pairs = {(t.values["model.net.variant"], t.values["seed_everything"]) for t in trials}
    variants, seeds = {variant for variant, _ in pairs}, {seed for _, seed in pairs}
    assert variants == {"full", "no_spacam", "no_specam", "no_sscfm"}
    assert len(seeds) >= 3 and len(pairs) == len(trials) == len(variants) * len(seeds)


def test_the_benchmark_spans_data_sets_scales_and_methods():
    trials = read_sweep("sweep/benchmark.yaml").trials()
    configs = {t.values["config"].removesuffix(".yaml") for t in trials}
    assert configs == {f"{data}_x{scale}" for data in ("pavia_u", "cave", "chikusei") for scale in (2, 4, 8)}
    assert {short_value(t.values["model.net"]) for t in trials} == {"CoFusion", "U2Net", "PSRT", "ThreeDTNet"}
    assert len(trials) == 36


def test_the_search_draws_both_parameters():
    trials = read_sweep("sweep/search.yaml").trials()
    rates = [t.values["model.optimizer.lr"] for t in trials]
    assert len(trials) == 20 and len(set(rates)) == 20
    assert 0.0002 <= min(rates) < 0.001 < 0.003 < max(rates) <= 0.01
    assert {t.values["model.net.dim"] for t in trials} == {16, 32, 48, 64}


@pytest.mark.parametrize("name", SWEEPS)
def test_every_command_is_understood(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for trial in one_per_setting(read_sweep(f"sweep/{name}.yaml")):
        resolved = config(capsys, trial)
        assert resolved["seed_everything"] == trial.values["seed_everything"]
        if "model.net.variant" in trial.values:
            assert resolved["model"]["net"]["init_args"]["variant"] == trial.values["model.net.variant"]
        if "model.optimizer.lr" in trial.values:
            assert resolved["model"]["optimizer"]["init_args"]["lr"] == trial.values["model.optimizer.lr"]
        if "config" in trial.values:
            assert resolved["data"]["scale"] == int(trial.values["config"][-len("4.yaml")])
            wanted = trial.values["model.net"]
            assert resolved["model"]["net"]["class_path"] == wanted["class_path"]
            assert (
                resolved["model"]["net"].get("init_args", {}).items() >= wanted.get("init_args", {}).items()
            )


@pytest.mark.parametrize("net", ["CoFusion", "U2Net", "PSRT", "ThreeDTNet"])
def test_every_method_of_the_benchmark_trains_a_step(net, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    scene_files.write_pavia_u(tmp_path / "pavia_u")
    (trial, *_) = (
        trial
        for trial in read_sweep("sweep/benchmark.yaml").trials()
        if trial.values["config"] == "pavia_u_x4.yaml" and short_value(trial.values["model.net"]) == net
    )
    scenes = ["--data.root", "pavia_u", "--data.split", "pavia_u/split.yaml"]
    assert main([*trial.arguments, *SMALL_RUN, *ONE_STEP, *scenes, "--run_dir", "run"]) == 0
    assert json.loads(Path("run/results.json").read_text())["epochs_done"] == 1
