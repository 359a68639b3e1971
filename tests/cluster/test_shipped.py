"""The shipped sweeps: every trial's command is understood, and one of each kind runs for a step."""

import json
from pathlib import Path

import pytest
import yaml

import cofusion.models.deep
import scene_files
from cofusion.cli import main
from cofusion.cluster.sweep import Sweep, read_sweep
from cofusion.cluster.trial import Trial, short_value
from command import SMALL_RUN

ONE_STEP = ["--trainer.accelerator=cpu", "--trainer.max_epochs=1", "--trainer.limit_train_batches=1"]
SWEEPS = ("ablation", "benchmark", "search")


def every_value_once(sweep: Sweep) -> list[Trial]:
    """As many trials as it takes to see every value of every parameter."""
    seen: set[str] = set()
    found = []
    for trial in sweep.trials():
        values = {f"{key}={value}" for key, value in trial.values.items()}
        if values - seen:
            found.append(trial)
            seen |= values
    return found


def config(capsys: pytest.CaptureFixture[str], trial: Trial) -> dict:
    capsys.readouterr()
    assert main([*trial.arguments(), "--print_config"]) == 0, trial.name
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
    methods = {short_value(t.values["model.net"]) for t in trials}
    assert methods == {"CoFusion", *cofusion.models.deep.__all__}
    assert len(trials) == 9 * len(methods)


def test_the_search_draws_both_parameters():
    trials = read_sweep("sweep/search.yaml").trials()
    rates = [t.values["model.optimizer.lr"] for t in trials]
    assert len(trials) == 20 and len(set(rates)) == 20
    assert 0.0002 <= min(rates) < 0.001 < 0.003 < max(rates) <= 0.01
    assert {t.values["model.net.dim"] for t in trials} == {16, 32, 48, 64}


@pytest.mark.parametrize("name", SWEEPS)
def test_every_command_is_understood(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for trial in every_value_once(read_sweep(f"sweep/{name}.yaml")):
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


@pytest.mark.parametrize(("name", "index"), [("ablation", 1), ("benchmark", 12)])
def test_a_trial_runs_for_a_step(name, index, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    scene_files.write_pavia_u(tmp_path / "pavia_u")
    trial = read_sweep(f"sweep/{name}.yaml").trials()[index]
    scenes = ["--data.root", "pavia_u", "--data.split", "pavia_u/split.yaml"]
    small = ["--model.net.dim=16", *SMALL_RUN, *ONE_STEP, *scenes]
    assert main([*trial.arguments(), *small, "--run_dir", "run"]) == 0
    assert json.loads(Path("run/results.json").read_text())["epochs_done"] == 1
    resolved = yaml.safe_load(Path("run/config.yaml").read_text())
    assert resolved["seed_everything"] == trial.values["seed_everything"]
