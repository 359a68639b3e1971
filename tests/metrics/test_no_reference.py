"""What the metrics without a reference share: shapes, precision, small and empty images, their table."""

import pickle

import pytest
import torch
from torchmetrics import Metric

from cofusion.errors import UserError
from cofusion.metrics import (
    DS,
    HIGHER_IS_BETTER,
    LABELS,
    NO_REFERENCE_METRICS,
    QNR,
    DLambda,
    HRMSIError,
    LRHSIError,
    d_lambda,
    d_s,
    fusion_metrics,
    hr_msi_error,
    lr_hsi_error,
    mean_scores,
    no_reference_scores,
    qnr,
)
from quality import make_images, make_sensors

SENSORS = make_sensors()
# Every metric as a function of (fused, lr_hsi, hr_msi), and its class with the arguments that it takes.
FUNCTIONS = {
    "d_lambda": lambda f, x, y: d_lambda(f, x),
    "d_s": lambda f, x, y: d_s(f, x, y, SENSORS),
    "qnr": lambda f, x, y: qnr(f, x, y, SENSORS),
    "lr_hsi_error": lambda f, x, y: lr_hsi_error(f, x, SENSORS),
    "hr_msi_error": lambda f, x, y: hr_msi_error(f, y, SENSORS),
}
CLASSES: dict[str, tuple[Metric, tuple[int, ...]]] = {
    "d_lambda": (DLambda, (0, 1)),
    "d_s": (lambda: DS(SENSORS), (0, 1, 2)),
    "qnr": (lambda: QNR(SENSORS), (0, 1, 2)),
    "lr_hsi_error": (lambda: LRHSIError(SENSORS), (0, 1)),
    "hr_msi_error": (lambda: HRMSIError(SENSORS), (0, 2)),
}
NAMES = list(FUNCTIONS)


def test_the_table_holds_every_metric_in_order():
    assert list(NO_REFERENCE_METRICS) == NAMES
    assert [*fusion_metrics(2), *NAMES] == list(LABELS) == list(HIGHER_IS_BETTER)
    images = make_images()
    found = no_reference_scores(*images, SENSORS)
    assert list(found) == NAMES
    for name, values in found.items():
        assert torch.equal(values, FUNCTIONS[name](*images)), name
    assert {name: CLASSES[name][0]().higher_is_better for name in NAMES} == {
        name: HIGHER_IS_BETTER[name] for name in NAMES
    }


@pytest.mark.parametrize("name", NAMES)
def test_one_float64_value_per_image(name):
    images = make_images(images=3)
    batch = FUNCTIONS[name](*images)
    assert batch.shape == (3,) and batch.dtype == torch.float64
    single = [FUNCTIONS[name](*one) for one in zip(*images, strict=True)]
    assert all(value.shape == () for value in single)
    assert torch.equal(torch.stack(single), batch)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_only_storage(name, dtype):
    images = tuple(image.to(dtype) for image in make_images())
    expected = FUNCTIONS[name](*(image.float() for image in images))
    assert torch.equal(FUNCTIONS[name](*images), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(FUNCTIONS[name](*images), expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_class_is_the_mean_over_images_and_keeps_none(name):
    make, arguments = CLASSES[name]
    metric = make()
    small, large = make_images(rows=4, cols=5, images=3), make_images(rows=9, cols=7, images=1)
    metric.update(*(small[i] for i in arguments))
    size = len(pickle.dumps(metric))
    metric.update(*(large[i][0] for i in arguments))
    assert len(pickle.dumps(metric)) <= size + 64
    expected = torch.cat([FUNCTIONS[name](*small), FUNCTIONS[name](*large)]).mean()
    torch.testing.assert_close(metric.compute(), expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows, cols", [(1, 1), (1, 3), (2, 2), (20, 1)])
@pytest.mark.parametrize("hsi, msi", [(1, 1), (1, 3), (4, 1), (4, 3)])
def test_small_images_and_single_bands_are_finite(name, rows, cols, hsi, msi, monkeypatch):
    monkeypatch.setitem(globals(), "SENSORS", make_sensors(2, 7, 1, hsi, msi))
    value = FUNCTIONS[name](*make_images(rows=rows, cols=cols, hsi=hsi, msi=msi))
    assert value.shape == (2,) and value.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_zeros_and_constants_stay_finite(name):
    levels = (0.0, 0.3)
    for f in levels:
        for x in levels:
            for y in levels:
                shapes = (4, 80, 72), (4, 40, 36), (3, 80, 72)
                images = (torch.full(s, v) for s, v in zip(shapes, (f, x, y), strict=True))
                assert FUNCTIONS[name](*images).isfinite()


@pytest.mark.parametrize("name", NAMES)
def test_one_flat_or_dead_band_stays_finite(name):
    for level in (0.0, 0.3):
        images = make_images(images=1)
        for image in images:
            image[:, 1] = level
        assert FUNCTIONS[name](*images).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_not_a_number_is_not_hidden(name):
    images = make_images(images=3)
    images[0][1, 2, 9, 9] = torch.nan
    assert FUNCTIONS[name](*images).isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("name", ["d_lambda", "d_s", "qnr", "lr_hsi_error"])
@pytest.mark.parametrize(
    "fused, lr_hsi, message",
    [
        ((4, 8, 8), (3, 4, 4), r"fused \(4, 8, 8\) and lr_hsi \(3, 4, 4\) do not fit"),
        ((4, 8, 8), (4, 3, 4), "do not fit: give the same bands, and rows and columns in one whole ratio"),
        ((4, 8, 8), (4, 4, 3), "do not fit"),
        ((4, 8, 8), (4, 16, 16), "do not fit"),
        ((2, 4, 8, 8), (1, 4, 4, 4), "do not fit"),
        ((2, 4, 8, 8), (4, 4, 4), r"are no images: give both as \(C, H, W\)"),
        ((0, 8, 8), (0, 4, 4), "are no images"),
        ((8, 8), (4, 4), "are no images"),
    ],
)
def test_unfit_shapes_are_refused(name, fused, lr_hsi, message):
    with pytest.raises(UserError, match=message):
        FUNCTIONS[name](torch.zeros(fused), torch.zeros(lr_hsi), torch.zeros(3, 8, 8))


@pytest.mark.parametrize("name", ["d_s", "qnr", "hr_msi_error"])
@pytest.mark.parametrize(
    "hr_msi, message",
    [
        ((3, 8, 6), r"fused \(4, 8, 8\) and hr_msi \(3, 8, 6\) do not fit"),
        ((1, 3, 8, 8), "are no images"),
        ((0, 8, 8), "are no images"),
    ],
)
def test_an_unfit_guide_is_refused(name, hr_msi, message):
    with pytest.raises(UserError, match=message):
        FUNCTIONS[name](torch.zeros(4, 8, 8), torch.zeros(4, 4, 4), torch.zeros(hr_msi))


@pytest.mark.parametrize("name", ["d_s", "qnr", "lr_hsi_error"])
def test_sensors_of_another_scale_are_refused(name):
    with pytest.raises(UserError, match="are at scale 4, the sensors at 2: give those of this pair"):
        FUNCTIONS[name](torch.zeros(4, 16, 16), torch.zeros(4, 4, 4), torch.zeros(3, 16, 16))


def test_means_are_over_the_scenes_that_have_a_metric():
    scenes = {"a": {"psnr": 30.0, "qnr": 0.9}, "b": {"qnr": 0.7}, "c": {"psnr": 40.0, "qnr": 0.5}}
    assert mean_scores(scenes) == pytest.approx({"psnr": 35.0, "qnr": 0.7})
    assert mean_scores({}) == {}


def test_what_images_without_data_were_filled_with_does_not_count():
    images = make_images(rows=20, cols=18)
    nodata = torch.zeros(images[0].shape[0], *images[0].shape[-2:], dtype=torch.bool)
    nodata[0, 4:13, 6:20] = True
    found = no_reference_scores(*images, SENSORS, nodata)
    refilled = [image.clone() for image in images]
    for image in (refilled[0], refilled[2]):
        image.masked_fill_(nodata[:, None], 0.7)
    # Rows 4 to 11 and columns 6 to 19 are whole blocks; of row 12, one half has data.
    refilled[1][0, :, 2:6, 3:10] = 0.1
    again = no_reference_scores(*refilled, SENSORS, nodata)
    for name in ("d_lambda", "d_s", "qnr"):
        assert torch.equal(found[name], again[name]), name
        blanked = [image.clone() for image in images]
        blanked[0].masked_fill_(nodata[:, None], 0)
        blanked[1][0, :, 2:6, 3:10] = 0
        blanked[2].masked_fill_(nodata[:, None], 0)
        assert torch.equal(found[name], FUNCTIONS[name](*blanked)), name
        assert found[name][1] == FUNCTIONS[name](*images)[1]
    assert torch.equal(found["hr_msi_error"], FUNCTIONS["hr_msi_error"](*images))
