"""Fusformer against a literal version of its flow."""

import pytest
import torch
import torch.nn.functional as F

from cofusion.models.deep import Fusformer
from cofusion.sensors import upsample
from models.deep.base import InterpolatingNetworkTests, pair
from models.deep.overfit import overfit_psnr

# Two position tables of the published code, for 64 x 64 tokens, that are never added.
UNUSED = 2 * 64 * 64 * 48


class TestFusformer(InterpolatingNetworkTests):
    network = Fusformer
    parameters = (504_463 - UNUSED, 539_143 - UNUSED, 551_120 - UNUSED, 551_168 - UNUSED)
    multiple = 1

    @torch.no_grad()
    def test_flow_token_by_token(self):
        net = self.make(scale=2, clamp_output=False).double()
        # Large weights, so that attention is far from the mean of all pixels.
        for p in net.parameters():
            torch.nn.init.normal_(p, std=0.3)
        x, y = (image.double() for image in pair(scale=2, rows=2, cols=3))
        expected = fuse_by_loop(dict(net.named_parameters()), x, y)
        torch.testing.assert_close(net(x, y), expected)

    @pytest.mark.parametrize("clamp_output", [True, False])
    def test_interpolation_is_always_clamped_and_the_result_by_default(self, clamp_output):
        net = self.make(clamp_output=clamp_output)
        torch.nn.init.zeros_(net.head[-1].weight)
        torch.nn.init.constant_(net.head[-1].bias, 0.5)
        lr_hsi, hr_msi = pair()
        lr_hsi = (lr_hsi > 0.5).float()  # interpolated across edges, it overshoots
        base = upsample(lr_hsi, 4, 0.0)
        assert base.max() > 1
        expected = base.clamp(0, 1) + 0.5
        torch.testing.assert_close(net(lr_hsi, hr_msi), expected.clamp(max=1) if clamp_output else expected)

    @pytest.mark.slow
    def test_learns_one_scene_by_heart(self):
        assert overfit_psnr(self.make(), steps=2500, lr=7e-4) > 45


def fuse_by_loop(p, x, y):
    """One image, tokens `(n, 48)`, one head and one query at a time."""
    base = upsample(x, 2, 0.0).clamp(0, 1)
    image = torch.cat((base, y), 1)[0]
    rows, cols = image.shape[1:]
    pixels = torch.stack([image[:, r, c] for r in range(rows) for c in range(cols)])
    tokens = pixels @ p["embed.weight"].T + p["embed.bias"]
    for index, kind in enumerate("AFAFAAFAAF"):
        step = attend if kind == "A" else feed_forward
        prefix = f"layers.{index}."
        tokens = tokens + step(
            {k.removeprefix(prefix): v for k, v in p.items() if k.startswith(prefix)}, tokens
        )
    features = torch.empty(1, 48, rows, cols, dtype=torch.float64)
    for i, token in enumerate(tokens):
        features[0, :, i // cols, i % cols] = token
    hidden = F.leaky_relu(F.conv2d(features, p["head.0.weight"], p["head.0.bias"], padding=1), 0.01)
    return base + F.conv2d(hidden, p["head.2.weight"], p["head.2.bias"], padding=1)


def attend(p, tokens):
    normal = F.layer_norm(tokens, (48,), p["norm.weight"], p["norm.bias"])
    q, k, v = (normal @ weight.T for weight in p["qkv.weight"].split(48))
    out = torch.zeros_like(tokens)
    for head in range(3):
        channels = slice(16 * head, 16 * head + 16)
        for i in range(len(tokens)):
            weights = torch.stack([(q[i, channels] * key).sum() / 4 for key in k[:, channels]]).exp()
            out[i, channels] = (weights / weights.sum()) @ v[:, channels]
    return out @ p["proj.weight"].T + p["proj.bias"]


def feed_forward(p, tokens):
    normal = F.layer_norm(tokens, (48,), p["body.0.weight"], p["body.0.bias"])
    hidden = normal @ p["body.1.weight"].T + p["body.1.bias"]
    return torch.where(hidden > 0, hidden, 0.01 * hidden) @ p["body.3.weight"].T + p["body.3.bias"]
