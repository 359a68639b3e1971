import numpy as np
import pytest
from scipy.io import savemat

from cofusion.errors import UserError
from cofusion.scenes import DatasetNotFoundError, PaviaU
from scene_files import write_pavia_u


@pytest.mark.parametrize("below", [".", "pavia_u"])
def test_the_scene_is_read_with_its_axes_in_order(tmp_path, below):
    written = write_pavia_u(tmp_path / below, rows=20, cols=12)
    scene = PaviaU(tmp_path).read("pavia_u")
    assert scene.cube.shape == (103, 20, 12)
    np.testing.assert_allclose(scene.cube.numpy(), written / 8000, rtol=1e-6)
    assert scene.cube.is_contiguous()
    assert (scene.wavelengths[0], scene.wavelengths[-1], len(scene.wavelengths)) == (430, 860, 103)


def test_missing_file(tmp_path):
    with pytest.raises(DatasetNotFoundError, match=r"PaviaU.mat .+ 610 x 340 pixels and 103 bands") as error:
        PaviaU(tmp_path).read("pavia_u")
    assert str(tmp_path / "pavia_u" / "PaviaU.mat") in str(error.value)


@pytest.mark.parametrize("keep", [0, 1, 100, 128, 140, 400, 3000])
def test_a_truncated_file_is_named(pavia_u_root, keep):
    path = pavia_u_root / "PaviaU.mat"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"PaviaU.mat") as error:
        PaviaU(pavia_u_root).read("pavia_u")
    assert "\n" not in str(error.value)


def test_a_foreign_file_is_named(pavia_u_root):
    (pavia_u_root / "PaviaU.mat").write_text("<html>" + "404 not found " * 100 + "</html>")
    with pytest.raises(UserError, match=r"PaviaU.mat \(\d+ bytes\) cannot be read as a MATLAB file"):
        PaviaU(pavia_u_root).read("pavia_u")


def save(root, **variables):
    savemat(root / "PaviaU.mat", variables)


def test_another_variable_lists_what_is_there(pavia_u_root):
    save(pavia_u_root, pavia=np.ones((4, 4, 103)), truth=np.ones((4, 4)))
    with pytest.raises(UserError, match="no variable 'paviaU'; it holds: pavia, truth"):
        PaviaU(pavia_u_root).read("pavia_u")


def test_other_shapes_and_types_are_refused(pavia_u_root):
    save(pavia_u_root, paviaU=np.ones((4, 103)))
    with pytest.raises(UserError, match=r"shape \(4, 103\), expected three axes \(rows, cols, bands\)"):
        PaviaU(pavia_u_root).read("pavia_u")
    save(pavia_u_root, paviaU=np.ones((4, 4, 102)))
    with pytest.raises(UserError, match=r"holds 102 bands of 4 x 4 pixels; expected PaviaU.mat"):
        PaviaU(pavia_u_root).read("pavia_u")
    save(pavia_u_root, paviaU=np.ones((4, 4, 103)) * 1j)
    with pytest.raises(UserError, match="type complex128, expected real numbers"):
        PaviaU(pavia_u_root).read("pavia_u")


def test_nan_is_located(pavia_u_root):
    cube = np.random.default_rng(0).random((5, 6, 103))
    cube[2, 3, 50] = np.nan
    save(pavia_u_root, paviaU=cube)
    with pytest.raises(UserError, match=r"1 of 3090 values .+ band 50, row 2, column 3"):
        PaviaU(pavia_u_root).read("pavia_u")


@pytest.mark.parametrize("shape", [(103, 6, 5), (6, 103, 5), (340, 610, 103)])
def test_transposed_axes_are_recognised(tmp_path, shape):
    save(tmp_path, paviaU=np.zeros(shape, np.uint8))
    with pytest.raises(UserError, match=r"expected PaviaU.mat .+; its axes are transposed") as error:
        PaviaU(tmp_path).read("pavia_u")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("rule", "used"), [("max", 999), ("p50", 499.5), (500, 500)])
def test_the_scaling_may_be_a_rule(tmp_path, rule, used):
    cube = np.arange(1000).reshape(1000, 1, 1) * np.ones((1, 1, 103))
    save(tmp_path, paviaU=cube)
    scene = PaviaU(tmp_path, scaling=rule).read("pavia_u")
    assert scene.scaling == pytest.approx(used)
    np.testing.assert_allclose(scene.cube[0, :, 0], np.minimum(np.arange(1000) / used, 1), rtol=1e-5)
    assert scene.clipped == 103 * int((np.arange(1000) > used).sum())
