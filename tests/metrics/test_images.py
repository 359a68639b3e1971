"""What the metrics against a reference share: shapes, precision, the mean over images in two processes."""

import pickle
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torchmetrics import Metric

from cofusion.errors import UserError
from cofusion.metrics import ERGAS, HIGHER_IS_BETTER, LABELS, PSNR, SAM, SSIM, fusion_metrics

CLASSES: dict[str, Callable[[], Metric]] = {
    "psnr": PSNR,
    "psnr_max": lambda: PSNR(peak="max"),
    "ssim": SSIM,
    "sam": SAM,
    "ergas": lambda: ERGAS(8),
    "ergas_100_4": lambda: ERGAS(4),
}
NAMES = list(CLASSES)


def make_pair(images=5):
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(images, 6, 16, 18, generator=generator)
    noise = torch.randn(reference.shape, generator=generator)
    strength = torch.linspace(0.01, 0.3, images).view(-1, 1, 1, 1)
    return reference + strength * noise, reference


def test_the_table_names_every_metric_once_and_in_order():
    assert list(fusion_metrics(4)) == NAMES
    assert [name for name in LABELS if name in NAMES] == NAMES
    assert all(CLASSES[name]().higher_is_better == HIGHER_IS_BETTER[name] for name in NAMES)


def test_the_table_passes_scale_and_peak_on():
    fused, reference = make_pair()
    values = {name: metric(fused, reference) for name, metric in fusion_metrics(8).items()}
    torch.testing.assert_close(2 * values["ergas"], values["ergas_100_4"])
    assert (values["psnr_max"] < values["psnr"]).all()


@pytest.mark.parametrize("name", NAMES)
def test_better_is_the_stated_direction(name):
    fused, reference = make_pair()
    metric = fusion_metrics(4)[name]
    closer = metric(0.5 * (fused + reference), reference)
    further = metric(fused, reference)
    assert ((closer > further) == HIGHER_IS_BETTER[name]).all()


@pytest.mark.parametrize("name", NAMES)
def test_one_float64_value_per_image(name):
    fused, reference = make_pair()
    metric = fusion_metrics(8)[name]
    batch = metric(fused, reference)
    assert batch.shape == (5,) and batch.dtype == torch.float64
    single = [metric(f, r) for f, r in zip(fused, reference, strict=True)]
    assert all(value.shape == () for value in single)
    torch.testing.assert_close(torch.stack(single), batch, rtol=1e-7, atol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_only_storage(name, dtype):
    """A metric of half-precision images is that of the same values in float32, autocast or not."""
    fused, reference = (image.to(dtype) for image in make_pair())
    metric = fusion_metrics(4)[name]
    expected = metric(fused.float(), reference.float())
    assert torch.equal(metric(fused, reference), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(metric(fused, reference), expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_class_is_the_mean_over_images_of_any_size(name):
    metric, function = CLASSES[name](), fusion_metrics(8)[name]
    fused, reference = make_pair()
    metric.update(fused[:3, :, :12, :13], reference[:3, :, :12, :13])
    metric.update(fused[3], reference[3])
    small = function(fused[:3, :, :12, :13], reference[:3, :, :12, :13])
    expected = (small.sum() + function(fused[3], reference[3])) / 4
    torch.testing.assert_close(metric.compute(), expected)
    metric.reset()
    metric.update(fused[4:], reference[4:])
    torch.testing.assert_close(metric.compute(), function(fused[4], reference[4]))


@pytest.mark.parametrize("name", NAMES)
def test_the_class_keeps_no_images(name):
    metric = CLASSES[name]()
    fused, reference = make_pair()
    metric.update(fused, reference)
    size = len(pickle.dumps(metric))
    for _ in range(3):
        metric.update(fused, reference)
    assert len(pickle.dumps(metric)) <= size + 64
    assert all(state.numel() == 1 for state in metric.metric_state.values())


@pytest.mark.parametrize("name", NAMES)
def test_zeros_constants_and_identity_stay_finite(name):
    zero, flat = torch.zeros(2, 3, 12, 12), torch.full((2, 3, 12, 12), 0.3)
    metric = fusion_metrics(4)[name]
    for pair in ((zero, zero), (flat, flat), (zero, flat), (flat, zero)):
        assert metric(*pair).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_not_a_number_is_not_hidden(name):
    fused, reference = make_pair()
    fused[1, 2, 3, 4] = torch.nan
    value = fusion_metrics(4)[name](fused, reference)
    assert value.isnan().tolist() == [False, True, False, False, False]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "fused, reference, message",
    [
        ((2, 3, 12, 12), (2, 3, 12, 13), r"fused \(2, 3, 12, 12\) and reference \(2, 3, 12, 13\) differ"),
        ((3, 12, 12), (1, 3, 12, 12), "differ in shape"),
        ((12, 12), (12, 12), r"are no images: give both as \(C, H, W\)"),
        ((1, 1, 3, 12, 12), (1, 1, 3, 12, 12), "are no images"),
        ((0, 3, 12, 12), (0, 3, 12, 12), "are no images"),
    ],
)
def test_unfit_shapes_are_refused(name, fused, reference, message):
    with pytest.raises(UserError, match=message):
        fusion_metrics(4)[name](torch.zeros(fused), torch.zeros(reference))


SHARES = {"uneven": [[0, 1, 2, 3], [4]], "one idle": [[0, 1, 2, 3, 4], []]}


def measure(rank, folder):
    """Update every metric with this process's share of the images and save the synchronised results."""
    torch.set_num_threads(1)
    meeting_point = f"file://{folder}/meeting-point"
    dist.init_process_group("gloo", meeting_point, timedelta(seconds=60), world_size=2, rank=rank)
    # An idle process computes before it has updated, which torchmetrics remarks on.
    warnings.filterwarnings("ignore", message=".*``compute`` method of metric .* was called before")
    fused, reference = make_pair()
    results = {}
    for share, images_of_rank in SHARES.items():
        for name, make in CLASSES.items():
            metric = make()
            for image in images_of_rank[rank]:
                metric.update(fused[image], reference[image])
            results[share, name] = metric.compute().item()
    (folder / f"{rank}.pickle").write_bytes(pickle.dumps(results))
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")  # needs no network
    # The new processes import this file by its name.
    monkeypatch.syspath_prepend(Path(__file__).parents[__name__.count(".")])
    mp.spawn(measure, args=(tmp_path,), nprocs=2)
    fused, reference = make_pair()
    expected = {name: metric(fused, reference).mean().item() for name, metric in fusion_metrics(8).items()}
    for rank in (0, 1):
        results = pickle.loads((tmp_path / f"{rank}.pickle").read_bytes())
        assert results == pytest.approx({(share, name): expected[name] for share in SHARES for name in NAMES})
