"""Pixels without data: training keeps clear of them, validation and test regions may not hold any."""

import numpy as np
import pytest
import torch

from cofusion.data import FusionDataModule
from cofusion.data.sampling import clear_of
from cofusion.errors import UserError
from cofusion.scenes import Files
from cofusion.sensors import GaussianResponse
from scene_files import values, write_split

HOLE = -9999
SIZE = 64


@pytest.mark.parametrize(("scale", "rows", "cols", "support"), [(2, 8, 8, 0), (4, 16, 8, 3), (5, 10, 10, 12)])
def test_clear_crops_are_those_that_a_loop_finds(scale, rows, cols, support):
    nodata = torch.zeros(40, 60, dtype=torch.bool)
    nodata[3, 5] = nodata[20, 31] = True
    corners = torch.cartesian_prod(
        torch.arange((40 - rows) // scale + 1), torch.arange((60 - cols) // scale + 1)
    )
    expected = []
    for row, col in (corners * scale).tolist():
        seen = nodata[
            max(0, row - support) : row + rows + support, max(0, col - support) : col + cols + support
        ]
        expected.append(not bool(seen.any()))
    assert clear_of(nodata, corners, rows, cols, scale, support).tolist() == expected
    assert 0 < sum(expected) < len(expected)


def module(root, hole, preset="wald", test=("right", [0, 32], [0, 32])):
    """A scene `left` to train on, with a hole at a row and column, and the same as `right` to test on."""
    for name, seed in (("left", 0), ("right", 1)):
        cube = values(5, SIZE, SIZE, 1000, seed)
        cube[1, hole[0], hole[1]] = HOLE
        np.save(root / f"{name}.npy", cube)
    split = write_split(
        root / "split.yaml",
        "files",
        train=[{"scene": "left"}],
        validation=[{"scene": "left", "rows": [48, 64], "cols": [48, 64]}],
        test=[{"scene": test[0], "rows": test[1], "cols": test[2]}],
    )
    return FusionDataModule(
        lambda folder: Files(
            folder, ["*.npy"], scaling=1000, wavelengths=[400, 700], nodata=HOLE, band_axis=0
        ),
        str(split),
        4,
        GaussianResponse([450, 550, 650], [60, 60, 60]),
        root=root,
        preset=preset,
        patch=16,
        batch_size=4,
        patches_per_epoch=200,
    )


@pytest.mark.parametrize("preset", ["paper", "wald"])
def test_no_training_crop_sees_the_hole(tmp_path, preset):
    data = module(tmp_path, (20, 30), preset)
    data.setup("fit")
    reach = data.sensors.support
    seen = set()
    for batch in data.train_dataloader():
        assert (batch["hr_hsi"].amax(dim=1) > 0).all()
        for name in batch["name"]:
            top, bottom, left, right = (int(n) for part in name[5:-1].split(", ") for n in part.split(":"))
            inside = top - reach <= 20 < bottom + reach and left - reach <= 30 < right + reach
            assert not inside, name
            seen.add((top, left))
    # Crops on every side of it.
    assert min(top for top, _ in seen) < 8
    assert max(top for top, _ in seen) > 28
    assert max(left for _, left in seen) > 38


@pytest.mark.parametrize(
    ("hole", "test", "message"),
    [
        ((50, 50), ("right", [32, 64], [32, 64]), r"validation region left\[48:64, 48:64\] holds 1 pixels"),
        ((20, 20), ("left", [0, 32], [0, 32]), r"test region left\[0:32, 0:32\] holds 1 pixels without data"),
        ((33, 20), ("left", [0, 32], [0, 32]), r"test region .+ holds 0 pixels .+ or the blur reaches such"),
    ],
)
def test_a_held_out_region_without_data_is_refused_before_training(tmp_path, hole, test, message):
    with pytest.raises(UserError, match=message) as error:
        module(tmp_path, hole, test=test).setup("fit")
    assert "\n" not in str(error.value)


def test_other_scenes_are_checked_when_they_are_read(tmp_path):
    data = module(tmp_path, (20, 20))
    data.setup("fit")
    with pytest.raises(UserError, match=r"test region right\[0:32, 0:32\] holds 1 pixels"):
        data.setup("test")


def test_a_hole_that_leaves_no_room_is_told(tmp_path):
    data = module(tmp_path, (20, 30))
    data.setup("fit")
    data.patch = 40
    with pytest.raises(UserError, match=r"no crop of 40 pixels fits .+ and the pixels without data"):
        data.train_dataloader()
