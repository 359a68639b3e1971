"""The signs of health, against values known by hand or computed another way."""

import csv
import math

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer, seed_everything
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.optim import SGD, AdamW
from torch.utils.data import DataLoader

from cofusion import CoFusion, FusionModule
from cofusion.cli import main
from cofusion.errors import UserError
from cofusion.training.callbacks import Health
from cofusion.training.csv_log import MetricsLog
from command import QUICK, SHALLOW

# Lightning with PyTorch 2.13.
pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.")

SCALE, SIZE, HSI, MSI, DIM = 2, 16, 5, 3, 8
LEVELS = (1, 2, 3)
GATES = {f"health/gate{level}/entropy" for level in LEVELS}
SPECTRAL = {f"health/{name}" for i in LEVELS for name in (f"scm{i}/zeros", f"scm{i}/empty_rows")} | {
    f"health/specam{level}/alpha" for level in LEVELS
}
PARTS = {f"health/grad/{part}" for part in ("msg", "spacam", "specam", "sscfm", "join", "head")}


class Data(LightningDataModule):
    """Random pairs, two to a batch."""

    def __init__(self, batches=4):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        shapes = {
            "lr_hsi": (HSI, SIZE // SCALE, SIZE // SCALE),
            "hr_msi": (MSI, SIZE, SIZE),
            "hr_hsi": (HSI, SIZE, SIZE),
        }
        self.batches = [
            {key: torch.rand(2, *shape, generator=generator) for key, shape in shapes.items()}
            | {"name": "ab"}
            for _ in range(batches)
        ]

    def train_dataloader(self):
        return DataLoader(self.batches, batch_size=None)


class Fails(Data):
    """Cannot be trained with: the third batch is not finite."""

    def __init__(self):
        super().__init__()
        self.batches[2]["hr_hsi"].fill_(math.nan)


class Listeners(Callback):
    """Notes at every training step how many forward hooks the network has."""

    def __init__(self):
        self.counts = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.counts.append(listeners(pl_module.net))


class OneWeight(nn.Module):
    """A network without sub-modules of CoFusion, and with a weight of its own."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(HSI, HSI, 1)
        self.gain = nn.Parameter(torch.tensor(0.5))
        self.frozen = nn.Conv2d(1, 1, 1).requires_grad_(False)
        self.unused = nn.Conv2d(1, 1, 1)

    def forward(self, lr_hsi, hr_msi):
        return self.gain * self.mix(nn.functional.interpolate(lr_hsi, scale_factor=SCALE))


def listeners(net):
    return sum(len(module._forward_hooks) for module in net.modules())


def network(variant="full"):
    seed_everything(3, verbose=False)
    return CoFusion(HSI, MSI, SCALE, dim=DIM, variant=variant, **SHALLOW | {"spacam_depths": (1, 2, 1)})


def standing_still(net):
    """A module whose weights keep their values: what is logged can be computed afterwards."""
    return FusionModule(net, optimizer=lambda parameters: SGD(parameters, lr=0.0))


def fit(folder, module, *callbacks, data=None, epochs=1, **options):
    trainer = Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=MetricsLog(folder),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(module, data or Data())


def rows(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def health(folder):
    """The values of a run of one epoch."""
    (row,) = rows(folder)
    assert row["train/loss"], "the values stand in the row of the epoch"
    return {name: float(value) for name, value in row.items() if name.startswith("health/")}


def norms(module, batches):
    """The gradient norm of each child over batches that are accumulated, by one long vector."""
    module.zero_grad()
    for batch in batches:
        loss = module.loss(module(batch["lr_hsi"], batch["hr_msi"]), batch["hr_hsi"])
        (loss / len(batches)).backward()
    return {
        f"health/grad/{name}": torch.cat([p.grad.flatten() for p in child.parameters()])
        .double()
        .norm()
        .item()
        for name, child in module.net.named_children()
    }


def mean(values):
    return {name: sum(value[name] for value in values) / len(values) for name in values[0]}


# ---- the values


def set_expansion(net):
    """Give every image the same map of SCM, written down as rows."""
    # Column sums 6, 1, 0, 5, ...: the two columns that SCM keeps are the first and the fourth.
    kept = torch.tensor([[1, 0, 0, 2], [0, 1, 0, 0], [5, 0, 0, 0], [0, 0, 0, 3], *[[0, 0, 0, 0]] * 4])
    interaction = torch.cat((kept, torch.full((8, 4), -1)), 1)
    for specam in net.specam:
        nn.init.zeros_(specam.scm.expansion.weight)
        specam.scm.expansion.bias.data = interaction.flatten().float()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_zeros_and_empty_rows_of_a_map_written_by_hand(precision, tmp_path):
    net = network()
    set_expansion(net)
    fit(tmp_path, standing_still(net), Health(1), precision=precision)
    for level in LEVELS:
        # Of the 8 x 2 entries kept, 1, 2, 5 and 3 are not zero; they fill rows 1, 3 and 4.
        assert health(tmp_path)[f"health/scm{level}/zeros"] == pytest.approx(12 / 16)
        assert health(tmp_path)[f"health/scm{level}/empty_rows"] == pytest.approx(5 / 8)


def test_zeros_of_the_map_that_the_images_give(tmp_path):
    net, data = network(), Data()
    fit(tmp_path, standing_still(net), Health(1), data=data)
    found = health(tmp_path)
    saliencies = {scm: [] for scm in (specam.scm for specam in net.specam)}
    for scm, inputs in saliencies.items():
        scm.register_forward_pre_hook(lambda _, args, inputs=inputs: inputs.append(args[0]))
    net.train()
    with torch.no_grad():
        for batch in data.batches:
            net(batch["lr_hsi"], batch["hr_msi"])
        for level, (scm, inputs) in enumerate(saliencies.items(), start=1):
            zeros = empty = 0
            for v in torch.cat(inputs):
                full = scm.expansion(scm.g_theta(v[None])).clamp(min=0).reshape(DIM, DIM)
                kept = sorted(full.sum(0).argsort(descending=True)[: DIM // 4].tolist())
                zeros += sum(full[i, j] == 0 for i in range(DIM) for j in kept) / (DIM * len(kept))
                empty += sum(all(full[i, j] == 0 for j in kept) for i in range(DIM)) / DIM
            assert found[f"health/scm{level}/zeros"] == pytest.approx(float(zeros) / 8)
            assert found[f"health/scm{level}/empty_rows"] == pytest.approx(float(empty) / 8)


def set_gate(spacam, logits):
    """Give the gates of all pixels and channels the softmax of three numbers."""
    nn.init.zeros_(spacam.mix_contexts.weight)
    spacam.mix_contexts.bias.data = torch.tensor(logits).repeat_interleave(DIM)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_entropy_of_gates_set_by_hand(precision, tmp_path):
    net = network()
    set_gate(net.spacam[0][0], [math.log(1.0), math.log(2.0), math.log(5.0)])
    set_gate(net.spacam[1][0], [0.0, 0.0, 0.0])
    set_gate(net.spacam[1][1], [0.0, 1e4, 0.0])
    set_gate(net.spacam[2][0], [7.0, 7.0, -1e4])
    fit(tmp_path, standing_still(net), Health(1), precision=precision)
    found = health(tmp_path)
    tolerance = 1e-5 if precision == "32-true" else 1e-2
    entropy = -sum(p * math.log(p) for p in (1 / 8, 2 / 8, 5 / 8)) / math.log(3)
    assert found["health/gate1/entropy"] == pytest.approx(entropy, rel=tolerance)
    # One SpaCAM of the level is undecided, the other has chosen.
    assert found["health/gate2/entropy"] == pytest.approx(0.5, rel=tolerance)
    assert found["health/gate3/entropy"] == pytest.approx(math.log(2) / math.log(3), rel=tolerance)


def test_alpha_is_that_of_each_level(tmp_path):
    net = network()
    for specam, logit in zip(net.specam, (math.log(3), 0.0, -math.log(4)), strict=True):
        nn.init.constant_(specam.alpha_logit, logit)
    fit(tmp_path, standing_still(net), Health(1))
    found = [health(tmp_path)[f"health/specam{level}/alpha"] for level in LEVELS]
    assert found == pytest.approx([0.75, 0.5, 0.2])


def without_dropout(monkeypatch):
    """Make every pass equal: a second one then tells what the first has done."""
    monkeypatch.setattr("torch.nn.functional.dropout", lambda x, *args, **kwargs: x)


def test_gradient_norms_are_means_over_the_measured_steps_before_clipping(tmp_path, monkeypatch):
    without_dropout(monkeypatch)
    module, data = standing_still(network()), Data(5)
    fit(tmp_path, module, Health(2), data=data, gradient_clip_val=1e-6)
    expected = mean([norms(module, [data.batches[i]]) for i in (0, 2, 4)])
    found = health(tmp_path)
    assert {name: found[name] for name in PARTS} == pytest.approx(expected, rel=1e-4)
    assert min(expected.values()) > 1e-5


def test_a_step_with_accumulation_is_measured_whole(tmp_path, monkeypatch):
    without_dropout(monkeypatch)
    # Five batches are two whole steps and one of a single batch; the first and the third are measured.
    module, data, seen = standing_still(network()), Data(5), Listeners()
    fit(tmp_path, module, Health(2), seen, data=data, accumulate_grad_batches=2)
    first = norms(module, data.batches[:2])
    last = {name: value / 2 for name, value in norms(module, data.batches[4:]).items()}
    found = health(tmp_path)
    assert {name: found[name] for name in PARTS} == pytest.approx(mean([first, last]), rel=1e-4)
    assert [count > 0 for count in seen.counts] == [True, True, False, False, True]


# ---- which lines there are


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("full", GATES | SPECTRAL | PARTS),
        ("no_spacam", SPECTRAL | PARTS),
        ("no_specam", GATES | PARTS),
        ("no_sscfm", GATES | SPECTRAL | PARTS),
    ],
)
def test_every_variant_has_the_lines_of_its_modules(variant, expected, tmp_path):
    fit(tmp_path, standing_still(network(variant)), Health(), data=Data(1))
    assert set(health(tmp_path)) == expected


def test_another_network_has_its_gradient_norms(tmp_path):
    module, data = standing_still(OneWeight()), Data(1)
    fit(tmp_path, module, Health(), data=data)
    module.zero_grad()
    batch = data.batches[0]
    module.loss(module(batch["lr_hsi"], batch["hr_msi"]), batch["hr_hsi"]).backward()
    mix = torch.cat([p.grad.flatten() for p in module.net.mix.parameters()]).norm().item()
    gain = module.net.gain.grad.abs().item()
    # What is frozen has no line; what should be trained and gets no gradient stands out.
    expected = {"health/grad/mix": mix, "health/grad/gain": gain, "health/grad/unused": 0.0}
    assert health(tmp_path) == pytest.approx(expected)
    assert mix > 0 < gain


def test_a_compiled_network_stays_one_graph(tmp_path):
    net = network()
    net.compile(backend="eager", fullgraph=True)
    fit(tmp_path, standing_still(net), Health(), data=Data(1))
    assert set(health(tmp_path)) == PARTS | {f"health/specam{level}/alpha" for level in LEVELS}


def test_the_shipped_configs_measure_every_epoch_in_its_own_row(tmp_path):
    run = tmp_path / "run"
    assert main(["fit", *QUICK, "--run_dir", str(run), "--test_after_fit", "false"]) == 0
    epochs = [row for row in rows(run) if row["train/loss"]]
    assert [row["epoch"] for row in epochs] == ["0", "1"]
    for row in epochs:
        assert all(math.isfinite(float(row[name])) for name in GATES | SPECTRAL | PARTS)
    assert not any(row["health/grad/msg"] for row in rows(run) if row not in epochs)


# ---- what it leaves alone


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_training_is_the_same_bit_for_bit(precision, tmp_path):
    def trained(*callbacks):
        module = FusionModule(network(), optimizer=lambda parameters: AdamW(parameters, lr=1e-2))
        fit(tmp_path, module, *callbacks, epochs=2, precision=precision, gradient_clip_val=1.0)
        return module.state_dict(), torch.get_rng_state()

    (weights, random), (measured, random_measured) = trained(), trained(Health(1))
    start = network().state_dict()
    assert all(torch.equal(weights[name], measured[name]) for name in weights)
    assert torch.equal(random, random_measured)
    assert not any(torch.equal(weights[f"net.{name}"], start[name]) for name in start if "expansion" in name)


def test_other_steps_are_left_alone(tmp_path):
    net, seen = network(), Listeners()
    fit(tmp_path, standing_still(net), Health(3), seen, data=Data(5), epochs=2)
    assert [count > 0 for count in seen.counts] == [True, False, False, True, False] * 2
    assert listeners(net) == 0


def test_a_failed_step_leaves_no_listener(tmp_path):
    net, seen = network(), Listeners()
    with pytest.raises(UserError, match="loss became nan"):
        fit(tmp_path, standing_still(net), Health(1), seen, data=Fails())
    assert min(seen.counts) > 0
    assert listeners(net) == 0


def test_an_interval_is_positive():
    with pytest.raises(UserError, match="every_n_steps 0"):
        Health(0)


# ---- several processes


def test_two_processes_log_what_both_have_seen(tmp_path, monkeypatch):
    without_dropout(monkeypatch)
    module, data = standing_still(network()), Data(2)
    ddp = DDPStrategy(
        start_method="fork", process_group_backend="gloo", cluster_environment=LightningEnvironment()
    )
    fit(tmp_path, module, Health(1), data=data, strategy=ddp, devices=2)
    both = health(tmp_path)
    # A process has one batch; the gradient is the mean over the processes, as in accumulation.
    assert {name: both[name] for name in PARTS} == pytest.approx(norms(module, data.batches), rel=1e-4)
    # What the forward pass tells is the mean over the batches, as in one process.
    alone = tmp_path / "alone"
    fit(alone, module, Health(1), data=data)
    forward = GATES | SPECTRAL
    assert {name: both[name] for name in forward} == pytest.approx({n: health(alone)[n] for n in forward})
