"""From a run to a directory that travels, by the command."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cofusion import CoFusion, FusionDataModule
from cofusion.cli import main
from cofusion.metrics import psnr
from cofusion.models import Provenance
from cofusion.scenes import Synthetic
from cofusion.sensors import GaussianResponse
from command import QUICK, SHALLOW

# As configs/data/synthetic.yaml says.
CENTRES, WIDTHS = [470, 550, 650, 850], [70, 80, 70, 120]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of a finished fit."""
    run = tmp_path_factory.mktemp("trained") / "run"
    assert main(["fit", *QUICK, "--run_dir", str(run)]) == 0
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def exported(run: Path, *flags: str) -> CoFusion:
    assert main(["export", str(run), "-o", "out", *flags]) == 0
    return CoFusion.from_pretrained("out")


def fails(capfd: pytest.CaptureFixture[str], *args: str, status: int = 1) -> str:
    """Run a command that fails with one line, and return that."""
    assert main(list(args)) == status
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("cofusion: error: ")
    return line


def read(run: Path, ckpt: str = "best") -> dict[str, Any]:
    return torch.load(run / "checkpoints" / f"{ckpt}.ckpt", weights_only=True)


def edit(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what the best checkpoint holds."""
    checkpoint = read(run)
    change(checkpoint)
    torch.save(checkpoint, run / "checkpoints" / "best.ckpt")


def data() -> FusionDataModule:
    """The quickstart's data, made without the command."""
    response = GaussianResponse(CENTRES, WIDTHS)
    return FusionDataModule(
        lambda root: Synthetic(root, bands=6, size=32),
        "synthetic",
        4,
        response,
        patch=16,
        patches_per_epoch=8,
    )


@pytest.mark.parametrize("ckpt", ["best", "last"])
def test_the_exported_network_is_the_trained_one(trained, ckpt):
    net = exported(trained, "--ckpt", ckpt)
    expected = CoFusion(6, 4, 4, dim=8, **SHALLOW).eval()
    weights = read(trained, ckpt)["state_dict"]
    expected.load_state_dict({name.removeprefix("net."): weights[name] for name in weights if "net." in name})
    pair = torch.rand(1, 6, 5, 7), torch.rand(1, 4, 20, 28)
    with torch.no_grad():
        assert torch.equal(net(*pair), expected(*pair))


def test_the_provenance_is_that_of_the_run(trained):
    provenance = exported(trained).provenance
    config = yaml.safe_load((trained / "config.yaml").read_text())["data"]
    results = json.loads((trained / "results.json").read_text())
    sensors = data().sensors
    assert provenance == Provenance(
        dataset="synthetic",
        scenes="cofusion.scenes.synthetic.Synthetic",
        split=config["split"],
        train_scenes=("synthetic_0", "synthetic_1"),
        hsi_bands=config["scenes"]["init_args"]["bands"],
        msi_bands=len(config["response"]["init_args"]["centres"]),
        wavelengths=(400.0, 520.0, 640.0, 760.0, 880.0, 1000.0),
        scaling=1.0,
        scale=config["scale"],
        phase=0.0,
        preset=config["preset"],
        psf=tuple(map(tuple, sensors.psf.tolist())),
        border="reflect",
        response="gaussian",
        response_names=("470 nm", "550 nm", "650 nm", "850 nm"),
        response_weights=tuple(map(tuple, sensors.response.weights.tolist())),
        version="0.1.0",
        commit=results["commit"],
        seed=3407,
        steps=read(trained)["global_step"],
        test_scenes=("synthetic_3",),
        metrics=results["mean"],
    )


@pytest.mark.parametrize("averaged", [False, True])
def test_the_exported_network_reaches_the_recorded_metrics(trained, averaged):
    run = trained
    if averaged:
        # Weights that lag behind the latest ones by far.
        run = Path("ema")
        ema = ["--config", "ema", "--trainer.callbacks.decay", "0.9"]
        assert main(["fit", *QUICK, *ema, "--run_dir", str(run)]) == 0
        assert "current_model_state" in read(run)
    net, module = exported(run), data()
    module.setup("test")
    (batch,) = module.test_dataloader()
    with torch.no_grad():
        fused = net(batch["lr_hsi"], batch["hr_msi"]).clamp(0, 1)
    expected = net.provenance.metrics["psnr"]
    assert float(psnr(fused, batch["hr_hsi"])) == pytest.approx(expected, rel=1e-6)


def test_the_last_weights_were_not_tested(trained):
    provenance = exported(trained, "--ckpt", "last").provenance
    assert (provenance.steps, provenance.seed) == (4, 3407)
    assert provenance.metrics is provenance.test_scenes is None


def test_without_results_the_metrics_stay_unknown(run):
    (run / "results.json").unlink()
    provenance = exported(run).provenance
    assert provenance.metrics is provenance.commit is provenance.seed is None
    assert (provenance.dataset, provenance.version) == ("synthetic", "0.1.0")


def test_results_older_than_the_weights_are_not_theirs(run):
    edit(run, lambda checkpoint: checkpoint.update(global_step=5))
    provenance = exported(run).provenance
    assert provenance.steps == 5
    assert provenance.metrics is provenance.commit is None


def test_a_metric_that_was_not_finite_is_left_out(run):
    results = json.loads((run / "results.json").read_text())
    results["mean"]["sam"] = None
    (run / "results.json").write_text(json.dumps(results))
    metrics = exported(run).provenance.metrics
    assert "sam" not in metrics
    assert metrics["psnr"] == results["mean"]["psnr"]


def test_a_checkpoint_that_does_not_say_its_data_is_exported_without(run):
    edit(run, lambda checkpoint: checkpoint["cofusion"].pop("data"))
    provenance = exported(run).provenance
    assert provenance.dataset is provenance.wavelengths is None
    assert provenance.metrics["psnr"] > 0


def test_the_output_is_named_and_replaced(trained, capsys):
    for _ in range(2):
        assert main(["export", str(trained), "--output", "a/b"]) == 0
        assert "a/b" in capsys.readouterr().out
    assert sorted(path.name for path in Path("a/b").iterdir()) == ["model.json", "model.safetensors"]


# ---- what cannot be exported


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("cofusion"), "does not say which network"),
        (lambda c: c["cofusion"]["net"].update(class_path="cofusion.models.Nope"), "cofusion.models.Nope"),
        (lambda c: c["cofusion"]["net"].update(class_path="nowhere.Net"), "nowhere"),
        (
            lambda c: c["cofusion"].update(
                net={"class_path": "cofusion.models.Bicubic", "init_args": {"scale": 4}}
            ),
            "Bicubic: it is no subclass",
        ),
        # A file may name any function: none is called.
        (
            lambda c: c["cofusion"].update(net={"class_path": "os.mkdir", "init_args": {"path": "out"}}),
            "os.mkdir: it is no subclass",
        ),
        (lambda c: c["cofusion"]["net"]["init_args"].update(wings=2), "wings"),
        (lambda c: c["cofusion"]["net"]["init_args"].update(dim=12), "another architecture"),
        (lambda c: c["state_dict"].popitem(), "another architecture"),
        (lambda c: c["cofusion"]["data"].update(scale=8), "scale is 4 in init_args and 8 in the provenance"),
        (lambda c: c["cofusion"]["data"].update(mood="good"), "mood"),
    ],
)
def test_a_checkpoint_that_cannot_be_exported(run, change, says, capfd):
    edit(run, change)
    assert says in fails(capfd, "export", str(run), "-o", "out")
    assert not Path("out").exists()


def test_missing_and_damaged_runs(run, capfd):
    assert "nowhere/checkpoints/best.ckpt" in fails(capfd, "export", "nowhere", "-o", "out")
    (run / "checkpoints" / "last.ckpt").unlink()
    assert "last.ckpt" in fails(capfd, "export", str(run), "-o", "out", "--ckpt", "last")
    for content in ("{", "[]", "{}"):
        (run / "results.json").write_text(content)
        assert "results.json is not the results" in fails(capfd, "export", str(run), "-o", "out")
    (run / "checkpoints" / "best.ckpt").write_bytes(b"half")
    assert "truncated or not a checkpoint" in fails(capfd, "export", str(run), "-o", "out")
    assert not Path("out").exists()


def test_an_output_that_cannot_be_written(trained, capfd):
    Path("file").write_text("")
    assert "file" in fails(capfd, "export", str(trained), "-o", "file/out")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "RUN_DIR"),
        (["run"], "-o"),
        (["run", "-o", "out", "--ckpt", "third"], "third"),
        (["run", "-o", "out", "more"], "more"),
    ],
)
def test_arguments_that_cannot_be_understood(args, says, capfd):
    line = fails(capfd, "export", *args, status=2)
    assert says in line
    assert "expected cofusion export [-h] -o DIR" in line


def test_help_names_the_arguments(capsys):
    assert main(["export", "--help"]) == 0
    text = capsys.readouterr().out
    for part in ("RUN_DIR", "--output DIR", "--ckpt {best,last}"):
        assert part in text
