import numpy as np
import pytest
import torch
from PIL import Image

from cofusion.errors import UserError
from cofusion.scenes import CAVE, DatasetNotFoundError
from scene_files import write_cave_scene


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("below", [".", "cave"])
def test_a_scene_is_read_bit_for_bit_from_every_layout(tmp_path, nested, below):
    written = write_cave_scene(tmp_path / below, "beads", 24, nested)
    scene = CAVE(tmp_path).read("beads")
    np.testing.assert_array_equal(np.round(scene.cube.numpy() * 65535).astype(np.uint16), written)
    assert scene.cube.shape == (31, 24, 24)
    assert scene.scaling == 65535
    assert scene.wavelengths.tolist() == list(range(400, 701, 10))
    assert scene.source.endswith("beads_ms")


def test_another_scaling_is_used_and_recorded(tmp_path):
    written = write_cave_scene(tmp_path, "beads", 16)
    scene = CAVE(tmp_path, scaling=64000).read("beads")
    assert scene.scaling == 64000
    np.testing.assert_allclose(scene.cube.numpy(), written / 64000, rtol=1e-6)


def test_there_are_32_scenes_and_constructing_reads_nothing(tmp_path):
    scenes = CAVE(tmp_path / "nowhere")
    assert len(set(scenes.names())) == 32
    assert (scenes.bands, len(scenes.wavelengths)) == (31, 31)


def test_missing_scenes_are_all_named_with_places_source_and_shape(cave_root):
    with pytest.raises(DatasetNotFoundError) as error:
        CAVE(cave_root).require(["beads", "cd", "clay"])
    message = str(error.value)
    assert error.value.missing == ("cd", "clay")
    assert str(cave_root / "cd_ms" / "cd_ms" / "cd_ms_01.png") in message
    assert str(cave_root / "cd_ms" / "cd_ms_01.png") in message
    assert str(cave_root / "cave" / "cd_ms" / "cd_ms" / "cd_ms_01.png") in message
    for part in ("cd, clay", "columbia.edu", "512 x 512", "31 16-bit", "--config quickstart.yaml"):
        assert part in message
    assert "beads" not in message and "\n" not in message


def test_relative_roots_are_shown_as_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetNotFoundError, match=str(tmp_path / "data" / "cave" / "cd_ms")):
        CAVE().read("cd")


def test_an_unknown_scene_lists_the_known_ones(cave_root):
    with pytest.raises(UserError, match=r"CAVE has no scene baloons; it has: balloons, beads, cd"):
        CAVE(cave_root).read("baloons")


def band(root, number):
    return root / "beads_ms" / "beads_ms" / f"beads_ms_{number:02d}.png"


def test_a_missing_band_is_named(cave_root):
    band(cave_root, 7).unlink()
    with pytest.raises(UserError, match=r"holds 30 of 31 bands; missing: beads_ms_07.png"):
        CAVE(cave_root).read("beads")


@pytest.mark.parametrize("keep", [0, 20, 60, 400])
def test_a_truncated_band_is_named(cave_root, keep):
    path = band(cave_root, 31)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        UserError, match=rf"beads_ms_31.png \({keep} bytes\) cannot be read as a 16-bit"
    ) as error:
        CAVE(cave_root).read("beads")
    assert "\n" not in str(error.value)


def test_a_foreign_band_is_named(cave_root):
    band(cave_root, 2).write_text("<html>404 not found</html>")
    with pytest.raises(UserError, match=r"beads_ms_02.png .+ cannot be read as a 16-bit grey PNG"):
        CAVE(cave_root).read("beads")


@pytest.mark.parametrize("mode", ["RGBA", "L", "RGB"])
def test_colour_and_8_bit_bands_are_refused(cave_root, mode):
    Image.new(mode, (64, 64)).save(band(cave_root, 1))
    with pytest.raises(UserError, match=rf"mode {mode}, expected a 16-bit grey PNG.+'watercolors'"):
        CAVE(cave_root).read("beads")


def test_bands_of_different_size_are_refused(cave_root):
    Image.fromarray(np.zeros((64, 60), np.uint16)).save(band(cave_root, 5))
    with pytest.raises(UserError, match=r"beads_ms_05.png is 64 x 60 pixels, beads_ms_01.png is 64 x 64"):
        CAVE(cave_root).read("beads")


def test_a_black_scene_is_refused(cave_root):
    for number in range(1, 32):
        Image.fromarray(np.zeros((64, 64), np.uint16)).save(band(cave_root, number))
    with pytest.raises(UserError, match="scene 'beads': all 126976 values are 0"):
        CAVE(cave_root).read("beads")


def test_two_reads_do_not_share_memory(cave_root):
    first = CAVE(cave_root).read("beads").cube
    second = CAVE(cave_root).read("beads").cube
    first.zero_()
    assert not torch.equal(first, second)
