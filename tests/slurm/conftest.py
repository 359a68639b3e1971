"""One real SLURM for all tests of this folder, which are skipped where it cannot be started."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm.cluster import Cluster, missing


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if lacking := missing():
        pytest.skip(f"no SLURM here: {', '.join(lacking)}")
    cluster = Cluster()
    # The environment of whoever submits: `cofusion` is found, and the tests' own callback.
    cluster.env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    cluster.env["PYTHONPATH"] = f"{Path(__file__).parents[1]}:{os.environ.get('PYTHONPATH', '')}"
    yield cluster
    cluster.stop()
