"""The real scenes beside the repository, read by the public readers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from scipy.io import loadmat

from cofusion.errors import UserError
from cofusion.scenes import CAVE, Files, PaviaC, read_file
from cofusion.scenes.describe import describe_file

SHARED = Path(__file__).parents[2] / "shared"
SCENES = SHARED / "data" / "scenes"
PACKED = sorted((SHARED / "data" / "cave").glob("*_ms"))
PAVIA = SCENES / "pavia_centre_crop_105x120x102.mat"
HOUSTON = SCENES / "houston2018_pair_hsi128x128x48_rgb512.mat"
PARIS = SCENES / "paris_hyperion_ali_72x72.mat"

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"the real scenes are not on this machine: {SHARED}"
)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_chikusei_crop():
    path = SCENES / "chikusei_crop_48x48x128.tif"
    scene = read_file(path, scaling=10000, wavelengths=[363, 1018])
    with rasterio.open(path) as data:
        np.testing.assert_allclose(scene.cube.numpy(), data.read() / 10000, rtol=1e-6)
    assert scene.cube.shape == (128, 48, 48)
    assert (scene.wavelengths[0], scene.wavelengths[-1]) == (363, 1018)
    assert (scene.clipped, scene.nodata, scene.georeference) == (0, None, None)
    # Vegetation is brighter in the near infrared than in the red.
    red, infrared = (int((scene.wavelengths - nm).abs().argmin()) for nm in (670, 800))
    assert scene.cube[infrared].mean() > scene.cube[red].mean()
    assert scene.cube.max() == pytest.approx(0.6064)


def test_pavia_centre_crop(tmp_path):
    (tmp_path / "Pavia.mat").symlink_to(PAVIA)
    scene = PaviaC(tmp_path).read("pavia_c")
    expected = loadmat(PAVIA)["PaviaCenter"].transpose(2, 0, 1) / 8000
    np.testing.assert_allclose(scene.cube.numpy(), expected, rtol=1e-6)
    assert scene.cube.shape == (102, 105, 120)
    assert scene.clipped == 0


@pytest.mark.parametrize(
    ("path", "key", "shape", "highest"),
    [
        (HOUSTON, "hyprImg", (48, 128, 128), 19534),
        (HOUSTON, "rgbImg", (3, 512, 512), 255),
        (PARIS, "HSim", (128, 72, 72), 1.2842248),
        (PARIS, "MSim", (9, 72, 72), 1.4515843),
    ],
)
def test_pairs_of_two_sensors(path, key, shape, highest):
    scene = read_file(path, key)
    assert scene.cube.shape == shape
    assert scene.scaling == pytest.approx(highest, rel=1e-5)
    expected = loadmat(path)[key].transpose(2, 0, 1)
    np.testing.assert_allclose(scene.cube.numpy(), expected / expected.max(), rtol=1e-5, atol=1e-7)
    assert f"bands        {shape[0]}" in describe_file(path, key)


def test_a_pair_asks_for_the_variable():
    with pytest.raises(UserError, match=r"several cubes \(hyprImg .+, rgbImg .+name one as key"):
        read_file(HOUSTON)


def test_houston_as_a_users_own_file():
    scenes = Files(SCENES, [HOUSTON.name], scaling=20000, key="hyprImg", wavelengths=[374.4, 1047.1])
    scene = scenes.read(HOUSTON.stem)
    assert (scenes.bands, scene.scaling, scene.clipped) == (48, 20000, 0)


def read_cave(packed, folder):
    """Unpack a scene into the archive's layout, read it, and compare it with its PNGs."""
    name = packed.name.removesuffix("_ms")
    subprocess.run([sys.executable, SHARED / "tools" / "unpack_cave.py", folder, name], check=True)
    scene = CAVE(folder).read(name)
    assert scene.cube.shape == (31, 512, 512)
    assert scene.scaling == 65535
    with rasterio.open(next(folder.rglob(f"{name}_ms_17.png"))) as band:
        np.testing.assert_allclose(scene.cube[16].numpy(), band.read(1) / 65535, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_cave_scene(tmp_path):
    read_cave(PACKED[0], tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("packed", PACKED, ids=lambda path: path.name)
def test_every_cave_scene(packed, tmp_path):
    read_cave(packed, tmp_path)
