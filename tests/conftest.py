"""Fixtures shared by the rooms: data sets as tiny files in their real containers."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

# Test modules are imported by path, so this folder has to be named for `import scene_files` to work in them.
sys.path.append(str(Path(__file__).parent))
scene_files = importlib.import_module("scene_files")

# The tests' tensors are tiny: on a busy machine, waiting for a second thread takes longer than the work.
torch.set_num_threads(1)


@pytest.fixture
def cave_root(tmp_path: Path) -> Path:
    """Four CAVE scenes of 64 x 64 pixels (beads and face train, balloons and feathers test), split.yaml."""
    scene_files.write_cave(tmp_path / "cave")
    return tmp_path / "cave"


@pytest.fixture
def pavia_u_root(tmp_path: Path) -> Path:
    """PaviaU.mat of 90 x 70 pixels and split.yaml."""
    scene_files.write_pavia_u(tmp_path / "pavia_u")
    return tmp_path / "pavia_u"


@pytest.fixture
def chikusei_root(tmp_path: Path) -> Path:
    """The Chikusei file with 90 x 70 pixels and split.yaml."""
    scene_files.write_chikusei(tmp_path / "chikusei")
    return tmp_path / "chikusei"
