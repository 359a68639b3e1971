"""`cofusion fuse -o product.zarr`: what xarray and GDAL read of it; bad options; interruptions."""

import importlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray
from rasterio import Affine

from cofusion.cli import main
from cofusion.models import Bicubic
from command import small_disk
from raster_pair import CRS, PLACE, SCALE, RasterPair

# Gives xarray the accessor `rio`.
importlib.import_module("rioxarray")
TILES = ["--method", "bicubic", "--tile", "16"]


@pytest.fixture
def pair(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return RasterPair(tmp_path, bands=20)


def fuse(pair, output, *args):
    return main([*pair.command(*TILES, "--no-report"), *args, "-o", str(output)])


def read(path):
    return xarray.open_zarr(path, decode_coords="all", chunks=None)


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_xarray_and_gdal_read_the_values_of_the_geotiff_at_its_place(pair):
    pair.lr_values[:, 3, 4] = 0
    pair.write_lr(pair.lr_values, nodata=0)
    assert fuse(pair, "fused.tif") == fuse(pair, "fused.zarr") == 0
    with rasterio.open("fused.tif") as file:
        expected = file.read()
    hole = np.isnan(expected[0])
    assert hole.sum() == SCALE**2
    found = read("fused.zarr")
    np.testing.assert_array_equal(found.hr_hsi, expected)
    assert found.rio.crs == CRS and found.rio.transform() == PLACE
    assert found.band.values == pytest.approx(pair.wavelengths, rel=1e-4) and found.band.units == "nm"
    assert found.attrs["METHOD"] == "bicubic" and found.attrs["COMMAND"].startswith("cofusion fuse")
    with rasterio.open('ZARR:"fused.zarr":/hr_hsi') as file:
        np.testing.assert_array_equal(file.read(), expected)
        assert file.crs == CRS and file.transform == PLACE and np.isnan(file.nodata)
    assert not list(Path.cwd().glob("*part*")) and not list(Path.cwd().glob(".*"))


@pytest.mark.parametrize("options", [["--compress", "none"], ["--compress", "zstd"], ["--dtype", "uint16"]])
def test_other_storage_holds_the_same_values(pair, options):
    pair.hr_values[:, 10:14, 30] = 0
    pair.write_hr(pair.hr_values, nodata=0)
    assert fuse(pair, "a.zarr") == fuse(pair, "b.zarr", *options) == 0
    expected, found = (read(name).hr_hsi for name in ("a.zarr", "b.zarr"))
    np.testing.assert_allclose(found, expected, atol=0.1 if "uint16" in options else 0)
    assert np.isnan(found[0]).sum() == 4


def test_a_report_stands_beside_it(pair):
    assert main([*pair.command(*TILES), "-o", "fused.zarr"]) == 0
    assert Path("fused.png").stat().st_size > 10_000
    assert "# fused.zarr" in Path("fused.md").read_text()


def test_a_store_is_replaced_only_where_that_is_asked_for(pair, capfd):
    assert fuse(pair, "fused.zarr") == 0
    before = files("fused.zarr")
    assert fuse(pair, "fused.zarr") == 1
    assert "fused.zarr exists" in capfd.readouterr().err and files("fused.zarr") == before
    Path("fused.zarr", "of_another").write_text("")
    assert fuse(pair, "fused.zarr", "--overwrite") == 0
    assert set(files("fused.zarr")) == set(before)


@pytest.mark.parametrize("call", [1, 6, 12])
def test_an_interrupted_fusion_goes_on_and_gives_the_same_files(pair, capfd, monkeypatch, call):
    assert fuse(pair, "fused.zarr") == 0
    expected = files("fused.zarr")
    Path("fused.zarr").rename("whole")
    calls, forward = 0, Bicubic.forward

    def interrupted(*args):
        nonlocal calls
        calls += 1
        if calls == call:
            raise KeyboardInterrupt
        return forward(*args)

    with monkeypatch.context() as patch:
        patch.setattr(Bicubic, "forward", interrupted)
        assert fuse(pair, "fused.zarr") == 130
    assert "fused.part.zarr; the same command goes on" in capfd.readouterr().err
    assert not Path("fused.zarr").exists()
    if call == 12:
        # The first strip's values, which are fused again.
        for chunk in Path("fused.part.zarr", "hr_hsi").glob("0.0.*"):
            chunk.write_bytes(b"damage")
    assert fuse(pair, "fused.zarr") == 0
    assert files("fused.zarr") == expected
    assert not list(Path.cwd().glob("*part*"))


def test_a_full_disk_ends_it_with_one_line_and_it_goes_on(pair, capfd):
    with small_disk(Path("disk"), "1300k") as (disk, grow):
        assert fuse(pair, disk / "fused.zarr", "--compress", "none") == 1
        (line,) = capfd.readouterr().err.splitlines()
        assert "goes on from there" in line and not (disk / "fused.zarr").exists()
        grow("20M")
        assert fuse(pair, disk / "fused.zarr", "--compress", "none") == 0
        assert read(disk / "fused.zarr").hr_hsi.notnull().all()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--compress", "lzw"], "packed with deflate, zstd or none, not lzw"),
        (["--overviews"], "leave --overviews out"),
        (["--cog"], "is named .tif"),
    ],
)
def test_options_of_a_geotiff_are_refused(pair, capfd, args, said):
    before = sorted(Path.cwd().iterdir())
    assert fuse(pair, "fused.zarr", *args) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert said in line and sorted(Path.cwd().iterdir()) == before


def test_a_rotated_grid_is_refused(pair, capfd):
    turn = Affine.rotation(30)
    pair.write_lr(transform=turn @ pair.lr_place)
    pair.write_hr(transform=turn @ PLACE)
    assert fuse(pair, "fused.zarr") == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "has no rotated grid" in line and not Path("fused.zarr").exists()


def test_without_the_package_it_is_named(pair, capfd, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "zarr" else find(name))
    assert fuse(pair, "fused.zarr") == 1
    assert "pip install 'zarr>=3'" in capfd.readouterr().err
