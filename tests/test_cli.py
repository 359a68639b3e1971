"""The command from outside: run directories, checkpoints and what it says when something is wrong."""

import csv
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import rasterio
import torch
import yaml

from cofusion import CoFusion
from cofusion.cli import main
from cofusion.lightning_cli import FusionCLI
from command import QUICK, SMALL, SMALL_RUN, SMALL_SCENES, in_subprocess

WITHOUT_NET = ["--config=quickstart.yaml", *SMALL_RUN, *SMALL_SCENES]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COFUSION_TRACEBACK", raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of a finished fit."""
    run = tmp_path_factory.mktemp("trained") / "run"
    assert main(["fit", *QUICK, "--run_dir", str(run)]) == 0
    return run


def fails(capfd: pytest.CaptureFixture[str], *args: str, status: int = 1) -> str:
    """Run a command that fails as agreed, and return its one line."""
    assert main(list(args)) == status
    err = capfd.readouterr().err
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("cofusion: error: ")]
    assert len(lines) == 1
    assert err.rstrip().endswith(lines[0])
    return lines[0]


# ---- help


def test_help_lists_every_verb(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for verb in ("fit", "validate", "test", "predict", "export", "sweep", "data"):
        assert f"\n  {verb} " in text
    assert "cofusion fit --config quickstart.yaml" in text
    assert main([]) == 0
    assert capsys.readouterr().out == text


def test_help_of_a_verb_names_flags_of_all_parts(capsys):
    assert main(["fit", "--help"]) == 0
    text = capsys.readouterr().out
    for flag in ("--run_dir", "--ckpt_path", "--data.root", "--model.net", "--trainer.max_epochs"):
        assert flag in text


def test_module_and_version(tmp_path):
    done = in_subprocess("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "cofusion 0.1.0\n")


# ---- runs


def test_a_reader_that_has_seen_enough_is_no_error():
    command = [sys.executable, "-m", "cofusion", "sweep", "status", "sweep/ablation.yaml"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_fit_leaves_a_complete_record(trained):
    record = json.loads((trained / "results.json").read_text())
    assert set(record["scenes"]) == {"synthetic_3"}
    assert {"psnr", "ssim", "sam", "ergas"} <= set(record["mean"])
    assert set(record["baselines"]) == {"bicubic", "bicubic_aligned"}
    assert (record["epochs_done"], record["epochs_planned"], record["steps"]) == (2, 2, 4)
    assert record["checkpoint"] == "checkpoints/best.ckpt"
    assert sorted(path.name for path in (trained / "checkpoints").iterdir()) == [
        "best.ckpt",
        "last.ckpt",
        "previous.ckpt",
    ]
    assert list((trained / "figures").glob("test_*.png"))
    with (trained / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for column, count in {
        "train/loss": 2,
        "train/lr": 2,
        "val/psnr": 2,
        "val/sam": 2,
        "test/psnr": 1,
    }.items():
        assert sum(bool(row[column]) for row in rows) == count, column
    assert float(rows[-1]["test/psnr"]) == pytest.approx(record["mean"]["psnr"], rel=1e-5)


def test_the_saved_config_repeats_the_run(trained, tmp_path):
    assert main(["fit", "--config", str(trained / "config.yaml"), "--run_dir", "again"]) == 0
    weights = [
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in (trained, tmp_path / "again")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert Path("again/config.yaml").read_text() == (trained / "config.yaml").read_text()


def test_the_saved_config_holds_nothing_of_one_start(trained):
    text = (trained / "config.yaml").read_text()
    assert str(trained) not in text
    assert yaml.safe_load(text)["name"] == "quickstart"


def test_a_separate_test_finds_the_results_of_fit(trained):
    assert main(["test", *QUICK, "--ckpt_path", str(trained), "--run_dir", "tested"]) == 0
    tested = json.loads(Path("tested/results.json").read_text())
    fitted = json.loads((trained / "results.json").read_text())
    assert tested["scenes"] == fitted["scenes"]
    assert tested["baselines"] == fitted["baselines"]
    assert tested["epochs_done"] is not None


def test_validate_measures_the_best_weights(trained):
    assert main(["validate", *QUICK, "--ckpt_path", str(trained / "checkpoints" / "best.ckpt")]) == 0
    best = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    monitored = next(state for state in best["callbacks"].values() if state.get("monitor") == "val/psnr")
    with Path("runs/quickstart/validate_0/metrics.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["val/psnr"]) == pytest.approx(float(monitored["best_model_score"]), abs=1e-4)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_predict_writes_the_fused_scenes(trained):
    assert main(["predict", *QUICK, "--ckpt_path", str(trained), "--run_dir", "predicted"]) == 0
    with rasterio.open("predicted/predictions/synthetic_3.tif") as file:
        cube = torch.from_numpy(file.read())
    assert cube.shape == (6, 32, 32)
    assert cube.min() >= 0
    assert cube.max() <= 1
    assert cube.std() > 0.01


def test_a_network_without_weights_is_tested_without_a_checkpoint():
    network = ["--model.net", "cofusion.models.Bicubic"]
    assert main(["test", *WITHOUT_NET, *network, "--run_dir", "bicubic"]) == 0
    record = json.loads(Path("bicubic/results.json").read_text())
    # The data's phase reaches the network: it equals the aligned baseline, not the block-centred one.
    assert record["mean"] == record["baselines"]["bicubic_aligned"]["mean"]
    assert record["mean"] != record["baselines"]["bicubic"]["mean"]


def test_runs_are_numbered_and_named_after_their_configs():
    brief = ["--test_after_fit", "false", "--trainer.max_epochs", "1", "--trainer.callbacks", "null"]
    for _ in range(2):
        assert main(["fit", *QUICK, *brief]) == 0
    assert main(["fit", *QUICK, "--config", "ablation/no_spacam", *brief]) == 0
    assert main(["fit", *QUICK, *brief, "--name", "mine"]) == 0
    runs = sorted(str(path.parent) for path in Path("runs").rglob("config.yaml"))
    assert runs == [
        "runs/mine/fit_0",
        "runs/quickstart-no_spacam/fit_0",
        "runs/quickstart/fit_0",
        "runs/quickstart/fit_1",
    ]
    assert not Path("runs/quickstart/fit_0/results.json").read_text().count("synthetic_3")


def test_wandb_mirrors_into_the_run_directory():
    overlay = ["--config", "logger/wandb", "--trainer.logger.offline=true"]
    brief = ["--test_after_fit", "false", "--trainer.max_epochs", "1", "--trainer.callbacks", "null"]
    assert main(["fit", *QUICK, *overlay, *brief, "--run_dir", "run"]) == 0
    assert list(Path("run/wandb").glob("offline-run-*"))
    assert Path("run/metrics.csv").is_file()
    assert not Path("wandb").exists()
    # Run again from the saved config, it mirrors into the new directory.
    assert main(["fit", "--config", "run/config.yaml", "--run_dir", "again"]) == 0
    assert list(Path("again/wandb").glob("offline-run-*"))


def test_one_flag_and_an_overlay_build_the_same_network(capsys):
    def resolved(*args: str) -> str:
        assert main(["fit", *args, "--print_config"]) == 0
        return capsys.readouterr().out

    flag = resolved("--config", "cave_x4.yaml", "--model.net.variant", "no_specam")
    assert flag == resolved("--config", "cave_x4.yaml", "--config", "ablation/no_specam.yaml")
    assert yaml.safe_load(flag)["model"]["net"]["init_args"]["variant"] == "no_specam"


def test_a_local_config_wins_and_builds_on_shipped_ones(capsys):
    Path("cave_x4.yaml").write_text("config: [mine/base.yaml]\ndata: {patch: 40}\n")
    Path("mine").mkdir()
    Path("mine/base.yaml").write_text("config: [cave_x8.yaml, near.yaml]\ndata: {patch: 48, batch_size: 3}\n")
    Path("mine/near.yaml").write_text("trainer: {max_epochs: 7}\n")
    assert main(["fit", "--config=cave_x4.yaml", "--print_config"]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert (config["data"]["scale"], config["data"]["patch"], config["data"]["batch_size"]) == (8, 40, 3)
    assert config["trainer"]["max_epochs"] == 7


def test_seed_reaches_every_part():
    with ExitStack() as stack:
        cli = FusionCLI("fit", [*QUICK, "--seed_everything", "5"], stack)
    assert (cli.datamodule.seed, cli.model.seed) == (5, 5)
    assert not Path("runs").exists()


def test_what_the_data_know_reaches_the_network():
    with ExitStack() as stack:
        cli = FusionCLI("fit", [*QUICK, "--data.scale", "2", "--data.preset", "wald"], stack)
    net = cli.model.net
    assert (net.scale, net.phase, net.hsi_bands, net.msi_bands) == (2, 0.5, 6, 4)


# ---- checkpoints


def test_fit_into_a_used_directory_needs_a_checkpoint(trained, capfd):
    line = fails(capfd, "fit", *QUICK, "--run_dir", str(trained))
    assert str(trained) in line
    assert "--ckpt_path last" in line
    assert "holds a run" in fails(
        capfd, "test", *QUICK, "--ckpt_path", str(trained), "--run_dir", str(trained)
    )


def test_the_same_command_starts_and_continues_a_run():
    command = ["fit", *QUICK, "--run_dir", "queued", "--ckpt_path", "last", "--test_after_fit", "false"]
    assert main([*command, "--trainer.max_epochs", "1"]) == 0
    assert main([*command, "--trainer.max_epochs", "2"]) == 0
    with Path("queued/metrics.csv").open(newline="") as file:
        epochs = [row["epoch"] for row in csv.DictReader(file) if row["train/loss"]]
    assert epochs == ["0", "1"]
    assert json.loads(Path("queued/results.json").read_text())["epochs_done"] == 2


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_untrained_weights_are_not_measured(verb, capfd):
    assert "needs trained weights" in fails(capfd, verb, *QUICK)
    assert not Path("runs").exists()


def test_flags_win_over_the_checkpoint(trained, capfd):
    line = fails(capfd, "test", *QUICK, "--model.net.dim", "12", "--ckpt_path", str(trained))
    assert "another architecture" in line


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--data.scenes.bands", "7"], "hsi_bands 7 here, 6 in the checkpoint"),
        (
            ["--data.response", "cofusion.sensors.BandPick", "--data.response.bands", "[0, 3]"],
            "msi_bands 2 here, 4 in",
        ),
        (["--model.net.variant", "no_sscfm"], "sscfm"),
    ],
)
def test_a_checkpoint_of_another_architecture_says_what_differs(trained, flags, says, capfd):
    line = fails(capfd, "test", *QUICK, *flags, "--ckpt_path", str(trained))
    assert "another architecture" in line
    assert says in line


class Payload:
    """An object whose unpickling runs a command."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("verb", ["fit", "test"])
@pytest.mark.parametrize("container", ["torch", "pickle"])
def test_a_checkpoint_that_could_run_code_is_refused(verb, container, tmp_path, capfd):
    marker, path = tmp_path / "marker", tmp_path / "evil.ckpt"
    content = {"state_dict": {}, "payload": Payload(marker)}
    if container == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    line = fails(capfd, verb, *QUICK, "--ckpt_path", str(path))
    assert str(path) in line
    assert not marker.exists()
    # The payload is real: whoever unpickles it runs the command.
    pickle.loads(pickle.dumps(content))
    assert marker.exists()


def test_an_unsafe_checkpoint_is_named_as_such(tmp_path, capfd):
    torch.save({"state_dict": {}, "payload": Payload(tmp_path / "marker")}, "evil.ckpt")
    assert "could run code" in fails(capfd, "test", *QUICK, "--ckpt_path", "evil.ckpt")


def test_truncated_foreign_and_missing_checkpoints(trained, capfd):
    whole = (trained / "checkpoints" / "best.ckpt").read_bytes()
    Path("half.ckpt").write_bytes(whole[: len(whole) // 2])
    Path("empty.ckpt").write_bytes(b"")
    torch.save([1, 2], "list.ckpt")
    for name in ("half", "empty"):
        assert "truncated or not a checkpoint" in fails(capfd, "test", *QUICK, "--ckpt_path", f"{name}.ckpt")
    assert "state_dict" in fails(capfd, "test", *QUICK, "--ckpt_path", "list.ckpt")
    assert "no checkpoint" in fails(capfd, "test", *QUICK, "--ckpt_path", "nowhere")
    assert "--run_dir" in fails(capfd, "fit", *QUICK, "--ckpt_path", "last")


def test_weights_alone_can_be_tested_but_not_resumed(trained, capfd):
    whole = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    torch.save({"state_dict": whole["state_dict"], "pytorch-lightning_version": "2.6.4"}, "weights.ckpt")
    assert "weights alone" in fails(capfd, "fit", *QUICK, "--ckpt_path", "weights.ckpt")
    brief = ["--trainer.callbacks", "null", "--run_dir", "run"]
    assert main(["test", *QUICK, "--ckpt_path", "weights.ckpt", *brief]) == 0
    fitted = json.loads((trained / "results.json").read_text())
    assert json.loads(Path("run/results.json").read_text())["scenes"] == fitted["scenes"]


# ---- bad input


def test_unknown_config_lists_what_ships(capfd):
    line = fails(capfd, "fit", "--config", "cave_4.yaml")
    assert "did you mean cave_x4.yaml?" in line
    assert "quickstart" in line
    assert "ablation/no_spacam" in line


@pytest.mark.parametrize(
    ("config", "says", "status"),
    [
        ("config: [quickstart]\nmodel: {nett: 1}", "'nett'; did you mean model.net?", 2),
        ("config: [quickstart]\ndata: {pacth: 32}", "did you mean data.patch?", 2),
        ("config: [quickstart]\ntrainig: 5", "did you mean trainer?", 2),
        ("config: [quickstart]\nmodel: {net: {init_args: {vairant: full}}}", "vairant", 2),
        ("config: [quickstart]\nmodel: {net: {class_path: cofusion.models.Nope}}", "Nope", 2),
        ("config: [quickstart]\ndata: {scale: two}", "data.scale", 2),
        ("config: [mine.yaml]", "builds on itself", 1),
        ("config: quickstart", "expected a list", 1),
        ("config: [nowhere.yaml]", "nowhere.yaml", 1),
        ("a: [", "not valid YAML", 1),
        ("just text", "no settings", 1),
    ],
)
def test_a_config_that_cannot_be_used(config, says, status, capfd):
    Path("mine.yaml").write_text(config)
    assert says in fails(capfd, "fit", "--config", "mine.yaml", status=status)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("flags", "says", "status"),
    [
        (["--data.scale", "1"], "scale", 1),
        (["--data.scale", "-4"], "scale", 1),
        (["--data.scale", "2.5"], "data.scale", 2),
        (["--data.patch", "18"], "patch 18 is not a multiple of scale 4", 1),
        (["--data.patch", "64"], "patch 64 is larger", 1),
        (["--model.net.dim", "30"], "dim", 1),
        (["--model.net.variant", "none"], "none", 2),
        (["--model.nett.dim", "8"], "did you mean model.net?", 2),
        (["--model.net.scale", "8"], "model.net's scale comes from data.scale", 2),
        (["--model.net.phase", "1"], "model.net's phase comes from data.phase", 2),
        (["--model.seed", "1"], "seed_everything", 2),
        (["--model.lr_scheduler.warmup", "2"], "warmup", 1),
        (["--model.optimizer.lr", "1e30"], "at step ", 1),
        (["--trainer.max_epochs", "-1", "--trainer.max_steps", "-1"], "planned end", 1),
        (["--model.net", "cofusion.models.Bicubic"], "no weights to train", 1),
        (["--trainer.precision=bf16-mixed", "--model.optimizer.fused=true"], "optimizer.fused to false", 1),
    ],
)
def test_flags_that_cannot_be_used(flags, says, status, capfd):
    args = WITHOUT_NET if "cofusion.models.Bicubic" in flags else QUICK
    assert says in fails(capfd, "fit", *args, *flags, status=status)


def test_no_config_points_to_one_that_works(capfd):
    assert "--config quickstart.yaml" in fails(capfd, "fit", status=2)


def test_unknown_verb(capfd):
    assert "choose one of fit, validate, test, predict" in fails(capfd, "train", status=2)


def test_missing_data_is_one_message_and_leaves_nothing_behind(capfd):
    line = fails(capfd, "fit", "--config", "chikusei_x8.yaml")
    for part in (
        "HyperspecVNIR_Chikusei_20140729.mat",
        str(Path("data").absolute()),
        "https://",
        "quickstart.yaml",
    ):
        assert part in line
    assert list(Path().iterdir()) == []


def test_missing_test_scenes_are_found_before_training(cave_root, capfd):
    for path in (cave_root / "feathers_ms").rglob("*.png"):
        path.unlink()
    data = ["--data.root", str(cave_root), "--data.split", str(cave_root / "split.yaml")]
    line = fails(capfd, "fit", "--config", "cave_x4", *SMALL, *data, "--run_dir", "run")
    assert "feathers" in line
    assert not Path("run").exists()


def test_a_directory_that_cannot_be_written(capfd):
    Path("file").write_text("")
    for directory in ("file", "file/run", "/proc/run"):
        line = fails(capfd, "fit", *QUICK, "--run_dir", directory)
        assert directory in line
        assert "--run_dir" in line


def test_processes_of_a_launcher_need_a_shared_directory(capfd, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "--run_dir" in fails(capfd, "fit", *QUICK)


def test_too_little_gpu_memory_is_one_line(monkeypatch, capfd):
    def step(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 TiB")

    monkeypatch.setattr("cofusion.FusionModule.training_step", step)
    assert "data.batch_size" in fails(capfd, "fit", *QUICK)


def test_tracebacks_on_request(monkeypatch):
    monkeypatch.setenv("COFUSION_TRACEBACK", "1")
    with pytest.raises(ValueError, match="nowhere"):
        main(["fit", "--config", "nowhere"])


def test_control_c_stops_with_one_line(tmp_path):
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "cofusion",
            "fit",
            *QUICK,
            "--trainer.max_epochs",
            "10000",
            "--run_dir",
            "run",
        ],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not Path("run/checkpoints/last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "cofusion: error: interrupted"
    for noise in ("Traceback", "Warning", "💡"):
        assert noise not in err


def test_the_default_network_is_the_papers(capsys):
    assert main(["fit", "--config", "chikusei_x8.yaml", "--print_config"]) == 0
    net = yaml.safe_load(capsys.readouterr().out)["model"]["net"]
    assert net["class_path"] == "cofusion.CoFusion"
    assert CoFusion(128, 4, 8, **net["init_args"]).msg.embed_hsi.out_channels == 64
