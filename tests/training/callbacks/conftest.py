"""A toy module and data with the outputs, batches and attributes that the callbacks rely on."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from torch.nn import functional as F
from torch.utils.data import DataLoader

SCALE, BANDS = 2, 6


class Net(torch.nn.Module):
    """Upsamples and mixes the bands."""

    def __init__(self):
        super().__init__()
        self.mix = torch.nn.Conv2d(BANDS, BANDS, 1)

    def forward(self, lr_hsi):
        return self.mix(F.interpolate(lr_hsi, scale_factor=SCALE))


class ToyModule(LightningModule):
    """Like FusionModule as seen from a callback."""

    def __init__(self, seed=7):
        super().__init__()
        self.net = Net()
        self.seed = seed
        self.test_results = {}

    def training_step(self, batch, batch_idx):
        return F.l1_loss(self.net(batch["lr_hsi"]), batch["hr_hsi"])

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", F.l1_loss(self.net(batch["lr_hsi"]), batch["hr_hsi"]), batch_size=1)
        return {"fused": self.net(batch["lr_hsi"])}

    def test_step(self, batch, batch_idx):
        outputs = {
            "fused": self.net(batch["lr_hsi"]),
            "bicubic": F.interpolate(batch["lr_hsi"], scale_factor=2),
        }
        for method, fused in outputs.items():
            errors = (fused - batch["hr_hsi"]).abs().mean((1, 2, 3)).tolist()
            for scene, error in zip(batch["name"], errors, strict=True):
                self.test_results.setdefault(method, {})[scene] = {"psnr": 30 + error, "sam": error}
        return outputs

    def predict_step(self, batch, batch_idx):
        return {"fused": self.net(batch["lr_hsi"])}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class ToyData(LightningDataModule):
    """Whole scenes of which one is not square, named like real ones."""

    def __init__(self, names=("beads", "toys 2"), reference=True):
        super().__init__()
        self.names, self.reference = names, reference
        self.scale, self.seed = SCALE, 11
        self.wavelengths = torch.linspace(450, 650, BANDS)
        self.sensors = SimpleNamespace(response=SimpleNamespace(weights=torch.eye(BANDS)[:3]))
        self.protocol = {"scale": SCALE, "phase": 0.5, "response": "pick"}

    def batches(self):
        generator = torch.Generator().manual_seed(0)
        samples = []
        for index, name in enumerate(self.names):
            cube = torch.rand(BANDS, 16, 16 + 8 * index, generator=generator)
            sample = {"lr_hsi": cube[:, ::SCALE, ::SCALE], "hr_msi": cube[:3], "name": name}
            samples.append(sample | ({"hr_hsi": cube} if self.reference else {}))
        return DataLoader(samples, batch_size=1)

    train_dataloader = val_dataloader = test_dataloader = predict_dataloader = batches


@pytest.fixture
def make_trainer(tmp_path):
    """Build a quiet CPU trainer whose run directory is `tmp_path`."""

    def make(*callbacks, **options):
        options = {"max_epochs": 2, "logger": False, "enable_checkpointing": False, **options}
        return Trainer(
            default_root_dir=tmp_path,
            accelerator="cpu",
            callbacks=list(callbacks),
            enable_progress_bar=False,
            enable_model_summary=False,
            **options,
        )

    return make


@pytest.fixture
def module():
    torch.manual_seed(0)
    return ToyModule()


@pytest.fixture
def make_data():
    return ToyData


@pytest.fixture
def data():
    return ToyData()
