"""Testing scenes of which there is no reference: other metrics take the place of those that need one."""

import json

import pytest
from lightning.pytorch import LightningDataModule, Trainer
from torch.utils.data import DataLoader

from cofusion import FusionModule
from cofusion.errors import UserError
from cofusion.metrics import (
    MAIN_METRICS,
    NO_REFERENCE_METRICS,
    d_lambda,
    d_s,
    fusion_metrics,
    hr_msi_error,
    lr_hsi_error,
    qnr,
)
from cofusion.models import Bicubic
from cofusion.training.callbacks import FigureWriter, ResultsWriter
from quality import make_images, make_sensors

# Lightning with PyTorch 2.13.
pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.")

SCALE = 2


class Pairs(LightningDataModule):
    """Two scenes of other sizes, as a data module of real pairs would yield them."""

    def __init__(self, referenced=(), sensors=True):
        super().__init__()
        self.batches = []
        for name, (rows, cols) in {"paris": (9, 8), "houston": (12, 20)}.items():
            fused, lr_hsi, hr_msi = make_images(SCALE, rows, cols, images=1)
            batch = {"lr_hsi": lr_hsi, "hr_msi": hr_msi, "name": [name], "row": 0, "col": 0}
            self.batches.append(batch | ({"hr_hsi": fused.clamp(0, 1)} if name in referenced else {}))
        if sensors:
            self.sensors = make_sensors(SCALE)
            self.phase = self.sensors.phase

    def test_dataloader(self):
        return DataLoader(self.batches, batch_size=None)


def run(folder, data, *callbacks):
    trainer = Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = FusionModule(Bicubic(SCALE))
    (logged,) = trainer.test(module, data, verbose=False)
    return logged, module.test_results


def test_without_a_reference_the_other_metrics_are_reported(tmp_path, capsys):
    data = Pairs()
    logged, results = run(tmp_path, data, ResultsWriter(), FigureWriter())
    record = json.loads((tmp_path / "results.json").read_text())
    assert list(results) == ["fused", "bicubic", "bicubic_aligned"]
    for method, phase in {"fused": None, "bicubic": None, "bicubic_aligned": data.phase}.items():
        stored = record if method == "fused" else record["baselines"][method]
        for batch in data.batches:
            lr_hsi, hr_msi, (name,) = (batch[key] for key in ("lr_hsi", "hr_msi", "name"))
            fused = Bicubic(SCALE, phase)(lr_hsi, hr_msi).clamp(0, 1)
            expected = {
                "d_lambda": d_lambda(fused, lr_hsi),
                "d_s": d_s(fused, lr_hsi, hr_msi, data.sensors),
                "qnr": qnr(fused, lr_hsi, hr_msi, data.sensors),
                "lr_hsi_error": lr_hsi_error(fused, lr_hsi, data.sensors),
                "hr_msi_error": hr_msi_error(fused, hr_msi, data.sensors),
            }
            assert tuple(results[method][name]) == NO_REFERENCE_METRICS
            assert results[method][name] == {
                key: pytest.approx(value.item()) for key, value in expected.items()
            }
        assert stored["scenes"] == results[method]
        both = [scores["qnr"] for scores in results[method].values()]
        assert stored["mean"]["qnr"] == pytest.approx(sum(both) / 2)
    assert logged == {f"test/{key}": pytest.approx(value) for key, value in record["mean"].items()}
    printed = capsys.readouterr().out
    assert "mean over 2 scenes, without a reference" in printed and "QNR ↑" in printed
    assert f"{record['mean']['d_lambda']:.4f}" in printed
    assert "PSNR" not in printed
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [
        "test_houston.png",
        "test_paris.png",
    ]


def test_with_a_reference_both_kinds_are_reported(tmp_path, capsys):
    _, results = run(tmp_path, Pairs(referenced=("paris", "houston")), ResultsWriter())
    for scenes in results.values():
        for scores in scenes.values():
            assert tuple(scores) == (*fusion_metrics(SCALE), *NO_REFERENCE_METRICS)
    first, second = capsys.readouterr().out.split("without a reference")
    assert "PSNR" in first and "QNR" not in first
    assert "QNR" in second and "PSNR" not in second
    assert all(len(line) <= 80 for line in (first + second).splitlines())


def test_a_mean_is_over_the_scenes_that_have_the_metric(tmp_path):
    logged, results = run(tmp_path, Pairs(referenced=["houston"]), ResultsWriter())
    record = json.loads((tmp_path / "results.json").read_text())
    assert tuple(record["scenes"]["paris"]) == NO_REFERENCE_METRICS
    for metric in MAIN_METRICS:
        assert record["mean"][metric] == results["fused"]["houston"][metric]
        assert logged[f"test/{metric}"] == pytest.approx(record["mean"][metric])


def test_neither_reference_nor_sensors_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"paris cannot be measured: the data has neither a reference"):
        run(tmp_path, Pairs(sensors=False), ResultsWriter())
    assert not (tmp_path / "results.json").exists()
