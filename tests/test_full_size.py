"""The shipped configs of CAVE and Pavia University, as they are, on files of the real size and kind."""

import os
from pathlib import Path

import pytest

import scene_files
from cofusion.cli import main
from cofusion.data import load_split

ONE_STEP = [
    "--trainer.accelerator=cpu",
    "--trainer.max_steps=1",
    "--trainer.enable_progress_bar=false",
    "--test_after_fit=false",
    "--run_dir=run",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Write Pavia University, and one scene of CAVE under the names of all that the split uses."""
    root = tmp_path_factory.mktemp("full")
    scene_files.write_pavia_u(root / "pavia_u", 610, 340)
    split = load_split("cave_20_11")
    first, *others = dict.fromkeys(region.scene for region in (*split.train, *split.test))
    scene_files.write_cave_scene(root / "cave", first, 512)
    folder = root / "cave" / f"{first}_ms" / f"{first}_ms"
    for name in others:
        copy = root / "cave" / f"{name}_ms"
        copy.mkdir()
        for path in folder.glob("*.png"):
            os.link(path, copy / path.name.replace(first, name))
    return root


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("dataset", ["cave", "pavia_u"])
def test_a_config_trains_a_step_on_scenes_of_full_size(dataset, scale, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = f"{dataset}_x{scale}.yaml"
    assert main(["fit", "--config", config, "--data.root", str(root), *ONE_STEP]) == 0
    assert list(Path("run").rglob("*.ckpt"))
