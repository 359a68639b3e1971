import math
from pathlib import Path

import numpy as np
import pytest
import torch

from cofusion.errors import UserError
from cofusion.sensors import BandPick, CsvResponse, GaussianResponse, SpectralResponse

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
