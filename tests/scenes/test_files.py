import numpy as np
import pytest

from cofusion.errors import UserError
from cofusion.scenes import Files, read_file
from scene_files import values

NM = [400, 700]


def save(path, bands=4, rows=16, cols=12, highest=1000, seed=0):
    cube = values(bands, rows, cols, highest, seed)
    np.save(path, cube)
    return cube


def test_scenes_are_named_like_their_files(tmp_path):
    written = {name: save(tmp_path / f"{name}.npy", seed=i) for i, name in enumerate(("b", "a", "c"))}
    scenes = Files(tmp_path, ["*.npy"], scaling=2000, wavelengths=NM)
    assert scenes.names() == ("a", "b", "c")
    assert scenes.wavelengths.tolist() == [400, 500, 600, 700]
    assert scenes.bands == 4
    for name, cube in written.items():
        np.testing.assert_allclose(scenes.read(name).cube.numpy(), cube / 2000, rtol=1e-6)
    # Some of them; an absolute path.
    assert Files(tmp_path, ["a.npy", str(tmp_path / "c.npy")], 1, wavelengths=NM).names() == ("a", "c")


def test_every_scene_has_a_scaling_of_its_own_under_a_rule(tmp_path):
    for name, highest in (("a", 100), ("b", 300)):
        save(tmp_path / f"{name}.npy", highest=highest)
    scenes = Files(tmp_path, ["*.npy"], scaling="max", wavelengths=NM)
    assert scenes.read("b").scaling == pytest.approx(3 * scenes.read("a").scaling, rel=0.01)


def test_the_arguments_of_reading_are_passed_on(tmp_path):
    cube = save(tmp_path / "a.npy", 10, 12, 11)
    cube[3, 4, 5] = 5000
    np.save(tmp_path / "a.npy", cube)
    scenes = Files(tmp_path, ["a.npy"], 1000, wavelengths=list(range(400, 500, 10)), nodata=5000, band_axis=0)
    scene = scenes.read("a")
    assert scene.nodata.sum() == 1
    assert scene.nodata[4, 5]
    assert scene.wavelengths.tolist() == list(range(400, 500, 10))


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (["*.tif"], {}, r"no file matches \*.tif in .+ expected scenes as GeoTIFF"),
        ([], {}, r"no file matches an empty list"),
        (["a.npy"], {"wavelengths": None}, r"a.npy states no wavelengths; give the 4 band centres in nm"),
        (["a.npy"], {"wavelengths": [1, 2, 3]}, r"3 wavelengths were given for .+ which has 4 bands"),
        (["a.npy"], {"scaling": "min"}, r"scaling must be above 0"),
        (["a*"], {}, r"two files have one name without suffix: a.h5, a.npy"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(tmp_path, files, options, message):
    save(tmp_path / "a.npy")
    (tmp_path / "a.h5").write_bytes(b"")
    with pytest.raises(UserError, match=message) as error:
        Files(tmp_path, files, **({"scaling": 1000, "wavelengths": NM} | options))
    assert "\n" not in str(error.value)


def test_unknown_names_and_other_bands(tmp_path):
    save(tmp_path / "a.npy")
    save(tmp_path / "b.npy", bands=5)
    scenes = Files(tmp_path, ["*.npy"], 1000, wavelengths=NM)
    with pytest.raises(UserError, match="Your files has no scene z; it has: a, b"):
        scenes.read("z")
    with pytest.raises(UserError, match=r"b.npy holds 5 bands, .+a.npy 4; all scenes have the same bands"):
        scenes.read("b")


@pytest.mark.parametrize(("rule", "divisor"), [("max", 1e6), ("p99", None), (1000, 1000)])
def test_the_divisor_is_recorded(tmp_path, rule, divisor):
    cube = save(tmp_path / "a.npy")
    cube[0, 0, 0] = 1e6
    np.save(tmp_path / "a.npy", cube)
    scene = read_file(tmp_path / "a.npy", scaling=rule)
    assert scene.scaling == pytest.approx(np.percentile(cube, 99) if divisor is None else divisor)
    assert scene.clipped == (cube > scene.scaling).sum()
