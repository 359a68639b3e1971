"""MHF-net against a literal version of its flow, its least squares and its sampling."""

import pytest
import torch
import torch.nn.functional as F

from cofusion.models.deep import MHFNet
from cofusion.models.deep.mhf_levels import NormalisedConv
from cofusion.models.deep.mhf_sampling import Down, TransposedConv, factors
from models.deep.base import BANDS, FusionNetworkTests, pair
from models.deep.overfit import overfit_psnr, scene


def without_effect(bands, guide, rank=12, guided_levels=1):
    """Biases before a normalisation, which takes them away again."""
    inside = 2 * (bands + guide + 3) + bands
    return 19 * (guided_levels * inside + 3 * rank + 6) + 4 * (3 * bands + 6)


class TestMHFNet(FusionNetworkTests):
    network = MHFNet
    parameters = tuple(
        published - without_effect(*bands)
        for published, bands in zip((1_211_047, 10_995_686, 16_604_171, 16_717_786), BANDS, strict=True)
    )
    multiple = 1

    def test_number_of_parameters_at_scale_32(self):
        count = sum(p.numel() for p in self.make(31, 3, 32).parameters())
        assert count == 3_006_763 - without_effect(31, 3, guided_levels=3)

    @torch.no_grad()
    @pytest.mark.parametrize("training", [True, False])
    @pytest.mark.parametrize("scale", [2, 3, 4, 8])
    def test_flow_step_by_step(self, scale, training):
        net = self.make(scale=scale, rank=2, stages=3).double().train(training)
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
        x, y = (image.double() for image in pair(scale=scale, batch=2))
        weights = dict(net.named_parameters())
        if training:
            expected = fuse_by_loop(weights, x, y, scale)
        else:
            expected = torch.cat([fuse_by_loop(weights, x[i : i + 1], y[i : i + 1], scale) for i in (0, 1)])
        torch.testing.assert_close(net(x, y), expected)

    @pytest.mark.parametrize(
        ("options", "message"), [({"rank": 0}, "got 0 and 20"), ({"stages": 1}, "12 and 1")]
    )
    def test_sizes_are_checked(self, options, message):
        with pytest.raises(ValueError, match=message):
            self.make(**options)

    def test_fitted_response_is_that_of_least_squares(self):
        _, hr_msi, hr_hsi = scene()
        net = self.make()
        net.fit_response(hr_msi, hr_hsi)
        y, z = (image[0].flatten(1).T for image in (hr_msi, hr_hsi))
        torch.testing.assert_close(net.response.data, torch.linalg.lstsq(y, z).solution, rtol=1e-3, atol=1e-4)

    def test_first_training_batch_fits_the_response_and_later_ones_do_not(self):
        net = self.make(stages=2)
        images = scene()[:2]
        net.eval()(*images)
        assert not net.response.any()
        net.train()(*images)
        coarse = F.conv2d(
            F.pad(images[1], (1, 1, 1, 1)), torch.full((3, 1, 6, 6), 1 / 36), stride=4, groups=3
        )
        y, z = (image[0].flatten(1).T for image in (coarse, images[0]))
        fitted = net.response.detach().clone()
        torch.testing.assert_close(fitted, torch.linalg.lstsq(y, z).solution, rtol=1e-3, atol=1e-4)
        net(images[0].flip(1), images[1])
        assert torch.equal(net.response, fitted)

    def test_a_response_that_is_given_stays(self):
        net = self.make(stages=2)
        _, hr_msi, hr_hsi = scene()
        net.fit_response(hr_msi, hr_hsi)
        given = net.response.detach().clone()
        net.train()(*pair())
        assert torch.equal(net.response, given)

    def test_a_black_batch_leaves_a_fresh_network_fresh(self):
        net = self.make(stages=2)
        assert net(torch.zeros(2, 5, 2, 2), torch.zeros(2, 3, 8, 8)).isfinite().all()
        assert not net.response.any()

    @pytest.mark.slow
    def test_learns_one_scene_by_heart(self):
        assert overfit_psnr(self.make(), steps=300, lr=1e-3) > 45


@pytest.mark.parametrize(
    ("scale", "steps"),
    [(2, [2]), (3, [3]), (4, [4]), (6, [2, 3]), (8, [4, 2]), (12, [4, 3]), (16, [4, 4]), (32, [4, 4, 2])],
)
def test_scales_are_taken_in_steps(scale, steps):
    assert factors(scale) == steps


def same(image, side):
    """Room for a filter of that side at every pixel, as TensorFlow's `SAME` makes it."""
    before = (side - 1) // 2
    return F.pad(image, (before, side - 1 - before, before, side - 1 - before))


def down_by_loop(image, weight, step):
    """Filter everywhere, then keep: from index 1 in a step of 4, from index 0 in one of 2."""
    side = weight.shape[-1]
    room = same(image, side)
    first = {2: 0, 3: 1, 4: 1}[step]
    out = torch.zeros(*image.shape[:2], image.shape[2] // step, image.shape[3] // step, dtype=image.dtype)
    for r in range(out.shape[2]):
        for c in range(out.shape[3]):
            top, left = first + r * step, first + c * step
            window = room[:, :, top : top + side, left : left + side]
            out[:, :, r, c] = (window * weight[0]).sum((2, 3))
    return out


def spread_by_loop(image, weight, stride):
    rows, cols = image.shape[2] * stride, image.shape[3] * stride
    out = torch.zeros(image.shape[0], image.shape[1], rows, cols, dtype=image.dtype)
    for r in range(image.shape[2]):
        for c in range(image.shape[3]):
            for i in range(weight.shape[2]):
                for j in range(weight.shape[3]):
                    if r * stride + i < rows and c * stride + j < cols:
                        out[:, :, r * stride + i, c * stride + j] += image[:, :, r, c] @ weight[:, :, i, j]
    return out


@torch.no_grad()
@pytest.mark.parametrize("step", [2, 3, 4])
def test_down_keeps_what_the_published_one_keeps(step):
    torch.manual_seed(0)
    down = Down(step)
    torch.nn.init.normal_(down.weight)
    image = torch.randn(2, 3, 2 * step, 3 * step)
    torch.testing.assert_close(down(image), down_by_loop(image, down.weight, step))


def test_down_starts_as_a_mean_and_up_as_a_quarter_of_every_pixel():
    assert Down(4).weight.flatten().tolist() == pytest.approx([1 / 36] * 36)
    assert Down(2).weight.flatten().tolist() == pytest.approx([1 / 9] * 9)
    spread = TransposedConv(1, 2)(torch.ones(1, 1, 2, 2))[0, 0]
    assert spread.tolist() == [
        [0.25, 0.25, 0.5, 0.25],
        [0.25, 0.25, 0.5, 0.25],
        [0.5, 0.5, 1, 0.5],
        [0.25, 0.25, 0.5, 0.25],
    ]


@torch.no_grad()
@pytest.mark.parametrize("training", [True, False])
def test_normalisation_uses_the_batch_in_training_and_each_image_otherwise(training):
    torch.manual_seed(0)
    layer = NormalisedConv(3, 4, 0.5).train(training)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 3, 5, 4)
    raw = F.conv2d(x, layer.conv.weight, padding=1)
    groups = [raw] if training else [raw[:1], raw[1:]]
    expected = torch.cat([normalise(g, layer.weight, layer.bias) for g in groups])
    torch.testing.assert_close(layer(x), expected)


def normalise(raw, weight, bias):
    mean = raw.mean((0, 2, 3), keepdim=True)
    variance = (raw - mean).square().mean((0, 2, 3), keepdim=True)
    scaled = (raw - mean) / (variance + 1e-5).sqrt() * weight[:, None, None] + bias[:, None, None]
    return scaled.clamp(min=0)


def fuse_by_loop(p, x, y, scale):
    """Three stages, in the order of the published code."""
    steps = {2: [2], 3: [3], 4: [4], 8: [4, 2]}[scale]
    a, b = p["response"], p["basis"]

    def bands(image, matrix):
        return torch.einsum("bihw,ij->bjhw", image, matrix)

    def down(image):
        images = [image]
        for index, step in enumerate(steps):
            images.append(down_by_loop(images[-1], p[f"down.{index}.weight"], step))
        return images

    def level(prefix, image, guide=None):
        hidden = image if guide is None else torch.cat((image, guide), 1)
        for layer in range(3):
            name = f"{prefix}.body.{layer}"
            hidden = F.conv2d(hidden, p[f"{name}.conv.weight"], padding=1)
            hidden = normalise(hidden, p[f"{name}.weight"], p[f"{name}.bias"])
        return image + hidden

    def up(stage, error):
        for index, step in enumerate(reversed(steps)):
            for part in range(2 if step == 4 else 1):
                weight = p[f"up.{stage}.up.{index}.{part}.weight"]
                error = spread_by_loop(error, weight, 2 if step == 4 else step)
            error = level(f"up.{stage}.guided.{index}", error, down(y)[len(steps) - 1 - index] / 10)
        blur = p[f"up.{stage}.blur.weight"]
        return F.conv2d(same(error, 4), blur, groups=len(blur))

    z = bands(y, a)
    rest = -bands(up(0, down(z)[-1] - x), b.T)
    rest = level("proximal.0", rest)
    z = bands(y, a) + bands(rest, b)
    rest = level("proximal.1", rest - bands(up(1, down(z)[-1] - x), b.T))
    z = bands(y, a) + bands(rest, b)
    for index in range(4):
        z = level(f"refine.{index}", z)
    return z
