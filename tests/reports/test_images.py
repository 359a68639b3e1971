import zipfile

import numpy as np
import pytest

from cofusion.errors import UserError
from cofusion.reports.records.images import read_scene, write_scene


def cubes(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"fused": (5, 8, 12), "lr_hsi": (5, 4, 6), "hr_msi": (3, 8, 12), "reference": (5, 8, 12)}
    return {key: rng.random(shape, dtype=np.float32) for key, shape in shapes.items()}


@pytest.fixture
def path(tmp_path):
    write_scene(tmp_path / "scene.npz", "a scene", cubes(), np.arange(5) + 400.5)
    return tmp_path / "scene.npz"


def test_what_is_written_is_read(path):
    scene = read_scene(path)
    assert (scene.name, scene.shape) == ("a scene", (5, 8, 12))
    assert scene.wavelengths.tolist() == [400.5, 401.5, 402.5, 403.5, 404.5]
    assert scene.msi_wavelengths is None
    for key, cube in cubes().items():
        assert scene.cube(key).dtype == np.float32
        # Half precision has eleven significant bits.
        np.testing.assert_allclose(scene.cube(key), cube, rtol=2**-11, atol=1e-7)


def test_values_that_are_not_finite_stay_so(tmp_path):
    broken = cubes()
    broken["fused"][2, 3, 4] = np.nan
    write_scene(tmp_path / "scene.npz", "x", broken)
    assert np.argwhere(np.isnan(read_scene(tmp_path / "scene.npz").cube("fused"))).tolist() == [[2, 3, 4]]


def without(key):
    return {name: cube for name, cube in cubes().items() if name != key}


@pytest.mark.parametrize(
    "held",
    [
        without("fused"),
        without("lr_hsi"),
        cubes() | {"reference": np.zeros((5, 8, 11))},
        cubes() | {"hr_msi": np.zeros((3, 7, 12))},
        cubes() | {"lr_hsi": np.zeros((4, 4, 6))},
        cubes() | {"lr_hsi": np.zeros((5, 3, 6))},
        cubes() | {"fused": np.zeros((5, 8))},
        cubes() | {"wavelengths": np.zeros(4)},
    ],
    ids=["no fused", "no pair", "reference", "guide", "bands", "no whole scale", "flat", "wavelengths"],
)
def test_images_that_do_not_belong_together_are_refused(tmp_path, held):
    path = tmp_path / "scene.npz"
    np.savez(path, name=np.array("x"), **held)
    with pytest.raises(UserError, match=r"scene\.npz cannot be read as a recorded scene"):
        read_scene(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_wavelengths_that_are_not_finite_are_unknown(tmp_path, value):
    nm = np.array([400, 410, value, 430, 440])
    write_scene(tmp_path / "scene.npz", "x", cubes(), nm, [value, 420, 430])
    scene = read_scene(tmp_path / "scene.npz")
    assert scene.wavelengths is None and scene.msi_wavelengths is None


def test_another_kind_of_file_is_refused_in_one_line(tmp_path):
    path = tmp_path / "scene.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(UserError, match=r"^a run/scene\.npz cannot .* \(it is no whole NumPy archive\)"):
        read_scene(path, "a run/scene.npz")
    with path.open("wb") as file:
        np.savez(file, name="x", **cubes() | {"wavelengths": np.array(["a"] * 5)})
    with pytest.raises(UserError, match="cannot be read as a recorded scene"):
        read_scene(path)


def test_what_the_system_says_of_a_file_names_no_folder(tmp_path):
    with pytest.raises(UserError) as told:
        read_scene(tmp_path / "scene.npz", "a run/scene.npz")
    assert str(tmp_path) not in str(told.value) and "No such file" in str(told.value)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_half_a_file_is_refused(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match="cannot be read as a recorded scene"):
        read_scene(path)


def test_damage_inside_a_cube_is_noticed_when_it_is_read(path):
    with zipfile.ZipFile(path) as file:
        member = file.getinfo("fused.npy")
    raw = bytearray(path.read_bytes())
    middle = member.header_offset + 60 + member.compress_size // 2
    raw[middle : middle + 40] = bytes(40)
    path.write_bytes(raw)
    with pytest.raises(UserError, match="cannot be read as a recorded scene"):
        read_scene(path).cube("fused")


def test_objects_are_never_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("a file was executed",)

    np.savez(tmp_path / "scene.npz", **without("fused"), fused=np.array([Bomb()], dtype=object), name="x")
    with pytest.raises(UserError, match="cannot be read"):
        read_scene(tmp_path / "scene.npz")


def test_failed_write_leaves_the_old_file(path, monkeypatch):
    def half(file, **arrays):
        file.write_bytes(b"ha")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", half)
    before = path.read_bytes()
    with pytest.raises(OSError, match="disk full"):
        write_scene(path, "another", cubes(1))
    assert path.read_bytes() == before and [file.name for file in path.parent.iterdir()] == ["scene.npz"]
