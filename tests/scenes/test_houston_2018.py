import dataclasses
import shutil

import numpy as np
import pytest

from cofusion.cli import main
from cofusion.errors import UserError
from cofusion.scenes import DatasetNotFoundError, Houston2018, read_file
from cofusion.scenes.catalogue import CATALOGUE
from cofusion.scenes.fetch.checks import EnviRaster
from scene_files import HOUSTON_FILE, write_houston_2018


@pytest.mark.parametrize("below", [".", "houston_2018", "2018IEEE_Contest/Phase2"])
def test_48_of_the_50_channels_are_read(tmp_path, below):
    written = write_houston_2018(tmp_path / below, rows=20, cols=31)
    scene = Houston2018(tmp_path).read("houston_2018")
    np.testing.assert_allclose(scene.cube.numpy(), written / 20000, rtol=1e-6)
    assert (scene.wavelengths[0], scene.wavelengths[-1], len(scene.wavelengths)) == (374.4, 1047.1, 48)
    assert scene.georeference.transform == (1, 0, 271460.5, 0, -1, 3290891.5)
    assert "15N" in scene.georeference.crs or scene.georeference.crs == "EPSG:32615"
    assert scene.clipped == 0


def test_a_header_in_capitals_is_found(tmp_path):
    written = write_houston_2018(tmp_path, rows=20, cols=31)
    header = (tmp_path / HOUSTON_FILE).with_suffix(".hdr")
    header.rename(header.with_suffix(".HDR"))
    np.testing.assert_allclose(
        Houston2018(tmp_path).read("houston_2018").cube.numpy(), written / 20000, rtol=1e-6
    )


def test_missing_file(tmp_path):
    with pytest.raises(DatasetNotFoundError, match=rf"{HOUSTON_FILE} .+ 1202 x 4172 pixels and 48 bands"):
        Houston2018(tmp_path).read("houston_2018")


@pytest.mark.parametrize("part", [0, 0.4, 0.999])
def test_a_truncated_file_is_named(tmp_path, part):
    write_houston_2018(tmp_path, rows=20, cols=31)
    path = tmp_path / HOUSTON_FILE
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(UserError, match=rf"{HOUSTON_FILE} .+ truncated") as error:
        Houston2018(tmp_path).read("houston_2018")
    assert "\n" not in str(error.value)


def test_the_numbers_of_the_other_channels_are_no_wavelengths(tmp_path):
    write_houston_2018(tmp_path, rows=20, cols=31)
    with pytest.raises(UserError, match=r"states wavelengths from 49 to 1047\.1"):
        read_file(tmp_path / HOUSTON_FILE)


def test_the_whole_size_is_checked(tmp_path):
    write_houston_2018(tmp_path, rows=20, cols=31)
    EnviRaster(48, (20, 31)).check(tmp_path / HOUSTON_FILE)
    for other in (EnviRaster(48, (31, 20)), CATALOGUE[Houston2018].content):
        with pytest.raises(UserError, match=rf"{HOUSTON_FILE} has .+ of 20 x 31 pixels; it is not an ENVI"):
            other.check(tmp_path / HOUSTON_FILE)


def test_prepare_unpacks_the_contests_archive(tmp_path, monkeypatch):
    write_houston_2018(tmp_path / "in" / "2018IEEE_Contest" / "Phase2", rows=20, cols=31)
    shutil.make_archive(str(tmp_path / "root" / "phase2"), "zip", tmp_path / "in")
    small = dataclasses.replace(CATALOGUE[Houston2018], content=EnviRaster(48, (20, 31)))
    monkeypatch.setitem(CATALOGUE, Houston2018, small)
    assert main(["data", "prepare", "houston_2018", "--root", str(tmp_path / "root")]) == 0
    assert (tmp_path / "root" / "houston_2018" / HOUSTON_FILE).is_file()
    assert Houston2018(tmp_path / "root").read("houston_2018").cube.shape == (48, 20, 31)
