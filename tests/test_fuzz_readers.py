"""Damaged files of every format; many more: benchmarks/fuzz_readers.py."""

import importlib
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
fuzz_readers = importlib.import_module("fuzz_readers")


@pytest.fixture(scope="module")
def reader():
    """A process of its own: a parser that crashes must not end the tests."""
    reader = fuzz_readers.Reader(seconds=20)
    yield reader
    reader.stop()


@pytest.mark.parametrize("name", fuzz_readers.FORMATS)
def test_damaged_files_are_refused_or_read_whole(name, reader, tmp_path):
    found = fuzz_readers.fuzz(name, 12, 1, reader, tmp_path)
    assert found["violations"] == []
    assert found["refused"] + found["read"] == 12
    assert found["refused"] > 0


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (np.ones((2, 9, 9)), "refused"),  # constant
        (np.random.default_rng(0).random((2, 9, 9)), r"a cube of shape (2, 9, 9)"),
        (fuzz_readers.sample(), "read"),
    ],
)
def test_what_is_a_violation(content, found, tmp_path):
    np.save(tmp_path / "a.npy", content)
    assert fuzz_readers.verdict(tmp_path / "a.npy") == found


class Does:
    """Unpickling it calls a function in the reader's process."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def test_a_crash_and_a_hang_are_told_apart(reader):
    # Not sys.exit, which W&B replaces by a function that cannot be sent to another process.
    assert reader.read(Does(os._exit, 3)) == "a crash with exit code 3"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "seconds", 0.1)
        assert reader.read(Does(time.sleep, 60)) == "a hang of more than 0.1 s"
    assert reader.read(Path("none.npy")) == "refused"
