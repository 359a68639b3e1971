"""`cofusion fuse --devices N`: the file of one process, whatever happens to the others."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from cofusion import CoFusion
from cofusion.cli import main
from cofusion.inference import fuse_files
from cofusion.inference.engine import fuse_strips
from cofusion.inference.images import open_image
from cofusion.inference.setup import Options
from cofusion.models import Provenance
from command import SHALLOW, in_subprocess, one_thread
from raster_pair import HIGHEST, SCALE, RasterPair

TWO = ["--devices", "2", "--device", "cpu"]


@pytest.fixture
def pair(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return RasterPair(tmp_path, 96, 80)


def save_weights(pair):
    torch.manual_seed(0)
    net = CoFusion(len(pair.wavelengths), 4, SCALE, dim=8, phase=1.5, pool_extent=16, **SHALLOW).eval()
    torch.nn.init.normal_(net.head[-1].weight, std=0.1)
    net.save_pretrained("weights", Provenance(scaling=float(HIGHEST), scale=SCALE, phase=1.5))


def command(pair, *method):
    return pair.command(*method, "--tile", "32", "--no-report", "-o", "fused.tif")


def by_one_process(args):
    """Return the product, and take it away."""
    with one_thread():
        assert main([*args, "--device", "cpu"]) == 0
    found = content()
    Path("fused.tif").unlink()
    return found


def content():
    return Path("fused.tif").read_bytes()


@pytest.mark.parametrize(
    "method", [("--ckpt", "weights"), pytest.param(("--method", "bicubic"), marks=pytest.mark.slow)]
)
def test_two_processes_write_the_file_of_one(pair, method):
    save_weights(pair)
    args = command(pair, *method)
    expected, before = by_one_process(args), sorted(Path.cwd().rglob("*"))
    done = in_subprocess(*args, *TWO, cwd=Path.cwd())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("wrote fused.tif") == len(done.stdout.splitlines()) == 1
    assert content() == expected
    assert sorted(Path.cwd().rglob("*")) == sorted([*before, Path.cwd() / "fused.tif"])


class Backwards:
    """A team whose strips arrive from the last to the first."""

    def lead(self, job, todo, clock, write):
        for number, values in reversed(list(fuse_strips(job, todo, clock))):
            write(number, values)


@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_the_order_in_which_strips_arrive_leaves_no_trace(pair, dtype):
    images = open_image(pair.lr_hsi), open_image(pair.hr_msi)
    how = {"options": Options(tile=32), "dtype": dtype}
    with one_thread():
        fuse_files(*images, "bicubic", "one.tif", **how)
        fuse_files(*images, "bicubic", "fused.tif", **how, team=Backwards())
    assert content() == Path("one.tif").read_bytes()
    assert sorted(path.name for path in Path.cwd().glob("*fused*")) == ["fused.tif"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--ckpt", "nothing", *TWO], "nothing"),
        (["--method", "bicubic", "--devices", "2", "--device", "cuda:1"], "not cuda:1"),
        (["--method", "bicubic", "--devices", "0"], "at least 1"),
    ],
)
def test_an_error_is_one_line(pair, capfd, args, message):
    before = sorted(Path.cwd().rglob("*"))
    assert main(command(pair, *args)) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("cofusion: error: ") and message in line
    assert sorted(Path.cwd().rglob("*")) == before


def started_side_by_side(*commands):
    """Run one command a process, as a launcher such as torchrun does; return status and stderr of each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    facts = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "cofusion", *args],
            env={**os.environ, **facts, "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, args in enumerate(commands)
    ]
    try:
        return [(process.communicate(timeout=100)[1], process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()


@pytest.mark.slow
def test_processes_that_begin_together_write_the_file_of_one(pair):
    save_weights(pair)
    args = command(pair, "--ckpt", "weights")
    expected = by_one_process(args)
    (said, status), (nothing, _) = started_side_by_side([*args, *TWO], [*args, *TWO])
    assert (said, status, nothing) == ("", 0, "")
    assert content() == expected


@pytest.mark.slow
@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_in_one_process_ends_all_with_one_line(pair, failing):
    save_weights(pair)
    commands = [[*command(pair, "--ckpt", "weights"), *TWO] for _ in range(2)]
    commands[failing] = [*command(pair, "--ckpt", "nothing"), *TWO]
    (said, status), (nothing, _) = started_side_by_side(*commands)
    (line,) = said.splitlines()
    assert status == 1 and nothing == ""
    assert line.startswith("cofusion: error: ") and "nothing" in line
    assert not Path("fused.tif").exists()


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_or_killed_fusion_is_gone_on_with_by_one_device(pair, sent):
    RasterPair.__init__(pair, pair.lr_hsi.parent, 512, 128)
    save_weights(pair)
    args = command(pair, "--ckpt", "weights")
    expected = by_one_process(args)
    process = subprocess.Popen(
        [sys.executable, "-m", "cofusion", *args, *TWO],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    record = Path("fused.part.json")
    deadline = time.monotonic() + 100
    while not (record.exists() and json.loads(record.read_text())["strips"]):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, sent)
    _, said = process.communicate(timeout=60)
    if sent == signal.SIGINT:
        assert process.returncode == 130 and len(said.splitlines()) == 1 and "fused.part.tif" in said
    assert not Path("fused.tif").exists()
    assert by_one_process(args) == expected
