import json

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule

from cofusion.cli import main
from cofusion.metrics import psnr, sam
from cofusion.reports.records.images import read_scene
from cofusion.training.callbacks import ImageWriter
from command import QUICK


def files(folder):
    return sorted(path.name for path in (folder / "images").glob("*"))


def test_file_holds_the_fused_scene_with_its_pair_and_reference(tmp_path, make_trainer, module, data):
    make_trainer(ImageWriter()).test(module, data, verbose=False)
    assert files(tmp_path) == ["beads.npz", "toys_2.npz"]
    for batch, stem in zip(data.batches(), ("beads", "toys_2"), strict=True):
        scene = read_scene(tmp_path / "images" / f"{stem}.npz")
        assert scene.name == batch["name"][0]
        assert scene.shape == batch["hr_hsi"].shape[1:]
        assert sorted(scene.cubes) == ["fused", "hr_msi", "lr_hsi", "reference"]
        with torch.no_grad():
            expected = {"fused": module.net(batch["lr_hsi"]), "reference": batch["hr_hsi"]}
        for key, cube in (expected | {key: batch[key] for key in ("lr_hsi", "hr_msi")}).items():
            np.testing.assert_allclose(scene.cube(key), cube[0], rtol=2**-11, atol=1e-7)
        np.testing.assert_allclose(scene.wavelengths, [450, 490, 530, 570, 610, 650])
        np.testing.assert_allclose(scene.msi_wavelengths, [450, 490, 530])


def test_scene_without_a_reference_has_none(tmp_path, make_trainer, module, make_data):
    module.test_step = lambda batch, batch_idx: {"fused": module.net(batch["lr_hsi"])}
    make_trainer(ImageWriter()).test(module, make_data(reference=False), verbose=False)
    assert "reference" not in read_scene(tmp_path / "images" / "beads.npz").cubes


def test_limit_and_names_hold_for_each_test(tmp_path, make_trainer, module, make_data):
    trainer = make_trainer(ImageWriter(max_scenes=2))
    trainer.test(module, make_data(names=("a b", "a:b", "c")), verbose=False)
    trainer.test(module, make_data(names=("a b",)), verbose=False)
    assert files(tmp_path) == ["a_b.npz", "a_b_2.npz"]
    assert read_scene(tmp_path / "images" / "a_b_2.npz").name == "a:b"


def test_module_without_images_is_left_alone(tmp_path, make_trainer, data):
    class Silent(LightningModule):
        def test_step(self, batch, batch_idx):
            return None

    make_trainer(ImageWriter()).test(Silent(), data, verbose=False)
    assert files(tmp_path) == []


def test_the_overlay_records_and_changes_neither_name_nor_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = ["test", *QUICK, "--model.net", "cofusion.models.Bicubic"]
    args = [arg for arg in args if not arg.startswith("--model.net.")]
    assert main([*args, "--config", "record/images"]) == 0
    run = tmp_path / "runs" / "quickstart" / "test_0"
    (path,) = (run / "images").iterdir()
    scene = read_scene(path)
    fused, reference = (torch.from_numpy(scene.cube(key)) for key in ("fused", "reference"))
    recorded = json.loads((run / "results.json").read_text())["scenes"][scene.name]
    assert float(psnr(fused, reference)) == pytest.approx(recorded["psnr"], abs=0.01)
    assert float(sam(fused, reference)) == pytest.approx(recorded["sam"], abs=0.02)
