"""Weights & Biases mirrors what the run directory holds, and never stands in the way of a run."""

import csv
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
import wandb

from cofusion.cli import main
from cofusion.training.loggers import OfflineSafeWandbLogger
from command import QUICK, small_disk
from wandb_record import history, items, records

pytestmark = pytest.mark.usefixtures("wandb_environment")
WANDB = ["--config=logger/wandb.yaml"]
EVERY_EPOCH = ["--trainer.callbacks=FigureWriter", "--trainer.callbacks.every_n_epochs=1"]


def recorded(run: Path) -> Path:
    """The folder of the one record that W&B made, when all is in it."""
    wandb.teardown()
    (folder,) = (run / "wandb").glob("offline-run-*")
    return folder


def test_the_record_holds_what_the_run_directory_holds(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_GROUP", "a-sweep")
    run = tmp_path / "run"
    overlay = ["--config=ablation/no_spacam.yaml", *WANDB]
    assert main(["fit", *QUICK, *overlay, *EVERY_EPOCH, "--seed_everything=7", "--run_dir", str(run)]) == 0
    folder = recorded(run)

    (label,) = [record.run for record in records(folder) if record.WhichOneof("record_type") == "run"]
    assert label.display_name == "quickstart-no_spacam-seed7"
    assert (label.run_group, label.job_type) == ("a-sweep", "fit")
    assert sorted(label.tags) == ["CoFusion", "synthetic", "x4"]

    config = items(folder, "config")
    assert config["data"]["scale"] == 4 and config["seed_everything"] == 7
    assert config["model"]["net"]["init_args"]["variant"] == "no_spacam"

    logged = history(folder)
    with (run / "metrics.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            expected = {name: float(value) for name, value in row.items() if value and name != "step"}
            same = [entry for entry in logged if entry.get("trainer/global_step") == int(row["step"])]
            assert any(expected.items() <= entry.items() for entry in same), expected

    pictures = {path.read_bytes() for path in (run / "figures").iterdir()}
    assert len(pictures) == 3  # two epochs and the test
    assert {path.read_bytes() for path in folder.glob("files/media/images/**/*.png")} == pictures
    (table,) = folder.glob("files/media/table/test/metrics*.json")
    table = json.loads(table.read_text())
    scores = dict(zip(table["columns"], table["data"][0], strict=True))
    results = json.loads((run / "results.json").read_text())
    assert scores["method"] == "CoFusion"
    for metric, value in results["scenes"]["synthetic_3"].items():
        assert scores[metric] == pytest.approx(value)


def test_the_plain_run_is_named_after_config_variant_and_seed(tmp_path):
    run = tmp_path / "run"
    brief = ["--trainer.max_epochs=1", "--test_after_fit=false", "--trainer.callbacks=null"]
    assert main(["fit", *QUICK, *WANDB, *brief, "--run_dir", str(run)]) == 0
    (label,) = [r.run for r in records(recorded(run)) if r.WhichOneof("record_type") == "run"]
    assert (label.display_name, label.run_group) == ("quickstart-full-seed3407", "quickstart")


@pytest.mark.slow
def test_wandbs_process_may_be_killed(tmp_path):
    run = tmp_path / "run"
    process = _start([*EVERY_EPOCH, "--trainer.max_epochs=12", "--run_dir", str(run)], tmp_path)
    try:
        deadline = time.monotonic() + 60
        while not (run / "checkpoints" / "last.ckpt").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        killed = [child for child in _children(process.pid) if _name(child).startswith("wandb-core")]
        assert killed
        for child in killed:
            os.kill(child, signal.SIGKILL)
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
    _check_complete(process.returncode, said, run, epochs=12)


@pytest.mark.slow
def test_the_disk_of_wandb_may_be_full(tmp_path):
    run = tmp_path / "run"
    with small_disk(run / "wandb", "256k"):
        process = _start([*EVERY_EPOCH, "--trainer.max_epochs=6", "--run_dir", str(run)], tmp_path)
        _, said = process.communicate(timeout=120)
    _check_complete(process.returncode, said, run, epochs=6)


def _start(args: list[str], cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cofusion", "fit", *QUICK, *WANDB, *args],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text()


def _check_complete(status: int, said: str, run: Path, epochs: int) -> None:
    assert status == 0, said
    assert "Traceback" not in said
    assert said.count("W&B failed and is ignored") <= 1
    assert json.loads((run / "results.json").read_text())["epochs_done"] == epochs
    assert (run / "figures" / "test_synthetic_3.png").is_file()


def test_one_command_uploads_every_offline_run_of_a_sweep(tmp_path, serve, monkeypatch):
    for trial in ("a", "b"):
        folder = tmp_path / "sweep" / trial
        logger = OfflineSafeWandbLogger(save_dir=folder, name=f"trial-{trial}", group="sweep")
        logger.log_metrics({"val/psnr": 37.5}, step=1)
        wandb.finish()
    wandb.teardown()
    asked = []
    server = serve(lambda body: (200, _answer_upload(body, asked, f"http://127.0.0.1:{server.server_port}")))
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)

    line = next(line for line in _doc().splitlines() if line.startswith("find ") and "wandb sync" in line)
    command = line.replace("runs/ablation", str(tmp_path / "sweep"))
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    runs = [json.loads(body)["variables"] for body in asked if b"mutation UpsertBucket" in body]
    assert {run["displayName"] for run in runs} >= {"trial-a", "trial-b"}
    assert {run["groupName"] for run in runs if run["displayName"]} == {"sweep"}
    assert sum(b"37.5" in body and b"wandb-history" in body for body in asked) == 2
    # What is uploaded is marked, and not uploaded again.
    asked.clear()
    assert subprocess.run(command, shell=True, capture_output=True, timeout=120).returncode == 0
    assert not any(b"UpsertBucket" in body for body in asked)


def _doc() -> str:
    return (Path(__file__).parents[1] / "docs" / "cluster.md").read_text()


def _answer_upload(body: bytes, asked: list[bytes], url: str) -> bytes:
    """As much of W&B's server as an upload needs."""
    asked.append(body)
    data = {}
    if b"mutation UpsertBucket" in body:
        project = {"id": "p", "name": "p", "entity": {"id": "e", "name": "e"}}
        bucket = {"id": "x", "name": "r", "displayName": "d", "config": "{}", "historyLineCount": 0}
        data = {"upsertBucket": {"bucket": {**bucket, "project": project}, "inserted": True}}
    elif b"mutation CreateRunFiles" in body:
        files = [
            {"name": name, "uploadUrl": f"{url}/{name}"} for name in json.loads(body)["variables"]["files"]
        ]
        data = {"createRunFiles": {"runID": "x", "uploadHeaders": [], "files": files}}
    return json.dumps({"data": data}).encode()


def test_tensorboard_takes_scalars_and_pictures(tmp_path):
    from tensorboardX.proto.event_pb2 import Event

    board = ["--trainer.logger=TensorBoardLogger", "--trainer.logger.save_dir=."]
    run = tmp_path / "run"
    assert main(["fit", *QUICK, *board, *EVERY_EPOCH, "--run_dir", str(run)]) == 0
    # A file of records is read like one that follows another.
    raw = b"".join(file.read_bytes() for file in sorted(run.rglob("events.out.tfevents.*")))
    position, seen = 0, {}
    while position < len(raw):
        (length,) = struct.unpack_from("<Q", raw, position)
        event = Event.FromString(raw[position + 12 : position + 12 + length])
        position += 12 + length + 4
        seen |= {(value.tag, event.step): value for value in event.summary.value}
    with (run / "metrics.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            for name in ("train/loss", "val/psnr", "test/psnr"):
                if row[name]:
                    assert seen[name, int(row["step"])].simple_value == pytest.approx(float(row[name]))
    pictures = {tag for (tag, _), value in seen.items() if value.HasField("image")}
    assert pictures == {"figures/validation/synthetic_2", "figures/test/synthetic_3"}


def test_no_logger_at_all(tmp_path):
    run = tmp_path / "run"
    assert main(["fit", *QUICK, *EVERY_EPOCH, "--trainer.logger=false", "--run_dir", str(run)]) == 0
    assert not (run / "metrics.csv").exists()
    assert (run / "figures" / "test_synthetic_3.png").is_file()
    assert json.loads((run / "results.json").read_text())["scenes"]["synthetic_3"]
