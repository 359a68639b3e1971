import numpy as np
import pytest
from scipy.io import savemat

from cofusion.errors import UserError
from cofusion.scenes import DatasetNotFoundError, PaviaC
from scene_files import write_pavia_c


@pytest.mark.parametrize("below", [".", "pavia_c"])
@pytest.mark.parametrize("key", ["pavia", "PaviaCenter"])
def test_the_scene_is_read_whatever_its_variable_is_called(tmp_path, below, key):
    written = write_pavia_c(tmp_path / below, rows=20, cols=12, key=key)
    scene = PaviaC(tmp_path).read("pavia_c")
    np.testing.assert_allclose(scene.cube.numpy(), written / 8000, rtol=1e-6)
    assert (scene.wavelengths[0], scene.wavelengths[-1], len(scene.wavelengths)) == (430, 860, 102)


def test_missing_file(tmp_path):
    with pytest.raises(DatasetNotFoundError, match=r"Pavia.mat .+ 1096 x 715 pixels and 102 bands"):
        PaviaC(tmp_path).read("pavia_c")


def test_another_pavia_is_refused(tmp_path):
    savemat(tmp_path / "Pavia.mat", {"paviaU": np.ones((4, 5, 103))})
    with pytest.raises(UserError, match=r"holds 103 bands of 4 x 5 pixels; expected Pavia\.mat"):
        PaviaC(tmp_path).read("pavia_c")
