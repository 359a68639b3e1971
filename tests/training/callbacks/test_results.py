import csv
import json
import math
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from cofusion.training.callbacks import ResultsWriter, results
from cofusion.training.csv_log import MetricsLog

KEYS = {
    "scenes",
    "mean",
    "baselines",
    "epochs_done",
    "epochs_planned",
    "steps",
    "parameters",
    "version",
    "versions",
    "commit",
    "seed",
    "device",
    "threads",
    "wall_time_s",
    "fit_time_s",
    "protocol",
    "checkpoint",
}


def read(folder):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads((Path(folder) / "results.json").read_text(), parse_constant=refuse)


@pytest.fixture(autouse=True)
def _quick_commit(monkeypatch):
    """Git is asked in its own test only."""
    monkeypatch.setattr(results, "source_commit", lambda: "0123456789abcdef")


def test_fit_and_test_make_one_complete_record(tmp_path, make_trainer, module, data):
    checkpoints = ModelCheckpoint(tmp_path / "checkpoints", monitor="val/loss", filename="best")
    trainer = make_trainer(ResultsWriter(), checkpoints, enable_checkpointing=True)
    trainer.fit(module, data)
    trainer.test(module, data, ckpt_path="best", verbose=False)
    record = read(tmp_path)
    assert set(record) == KEYS
    assert record["scenes"] == module.test_results["fused"]
    assert record["baselines"]["bicubic"]["scenes"] == module.test_results["bicubic"]
    sams = [record["scenes"][scene]["sam"] for scene in ("beads", "toys 2")]
    assert record["mean"]["sam"] == pytest.approx(sum(sams) / 2)
    assert set(record["baselines"]) == {"bicubic"}
    assert set(record["baselines"]["bicubic"]["mean"]) == {"psnr", "sam"}
    assert (record["epochs_done"], record["epochs_planned"], record["steps"]) == (2, 2, 4)
    assert record["parameters"] == 6 * 6 + 6
    assert record["checkpoint"] == "checkpoints/best.ckpt"
    assert record["seed"] == 7
    assert record["protocol"] == {"scale": 2, "phase": 0.5, "response": "pick"}
    assert record["commit"] == "0123456789abcdef"
    assert 0 < record["fit_time_s"] < record["wall_time_s"] < 60


def test_versions_and_device_are_those_of_this_machine(tmp_path, make_trainer, module, data):
    make_trainer(ResultsWriter()).test(module, data, verbose=False)
    record = read(tmp_path)
    assert record["version"] == version("cofusion")
    assert record["versions"]["torch"] == torch.__version__
    assert record["versions"]["lightning"] == version("lightning")
    assert record["versions"]["python"] == platform.python_version()
    assert record["device"].startswith("cpu (")


def test_fit_alone_records_what_is_known(tmp_path, make_trainer, module, data):
    make_trainer(ResultsWriter()).fit(module, data)
    record = read(tmp_path)
    assert set(record) == KEYS
    assert record["scenes"] == {} and record["mean"] == {} and record["baselines"] == {}
    assert (record["epochs_done"], record["epochs_planned"], record["steps"]) == (2, 2, 4)
    assert record["checkpoint"] is None


class StopAt(Callback):
    """Ends training in the middle of an epoch."""

    def __init__(self, epoch, error):
        self.epoch, self.error = epoch, error

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            raise self.error


def test_fit_ended_by_an_error_records_how_far_it_came(tmp_path, make_trainer, module, data):
    trainer = make_trainer(ResultsWriter(), StopAt(2, RuntimeError("the loss became nan")), max_epochs=5)
    with pytest.raises(RuntimeError, match="the loss became nan"):
        trainer.fit(module, data)
    record = read(tmp_path)
    assert (record["epochs_done"], record["epochs_planned"], record["steps"]) == (2, 5, 5)
    assert record["fit_time_s"] > 0


def test_later_test_takes_training_from_its_checkpoint(tmp_path, make_trainer, module, data):
    checkpoints = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{epoch}", monitor="val/loss")
    make_trainer(ResultsWriter(), checkpoints, max_epochs=3, enable_checkpointing=True).fit(module, data)
    trainer = make_trainer(ResultsWriter())
    trainer.test(module, data, ckpt_path=tmp_path / "epoch=1.ckpt", weights_only=True, verbose=False)
    record = read(tmp_path)
    assert (record["epochs_done"], record["epochs_planned"], record["steps"]) == (2, 3, 4)
    assert record["checkpoint"] == "epoch=1.ckpt"
    assert record["fit_time_s"] > 0


def test_resumed_fit_adds_its_time_to_the_earlier_one(tmp_path, make_trainer, module, data):
    checkpoints = ModelCheckpoint(tmp_path, filename="one")
    make_trainer(ResultsWriter(), checkpoints, max_epochs=1, enable_checkpointing=True).fit(module, data)
    checkpoint = torch.load(tmp_path / "one.ckpt", weights_only=True)
    state = next(value for key, value in checkpoint["callbacks"].items() if "ResultsWriter" in key)
    state["fit_time_s"] = 1000.0
    torch.save(checkpoint, tmp_path / "one.ckpt")
    make_trainer(ResultsWriter(), max_epochs=4).fit(module, data, ckpt_path=tmp_path / "one.ckpt")
    record = read(tmp_path)
    assert 1000 < record["fit_time_s"] < 1060
    assert (record["epochs_done"], record["epochs_planned"], record["steps"]) == (4, 4, 8)


def test_second_fit_of_a_process_counts_for_itself(tmp_path, make_trainer, module, data):
    writer = ResultsWriter()
    make_trainer(writer).fit(module, data)
    writer._fit["fit_time_s"] = 1000.0
    make_trainer(writer, max_epochs=1).fit(module, data)
    record = read(tmp_path)
    assert record["fit_time_s"] < 60 and record["epochs_done"] == 1


def test_values_that_are_not_finite_become_null(tmp_path, make_trainer, module, data):
    class Broken(Callback):
        def on_test_epoch_end(self, trainer, pl_module):
            pl_module.test_results["fused"]["beads"] = {"psnr": math.inf, "sam": math.nan}

    data.protocol = {
        "scaling": torch.tensor(0.5),
        "root": Path("data"),
        "wavelengths": torch.tensor([1.0, math.nan]),
    }
    make_trainer(ResultsWriter(), Broken()).test(module, data, verbose=False)
    record = read(tmp_path)
    assert record["scenes"]["beads"] == {"psnr": None, "sam": None}
    assert record["mean"] == {"psnr": None, "sam": None}
    assert record["protocol"] == {"scaling": 0.5, "root": "data", "wavelengths": [1.0, None]}


def test_failure_while_writing_leaves_the_old_record(tmp_path, make_trainer, module, data, monkeypatch):
    make_trainer(ResultsWriter()).test(module, data, verbose=False)
    old = (tmp_path / "results.json").read_text()

    def half(path, text, **options):
        path.write_bytes(text.encode()[:100])
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", half)
        with pytest.raises(OSError, match="no space left"):
            make_trainer(ResultsWriter()).test(module, data, verbose=False)
    assert (tmp_path / "results.json").read_text() == old
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_only_the_first_process_writes(tmp_path, make_trainer, module, data, monkeypatch, capsys):
    monkeypatch.setattr(Trainer, "is_global_zero", property(lambda self: False))
    trainer = make_trainer(ResultsWriter())
    trainer.fit(module, data)
    trainer.test(module, data, verbose=False)
    assert not (tmp_path / "results.json").exists()
    assert "psnr" not in capsys.readouterr().out.lower()


def test_table_is_printed_after_the_test(make_trainer, module, data, capsys):
    make_trainer(ResultsWriter()).test(module, data, verbose=False)
    printed = capsys.readouterr().out
    mean = sum(scores["psnr"] for scores in module.test_results["fused"].values()) / 2
    assert "mean over 2 scenes" in printed
    assert f"{mean:.2f}" in next(line for line in printed.splitlines() if line.strip().startswith("Net"))
    assert "bicubic" in printed


def test_table_can_be_left_out(make_trainer, module, data, capsys):
    make_trainer(ResultsWriter(print_table=False)).test(module, data, verbose=False)
    assert "bicubic" not in capsys.readouterr().out


class TestSourceCommit:
    """Asked of a small repository that stands for the checkout."""

    @pytest.fixture(autouse=True)
    def _quick_commit(self):
        """Do not replace what is tested here."""

    @pytest.fixture
    def source(self, tmp_path, monkeypatch):
        source = tmp_path / "src" / "results.py"
        source.parent.mkdir()
        source.write_text("one\n")
        self.git(tmp_path, "init", "--quiet")
        monkeypatch.setattr(results, "__file__", str(source))
        return source

    @staticmethod
    def git(folder, *arguments):
        options = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(folder), *options, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, source):
        self.git(source.parent, "add", source.name)
        self.git(source.parent, "commit", "--quiet", "-m", "one")
        return self.git(source.parent, "rev-parse", "HEAD")

    def test_commit_of_the_checkout_and_whether_files_were_changed(self, source):
        sha = self.commit(source)
        self.git(source.parent, "tag", "v1")
        assert results.source_commit() == sha
        source.write_text("two\n")
        assert results.source_commit() == f"{sha}-dirty"

    def test_installed_inside_another_checkout_has_none(self, source):
        other = source.parent / "other.py"
        other.write_text("")
        self.commit(other)
        assert results.source_commit() is None

    def test_repository_without_a_commit_has_none(self, source):
        self.git(source.parent, "add", source.name)
        assert results.source_commit() is None

    def test_machine_without_git_has_none(self, source, monkeypatch):
        self.commit(source)
        monkeypatch.setenv("PATH", "")
        assert results.source_commit() is None


def test_every_validation_of_a_fit_logs_the_time_until_it(tmp_path, make_trainer, module, data):
    log = MetricsLog(tmp_path)
    trainer = make_trainer(ResultsWriter(), logger=log, max_epochs=3, num_sanity_val_steps=1)
    trainer.fit(module, data)
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["fit_time_s"]]
    assert [row["step"] for row in rows] == ["1", "3", "5"]
    assert all(row["val/loss"] for row in rows)
    times = [float(row["fit_time_s"]) for row in rows]
    assert 0 < times[0] < times[1] < times[2] <= read(tmp_path)["fit_time_s"]
    (tmp_path / "metrics.csv").unlink()
    make_trainer(ResultsWriter(), logger=MetricsLog(tmp_path)).validate(module, data, verbose=False)
    assert "fit_time_s" not in (tmp_path / "metrics.csv").read_text()
