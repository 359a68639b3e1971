"""`cofusion fuse` with methods that need no weights, and with weights trained on the pair itself."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from cofusion.cli import main
from cofusion.inference import classical
from cofusion.metrics import psnr, qnr
from cofusion.models import Bicubic
from cofusion.sensors.files import write_sensors
from command import SMALL
from raster_pair import HIGHEST, SCALE, RasterPair

# These take a mean of the bands for what the guide shows, which many bands are not like.
DISTORTING = {"brovey", "gs", "ihs", "pca"}
METHODS = [name for name in classical.names() if name != classical.BICUBIC]


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RasterPair:
    monkeypatch.chdir(tmp_path)
    pair = RasterPair(tmp_path / "rasters", rows=96, cols=128)
    write_sensors("sensors.json", pair.sensors)
    return pair


def fused(pair: RasterPair, *args: str) -> torch.Tensor:
    """Fuse, and return the product in [0, 1]."""
    assert main([*pair.command("-o", "fused.tif"), "--overwrite", *args]) == 0
    with rasterio.open("fused.tif") as file:
        return torch.from_numpy(file.read()) / HIGHEST


@pytest.mark.parametrize("name", METHODS)
def test_every_method_fuses_and_most_do_better_than_interpolation(name, pair):
    scene = pair.hr_hsi.clamp(0, 1)
    lr = torch.from_numpy(pair.lr_values.astype(np.float32) / HIGHEST)
    hr = torch.from_numpy(pair.hr_values.astype(np.float32) / HIGHEST)
    plain = float(psnr(Bicubic(SCALE)(lr[None], hr[None])[0].clamp(0, 1), scene))
    product = fused(pair, "--method", name, "--sensors", "sensors.json", "--no-report")
    assert product.shape == scene.shape and product.isfinite().all()
    reached = float(psnr(product.clamp(0, 1), scene))
    assert reached > (20 if name in DISTORTING else plain)


def test_sensors_are_estimated_where_none_are_given(pair, capsys):
    told = fused(pair, "--method", "gsa", "--sensors", "sensors.json", "--no-report")
    capsys.readouterr()
    product = fused(pair, "--method", "gsa", "--no-report")
    assert (
        "note: the sensors were estimated from the pair; --sensors FILE takes known ones"
        in capsys.readouterr().out
    )
    assert float(psnr(product.clamp(0, 1), told.clamp(0, 1))) > 35


def test_another_unit_of_the_hr_msi_changes_nothing(pair):
    product = fused(pair, "--method", "glp_hs", "--sensors", "sensors.json", "--no-report")
    pair.write_hr((300 + 0.5 * pair.hr_values.astype(np.float32)).astype(np.float32))
    other = fused(pair, "--method", "glp_hs", "--sensors", "sensors.json", "--no-report")
    assert float((other - product).abs().mean()) < 0.002


def test_the_report_has_quality_without_a_reference(pair):
    product = fused(pair, "--method", "gsa", "--sensors", "sensors.json")
    page = Path("fused.md").read_text()
    lr, hr = (torch.from_numpy(x.astype(np.float32) / HIGHEST) for x in (pair.lr_values, pair.hr_values))
    expected = float(qnr(product.clamp(0, 1), lr, hr, pair.sensors))
    found = float(page.split("QNR ")[1].split()[0])
    assert found == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--method", "gsb"], "choose one of: bicubic, awlp"),
        (["--method", "gsa", "--sensors", "nowhere.json"], "nowhere.json"),
        (
            ["--method", "gsa", "--sensors", "other.json"],
            "the weights are for scale 2|sensors are of scale 2",
        ),
        (["--method", "gsa", "--sensors", "sensors.json", "--phase", "0"], "leave the phase out"),
        (["--ckpt", "run", "--sensors", "sensors.json"], "--sensors is for --method"),
    ],
)
def test_what_does_not_fit_is_refused(args, says, pair, capfd):
    from cofusion import Sensors

    write_sensors("other.json", Sensors.preset("wald", 2, pair.sensors.response))
    assert main([*pair.command("-o", "fused.tif"), *args]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert any(part in line for part in says.split("|")), line
    assert not Path("fused.tif").exists()


def test_a_method_that_needs_more_memory_than_there_is_says_so(pair, capfd, monkeypatch):
    monkeypatch.setattr(classical, "available", lambda: 10**6)
    assert main([*pair.command("-o", "fused.tif"), "--method", "gsa", "--sensors", "sensors.json"]) == 1
    assert "fuses the whole image at once and needs about" in capfd.readouterr().err


def test_weights_of_a_real_pair_fuse_it_as_its_test_did(pair, capfd):
    stored = (20 + 200 * pair.hr_values.astype(np.float32) / HIGHEST).astype(np.float32)
    hole = (slice(None), slice(8, 20), slice(8, 16))
    stored[hole] = 7
    pair.write_hr(stored)
    images = [f"--data.lr_hsi={pair.lr_hsi}", f"--data.hr_msi={pair.hr_msi}", "--data.sensors=sensors.json"]
    images += ["--data.msi_nodata=7"]
    small = [*SMALL, "--data.patch=8", "--data.held_out_share=0.3", "--data.patches_per_epoch=8"]
    assert main(["fit", "--config=own_scene.yaml", *images, *small, "--run_dir", "run"]) == 0
    assert main(["predict", "--config=run/config.yaml", "--ckpt_path", "run", "--run_dir", "predicted"]) == 0
    (path,) = Path("predicted/predictions").glob("*.tif")
    with rasterio.open(path) as file:
        expected = torch.from_numpy(file.read())
    results = json.loads(Path("run/results.json").read_text())
    product = fused(pair, "--ckpt", "run", "--tile", "512", "--hr-msi-nodata", "7")
    assert product[hole].isnan().all()
    expected[hole] = torch.nan
    seen = product * HIGHEST / results["protocol"]["scaling"]
    torch.testing.assert_close(seen, expected, rtol=0, atol=1e-4, equal_nan=True)
    # The report measures what the run's test did.
    found = float(Path("fused.md").read_text().split("QNR ")[1].split()[0])
    assert found == pytest.approx(results["mean"]["qnr"], abs=2e-4)
