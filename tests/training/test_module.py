"""FusionModule under a Trainer, without the command line."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import ReduceLROnPlateau
from torch import Tensor, nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import OneCycleLR, StepLR
from torch.utils.data import DataLoader

from cofusion import FusionModule
from cofusion.errors import UserError
from cofusion.metrics import ergas, psnr, sam, ssim
from cofusion.models import Bicubic
from cofusion.models.classical import GSA
from cofusion.training import EMA, Cosine, FusionLoss

# Lightning with PyTorch 2.13.
pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.")

SCALE, SIZE, HSI, MSI = 4, 16, 3, 2


class Scale(nn.Module):
    """Bicubic times one weight: enough to train."""

    def __init__(self, start: float = 0.5) -> None:
        super().__init__()
        self.start = start
        self.base = Bicubic(SCALE)
        self.weight = nn.Parameter(torch.tensor(start))

    def forward(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        return self.weight * self.base(lr_hsi, hr_msi)


class Data(LightningDataModule):
    """Random images, one a batch: the same for every stage."""

    def __init__(self, count: int = 3, phase: float = 0.0) -> None:
        super().__init__()
        self.phase = phase
        self.batches = [self._pair(i) for i in range(count)]

    def _pair(self, seed: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(seed)
        lr_hsi = torch.rand(1, HSI, SIZE // SCALE, SIZE // SCALE, generator=generator)
        hr_msi = torch.rand(1, MSI, SIZE, SIZE, generator=generator)
        noise = torch.rand(1, HSI, SIZE, SIZE, generator=generator)
        hr_hsi = (0.8 * Bicubic(SCALE)(lr_hsi, hr_msi) + 0.1 * noise).clamp(0, 1)
        return {"lr_hsi": lr_hsi, "hr_msi": hr_msi, "hr_hsi": hr_hsi, "name": [f"scene_{seed}"]}

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.batches, batch_size=None)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


def trainer(tmp_path: Any, epochs: int = 2, callbacks: Sequence[Callback] = (), **options: Any) -> Trainer:
    return Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )


class Record(Callback):
    """Notes the learning rate and the weight after every step."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.weights: list[float] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.weights.append(pl_module.net.weight.item())


def rates(tmp_path: Any, epochs: int = 2, **module: Any) -> list[float]:
    record = Record()
    module.setdefault("optimizer", lambda parameters: SGD(parameters, lr=1.0))
    trainer(tmp_path, epochs, [record]).fit(FusionModule(Scale(), **module), Data())
    return record.rates


def test_training_reduces_the_loss_with_the_default_loss_and_optimiser(tmp_path):
    module, data = FusionModule(Scale(), optimizer=lambda parameters: AdamW(parameters, lr=0.1)), Data()
    assert isinstance(module.loss, FusionLoss)

    def loss() -> float:
        batches = data.batches
        return sum(module.loss(module(b["lr_hsi"], b["hr_msi"]), b["hr_hsi"]).item() for b in batches)

    before = loss()
    trainer(tmp_path, 5).fit(module, data)
    assert loss() < 0.5 * before


def test_validation_is_the_mean_over_images(tmp_path):
    module, data = FusionModule(Scale(3.0)), Data()
    (logged,) = trainer(tmp_path).validate(module, data, verbose=False)
    assert set(logged) == {"val/psnr", "val/ssim", "val/sam", "val/ergas"}
    for name, function in {"psnr": psnr, "ssim": ssim, "sam": sam}.items():
        values = [
            function(module(b["lr_hsi"], b["hr_msi"]).clamp(0, 1), b["hr_hsi"]).item() for b in data.batches
        ]
        assert logged[f"val/{name}"] == pytest.approx(sum(values) / 3, rel=1e-6), name


def test_test_measures_the_network_and_the_baselines_per_scene(tmp_path):
    module, data = FusionModule(Scale(0.9)), Data(phase=0.0)
    (logged,) = trainer(tmp_path).test(module, data, verbose=False)
    results = module.test_results
    assert list(results) == ["fused", "bicubic", "bicubic_aligned"]
    methods = {"fused": module, "bicubic": Bicubic(SCALE), "bicubic_aligned": Bicubic(SCALE, 0.0)}
    for method, forward in methods.items():
        assert list(results[method]) == ["scene_0", "scene_1", "scene_2"]
        for batch in data.batches:
            image, reference = forward(batch["lr_hsi"], batch["hr_msi"]).clamp(0, 1), batch["hr_hsi"]
            found = results[method][batch["name"][0]]
            assert found["psnr"] == pytest.approx(psnr(image, reference).item())
            assert found["psnr_max"] == pytest.approx(psnr(image, reference, peak="max").item())
            assert found["ergas"] == pytest.approx(ergas(image, reference, SCALE).item())
            assert found["ergas_100_4"] == pytest.approx(ergas(image, reference, 4).item())
            assert list(found) == ["psnr", "psnr_max", "ssim", "sam", "ergas", "ergas_100_4"]
    mean = sum(scores["sam"] for scores in results["fused"].values()) / 3
    assert logged["test/sam"] == pytest.approx(mean)


def test_the_aligned_baseline_is_left_out_where_it_is_the_plain_one(tmp_path):
    module = FusionModule(Scale())
    trainer(tmp_path).test(module, Data(phase=(SCALE - 1) / 2), verbose=False)
    assert list(module.test_results) == ["fused", "bicubic"]


def test_a_second_test_forgets_the_first(tmp_path):
    module = FusionModule(Scale())
    trainer(tmp_path).test(module, Data(3), verbose=False)
    trainer(tmp_path).test(module, Data(1), verbose=False)
    assert list(module.test_results["fused"]) == ["scene_0"]


def test_predictions_are_clipped_to_the_range_of_the_references(tmp_path):
    outputs = trainer(tmp_path).predict(FusionModule(Scale(5.0)), Data())
    fused = torch.cat([output["fused"] for output in outputs])
    assert fused.shape == (3, HSI, SIZE, SIZE)
    assert (fused.min(), fused.max()) == (0, 1)


class Explode(Scale):
    """Returns NaN from the third training batch on."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        self.calls += self.training
        return super().forward(lr_hsi, hr_msi) * (math.nan if self.calls > 4 else 1.0)


def test_a_loss_that_is_not_finite_stops_and_names_step_and_batch(tmp_path):
    module, record = FusionModule(Explode()), Record()
    with pytest.raises(UserError, match=r"nan at step 4 \(epoch 1, batch 1: scene_1\)") as error:
        trainer(tmp_path, 3, [record]).fit(module, Data())
    assert "\n" not in str(error.value)
    assert len(record.weights) == 4
    assert math.isfinite(module.net.weight.item())


class Dice(Scale):
    """Notes a random number per training step, drawn as dropout would."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[float] = []

    def forward(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        if self.training:
            self.drawn.append(torch.rand(1).item())
        return super().forward(lr_hsi, hr_msi)


def draws(tmp_path: Any, seed: int, **options: Any) -> list[float]:
    torch.manual_seed(len(options))  # what went before must not matter
    module = FusionModule(Dice(), seed=seed)
    trainer(tmp_path, **options).fit(module, Data())
    return module.net.drawn[-6:]


def test_randomness_in_the_network_depends_on_seed_epoch_and_step_alone(tmp_path):
    first = draws(tmp_path, seed=1)
    assert len(set(first)) == len(first) == 6
    assert draws(tmp_path, seed=1, limit_val_batches=0) == first
    assert not set(draws(tmp_path, seed=2)) & set(first)


# ---- optimisers and schedules


def test_without_a_schedule_the_rate_stays(tmp_path):
    assert rates(tmp_path) == [1.0] * 6


def test_a_curve_over_the_run_by_step(tmp_path):
    expected = [Cosine(floor=0.1)(step / 6) for step in range(6)]
    assert rates(tmp_path, lr_scheduler=Cosine(floor=0.1)) == pytest.approx(expected)


def test_a_curve_over_the_run_by_epoch(tmp_path):
    found = rates(tmp_path, 4, lr_scheduler=Cosine(), lr_interval="epoch")
    assert found == pytest.approx([Cosine()(epoch / 4) for epoch in range(4) for _ in range(3)])


def test_torch_schedulers_by_step_and_by_epoch(tmp_path):
    halve = {"lr_scheduler": lambda optimizer: StepLR(optimizer, 1, 0.5)}
    assert rates(tmp_path, **halve) == [0.5**step for step in range(6)]
    assert rates(tmp_path, **halve, lr_interval="epoch") == [1.0] * 3 + [0.5] * 3
    found = rates(tmp_path, lr_scheduler=lambda optimizer: OneCycleLR(optimizer, 2.0, total_steps=7))
    assert max(found) == pytest.approx(2.0, abs=0.1)
    assert found[0] < found[1] > found[-1]


def test_a_plateau_scheduler_watches_its_metric(tmp_path):
    def scheduler(optimizer: Any) -> ReduceLROnPlateau:
        return ReduceLROnPlateau(optimizer, "val/psnr", mode="max", patience=0, threshold=1e9, factor=0.1)

    assert rates(tmp_path, 3, lr_scheduler=scheduler) == pytest.approx([1.0] * 6 + [0.1] * 3)


def test_a_curve_without_an_end_and_a_network_without_weights_are_refused(tmp_path):
    with pytest.raises(UserError, match="no planned end"):
        trainer(tmp_path, -1).fit(FusionModule(Scale(), lr_scheduler=Cosine()), Data())
    with pytest.raises(UserError, match="no weights to train"):
        trainer(tmp_path).fit(FusionModule(Bicubic(SCALE)), Data())


# ---- averaging


def test_the_averaged_weights_are_validated_saved_and_kept(tmp_path):
    decay, record = 0.8, Record()
    module = FusionModule(Scale(0.5), optimizer=lambda parameters: SGD(parameters, lr=0.5))
    fitting = trainer(tmp_path, 2, [EMA(decay), record])
    fitting.fit(module, Data())
    # The first update copies the weight; the later ones average.
    average = record.weights[0]
    for weight in record.weights[1:]:
        average = decay * average + (1 - decay) * weight
    assert len(record.weights) == 6
    assert module.net.weight.item() == pytest.approx(average, rel=1e-6)
    assert average != pytest.approx(record.weights[-1], rel=1e-3)


def test_testing_the_checkpoint_after_fit_uses_the_averaged_weights(tmp_path):
    class Save(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.save_checkpoint(tmp_path / "x.ckpt")

    module = FusionModule(Scale(0.5), optimizer=lambda parameters: SGD(parameters, lr=0.5))
    fitting = trainer(tmp_path, 2, [EMA(0.8), Save()])
    fitting.fit(module, Data())
    average = module.net.weight.item()
    fitting.test(module, Data(), ckpt_path=tmp_path / "x.ckpt", weights_only=True, verbose=False)
    assert module.net.weight.item() == pytest.approx(average)
    saved = torch.load(tmp_path / "x.ckpt", weights_only=True)
    assert saved["state_dict"]["net.weight"].item() == pytest.approx(average)
    assert saved["current_model_state"]["net.weight"].item() != pytest.approx(average, rel=1e-3)


def test_a_checkpoint_names_its_network_and_loads_as_plain_values(tmp_path):
    fitting = trainer(tmp_path)
    fitting.fit(FusionModule(Scale(0.5)), Data())
    fitting.save_checkpoint(tmp_path / "x.ckpt")
    saved = torch.load(tmp_path / "x.ckpt", weights_only=True)
    assert saved["cofusion"]["net"]["init_args"] == {"start": 0.5}
    assert set(saved["state_dict"]) == {"net.weight"}
    again = FusionModule.load_from_checkpoint(tmp_path / "x.ckpt", net=Scale(0.1), weights_only=True)
    assert again.net.weight.item() == saved["state_dict"]["net.weight"].item()


class Counted(Bicubic):
    """Bicubic that counts how often it is asked, and for how much."""

    def __init__(self) -> None:
        super().__init__(SCALE)
        self.sizes: list[int] = []

    def forward(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        self.sizes.append(hr_msi.shape[-1])
        return super().forward(lr_hsi, hr_msi)


def test_whole_images_are_fused_in_tiles_where_asked(tmp_path):
    pair = {"lr_hsi": torch.rand(2, HSI, 64, 64), "hr_msi": torch.rand(2, MSI, 256, 256)}
    fused = []
    for tile, margin, calls in ((None, None, 1), (64, None, 2 * 16), (128, 8, 2 * 4)):
        net = Counted()
        module = FusionModule(net, tile=tile, tile_margin=margin)
        fused.append(module.predict_step({**pair, "name": ["a", "b"]}, 0)["fused"])
        assert len(net.sizes) == calls
    # The tile, the seam it shares, and a margin on either side.
    assert max(net.sizes) == 128 + 16 + 2 * 8
    for one in fused[1:]:
        torch.testing.assert_close(one, fused[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("value", [0.0, 0.001])
def test_dark_and_flat_images_are_fused_in_tiles_too(value):
    pair = {"lr_hsi": torch.full((1, HSI, 32, 32), value), "hr_msi": torch.full((1, MSI, 128, 128), value)}
    fused = FusionModule(Bicubic(SCALE), tile=64).predict_step({**pair, "name": ["dark"]}, 0)["fused"]
    torch.testing.assert_close(fused, torch.full((1, HSI, 128, 128), value))


@pytest.mark.parametrize(
    ("tile", "margin", "words"),
    [
        (0, None, "model.tile is 0; give the side of the tiles in pixels, at least 1"),
        (64, -1, "model.tile_margin is -1 and model.tile 64; give tiles, and a margin of at least 0"),
        (None, 8, "model.tile_margin is 8 and model.tile None; give tiles"),
    ],
)
def test_tiles_have_a_side_and_margins(tile, margin, words):
    with pytest.raises(UserError, match=words):
        FusionModule(Bicubic(SCALE), tile=tile, tile_margin=margin)


def test_a_method_that_needs_the_whole_image_takes_no_tiles():
    module = FusionModule(GSA(), tile=64)
    batch = {"lr_hsi": torch.rand(1, HSI, 4, 4), "hr_msi": torch.rand(1, MSI, 16, 16), "name": ["a"]}
    with pytest.raises(UserError, match=r"GSA needs the whole image; leave model\.tile out"):
        module.predict_step(batch, 0)
