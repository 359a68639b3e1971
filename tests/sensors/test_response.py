import math
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from cofusion.errors import UserError
from cofusion.sensors import (
    BandPick,
    CsvResponse,
    GaussianResponse,
    Satellite,
    SatelliteResponse,
    SpectralResponse,
)

CAVE_NM = torch.arange(400, 701, 10.0)
PAVIA_NM = torch.linspace(430, 860, 103)


def test_call_sums_the_bands_of_every_pixel():
    random = np.random.default_rng(0)
    weights = random.random((2, 4))
    weights /= weights.sum(1, keepdims=True)
    cube = random.random((3, 4, 5, 6))
    expected = np.zeros((3, 2, 5, 6))
    for b, k, r, c in np.ndindex(3, 2, 5, 6):
        expected[b, k, r, c] = sum(weights[k, band] * cube[b, band, r, c] for band in range(4))
    response = SpectralResponse(torch.from_numpy(weights), ("x", "y"), "test")
    np.testing.assert_allclose(response(torch.from_numpy(cube)).numpy(), expected, rtol=1e-12)
    single = response(torch.from_numpy(cube[0]).float())
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), expected[0], rtol=1e-5)


def test_nikon_on_the_cave_bands_is_the_table_itself():
    table = Path(__file__).parents[2] / "data/srf/nikon_d700.csv"
    columns = np.loadtxt(table, delimiter=",", skiprows=1)[:, 1:].T
    response = SpectralResponse.from_csv("nikon_d700", CAVE_NM)
    assert response.names == ("red", "green", "blue")
    np.testing.assert_allclose(response.weights, columns / columns.sum(1, keepdims=True), rtol=1e-12)


def test_table_is_interpolated_linearly_and_zero_outside(tmp_path):
    table = tmp_path / "sensor.csv"
    table.write_text("nm,a,b\n500,0,1\n510,1,1\n530,0.5,1\n")
    response = CsvResponse(str(table))(torch.tensor([490.0, 504.0, 510.0, 520.0, 531.0]))
    expected = torch.tensor([[0, 0.4, 1, 0.75, 0], [0, 1, 1, 1, 0]], dtype=torch.float64)
    torch.testing.assert_close(response.weights, expected / expected.sum(1, keepdim=True))


def test_columns_choose_and_order_the_bands():
    response = SpectralResponse.from_csv("ikonos", PAVIA_NM, ["nir", "blue", "green", "red"])
    assert response.names == ("nir", "blue", "green", "red")
    peaks = PAVIA_NM[response.weights.argmax(1)]
    assert peaks.tolist() == pytest.approx([780, 495, 552, 678], abs=8)
    torch.testing.assert_close(response.weights.sum(1), torch.ones(4, dtype=torch.float64))


def test_gaussian_has_its_centre_and_full_width_at_half_maximum():
    nm = torch.arange(400.0, 1001.0)
    (row,) = SpectralResponse.gaussian([640], [80], nm).weights
    half = nm[row >= row.max() / 2]
    assert nm[row.argmax()] == 640
    assert (half.min(), half.max()) == (600, 680)


def test_pick_takes_bands_as_they_are():
    cube = torch.rand(31, 4, 5)
    assert torch.equal(BandPick([30, 13, 5])(CAVE_NM)(cube), cube[[30, 13, 5]])


def test_names_of_gaussian_bands():
    given = GaussianResponse([485, 560], [70, 80], ["blue", "green"])(PAVIA_NM)
    assert given.names == ("blue", "green")
    assert GaussianResponse([485], [70])(PAVIA_NM).names == ("485 nm",)


@pytest.mark.parametrize(
    "spec",
    [
        CsvResponse("nikon_d700"),
        GaussianResponse([485], [70]),
        # A measured table never quite reaches zero: its noise must not be blown up to a band.
        CsvResponse("ikonos", ["blue"]),
    ],
)
def test_wavelengths_that_do_not_overlap_name_the_band_and_both_ranges(spec):
    with pytest.raises(
        UserError, match=r"band '.+' \(.+ to .+ nm\) has no support .+ 900 to 1000 nm"
    ) as error:
        spec(torch.linspace(900, 1000, 20))
    assert "\n" not in str(error.value)


def test_ikonos_infrared_has_no_support_in_the_visible():
    with pytest.raises(UserError, match="'nir'"):
        CsvResponse("ikonos", ["blue", "nir"])(CAVE_NM)


# Centres and full widths at half maximum in nm as the operators publish them: NASA for Landsat 8's OLI, ESA
# for Sentinel-2A's MSI.
OLI = {"1": (443, 16), "2": (482, 60), "3": (561, 57), "4": (655, 37), "5": (865, 28), "6": (1609, 85)}
MSI = {"2": (492, 66), "3": (560, 36), "4": (665, 31), "8": (833, 106), "8A": (865, 21), "12": (2202, 175)}


@pytest.mark.parametrize(("satellite", "published"), [("landsat-8", OLI), ("sentinel-2a", MSI)])
def test_satellites_have_the_bands_that_their_operators_publish(satellite, published):
    nm = torch.arange(400.0, 2501.0)
    response = SatelliteResponse(satellite, list(published))(nm)
    assert (response.names, response.source) == (tuple(published), satellite)
    for row, (centre, width) in zip(response.weights, published.values(), strict=True):
        half = nm[row >= row.max() / 2]
        assert (row * nm).sum().item() == pytest.approx(centre, abs=2)
        assert half.max() - half.min() == pytest.approx(width, abs=5)


def test_satellites_bands_in_the_order_asked_for():
    pavia = SatelliteResponse("sentinel-2a", [4, "3", "2", "8A"])(PAVIA_NM[:-1])
    assert pavia.names == ("4", "3", "2", "8A")
    peaks = PAVIA_NM[pavia.weights.argmax(1)]
    assert peaks.tolist() == pytest.approx([665, 560, 492, 856], abs=30)
    every = SatelliteResponse("landsat-8")(torch.arange(400, 2500, 5.0))
    # Neither panchromatic (8) nor thermal (10, 11), unless the former is asked for.
    assert every.names == ("1", "2", "3", "4", "5", "6", "7", "9")
    assert SatelliteResponse("landsat-8", ["8"])(PAVIA_NM).names == ("8",)


def test_satellite_bands_beyond_the_sensor_are_named_with_those_that_are_not():
    with pytest.raises(
        UserError,
        match=r"'landsat-8': band '6' \(15\d\d to 16\d\d nm\) has no support .+ 860 nm; .+: 1, 2, 3, 4, 5$",
    ):
        SatelliteResponse("landsat-8")(PAVIA_NM)


def test_unknown_satellites_and_bands_list_the_known_ones():
    with pytest.raises(UserError, match=r"'worldview-2'; choose one of: landsat-5, .+ GaussianResponse"):
        SatelliteResponse("worldview-2")(PAVIA_NM)
    with pytest.raises(UserError, match="sentinel-2a has no band 13; it has: 1, 2, 3, 4, 5, 6, 7, 8, 8A, 9"):
        SatelliteResponse("sentinel-2a", ["2", "13"])(PAVIA_NM)


@pytest.mark.parametrize("satellite", get_args(Satellite))
def test_every_satellite_is_there(satellite):
    response = SatelliteResponse(satellite)(torch.arange(350, 2500, 5.0))
    assert 4 <= response.msi_bands <= 13


def test_without_pyrsr_the_way_to_get_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyrsr", None)
    with pytest.raises(UserError, match=r"pip install pyrsr"):
        SatelliteResponse("landsat-8")(PAVIA_NM)


def test_unknown_tables_and_columns_list_the_known_ones():
    with pytest.raises(UserError, match=r"nikon_d7000.+shipped srf: ikonos, nikon_d700"):
        CsvResponse("nikon_d7000")(CAVE_NM)
    with pytest.raises(UserError, match="no column infrared; it has: pan, blue, green, red, nir"):
        CsvResponse("ikonos", ["infrared"])(CAVE_NM)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "nm,a\n",
        "nm,a\n400,x\n410,1\n",
        "nm,a\n400,1\n410\n",
        "nm,a\n410,1\n400,1\n",
        "nm,a\n400,1\n410,-1\n",
        "nm,a\n400,1\n410,nan\n",
        "nm\n400\n410\n",
        "\x89PNG\r\n",
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, content):
    table = tmp_path / "broken.csv"
    table.write_text(content)
    with pytest.raises(UserError, match=r"broken.csv is not a spectral response table"):
        CsvResponse(str(table))(CAVE_NM)


def test_a_binary_file_is_no_table(tmp_path):
    table = tmp_path / "broken.csv"
    table.write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match="not a spectral response table"):
        CsvResponse(str(table))(CAVE_NM)


@pytest.mark.parametrize("bands", [[], [31], [-1]])
def test_pick_refuses_bands_that_are_not_there(bands):
    with pytest.raises(UserError, match="give indices from 0 to 30"):
        BandPick(bands)(CAVE_NM)


def test_gaussian_refuses_unequal_lists_and_senseless_widths():
    with pytest.raises(UserError, match="2 centres, 1 widths"):
        SpectralResponse.gaussian([500, 600], [50], CAVE_NM)
    with pytest.raises(UserError, match="above 0 nm"):
        SpectralResponse.gaussian([500], [0], CAVE_NM)


@pytest.mark.parametrize("weights", [[[0.5, 0.6]], [[1.5, -0.5]], [[math.nan, 1.0]]])
def test_weights_must_be_means(weights):
    with pytest.raises(UserError, match="sum to 1"):
        SpectralResponse(torch.tensor(weights), ("a",), "test")


def test_another_number_of_bands_is_refused():
    with pytest.raises(UserError, match="for 31 bands, the cube has 30"):
        SpectralResponse.from_csv("nikon_d700", CAVE_NM)(torch.rand(30, 4, 4))
