import numpy as np
import pytest
import torch

from cofusion.errors import UserError
from cofusion.metrics import psnr, sam
from cofusion.reports.figures.comparison import NO_VALUE, STEPS, ZERO, compare
from cofusion.reports.figures.pixels import detail_window
from cofusion.reports.records.images import read_scene, write_scene
from picture_runs import COLS, ROWS, WAVELENGTHS, cubes
from picture_runs import psnr as psnr_of


@pytest.fixture
def record(tmp_path):
    """Write and read the cubes of a method."""

    def write(method, held, name="field"):
        path = tmp_path / f"{method}.npz"
        write_scene(path, name, held, WAVELENGTHS, WAVELENGTHS[[0, 2, 5]])
        return read_scene(path)

    return write


@pytest.fixture
def recorded(record):
    return {"A": record("A", cubes(0.02)), "B": record("B", cubes(0.002))}


def test_every_view_is_what_the_metrics_measure(recorded):
    compared = compare(recorded, {"A": {"sam": 2.5}})
    assert [view.name for view in compared.views] == ["A", "B"]
    assert compared.views[0].scores == {"sam": 2.5} and compared.views[1].scores == {}
    truth = torch.from_numpy(recorded["A"].cube("reference"))
    for view in compared.views:
        fused = torch.from_numpy(recorded[view.name].cube("fused"))
        assert np.nanmean(view.angles) == pytest.approx(float(sam(fused, truth)), rel=1e-5)
        for band in range(len(truth)):
            expected = float(psnr(fused[band : band + 1], truth[band : band + 1]))
            assert view.band_psnr[band] == pytest.approx(expected, rel=1e-6)
        for place, (row, col) in enumerate(compared.pixels):
            np.testing.assert_array_equal(view.spectra[place], fused[:, row, col])


def test_all_pictures_have_the_stretch_of_the_reference(record):
    held = cubes(0.001)
    compared = compare({"same": record("same", held | {"fused": held["reference"]})})
    assert compared.has_reference and compared.size == (ROWS, COLS)
    np.testing.assert_array_equal(compared.views[0].picture, compared.measured.picture)
    half = compare({"half": record("half", held | {"fused": held["reference"] / 2})})
    np.testing.assert_array_equal(half.measured.picture, compared.measured.picture)
    assert half.views[0].picture.mean() < 0.5 * half.measured.picture.mean()


@pytest.mark.parametrize("step", [1, 5, 7])
def test_samples_are_those_of_every_nth_pixel(recorded, step):
    compared = compare(recorded, step=step)
    fused = recorded["B"].cube("fused")
    thin = fused[:, step // 2 :: step, step // 2 :: step]
    samples = compared.views[1].samples
    assert samples.shape == thin.shape and samples.dtype == np.uint16
    np.testing.assert_allclose((samples - float(ZERO)) / STEPS, thin, atol=0.5001 / STEPS)


def test_samples_keep_values_below_zero_and_above_one(record):
    held = cubes(0.01)
    held["fused"][0, 3, :2] = -0.5, 1.5
    (view,) = compare({"A": record("A", held)}).views
    assert ((view.samples[0, 3, :2] - float(ZERO)) / STEPS).tolist() == [-0.5, 1.5]


def test_values_that_are_not_finite_are_no_samples(record):
    held = cubes(0.01)
    held["fused"][:, 3, 4] = np.nan
    compared = compare({"A": record("A", held)})
    assert (compared.views[0].samples[:, 3, 4] == NO_VALUE).all()
    assert (compared.views[0].samples == NO_VALUE).sum() == 6
    assert np.isnan(compared.views[0].angles[3, 4]) and np.isfinite(compared.top)


def test_one_bad_method_does_not_set_the_colour_bar(recorded, record):
    good = compare(recorded)
    worse = compare({**recorded, "C": record("C", cubes(0.003)), "D": record("D", cubes(0.4))})
    assert good.top < 15 and worse.top < 15
    assert np.percentile(worse.views[3].angles, 99) > 30


@pytest.mark.parametrize("change", ["reference", "size", "name"])
def test_what_is_not_of_the_same_scene_is_left_out(recorded, record, change):
    other = {"reference": cubes(0.01, seed=1), "size": {}, "name": cubes(0.01)}[change]
    if change == "size":
        half = cubes(0.01)
        other = {key: cube[:, : cube.shape[1] // 2] for key, cube in half.items()}
    stranger = record("C", other, name="forest" if change == "name" else "field")
    reasons = {}
    compared = compare({**recorded, "C": stranger}, left_out=reasons.__setitem__)
    assert [view.name for view in compared.views] == ["A", "B"]
    assert list(reasons) == ["C"] and "is of another field" in reasons["C"]


@pytest.mark.parametrize("error", [0.1, 0.003])
def test_an_image_is_held_to_its_recorded_psnr(record, error):
    held = cubes(error)
    scenes, reasons = {"A": record("A", held), "B": record("B", cubes(0.002))}, {}
    compare(scenes, {"A": {"psnr": psnr_of(held)}}, left_out=reasons.__setitem__)
    assert reasons == {}
    for off in (-0.5, 0.5, 1e9):
        scores = {"A": {"psnr": psnr_of(held) + off}}
        left = [view.name for view in compare(scenes, scores, left_out=reasons.__setitem__).views]
        assert left == ["B"] and "A.npz is not what was tested: its PSNR is " in reasons["A"]


def test_an_image_that_is_no_number_is_not_the_one_with_a_psnr(record):
    held = cubes(0.1)
    held["fused"][0, 3, 3] = np.nan
    scenes, reasons = {"A": record("A", held), "B": record("B", cubes(0.002))}, {}
    compare(scenes, {"A": {"psnr": 20.0}}, left_out=reasons.__setitem__)
    assert "A.npz is not what was tested: it or its reference is not finite" in reasons["A"]


@pytest.mark.parametrize("error", [1e-4, 1e-6, 0])
def test_what_half_precision_hides_is_no_other_image(record, error):
    held = cubes(0.1)
    held["fused"] = cubes(error)["fused"] if error else held["reference"]
    scores = {"A": {"psnr": psnr_of(held)}}
    assert compare({"A": record("A", held)}, scores).views[0].scores == scores["A"]


def test_the_same_reference_with_a_hole_is_the_same(record):
    def holed(error):
        held = cubes(error)
        held["reference"][:, 3, 3] = np.nan
        return held

    reasons = {}
    scenes = {"A": record("A", holed(0.02)), "B": record("B", holed(0.01))}
    compared = compare(scenes, left_out=reasons.__setitem__)
    assert [view.name for view in compared.views] == ["A", "B"] and reasons == {}


def test_damaged_files_are_left_out_wherever_they_stand(recorded, record):
    broken = record("broken", cubes(0.05))
    broken.path.write_bytes(b"half")
    for order in (("broken", "A", "B"), ("A", "broken", "B")):
        reasons = {}
        scenes = {**recorded, "broken": broken}
        compared = compare({name: scenes[name] for name in order}, left_out=reasons.__setitem__)
        assert [view.name for view in compared.views] == ["A", "B"] and list(reasons) == ["broken"]
    with pytest.raises(UserError, match="no recorded image"):
        compare({"broken": broken})


def test_without_a_reference_the_lrhsi_stands_in_its_place(record):
    scenes = {
        name: record(name, cubes(error, with_reference=False)) for name, error in (("A", 0.1), ("B", 0.2))
    }
    compared = compare(scenes, step=3)
    assert not compared.has_reference and compared.measured.name == "LRHSI"
    assert all(view.angles is None and view.band_psnr is None for view in compared.views)
    coarse = scenes["A"].cube("lr_hsi")
    for place, (row, col) in enumerate(compared.pixels):
        np.testing.assert_array_equal(compared.measured.spectra[place], coarse[:, row // 4, col // 4])
    rows, cols = np.arange(1, ROWS, 3) // 4, np.arange(1, COLS, 3) // 4
    samples = (compared.measured.samples - float(ZERO)) / STEPS
    np.testing.assert_allclose(samples, coarse[:, rows][:, :, cols], atol=1e-4)


def test_given_pixels_are_shown(recorded):
    assert compare(recorded, pixels=[(1, 2), (47, 63)]).pixels == [(1, 2), (47, 63)]


def test_the_detail_is_where_the_edges_are():
    y, x = np.mgrid[:100, :120]
    # A highlight is far steeper, but not fine.
    scene = 5 * np.exp(-((x - 30) ** 2 + (y - 30) ** 2) / 60)[None]
    scene[0, 60:75, 80:95] += ((x + y) % 2)[60:75, 80:95]
    top, left, side = detail_window(scene)
    assert side == 14 and 55 <= top <= 65 and 75 <= left <= 85
    assert detail_window(np.zeros((2, 5, 6)))[2] == 5
