"""The physical consistency of a fused image with its pair, and its place in the loss."""

from dataclasses import replace

import pytest
import torch

from cofusion import FusionModule, Sensors
from cofusion.errors import UserError
from cofusion.models import Bicubic
from cofusion.models.classical.base import ClassicalMethod
from cofusion.sensors import SpectralResponse
from cofusion.training.consistency import Consistency
from quality import loop_degrade, make_sensors


@pytest.fixture
def sensors() -> Sensors:
    return make_sensors(scale=2, size=3, first=1, hsi=4, msi=3)


def test_it_is_the_mean_absolute_error_of_both_images(sensors):
    generator = torch.Generator().manual_seed(0)
    fused = torch.rand(2, 4, 12, 16, generator=generator)
    lr_hsi, hr_msi = (torch.rand(size, generator=generator) for size in ((2, 4, 6, 8), (2, 3, 12, 16)))
    coarse, fine = [], []
    for image in range(2):
        seen = loop_degrade(fused[image].double().numpy(), sensors.psf.double().numpy(), 2, 1)
        # The outermost pixels see what lies beyond the crop.
        difference = torch.as_tensor(seen) - lr_hsi[image]
        coarse.append(difference[:, 1:-1, 1:-1].abs())
        for band in range(3):
            weighted = sum(float(sensors.response.weights[band, c]) * fused[image, c] for c in range(4))
            fine.append((weighted - hr_msi[image, band]).abs())
    for weights in ((1.0, 1.0), (0.5, 0.0), (0.0, 3.0)):
        weighted = sum(w * torch.stack(part).mean() for w, part in zip(weights, (coarse, fine), strict=True))
        found = Consistency(*weights)(fused, lr_hsi, hr_msi, sensors)
        assert float(found) == pytest.approx(float(weighted), abs=1e-6)


def test_the_scene_itself_is_consistent_with_its_pair(sensors):
    scene = torch.rand(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    assert float(Consistency()(scene, *sensors.degrade(scene), sensors)) < 1e-6
    assert float(Consistency()(0.5 * scene, *sensors.degrade(scene), sensors)) > 0.1


def test_mixed_precision_changes_nothing(sensors):
    psf = torch.rand(3, 3, generator=torch.Generator().manual_seed(2))
    looks = replace(sensors, psf=psf / psf.sum())
    scene = torch.rand(1, 4, 16, 16)
    pair = looks.degrade(scene)
    full = Consistency()(0.9 * scene, *pair, looks)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert Consistency()(0.9 * scene, *pair, looks) == full


class Data:
    """Stands for a data module that knows the sensors."""

    def __init__(self, sensors: Sensors) -> None:
        self.sensors = sensors


class Trainer:
    """Stands for Lightning's."""

    def __init__(self, sensors: Sensors) -> None:
        self.datamodule = Data(sensors)


def attached(module: FusionModule, sensors: Sensors) -> FusionModule:
    module._trainer, module._fabric = Trainer(sensors), None
    module.log = lambda *args, **kwargs: None
    return module


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_it_joins_the_loss_with_its_weight(weight, sensors):
    scene = torch.rand(1, 4, 16, 16, generator=torch.Generator().manual_seed(2))
    lr_hsi, hr_msi = sensors.degrade(scene)
    batch = {"lr_hsi": lr_hsi, "hr_msi": hr_msi, "hr_hsi": scene, "name": ["a"]}
    consistency = Consistency(weight, weight)
    module = attached(FusionModule(Bicubic(2), consistency=consistency), sensors)
    alone = module.training_step(batch, 0)
    both = module.training_step({**batch, "full_lr_hsi": lr_hsi, "full_hr_msi": hr_msi}, 0)
    expected = consistency(Bicubic(2)(lr_hsi, hr_msi), lr_hsi, hr_msi, sensors)
    torch.testing.assert_close(both - alone, expected)


@pytest.mark.parametrize("name", ["lr_hsi", "hr_msi"])
def test_a_negative_weight_is_refused(name):
    with pytest.raises(UserError, match=f"consistency.{name} must be 0 or more, not -1"):
        Consistency(**{name: -1})


class Told(ClassicalMethod):
    """Gives back what it was told."""

    def fuse(self, lr_hsi: torch.Tensor, hr_msi: torch.Tensor, sensors: Sensors) -> torch.Tensor:
        self.sensors = sensors
        return hr_msi[:, :1].expand(-1, lr_hsi.shape[1], -1, -1)


def test_a_classical_method_is_told_the_sensors(sensors):
    module = attached(FusionModule(Told()), sensors)
    lr_hsi, hr_msi = sensors.degrade(torch.rand(1, 4, 8, 8))
    assert module(lr_hsi, hr_msi).shape == (1, 4, 8, 8)
    assert module.net.sensors is sensors
    other = SpectralResponse.pick([0, 1], 4)
    with pytest.raises(ValueError, match="expected lr_hsi"):
        module.net(lr_hsi, hr_msi, Sensors(sensors.psf, 2, sensors.phase, "reflect", other))
    with pytest.raises(UserError, match="Told needs to know the sensors"):
        attached(FusionModule(Told()), None)(lr_hsi, hr_msi)
