"""What every deep comparison network has to do; a test class per network inherits it."""

import re

import pytest
import torch
import torch.nn.functional as F

from cofusion.models import Provenance

BANDS = ((31, 3), (103, 4), (128, 3), (128, 4))


def pair(hsi=5, msi=3, scale=4, rows=3, cols=4, batch=1):
    generator = torch.Generator().manual_seed(0)
    lr_hsi = torch.rand(batch, hsi, rows, cols, generator=generator)
    hr_msi = torch.rand(batch, msi, rows * scale, cols * scale, generator=generator)
    return lr_hsi, hr_msi


class FusionNetworkTests:
    """Subclasses name the network, its live parameters at scale 4 and its grid."""

    network: type
    parameters: tuple[int, int, int, int]
    multiple: int

    def make(self, hsi=5, msi=3, scale=4, **options):
        torch.manual_seed(0)
        return self.network(hsi, msi, scale, **options)

    @pytest.mark.parametrize("case", range(len(BANDS)), ids=str)
    def test_number_of_live_parameters_is_the_published_one(self, case):
        net = self.make(*BANDS[case])
        assert sum(p.numel() for p in net.parameters()) == self.parameters[case]

    @pytest.mark.parametrize("scale", [2, 3, 4, 8, 16])
    @pytest.mark.parametrize(("rows", "cols"), [(1, 1), (2, 3)])
    def test_any_size_and_scale(self, scale, rows, cols):
        fused = self.make(scale=scale).eval()(*pair(scale=scale, rows=rows, cols=cols))
        assert fused.shape == (1, 5, rows * scale, cols * scale)
        assert fused.isfinite().all()

    @pytest.mark.parametrize(("hsi", "msi"), [(1, 1), (40, 13)])
    def test_any_number_of_bands(self, hsi, msi):
        assert self.make(hsi, msi)(*pair(hsi, msi, rows=2, cols=2)).shape == (1, hsi, 8, 8)

    def test_gradients_reach_every_parameter(self):
        net = self.make()
        (net(*pair(batch=2)) - 0.3).square().mean().backward()
        without = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()}
        assert without == set()

    def test_padding_replicates_the_borders_of_both_images(self):
        net = self.make(scale=3).eval()
        lr_hsi, hr_msi = pair(scale=3, rows=5, cols=self.multiple)
        below = -5 % self.multiple
        padded = net(
            F.pad(lr_hsi, (0, 0, 0, below), mode="replicate"),
            F.pad(hr_msi, (0, 0, 0, 3 * below), mode="replicate"),
        )
        torch.testing.assert_close(net(lr_hsi, hr_msi), padded[..., :15, :], rtol=1e-4, atol=1e-5)

    def test_evaluation_repeats_and_images_of_a_batch_are_independent(self):
        net = self.make().eval()
        lr_hsi, hr_msi = pair(batch=2)
        together = net(lr_hsi, hr_msi)
        assert torch.equal(together, net(lr_hsi, hr_msi))
        alone = torch.cat([net(lr_hsi[i : i + 1], hr_msi[i : i + 1]) for i in range(2)])
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)

    def test_both_images_matter_and_are_left_alone(self):
        net = self.make().eval()
        lr_hsi, hr_msi = pair()
        before = lr_hsi.clone(), hr_msi.clone()
        fused = net(lr_hsi, hr_msi)
        assert torch.equal(lr_hsi, before[0])
        assert torch.equal(hr_msi, before[1])
        assert not torch.allclose(fused, net(lr_hsi, hr_msi.flip(2)))
        assert not torch.allclose(fused, net(lr_hsi.flip(2), hr_msi))

    def test_weights_travel(self, tmp_path):
        net = self.make().eval()
        net.save_pretrained(tmp_path, Provenance(scale=4))
        again = self.network.from_pretrained(tmp_path)
        assert torch.equal(again(*pair()), net(*pair()))

    def test_mixed_precision(self):
        net = self.make()
        with torch.autocast("cpu", torch.bfloat16):
            fused = net(*pair(batch=2))
            fused.float().square().mean().backward()
        assert fused.isfinite().all()
        assert all(p.grad.isfinite().all() for p in net.parameters())

    @pytest.mark.parametrize(
        ("lr_shape", "hr_shape"),
        [
            ((1, 4, 3, 3), (1, 3, 12, 12)),
            ((1, 5, 3, 3), (1, 2, 12, 12)),
            ((1, 5, 3, 3), (1, 3, 12, 11)),
            ((2, 5, 3, 3), (1, 3, 12, 12)),
            ((5, 3, 3), (3, 12, 12)),
        ],
    )
    def test_mismatched_images_are_named(self, lr_shape, hr_shape):
        message = re.escape(f"got lr_hsi {lr_shape} and hr_msi {hr_shape}")
        with pytest.raises(ValueError, match=message):
            self.make()(torch.rand(lr_shape), torch.rand(hr_shape))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((0, 3, 4), "at least one band"),
            ((5, 3, 1), "scale must be an integer of at least 2, got 1"),
            ((5, 3, 2.5), "scale must be an integer of at least 2, got 2.5"),
        ],
    )
    def test_bad_arguments_are_named(self, arguments, message):
        with pytest.raises(ValueError, match=re.escape(message)):
            self.network(*arguments)


class InterpolatingNetworkTests(FusionNetworkTests):
    """For networks that start from the interpolated LRHSI."""

    def test_the_phase_moves_the_result(self):
        images = pair()
        at_zero, at_two = (self.make(phase=phase).eval()(*images) for phase in (0.0, 2.0))
        assert not torch.allclose(at_zero, at_two)

    def test_phase_is_checked(self):
        with pytest.raises(ValueError, match=re.escape("phase must lie in 0..3.5")):
            self.make(phase=4.0)
