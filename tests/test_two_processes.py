"""A run of two processes on one machine: one record, the same numbers as one process."""

import csv
import json
import os
from pathlib import Path

import pytest
import torch

from cofusion.cli import main
from command import QUICK, in_subprocess, one_thread
from scene_files import write_split


def test_two_processes_share_a_run_and_measure_like_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    # Three regions over two processes: the shares are unequal.
    split = write_split(
        tmp_path / "split.yaml",
        "synthetic",
        train=[{"scene": "synthetic_0"}],
        validation=[{"scene": f"synthetic_{i}"} for i in (1, 2, 3)],
        test=[{"scene": f"synthetic_{i}"} for i in (4, 5, 6)],
    )
    scenes = ["--data.scenes.count", "7", "--data.split", str(split)]
    both = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    writes = _record_writes(tmp_path, monkeypatch)
    done = in_subprocess("fit", *QUICK, *scenes, *both, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "runs" / "quickstart").iterdir()] == ["fit_0"]
    run = tmp_path / "runs" / "quickstart" / "fit_0"
    assert done.stdout.count("run directory: ") == 1
    written = [line.split(" ", 1) for line in writes.read_text().splitlines() if str(run) in line]
    first, second = ({Path(path).name for rank, path in written if rank == which} for which in "01")
    assert first >= {
        "config.yaml",
        "metrics.csv",
        "results.json",
        "last.ckpt",
        "best.ckpt",
        "test_synthetic_4.png",
    }
    assert second == set()

    with one_thread():
        assert main(["test", *QUICK, *scenes, "--ckpt_path", str(run), "--run_dir", "tested"]) == 0
    two, one = (json.loads((folder / "results.json").read_text()) for folder in (run, Path("tested")))
    assert two["device"].startswith("2 x ")
    assert set(two["scenes"]) == {"synthetic_4", "synthetic_5", "synthetic_6"}
    for scene, scores in one["scenes"].items():
        assert two["scenes"][scene] == pytest.approx(scores, rel=1e-6)
    assert two["mean"] == pytest.approx(one["mean"], rel=1e-6)

    with one_thread():
        assert main(["validate", *QUICK, *scenes, "--ckpt_path", str(run), "--run_dir", "validated"]) == 0
    best = max(_column(run, "val/psnr"))
    assert _column(Path("validated"), "val/psnr") == [pytest.approx(best, rel=1e-6)]


@pytest.mark.slow
def test_two_processes_train_like_one_with_the_same_global_batch(tmp_path: Path):
    split = write_split(
        tmp_path / "split.yaml",
        "synthetic",
        train=[{"scene": "synthetic_0"}],
        validation=[{"scene": "synthetic_1"}, {"scene": "synthetic_2"}],
        test=[{"scene": "synthetic_3"}],
    )
    # Twenty steps. The variant without dropout: of that every process draws its own.
    same = [*QUICK, f"--data.split={split}", "--model.net.variant=no_sscfm", "--test_after_fit=false"]
    length = ["--trainer.max_epochs=5", "--data.patches_per_epoch=16"]
    both = ["--data.batch_size=2", "--trainer.devices=2", "--trainer.strategy=ddp", "--run_dir=two"]
    done = in_subprocess("fit", *same, *length, *both, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with one_thread():
        one_dir = str(tmp_path / "one")
        assert main(["fit", *same, *length, "--data.batch_size=4", "--run_dir", one_dir]) == 0
    one, two = (
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)
        for name in ("one", "two")
    )
    assert one["global_step"] == two["global_step"] == 20
    torch.testing.assert_close(two["state_dict"], one["state_dict"], rtol=0, atol=1e-5)


def _record_writes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let Python processes note the files that they open for writing or move into place."""
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(f"""
import os, sys

log = os.open({str(folder / "writes")!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(event, arguments):
    if event == "os.rename":
        path = arguments[1]
    elif event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        path = arguments[0]
    else:
        return
    os.write(log, f"{{os.environ.get('LOCAL_RANK', '0')}} {{path}}\\n".encode())

sys.addaudithook(note)
""")
    monkeypatch.setenv("PYTHONPATH", str(folder / "site"), prepend=os.pathsep)
    return folder / "writes"


def _column(run: Path, name: str) -> list[float]:
    with (run / "metrics.csv").open(newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file) if row[name]]
