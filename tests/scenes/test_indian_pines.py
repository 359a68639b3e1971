import importlib.util

import numpy as np
import pytest

from cofusion.errors import UserError
from cofusion.scenes import IndianPines, indian_pines


@pytest.fixture(scope="module")
def scene():
    return IndianPines().read("indian_pines")


def test_the_scene_is_the_packages(scene):
    from tensorly.datasets import load_indian_pines

    packaged = np.asarray(load_indian_pines()["tensor"])
    assert packaged.shape == (145, 145, 200)
    assert scene.cube.shape == (200, 145, 145)
    np.testing.assert_allclose(scene.cube.numpy(), packaged.transpose(2, 0, 1) / 10000, rtol=1e-6)


def test_wavelengths_are_those_of_the_instrument():
    from tensorly.datasets import load_indian_pines

    nm = IndianPines.wavelengths.numpy()
    listed = np.array(load_indian_pines()["ticks"][-1])
    # The package lists the channels 1 to 103 as they are; behind the first gap its list is one channel off
    # and has two typing errors, so compare with it where it is right.
    np.testing.assert_allclose(nm[:44], listed[:44], atol=0.06)
    np.testing.assert_allclose(nm[45:103], listed[45:103], atol=0.01)
    np.testing.assert_allclose(nm[104:143], listed[103:142], atol=0.01)
    np.testing.assert_allclose(nm[145:170], listed[144:169], atol=0.01)
    np.testing.assert_allclose(nm[173:], listed[172:199], atol=0.01)


@pytest.mark.parametrize("absorption", [1573, 2007])
def test_carbon_dioxide_darkens_the_scene_at_its_wavelengths(scene, absorption):
    nm, level = scene.wavelengths.numpy(), scene.cube.mean((1, 2)).numpy()
    around = np.flatnonzero(np.abs(nm - absorption) < 35)
    assert abs(nm[around[level[around].argmin()]] - absorption) < 6


def test_no_channel_of_a_water_band_is_kept():
    nm = IndianPines.wavelengths
    assert len(nm) == 200
    assert not (((nm > 1360) & (nm < 1405)) | ((nm > 1815) & (nm < 1940))).any()


def test_without_the_package_the_person_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(indian_pines, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install tensorly"):
        IndianPines().require(["indian_pines"])
    assert importlib.util.find_spec("tensorly")


def test_another_name_is_refused():
    with pytest.raises(UserError, match="no scene salinas; it has: indian_pines"):
        IndianPines().read("salinas")
