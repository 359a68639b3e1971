"""The W&B logger against no key, no server, bad servers, and a server that goes away."""

import json
import shlex
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import wandb
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from cofusion.training import loggers
from cofusion.training.loggers import OfflineSafeWandbLogger
from wandb_record import items, records

pytestmark = pytest.mark.usefixtures("wandb_environment")
KEY = "0123456789" * 4


def offline_line(text):
    """The reason and the directory of the one line that says that W&B is offline."""
    (line,) = [line for line in text.splitlines() if line]
    assert line.startswith("W&B is offline (")
    command, verb, directory = shlex.split(line.partition("; upload later: ")[2])
    assert (command, verb) == ("wandb", "sync")
    return line.partition("(")[2].partition(");")[0], Path(directory)


def check_offline(logger, capfd, run_dir):
    """Log something, and check that it lies where the line says; returns the reason."""
    logger.log_metrics({"loss": 0.5}, step=3)
    reason, directory = offline_line("".join(capfd.readouterr()))
    assert directory.parent == run_dir / "wandb"
    assert len(list(directory.glob("*.wandb"))) == 1
    return reason


def test_no_key_goes_offline(tmp_path, capfd):
    assert check_offline(OfflineSafeWandbLogger(save_dir=tmp_path), capfd, tmp_path) == "no API key"


def test_everything_logged_offline_is_in_the_record(tmp_path, capfd):
    logger = OfflineSafeWandbLogger(
        project="fusion",
        name="beads",
        group="seeds",
        job_type="fit",
        tags=["x4"],
        save_dir=tmp_path / "a run",
    )
    logger.log_hyperparams({"data": {"scale": 4}})
    logger.log_metrics({"val/psnr": 37.5}, step=10)
    logger.log_image("figures/test/beads", [np.zeros((8, 12, 3), np.uint8)], step=11)
    logger.log_table("test/metrics", columns=["method", "psnr"], data=[["cofusion", 37.5]], step=11)
    logger.finalize("success")
    _, directory = offline_line(capfd.readouterr().err)
    assert directory.is_relative_to(tmp_path / "a run" / "wandb")
    wandb.finish()
    wandb.teardown()  # only then is the file complete
    (run,) = [record.run for record in records(directory) if record.WhichOneof("record_type") == "run"]
    assert (run.project, run.display_name, run.run_group, run.job_type) == ("fusion", "beads", "seeds", "fit")
    assert list(run.tags) == ["x4"]
    assert items(directory, "config")["data"] == {"scale": 4}
    history = items(directory, "history")
    assert history["val/psnr"] == 37.5 and history["trainer/global_step"] == 11
    (picture,) = directory.glob("files/media/images/figures/test/beads*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    (table,) = directory.glob("files/media/table/test/metrics*.json")
    assert json.loads(table.read_text())["data"] == [["cofusion", 37.5]]


def test_server_that_does_not_answer(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    reason = check_offline(OfflineSafeWandbLogger(save_dir=tmp_path), capfd, tmp_path)
    assert reason == "http://127.0.0.1:9 does not answer"


@pytest.mark.parametrize("source", ["environment", "netrc"])
def test_server_that_refuses_the_key(tmp_path, capfd, monkeypatch, serve, source):
    asked = []

    def refuse(body):
        asked.append(body)
        return 401, b"{}"

    serve(refuse)
    if source == "netrc":
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1\n  login user\n  password {KEY}\n")
    else:
        monkeypatch.setenv("WANDB_API_KEY", KEY)
    reason = check_offline(OfflineSafeWandbLogger(save_dir=tmp_path), capfd, tmp_path)
    assert asked and reason.startswith("online failed: ") and "401" in reason


def test_server_that_accepts_and_stays_silent(tmp_path, capfd, monkeypatch, serve):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    silent = threading.Event()
    serve(lambda body: (silent.wait(60), (500, b""))[1])
    began = time.monotonic()
    logger = OfflineSafeWandbLogger(save_dir=tmp_path, init_timeout=1)
    reason = check_offline(logger, capfd, tmp_path)
    silent.set()
    assert reason.startswith("online failed: ") and time.monotonic() - began < 10


def test_malformed_key(tmp_path, capfd, monkeypatch, serve):
    monkeypatch.setenv("WANDB_API_KEY", "not a key")
    serve(lambda body: (200, b"{}"))
    reason = check_offline(OfflineSafeWandbLogger(save_dir=tmp_path), capfd, tmp_path)
    assert reason.startswith("online failed: ")


def test_offline_as_configured_does_not_look_for_a_server(tmp_path, capfd, monkeypatch, serve):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    asked = []
    serve(lambda body: asked.append(body) or (401, b"{}"))
    logger = OfflineSafeWandbLogger(save_dir=tmp_path, offline=True, log_model="all")
    assert check_offline(logger, capfd, tmp_path) == "as configured"
    assert asked == []


def test_mode_of_the_environment_is_honoured(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert check_offline(OfflineSafeWandbLogger(save_dir=tmp_path), capfd, tmp_path) == "WANDB_MODE=offline"


def test_disabled_writes_and_says_nothing(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    logger = OfflineSafeWandbLogger(save_dir=tmp_path / "run")
    logger.log_metrics({"loss": 0.5}, step=3)
    logger.log_table("t", columns=["a"], data=[[1]])
    assert "".join(capfd.readouterr()) == ""
    assert list((tmp_path / "run").rglob("*.wandb")) == []


def test_project_of_the_environment_is_the_default(monkeypatch):
    assert OfflineSafeWandbLogger().name == "cofusion"
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    assert OfflineSafeWandbLogger().name == "theirs"
    assert OfflineSafeWandbLogger(project="mine").name == "mine"


class Line(LightningModule):
    """One weight; logs its loss."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch).square().mean()
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(logger, folder, callbacks=()):
    trainer = Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_epochs=3,
        log_every_n_steps=1,
        logger=logger,
        callbacks=list(callbacks),
        enable_checkpointing=bool(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Line(), torch.ones(4, 1, 1))
    return trainer


def test_checkpoints_are_not_copied_offline(tmp_path, capfd):
    logger = OfflineSafeWandbLogger(save_dir=tmp_path, log_model="all")
    fit(logger, tmp_path, callbacks=[ModelCheckpoint(tmp_path)])
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("W&B")]
    _, directory = offline_line("\n".join(lines))
    wandb.finish()
    wandb.teardown()
    kinds = {record.WhichOneof("record_type") for record in records(directory)}
    assert "history" in kinds and "artifact" not in kinds


@pytest.mark.parametrize("log_model", [True, "all"])
def test_the_best_checkpoint_alone_is_an_artifact_where_asked_for(tmp_path, monkeypatch, log_model):
    logger = OfflineSafeWandbLogger(save_dir=tmp_path)
    sent = []
    monkeypatch.setattr(
        logger.experiment, "log_artifact", lambda artifact, aliases: sent.append((artifact, aliases))
    )
    logger._log_model = log_model  # offline it is switched off, and here is no server
    best = ModelCheckpoint(tmp_path, "best", monitor="loss", mode="min", enable_version_counter=False)
    last = ModelCheckpoint(tmp_path, "last", every_n_epochs=1, enable_version_counter=False)
    fit(logger, tmp_path, callbacks=[best, last])
    assert sent and (log_model == "all" or len(sent) == 1)
    for artifact, aliases in sent:
        assert artifact.metadata["original_filename"] == "best.ckpt" and "best" in aliases


def test_failure_in_mid_run_is_reported_once_and_training_ends_as_planned(tmp_path, capfd, monkeypatch):
    logger = OfflineSafeWandbLogger(save_dir=tmp_path)

    def fail(*arguments, **options):
        raise BrokenPipeError("W&B's process\nis gone")

    monkeypatch.setattr(logger.experiment, "log", fail)
    capfd.readouterr()
    assert fit(logger, tmp_path).current_epoch == 3
    logger.log_image("picture", ["no such file.png"])
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("W&B")]
    assert line.endswith("the run goes on: BrokenPipeError: W&B's process is gone")


def test_run_that_cannot_even_be_recorded_is_switched_off(tmp_path, capfd, monkeypatch):
    begin = wandb.init

    def fail(**options):
        if options["mode"] != "disabled":
            raise OSError("no space left")
        return begin(**options)

    monkeypatch.setattr(wandb, "init", fail)
    assert fit(OfflineSafeWandbLogger(save_dir=tmp_path), tmp_path).current_epoch == 3
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("W&B")]
    assert lines == ["W&B is off (offline failed: OSError: no space left)"]


def test_server_that_vanishes_does_not_hold_the_process(tmp_path, capfd, monkeypatch, serve):
    def accept(body):
        project = {"id": "p", "name": "p", "entity": {"id": "e", "name": "e"}}
        bucket = {"id": "x", "name": "r", "displayName": "d", "config": "{}", "historyLineCount": 0}
        upsert = {"upsertBucket": {"bucket": {**bucket, "project": project}, "inserted": True}}
        return 200, json.dumps({"data": upsert if b"UpsertBucket" in body else {}}).encode()

    server = serve(accept)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    logger = OfflineSafeWandbLogger(save_dir=tmp_path, finish_timeout=1)
    logger.log_metrics({"loss": 0.5}, step=1)
    server.shutdown()
    server.server_close()
    logger.log_metrics({"loss": 0.4}, step=2)
    logger.finalize("success")
    began = time.monotonic()
    wandb.finish()  # as at the end of a process
    assert time.monotonic() - began < 10
    url = f"http://127.0.0.1:{server.server_port}/e/p/runs/r"
    assert "".join(capfd.readouterr()).splitlines() == [f"W&B records this run at {url}"]


def test_wandb_is_imported_only_when_a_run_starts(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)  # makes `import wandb` fail
    logger = OfflineSafeWandbLogger(save_dir=tmp_path)
    with pytest.raises(ImportError):
        _ = logger.experiment


class TestReachable:
    @pytest.fixture
    def port(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            yield server.getsockname()[1]

    def test_listening_server(self, port):
        assert loggers._reachable(f"http://127.0.0.1:{port}", 3)

    def test_refused_connection_is_known_at_once(self):
        began = time.monotonic()
        assert not loggers._reachable("http://127.0.0.1:9", 30)
        assert time.monotonic() - began < 5

    def test_name_server_that_does_not_answer(self, monkeypatch):
        looked_up = threading.Event()

        def look_up(*arguments):
            looked_up.wait(30)
            raise OSError("no such host")

        monkeypatch.setattr(socket, "create_connection", look_up)
        began = time.monotonic()
        assert not loggers._reachable("https://api.example.org", 0.1)
        assert time.monotonic() - began < 5
        looked_up.set()

    @pytest.mark.parametrize("scheme", ["http://", ""])
    def test_proxy_is_what_has_to_answer(self, monkeypatch, port, scheme):
        monkeypatch.setenv("https_proxy", f"{scheme}127.0.0.1:{port}")
        assert loggers._reachable("https://no.such.host.invalid", 3)

    def test_exception_from_the_proxy(self, monkeypatch, port):
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert loggers._reachable(f"http://127.0.0.1:{port}", 3)
