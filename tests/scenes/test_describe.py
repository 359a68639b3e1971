import numpy as np
import pytest
import rasterio

from cofusion.errors import UserError
from cofusion.scenes.describe import describe_file

CUBE = np.random.default_rng(0).integers(100, 1000, (4, 20, 30)).astype(np.float32)


def described(path):
    """Return the facts by name, and the warnings."""
    first, *lines = describe_file(path).splitlines()
    assert first == str(path)
    facts = {line[2:15].strip(): line[15:] for line in lines if line.startswith("  ")}
    return facts, [line.removeprefix("warning: ") for line in lines if line.startswith("warning: ")]


def test_facts_of_a_geotiff(tmp_path):
    cube = CUBE.copy()
    cube[:, 0, :5] = -1
    place = rasterio.Affine(30, 0, 500000, 0, -30, 4000000)
    profile = {"count": 4, "height": 20, "width": 30, "dtype": "float32", "nodata": -1, "crs": "EPSG:32633"}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", transform=place, **profile) as data:
        data.write(cube)
        data.descriptions = [f"{nm} nm" for nm in (450, 550, 650, 850)]
    facts, warnings = described(tmp_path / "a.tif")
    assert facts == {
        "format": "GeoTIFF",
        "bands": "4",
        "rows x cols": "20 x 30",
        "type": "float32",
        "wavelengths": "450.0 to 850.0 nm",
        "bad bands": "none marked",
        "range": f"{cube[cube > 0].min():g} to {cube.max():g}",
        "nodata": "-1, in 5 of 600 pixels",
        "georeference": "EPSG:32633, pixels of 30 x 30, upper left at (500000, 4000000)",
    }
    assert warnings == []


def test_warnings(tmp_path):
    cube = CUBE.copy()
    cube[0, 0, 0], cube[1, 2, 3], cube[1, 2, 4] = np.nan, np.inf, -5
    cube[2] = 7
    cube[3, 5, :12] = 4095
    np.save(tmp_path / "a.npy", cube)
    facts, warnings = described(tmp_path / "a.npy")
    assert facts["range"] == "-5 to 4095"
    assert facts["wavelengths"] == "not in the file"
    assert facts["georeference"] == "none"
    assert facts["nodata"] == "no value stated"
    assert warnings == [
        "2 of 2400 values are NaN or infinite",
        "1 of 2400 values are negative",
        "1 dead bands (one value throughout): 2",
        "12 of 600 pixels are saturated, at the largest value, 4095",
    ]


@pytest.mark.parametrize(("value", "saturated"), [(65535, True), (60000, False)])
def test_one_pixel_at_the_end_of_the_type_is_saturated(tmp_path, value, saturated):
    cube = CUBE.astype(np.uint16)
    cube[1, 2, 3] = value
    np.save(tmp_path / "a.npy", cube)
    _, warnings = described(tmp_path / "a.npy")
    assert warnings == (["1 of 600 pixels are saturated, at the largest value, 65535"] if saturated else [])


def test_damaged_files_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", CUBE)
    path = tmp_path / "a.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"a.npy holds 9599 bytes of values, its header says 9600"):
        describe_file(path)
