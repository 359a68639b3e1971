import h5py
import numpy as np
import pytest

from cofusion.errors import UserError
from cofusion.scenes import Chikusei, DatasetNotFoundError
from scene_files import CHIKUSEI_FILE, write_chikusei


@pytest.mark.parametrize("below", [".", "chikusei"])
def test_the_reversed_axes_are_put_in_order(tmp_path, below):
    written = write_chikusei(tmp_path / below, rows=20, cols=34)
    scene = Chikusei(tmp_path).read("chikusei")
    assert scene.cube.shape == (128, 20, 34)
    np.testing.assert_allclose(scene.cube.numpy(), written / 10000, rtol=1e-6)
    assert (scene.wavelengths[0], scene.wavelengths[-1], len(scene.wavelengths)) == (363, 1018, 128)


def rewrite(root, name, data, **options):
    with h5py.File(root / CHIKUSEI_FILE, "w") as file:
        file.create_dataset(name, data=data, **options)


def test_a_file_without_chunks_is_read_too(tmp_path):
    cube = np.random.default_rng(0).random((128, 5, 7)) * 9000
    rewrite(tmp_path, "chikusei", cube.transpose(0, 2, 1))
    np.testing.assert_allclose(Chikusei(tmp_path).read("chikusei").cube.numpy(), cube / 10000, rtol=1e-6)


def test_one_bright_value_is_clipped_and_counted_and_leaves_the_others_alone(tmp_path, caplog):
    cube = np.random.default_rng(0).random((128, 5, 7)) * 9000
    cube[3, 2, 1] = 15000
    rewrite(tmp_path, "chikusei", cube.transpose(0, 2, 1))
    scene = Chikusei(tmp_path).read("chikusei")
    np.testing.assert_allclose(scene.cube.numpy(), np.minimum(cube / 10000, 1), rtol=1e-6)
    assert (scene.cube[3, 2, 1], scene.clipped, scene.scaling) == (1, 1, 10000)
    assert "clipped 1 of 4480 values" in caplog.text
    # The field's other rule: then this one value decides the scale of all.
    assert Chikusei(tmp_path, scaling="max").read("chikusei").scaling == 15000
    caplog.clear()
    assert Chikusei(tmp_path, scaling=15000).read("chikusei").cube[3, 2, 1] == 1
    assert not caplog.text


def test_missing_file(tmp_path):
    with pytest.raises(DatasetNotFoundError, match=rf"{CHIKUSEI_FILE} .+ 2517 x 2335 pixels and 128 bands"):
        Chikusei(tmp_path).read("chikusei")


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.95])
def test_a_truncated_file_is_named(chikusei_root, part):
    path = chikusei_root / CHIKUSEI_FILE
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError, match=rf"{CHIKUSEI_FILE} .+ cannot be read") as error:
        Chikusei(chikusei_root).read("chikusei")
    assert "\n" not in str(error.value)


def test_damaged_chunks_are_named(chikusei_root):
    path = chikusei_root / CHIKUSEI_FILE
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{CHIKUSEI_FILE} .+ cannot be read"):
        Chikusei(chikusei_root).read("chikusei")


def test_other_variables_and_shapes_are_refused(tmp_path):
    rewrite(tmp_path, "cube", np.ones((128, 4, 4)))
    with pytest.raises(UserError, match="no variable 'chikusei'; it holds: cube"):
        Chikusei(tmp_path).read("chikusei")
    rewrite(tmp_path, "chikusei", np.ones((4, 4)))
    with pytest.raises(UserError, match="expected three axes"):
        Chikusei(tmp_path).read("chikusei")
    rewrite(tmp_path, "chikusei", np.ones((120, 4, 5)))
    with pytest.raises(UserError, match="holds 120 bands of 5 x 4 pixels"):
        Chikusei(tmp_path).read("chikusei")
    with h5py.File(tmp_path / CHIKUSEI_FILE, "w") as file:
        file.create_group("chikusei")
    with pytest.raises(UserError, match="expected three axes"):
        Chikusei(tmp_path).read("chikusei")
