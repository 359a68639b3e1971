import warnings
from importlib.metadata import version

import numpy as np
import pytest
import rasterio
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

from cofusion.training.callbacks import PredictionWriter
from cofusion.training.callbacks.predictions import write_geotiff

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def predict(trainer, module, data, **options):
    trainer.predict(module, data, return_predictions=False, **options)


def files(folder):
    return sorted(path.name for path in (folder / "predictions").iterdir())


def test_geotiff_holds_the_prediction(tmp_path, make_trainer, module, make_data):
    data = make_data(reference=False)
    predict(make_trainer(PredictionWriter()), module, data)
    assert files(tmp_path) == ["beads.png", "beads.tif", "toys_2.png", "toys_2.tif"]
    for batch, name in zip(data.batches(), ("beads", "toys_2"), strict=True):
        with torch.no_grad():
            expected = module.net(batch["lr_hsi"])[0].numpy()
        with rasterio.open(tmp_path / "predictions" / f"{name}.tif") as file:
            np.testing.assert_array_equal(file.read(), expected)
            assert file.dtypes == ("float32",) * 6
            assert file.descriptions == (
                "450.0 nm",
                "490.0 nm",
                "530.0 nm",
                "570.0 nm",
                "610.0 nm",
                "650.0 nm",
            )
            assert file.tags()["COFUSION_VERSION"] == version("cofusion")
            assert file.tags()["SCALE"] == "2"
            assert "CHECKPOINT" not in file.tags()


def test_quick_look_is_a_picture_and_optional(tmp_path, make_trainer, module, data):
    predict(make_trainer(PredictionWriter()), module, data)
    with Image.open(tmp_path / "predictions" / "beads.png") as image:
        assert image.format == "PNG" and np.asarray(image.convert("L")).std() > 20
        image.load()
    (tmp_path / "predictions" / "beads.png").unlink()
    predict(make_trainer(PredictionWriter(quicklook=False)), module, data)
    assert "beads.png" not in files(tmp_path)


def test_checkpoint_is_named_in_the_file(tmp_path, make_trainer, module, data):
    checkpoints = ModelCheckpoint(tmp_path, filename="last")
    make_trainer(checkpoints, max_epochs=1, enable_checkpointing=True).fit(module, data)
    predict(make_trainer(PredictionWriter(quicklook=False)), module, data, ckpt_path=tmp_path / "last.ckpt")
    with rasterio.open(tmp_path / "predictions" / "beads.tif") as file:
        assert file.tags()["CHECKPOINT"] == str(tmp_path / "last.ckpt")


def test_scene_that_comes_twice_gets_two_files(tmp_path, make_trainer, module, make_data):
    data = make_data(names=("a[0:16, 0:16]", "a 0:16, 0:16", "b"))
    trainer = make_trainer(PredictionWriter(quicklook=False))
    predict(trainer, module, data)
    predict(trainer, module, data)  # a second prediction replaces the first
    assert files(tmp_path) == ["a_0_16_0_16.tif", "a_0_16_0_16_2.tif", "b.tif"]


def test_a_lone_tensor_is_a_prediction_too(tmp_path, make_trainer, module, data):
    module.predict_step = lambda batch, batch_idx: module.net(batch["lr_hsi"]).bfloat16()
    predict(make_trainer(PredictionWriter(quicklook=False)), module, data)
    with rasterio.open(tmp_path / "predictions" / "beads.tif") as file:
        assert file.dtypes[0] == "float32" and file.shape == (16, 16)


def test_layout_suits_reading_by_band_and_window(tmp_path):
    cube = np.random.default_rng(0).random((3, 300, 520), dtype=np.float32)
    cube[1, 5, 7] = np.nan
    write_geotiff(tmp_path / "scene.tif", cube)
    with rasterio.open(tmp_path / "scene.tif") as file:
        np.testing.assert_array_equal(file.read(), cube)
        assert file.block_shapes == [(256, 256)] * 3
        assert file.profile["interleave"] == "band" and file.profile["compress"] == "deflate"
        assert file.descriptions == (None, None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_smooth_scene_is_compressed(tmp_path):
    cube = np.repeat(np.linspace(0, 1, 256, dtype=np.float32)[None, None], 256, axis=1)
    write_geotiff(tmp_path / "scene.tif", cube)
    assert (tmp_path / "scene.tif").stat().st_size < cube.nbytes / 4


def test_missing_georeference_is_no_news_here_and_still_news_elsewhere(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_geotiff(tmp_path / "scene.tif", np.zeros((1, 8, 8), np.float32))
    with pytest.warns(NotGeoreferencedWarning):
        rasterio.open(tmp_path / "scene.tif").close()


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "scene.tif"
    write_geotiff(path, np.ones((1, 8, 8), np.float32))
    with pytest.raises(TypeError):
        write_geotiff(path, np.zeros((1, 8, 8), np.float32), wavelengths=[None])
    with rasterio.open(path) as file:
        assert file.read().min() == 1
    assert [file.name for file in tmp_path.iterdir()] == ["scene.tif"]
