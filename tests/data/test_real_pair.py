"""One real pair: what is trained on, what is held out, and what the images' scalings leave different."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

import scene_files
from cofusion import Sensors
from cofusion.cli import main
from cofusion.data import RealPairDataModule
from cofusion.errors import UserError
from cofusion.sensors import GaussianResponse
from cofusion.sensors.files import write_sensors
from command import SMALL, SMALL_RUN
from raster_pair import CRS, HIGHEST, PLACE, RasterPair

SCALE, SIZE = 4, 128
GAIN, OFFSET = (0.5, 0.8, 1.3), (0.02, 0.0, -0.01)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[torch.Tensor, Sensors]:
    """The scene and the sensors of a pair whose values have different units."""
    return scene_files.write_real_pair(tmp_path, GAIN, OFFSET)


@pytest.fixture
def scene(pair: tuple[torch.Tensor, Sensors]) -> torch.Tensor:
    return pair[0]


@pytest.fixture
def sensors(pair: tuple[torch.Tensor, Sensors]) -> Sensors:
    return pair[1]


@pytest.fixture
def files(pair: tuple[torch.Tensor, Sensors], tmp_path: Path) -> dict[str, Path]:
    return {name: tmp_path / name for name in ("hsi.npy", "msi.npy", "sensors.json")}


def module(files: dict[str, Path], **changes: object) -> RealPairDataModule:
    arguments = {
        "lr_hsi": files["hsi.npy"],
        "hr_msi": files["msi.npy"],
        "sensors": files["sensors.json"],
        "hsi_scaling": 4000.0,
        "msi_scaling": 255.0,
        "patch": 8,
        "batch_size": 4,
        "patches_per_epoch": 40,
        "seed": 1,
    }
    data = RealPairDataModule(**{**arguments, **changes})
    data.setup("fit")
    return data


def test_the_images_are_brought_to_one_scale(files, scene, sensors):
    data = module(files)
    assert data.radiometry.gain.tolist() == pytest.approx(list(GAIN), rel=0.02)
    (batch,) = data.test_dataloader()
    torch.testing.assert_close(batch["lr_hsi"][0], sensors.lr_hsi(scene), rtol=0, atol=1e-6)
    torch.testing.assert_close(batch["hr_msi"][0], sensors.hr_msi(scene), rtol=0, atol=0.02)
    assert "hr_hsi" not in batch and batch["name"] == ["hsi (full resolution)"]


def test_an_hr_msi_with_a_tone_curve_is_reported(files, caplog):
    module(files, msi_scaling=300.0)
    assert not caplog.records
    stored = np.load(files["msi.npy"])
    np.save(files["msi.npy"], np.where(stored > 80, 80 + 0.1 * (stored - 80), stored))
    module(files, msi_scaling=300.0)
    (record,) = caplog.records
    assert "of the contrast of" in record.message
    assert record.message.endswith("--model.consistency.hr_msi 0.1")


def test_the_lr_hsi_is_the_reference_at_reduced_resolution(files, sensors):
    data = module(files, augment=False)
    lr_hsi, hr_msi = (data.test_dataloader().dataset[0][name][0] for name in ("lr_hsi", "hr_msi"))
    size = SIZE // SCALE
    (batch,) = data.val_dataloader()
    first = size - batch["hr_hsi"].shape[-1]
    assert first % SCALE == 0 and 0 < size - first <= 0.3 * size
    torch.testing.assert_close(batch["hr_hsi"][0], lr_hsi[:, :, first:])
    torch.testing.assert_close(batch["hr_msi"][0], sensors.lr_hsi(hr_msi)[:, :, first:])
    torch.testing.assert_close(batch["lr_hsi"][0], sensors.lr_hsi(lr_hsi)[:, :, first // SCALE :])


def test_crops_of_both_kinds_stay_clear_of_what_is_held_out(files):
    data = module(files, held_out="top")
    (held_out,) = (data._window(region) for region in data.split.validation)
    assert held_out.rows[0] == 0
    lr_hsi, hr_msi = (data.test_dataloader().dataset[0][name][0] for name in ("lr_hsi", "hr_msi"))
    # Below the part held out every value is marked.
    kept = held_out.rows[1]
    assert lr_hsi[:, :kept].abs().min() > 0
    lr_hsi[:, :kept], hr_msi[:, : kept * SCALE] = -1, -1
    for batch in data.train_dataloader():
        assert batch["hr_hsi"].shape[-2:] == batch["hr_msi"].shape[-2:] == batch["full_hr_msi"].shape[-2:]
        assert batch["full_lr_hsi"].shape[-1] * SCALE == batch["full_hr_msi"].shape[-1]
        for name in ("hr_hsi", "full_lr_hsi", "full_hr_msi"):
            assert batch[name].min() > -0.5, name


def test_crops_of_the_pair_itself_lie_on_top_of_each_other(files, sensors):
    data = module(files, patch=16)
    for batch in data.train_dataloader():
        seen, inside = sensors.response(batch["full_lr_hsi"]), slice(1, -1)
        error, turned = (
            (seen - sensors.lr_hsi(image))[..., inside, inside].abs().mean()
            for image in (batch["full_hr_msi"], batch["full_hr_msi"].flip(-1))
        )
        assert error < 0.01 and 2 * error < turned


def test_pixels_without_data_are_in_no_crop(files):
    stored = np.load(files["msi.npy"])
    stored[:, 40:60, 20:50] = 0
    np.save(files["msi.npy"], stored)
    data = module(files, msi_nodata=0.0)
    hole = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    hole[40:60, 20:50] = True
    assert data.radiometry.gain.tolist() == pytest.approx(list(GAIN), rel=0.02)
    for batch in data.train_dataloader():
        for name in batch["name"]:
            rows, cols = (part.split(":") for part in name[name.index("[") + 1 : -1].split(", "))
            (top, bottom), (left, right) = ([SCALE * int(edge) for edge in span] for span in (rows, cols))
            assert not hole[top:bottom, left:right].any()
        assert (
            (batch["full_hr_msi"] != data.radiometry.calibrate(torch.zeros(3, 1, 1)).clamp(0, 1)).any(1).all()
        )
    # Where the pair is fused, they have their neighbours' values, and it is said where they are.
    (whole,) = data.test_dataloader()
    assert torch.equal(whole["nodata"][0], hole)
    torch.testing.assert_close(
        whole["hr_msi"][0, :, 50, 20:24], whole["hr_msi"][0, :, 50, 19:20].expand(-1, 4)
    )
    with pytest.raises(UserError, match="pixels without data"):
        module(files, msi_nodata=0.0, held_out="left", held_out_share=0.5)


def test_where_the_pair_is_fused_holes_of_the_lr_hsi_have_their_neighbours_values(files):
    stored = np.load(files["hsi.npy"])
    stored[:, 8:12, 5:9] = -1
    np.save(files["hsi.npy"], stored)
    data = module(files, hsi_nodata=-1.0)
    (whole,) = data.test_dataloader()
    lr_hsi = whole["lr_hsi"][0]
    assert whole["nodata"][0, 8 * SCALE : 12 * SCALE, 5 * SCALE : 9 * SCALE].all()
    torch.testing.assert_close(lr_hsi[:, 9:11, 5], lr_hsi[:, 9:11, 4])
    assert (data.hsi.cube[:, 8:12, 5:9] == 0).all()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lr_hsi": "msi.npy", "hr_msi": "hsi.npy", "sensors": None}, "swapped"),
        ({"held_out_share": 0.9}, "at most 0.5"),
        ({"patch": 10}, "multiple of scale"),
        ({"patch": 64}, "smaller patch|use a patch"),
        ({"hr_msi": "nowhere.npy"}, "no file"),
    ],
)
def test_what_cannot_be_used_is_refused(files, changes, says):
    named = {
        key: files.get(value, value) if isinstance(value, str) else value for key, value in changes.items()
    }
    with pytest.raises(UserError, match=says):
        module(files, **named).train_dataloader()


def test_known_sensors_may_be_named(files, sensors):
    response = GaussianResponse([480, 560, 650], [80, 80, 80])
    with pytest.raises(UserError, match="states no wavelengths"):
        module(files, sensors=None, response=response)
    data = module(files, sensors=None, response=response, wavelengths=[450, 700])
    torch.testing.assert_close(data.sensors.psf, sensors.psf)
    torch.testing.assert_close(data.sensors.response.weights, sensors.response.weights)
    with pytest.raises(UserError, match="leave one of them out"):
        module(files, response=response, wavelengths=[450, 700])
    with pytest.raises(UserError, match=r"has 1 bands \(480 nm\), the HRMSI has 3"):
        module(files, sensors=None, response=GaussianResponse([480], [80]), wavelengths=[450, 700])


def test_sensors_of_another_pair_are_refused(files, tmp_path, sensors):
    write_sensors(tmp_path / "other.json", Sensors.preset("wald", 2, sensors.response))
    with pytest.raises(UserError, match="scale 2 for 3 MSI and 6 HSI bands"):
        module(files, sensors=tmp_path / "other.json")


def test_from_two_files_to_weights_that_know_them(files, tmp_path, capsys):
    pair = [f"--data.lr_hsi={files['hsi.npy']}", f"--data.hr_msi={files['msi.npy']}"]
    scalings = ["--data.hsi_scaling=4000", "--data.msi_scaling=255", "--data.held_out_share=0.3"]
    run = tmp_path / "run"
    small = [*SMALL, *scalings, "--data.patch=8", "--data.patches_per_epoch=8"]
    assert main(["fit", "--config=own_scene.yaml", *pair, *small, "--run_dir", str(run)]) == 0
    assert "without a reference" in capsys.readouterr().out
    results = json.loads((run / "results.json").read_text())
    assert set(results["mean"]) == {"d_lambda", "d_s", "qnr", "lr_hsi_error", "hr_msi_error"}
    assert results["protocol"]["dataset"] == "real_pair"
    # The saved config repeats the run.
    again = ["fit", "--config", str(run / "config.yaml"), "--run_dir", str(tmp_path / "again")]
    assert main(again) == 0
    repeated = json.loads((tmp_path / "again" / "results.json").read_text())
    assert repeated["mean"] == results["mean"]
    assert main(["export", str(run), "-o", str(tmp_path / "weights")]) == 0
    provenance = json.loads((tmp_path / "weights" / "model.json").read_text())["provenance"]
    assert provenance["scaling"] == 4000
    expected = [255 * gain for gain in GAIN]
    assert provenance["msi_gain"] == pytest.approx(expected, rel=0.05)


def test_predictions_lie_where_the_hr_msi_does_and_have_its_holes(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    pair = RasterPair(tmp_path)
    pair.lr_values[:, 2:5, 3:7] = 0
    pair.write_lr(nodata=0)
    write_sensors("sensors.json", pair.sensors)
    given = [f"--data.{name}={name}.tif" for name in ("lr_hsi", "hr_msi")]
    given += ["--data.sensors=sensors.json", f"--data.hsi_scaling={HIGHEST}", f"--data.msi_scaling={HIGHEST}"]
    configs = ["--config=own_scene.yaml", "--config=classical/gsa.yaml"]
    assert main(["predict", *configs, *given, *SMALL_RUN, "--run_dir=run"]) == 0, capfd.readouterr().err
    (path,) = Path("run/predictions").glob("*.tif")
    with rasterio.open(path) as file:
        assert (file.crs, file.transform) == (CRS, PLACE)
        missing = np.isnan(file.read(1))
        assert np.isnan(file.nodata) and file.tags()["SCALING"] == f"{HIGHEST}.0"
    expected = np.zeros_like(missing)
    expected[8:20, 12:28] = True
    assert np.array_equal(missing, expected)
