"""What each format tells about a scene: values, wavelengths, bad bands, nodata and place."""

import re
import struct

import h5py
import numpy as np
import pytest
import rasterio
from PIL import Image
from scipy.io import savemat

from cofusion.errors import UserError
from cofusion.scenes import read_file
from cofusion.scenes.formats import open_file

BANDS, ROWS, COLS = 4, 9, 12
CUBE = np.random.default_rng(0).integers(1, 1000, (BANDS, ROWS, COLS)).astype(np.uint16)
NM = [450.0, 550.0, 650.0, 850.0]
PLACE = rasterio.Affine(30, 0, 500000, 0, -30, 4000000)


def check(path, nm=NM, **options):
    """Read a file: the values are those written, divided by their maximum."""
    scene = read_file(path, **options)
    np.testing.assert_allclose(scene.cube.numpy(), CUBE / CUBE.max(), rtol=1e-6)
    assert (None if scene.wavelengths is None else pytest.approx(scene.wavelengths.tolist())) == nm
    assert scene.scaling == CUBE.max()
    contents = open_file(path, options.get("key"), options.get("band_axis"))
    part = slice(1, 3), slice(2, 7), slice(4, 11)
    np.testing.assert_array_equal(contents.load(*part), CUBE[part])
    return scene


def refusal(path, **options):
    with pytest.raises(UserError) as error:
        read_file(path, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


# GeoTIFF


def write_tiff(path, cube=CUBE, descriptions=None, tags=None, **options):
    bands, rows, cols = cube.shape
    profile = {"count": bands, "height": rows, "width": cols, "dtype": cube.dtype, "driver": "GTiff"}
    with rasterio.open(path, "w", **({"crs": "EPSG:32633", "transform": PLACE} | profile | options)) as data:
        data.write(cube)
        for band in range(1, bands + 1):
            if descriptions:
                data.set_band_description(band, descriptions[band - 1])
            if tags:
                data.update_tags(band, **tags[band - 1])
    return path


@pytest.mark.parametrize(
    "told",
    [
        {"descriptions": [f"{nm} nm" for nm in NM]},
        {"descriptions": [f"Band {i} ({nm / 1000} µm)" for i, nm in enumerate(NM)]},
        {"descriptions": [f"Band {i}: {nm / 1000} Micrometers" for i, nm in enumerate(NM)]},
        {"tags": [{"wavelength": nm} for nm in NM]},
        {"tags": [{"WAVELENGTH": nm / 1000, "wavelength_units": "um"} for nm in NM]},
    ],
)
def test_geotiff_bands_tell_their_wavelengths(tmp_path, told):
    check(write_tiff(tmp_path / "a.tif", **told))


@pytest.mark.parametrize("options", [{"interleave": "band"}, {"interleave": "pixel", "compress": "deflate"}])
def test_geotiff_gives_values_place_and_nodata(tmp_path, options):
    cube = CUBE.astype(np.float32)
    cube[2, 3, 4] = -9999
    scene = read_file(write_tiff(tmp_path / "a.tif", cube, nodata=-9999, **options))
    assert scene.georeference.crs == "EPSG:32633"
    assert scene.georeference.transform == (30, 0, 500000, 0, -30, 4000000)
    assert np.argwhere(scene.nodata.numpy()).tolist() == [[3, 4]]
    assert scene.wavelengths is None
    expected = CUBE / scene.scaling
    expected[:, 3, 4] = 0
    np.testing.assert_allclose(scene.cube.numpy(), expected, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_geotiff_without_a_place_has_none(tmp_path):
    path = write_tiff(tmp_path / "a.tif", crs=None, transform=None)
    assert check(path, nm=None).georeference is None


def test_some_bands_with_wavelengths_are_not_enough(tmp_path):
    path = write_tiff(tmp_path / "a.tif", descriptions=["450 nm", "550 nm", "cloud mask", "nir"])
    assert "states 2 wavelengths for 4 bands" in refusal(path)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_sparse_geotiff_is_refused(tmp_path):
    cube = np.zeros((1, 64, 64), np.uint8)
    options = {"tiled": True, "blockxsize": 16, "blockysize": 16, "SPARSE_OK": True}
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", count=1, height=64, width=64, dtype="uint8", **options
    ) as data:
        data.write(cube[:, :16, :16] + 7, window=((0, 16), (0, 16)))
    assert "a.tif leaves 15 of its blocks out" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "options",
    [
        {"blockysize": 4},
        {"blockysize": 4, "interleave": "pixel"},
        {"tiled": True, "blockxsize": 16, "blockysize": 16},
        {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "lzw"},
    ],
)
def test_geotiff_in_blocks(tmp_path, options):
    check(write_tiff(tmp_path / "a.tif", **options), nm=None)


@pytest.mark.parametrize("rows", [5, 8, 10, 300])
def test_geotiff_whose_header_states_another_height(tmp_path, rows):
    path = write_tiff(tmp_path / "a.tif")
    content = path.read_bytes()
    # Tag 257, type 3 (uint16), one value.
    tag = struct.pack("<HHI", 257, 3, 1)
    assert content.count(tag + struct.pack("<H", ROWS)) == 1
    path.write_bytes(content.replace(tag + struct.pack("<H", ROWS), tag + struct.pack("<H", rows)))
    assert "a.tif" in refusal(path)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_complex_rasters_are_refused(tmp_path):
    path = write_tiff(tmp_path / "a.tif", CUBE.astype(np.complex64))
    assert "has type complex64, expected real numbers" in refusal(path)


# ENVI

INTERLEAVES = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}


def write_envi(folder, cube=CUBE, name="scene.img", interleave="bsq", order="<", **header):
    kind = {"uint16": 12, "float32": 4, "int16": 2}[cube.dtype.name]
    stored = cube.transpose(INTERLEAVES[interleave]).astype(cube.dtype.newbyteorder(order))
    stored.tofile(folder / name)
    bands, rows, cols = cube.shape
    facts = {
        "samples": cols,
        "lines": rows,
        "bands": bands,
        "header offset": 0,
        "data type": kind,
        "interleave": interleave,
        "byte order": int(order == ">"),
        "wavelength": "{450, 550,\n 650, 850}",
        "wavelength units": "Nanometers",
    }
    facts |= {key.replace("_", " "): value for key, value in header.items()}
    lines = [f"{key} = {value}" for key, value in facts.items() if value is not None]
    path = (folder / name).with_suffix(".hdr")
    path.write_text("\n".join(["ENVI", *lines, ""]))
    return path


@pytest.mark.parametrize("interleave", INTERLEAVES)
@pytest.mark.parametrize("order", "<>")
def test_envi_in_every_order(tmp_path, interleave, order):
    header = write_envi(tmp_path, interleave=interleave, order=order)
    check(header)
    check(tmp_path / "scene.img")


@pytest.mark.parametrize("name", ["scene", "scene.dat", "scene.bsq", "scene.raw"])
def test_envi_data_beside_its_header(tmp_path, name):
    check(write_envi(tmp_path, name=name))
    check(tmp_path / name)


@pytest.mark.parametrize("unit", ["Micrometers", "um", "Unknown", None])
def test_envi_wavelengths_in_micrometres(tmp_path, unit):
    check(write_envi(tmp_path, wavelength="{0.45, 0.55, 0.65, 0.85}", wavelength_units=unit))


def test_envi_without_wavelengths_is_read_and_has_none(tmp_path):
    check(write_envi(tmp_path, wavelength=None, wavelength_units=None), nm=None)
    check(write_envi(tmp_path, wavelength="{1, 2, 3, 4}", wavelength_units="Index"), nm=None)


def test_envi_bad_bands_and_ignored_values(tmp_path):
    cube = CUBE.astype(np.int16)
    cube[:, 0, 0] = -50
    path = write_envi(
        tmp_path,
        cube,
        bbl="{1, 0, 1, 1}",
        data_ignore_value=-50,
        map_info="{UTM, 1, 1, 500000, 4000000, 30, 30, 33, North, WGS-84, units=Meters}",
    )
    scene = read_file(path)
    assert scene.bad_bands == (1,)
    assert scene.wavelengths.tolist() == [450, 650, 850]
    assert np.argwhere(scene.nodata.numpy()).tolist() == [[0, 0]]
    expected = np.delete(np.maximum(cube, 0), 1, axis=0)
    np.testing.assert_allclose(scene.cube.numpy(), expected / expected.max(), rtol=1e-6)
    assert scene.georeference.transform == (30, 0, 500000, 0, -30, 4000000)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"bbl": "{1, 1}"}, "bad-band list of 2 entries for 4 bands"),
        ({"wavelength": "{450, 550}"}, "states 2 wavelengths for 4 bands"),
        ({"wavelength": "{450, 550, 650, none}"}, "cannot be read as an ENVI raster"),
        ({"wavelength": "{450, 550, 650, nan}"}, "is not finite"),
        ({"wavelength": "{20, 30, 40, 60}"}, "states wavelengths from 20 to 60 Nanometers; expected"),
        ({"lines": 10}, "its header says 960"),
        ({"bands": 3}, "the header is of another file"),
        ({"data_type": 6}, "its header says 3456"),
        ({"data_type": 99}, "cannot be read as an ENVI raster"),
    ],
)
def test_envi_headers_that_do_not_fit(tmp_path, header, message):
    assert message in refusal(write_envi(tmp_path, **header))


def test_envi_header_alone(tmp_path):
    header = write_envi(tmp_path)
    (tmp_path / "scene.img").unlink()
    assert "scene.hdr has no data file beside it; looked for scene, scene.img" in refusal(header)


# MATLAB


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["wavelength", "Wavelengths", "lambda"])
def test_matlab_5_with_wavelengths_in_micrometres(tmp_path, packed, name):
    nm = np.array(NM) / 1000
    savemat(tmp_path / "a.mat", {"x": CUBE.transpose(1, 2, 0), name: nm}, do_compression=packed)
    check(tmp_path / "a.mat")


def test_matlab_keys_are_listed(tmp_path):
    cube = CUBE.transpose(1, 2, 0)
    savemat(tmp_path / "a.mat", {"x": cube, "y": cube, "flat": cube[0]})
    assert "has no variable 'z'; it holds: flat, x, y" in refusal(tmp_path / "a.mat", key="z")
    assert "'flat' of" in refusal(tmp_path / "a.mat", key="flat")
    expected = "several cubes (x (9, 12, 4), y (9, 12, 4)); name one as key (--key NAME)"
    assert expected in refusal(tmp_path / "a.mat")
    check(tmp_path / "a.mat", nm=None, key="y")


@pytest.mark.parametrize("content", [{"x": CUBE * 1j}, {"x": CUBE > 5}])
def test_matlab_values_that_are_no_real_numbers(tmp_path, content):
    savemat(tmp_path / "a.mat", content)
    assert "expected real numbers" in refusal(tmp_path / "a.mat")


def test_matlab_wavelengths_of_another_number(tmp_path):
    savemat(tmp_path / "a.mat", {"x": CUBE.transpose(1, 2, 0), "wavelength": NM[:3]})
    assert "states 3 wavelengths for 4 bands" in refusal(tmp_path / "a.mat")


def test_matlab_73_is_turned(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["x"] = CUBE.transpose(0, 2, 1)
        file["wavelength"] = np.array(NM)[:, None]
    check(tmp_path / "a.mat")


# HDF5 and NetCDF


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_hdf5_finds_the_bands_by_the_wavelengths(tmp_path, axis):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/cube"] = np.moveaxis(CUBE, 0, axis)
        file["group/wavelength"] = np.array(NM) / 1000
        file["group/wavelength"].attrs["units"] = "µm"
    check(tmp_path / "a.h5")
    check(tmp_path / "a.h5", key="group/cube", band_axis=axis)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_netcdf_finds_the_bands_by_its_dimensions(tmp_path, axis):
    # Sizes that alone do not tell.
    cube = np.random.default_rng(1).random((6, 5, 7))
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file.attrs["_NCProperties"] = "version=2"
        data = file.create_dataset("cube", data=np.moveaxis(cube, 0, axis), fletcher32=True)
        data.attrs["_FillValue"] = np.array([-1.0])
        names = ["row", "col"]
        names.insert(axis, "bands")
        for place, name in enumerate(names):
            file.create_dataset(name, (data.shape[place],), "f4")
            file[name].make_scale("This is a netCDF dimension but not a netCDF variable.")
            data.dims[place].attach_scale(file[name])
    contents = open_file(tmp_path / "a.nc")
    assert (contents.format, contents.shape, contents.nodata) == ("NetCDF", (6, 5, 7), -1)
    scene = read_file(tmp_path / "a.nc", key="cube", scaling=1)
    np.testing.assert_allclose(scene.cube.numpy(), cube, rtol=1e-6)


def test_an_unclear_band_axis_is_asked_for(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((8, 9, 10)))
    message = refusal(tmp_path / "a.npy")
    assert "has shape (8, 9, 10), which does not tell the band axis; give band_axis 0 " in message
    assert read_file(tmp_path / "a.npy", band_axis=2).cube.shape == (10, 8, 9)
    assert "band_axis is 0, 1 or 2, not 3" in refusal(tmp_path / "a.npy", band_axis=3)


def test_netcdf_3_and_other_files_are_no_hdf5(tmp_path):
    (tmp_path / "a.nc").write_bytes(b"CDF\x01" + bytes(100))
    assert "a.nc is no HDF5 file; it may be truncated, or NetCDF 3: convert it" in refusal(tmp_path / "a.nc")


def test_hdf5_that_was_never_written_is_not_read_as_zeros(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("cube", (4, 40, 40), "u2", chunks=(1, 40, 40))
        data[:2] = 5
    assert "stored in part (2 of 4 chunks)" in refusal(tmp_path / "a.h5")


# .npy


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ["u2", ">u2", "f4", "f8", "i8"])
def test_npy_of_every_type(tmp_path, order, dtype):
    cube = CUBE.transpose(1, 2, 0).astype(dtype, order=order)
    np.save(tmp_path / "a.npy", cube)
    check(tmp_path / "a.npy", nm=None)


def test_npy_of_other_things(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[["a"]]], object))
    assert "expected real numbers" in refusal(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", CUBE[0])
    assert "has shape (9, 12), expected three axes" in refusal(tmp_path / "a.npy")


# PNG stacks


def write_pngs(folder, names, bands=CUBE):
    folder.mkdir()
    for name, band in zip(names, bands, strict=True):
        Image.fromarray(band).save(folder / name)
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ["1.png", "2.png", "3.png", "4.png"],
        ["b_9.png", "b_10.png", "b_11.png", "b_12.png"],
        ["x400.png", "x410.png", "x420.PNG", "x430.png"],
    ],
)
def test_pngs_are_stacked_in_the_order_of_their_numbers(tmp_path, names):
    check(write_pngs(tmp_path / "a", names), nm=None)


def test_a_stack_may_be_nested_as_archives_do(tmp_path):
    (tmp_path / "a").mkdir()
    write_pngs(tmp_path / "a" / "a", ["1.png", "2.png", "3.png", "4.png"])
    check(tmp_path / "a", nm=None)


@pytest.mark.parametrize(
    ("names", "bands", "message"),
    [
        ([], [], "holds no PNG; expected one 16-bit grey PNG per band"),
        (["1.png", "2.png", "4.png"], CUBE[:3], "holds 3 bands from 1 to 4; missing: 3"),
        (["a1.png", "b1.png"], CUBE[:2], "holds several PNGs of the same number"),
        (["red.png", "2.png"], CUBE[:2], "red.png: the name does not end in a number"),
        (["1.png", "2.png"], [CUBE[0], CUBE[1, :5]], "2.png is 5 x 12 pixels, 1.png is 9 x 12"),
        (
            ["1.png", "2.png"],
            [CUBE[0], CUBE[1].astype(np.uint8)],
            "2.png is a PNG of mode L, expected a 16-bit",
        ),
        (["1.png", "2.png"], [CUBE[0], np.zeros((9, 12, 4), np.uint8)], "2.png is a PNG of mode RGBA"),
    ],
)
def test_stacks_that_are_none(tmp_path, names, bands, message):
    assert message in refusal(write_pngs(tmp_path / "a", names, bands))


# All


@pytest.mark.parametrize("name", ["a.jpg", "a.zip", "a"])
def test_unknown_formats(tmp_path, name):
    (tmp_path / name).write_bytes(b"something")
    assert "is not known; expected GeoTIFF" in refusal(tmp_path / name)


def test_no_file(tmp_path):
    assert f"there is no file {tmp_path / 'a.tif'}" in refusal(tmp_path / "a.tif")


def write_h5(path):
    with h5py.File(path, "w") as file:
        file["cube"] = CUBE
    return path


def write_packed_h5(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("cube", data=CUBE, chunks=(1, 4, 5), compression="gzip")
    return path


def write_mat(path):
    savemat(path, {"cube": CUBE.transpose(1, 2, 0)})
    return path


def write_npy(path):
    np.save(path, CUBE)
    return path


@pytest.mark.parametrize("part", [0.01, 0.5, 0.9, 0.999])
@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_tiff, "a.tif"),
        (write_h5, "a.h5"),
        (write_packed_h5, "a.nc"),
        (write_mat, "a.mat"),
        (write_npy, "a.npy"),
    ],
)
def test_truncated_files_are_named(tmp_path, write, name, part):
    path = write(tmp_path / name)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    assert re.search(rf"{name}.+(truncated|damaged)", refusal(path))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_located(tmp_path, value):
    cube = CUBE.astype(np.float32)
    cube[1, 2, 3] = value
    path = tmp_path / "a.npy"
    np.save(path, cube)
    assert "scene 'a': 1 of 432 values are NaN or infinite, the first at band 1, row 2, column 3" in refusal(
        path, band_axis=0
    )


def test_negative_radiances_are_clipped_and_counted_unless_there_are_too_many(tmp_path, caplog):
    cube = CUBE.astype(np.int16)
    cube[0, 0, :5] = -3
    np.save(tmp_path / "a.npy", cube)
    assert read_file(tmp_path / "a.npy").clipped == 5
    assert "scene 'a': clipped 5 of 432 values to [0, 1]" in caplog.text
    np.save(tmp_path / "a.npy", cube - 900)
    assert re.search(r"\d+ of 432 values leave \[0, 1\] .+ no reflectances", refusal(tmp_path / "a.npy"))


@pytest.mark.parametrize("suffix", [".mat", ".h5", ".nc", ".tif", ".npy", ".hdr"])
@pytest.mark.parametrize("content", [b"", b"no such format", bytes(5000)])
def test_foreign_content(tmp_path, suffix, content):
    (tmp_path / f"a{suffix}").write_bytes(content)
    (tmp_path / "a.img").write_bytes(content)
    assert re.search(r"a\.\w+ .*(cannot be read as|is no|does not)", refusal(tmp_path / f"a{suffix}"))
