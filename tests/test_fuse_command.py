"""`cofusion fuse`: the product, its place and its facts; bad input; interruptions."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
import torch
from rasterio import Affine
from rasterio.warp import transform as transform_points
from rio_cogeo import cog_validate
from scipy.io import savemat

from cofusion import CoFusion
from cofusion.cli import main
from cofusion.models import Bicubic, Provenance
from cofusion.scenes import read_file
from command import SHALLOW, small_disk
from raster_pair import HIGHEST, MSI_NM, PLACE, RESPONSE, SCALE, RasterPair, write_raster


@pytest.fixture
def pair(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return RasterPair(tmp_path)


@pytest.fixture
def weights(pair):
    """Weights for the pair's sensors, as `cofusion export` writes them."""
    return save_weights(pair, "weights")


def network(pair):
    torch.manual_seed(0)
    net = CoFusion(len(pair.wavelengths), 4, SCALE, dim=8, phase=1.5, pool_extent=16, **SHALLOW).eval()
    torch.nn.init.normal_(net.head[-1].weight, std=0.1)
    return net


def save_weights(pair, folder, **facts):
    known = {
        "dataset": "synthetic",
        "wavelengths": pair.wavelengths,
        "scaling": float(HIGHEST),
        "psf": tuple(map(tuple, pair.sensors.psf.tolist())),
        "border": pair.sensors.border,
        "scale": SCALE,
        "phase": 1.5,
        "response_names": ("blue", "green", "red", "nir"),
        "response_weights": tuple(map(tuple, pair.sensors.response.weights.tolist())),
    }
    network(pair).save_pretrained(folder, Provenance(**(known | facts)))
    return folder


def fuses(pair, *args, output="fused.tif", report=False):
    assert main([*pair.command("-o", output), *args, *([] if report else ["--no-report"])]) == 0
    with rasterio.open(output) as file:
        return file.read(), file.profile, file.tags(), file.descriptions


def fails(capfd, pair, *args, status=1):
    """Run a fusion that fails with one line, and return that; nothing is left."""
    before = sorted(Path.cwd().rglob("*"))
    args = pair.command(*args) if not isinstance(pair, list) else pair
    assert main([*args] if "-o" in args else [*args, "-o", "fused.tif"]) == status
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("cofusion: error: ")
    assert sorted(Path.cwd().rglob("*")) == before
    return line


def bicubic(pair):
    lr, hr = pair.scaled()
    return Bicubic(SCALE)(lr[None], hr[None])[0].clamp(0, 1).numpy() * pair.lr_values.max()


# The product


def test_the_product_has_the_place_of_the_hrmsi_and_the_units_of_the_lrhsi(pair):
    values, profile, tags, descriptions = fuses(pair, "--method", "bicubic", "--tile", "32")
    np.testing.assert_allclose(values, bicubic(pair), atol=0.01)
    assert profile["transform"] == PLACE and profile["crs"].to_epsg() == 32633
    assert profile["tiled"] and profile["compress"] == "deflate" and math.isnan(profile["nodata"])
    assert descriptions == tuple(f"{nm:.1f} nm" for nm in pair.wavelengths)
    assert tags["METHOD"] == "bicubic" and tags["COMMAND"].startswith("cofusion fuse --lr-hsi")
    scene = read_file("fused.tif", scaling=float(HIGHEST))
    assert scene.wavelengths.tolist() == pytest.approx(pair.wavelengths, rel=1e-5)
    assert not list(Path.cwd().glob("*part*")) and not list(Path.cwd().glob(".*"))


def test_a_network_is_fused_with_its_own_scaling_and_named(pair, weights):
    values, _, tags, _ = fuses(pair, "--ckpt", weights, "--tile", "32", "--margin", "64")
    lr, hr = (torch.from_numpy(x.astype(np.float32) / HIGHEST) for x in (pair.lr_values, pair.hr_values))
    with torch.inference_mode():
        expected = network(pair)(lr[None], hr[None])[0].clamp(0, 1).numpy() * HIGHEST
    np.testing.assert_allclose(values, expected, atol=0.05)
    assert tags["WEIGHTS_SHA256"] == json.loads(Path(weights, "model.json").read_text())["sha256"]
    assert tags["TRAINED_ON"] == "synthetic" and tags["HSI_SCALING"] == "10000"


@pytest.mark.parametrize("options", [["--compress", "none"], ["--compress", "zstd"], ["--dtype", "uint16"]])
def test_other_storage_holds_the_same_values(pair, options):
    expected, *_ = fuses(pair, "--method", "bicubic", output="a.tif")
    fuses(pair, "--method", "bicubic", *options, output="b.tif")
    with rasterio.open("b.tif") as file:
        values = file.read() * np.array(file.scales)[:, None, None]
        np.testing.assert_allclose(values, expected, atol=0.51 * file.scales[0] if "uint16" in options else 0)


def test_units_of_the_lrhsi_go_on_to_the_product(pair):
    with rasterio.open(pair.lr_hsi, "r+") as file:
        file.scales, file.offsets = [0.0001] * file.count, [-0.1] * file.count
    for dtype in ("float32", "uint16"):
        values, *_ = fuses(pair, "--method", "bicubic", "--dtype", dtype, output=f"{dtype}.tif")
        with rasterio.open(f"{dtype}.tif") as file:
            physical = values * file.scales[0] + file.offsets[0]
            assert file.offsets[0] == pytest.approx(-0.1)
        np.testing.assert_allclose(physical, bicubic(pair) * 0.0001 - 0.1, atol=1e-5)


def test_envi(pair):
    expected, *_ = fuses(pair, "--method", "bicubic")
    values, profile, *_ = fuses(pair, "--method", "bicubic", "--tile", "32", output="fused.img")
    np.testing.assert_allclose(values, expected, atol=0.01)
    assert profile["driver"] == "ENVI" and profile["transform"] == PLACE
    header = Path("fused.hdr").read_text()
    assert "fused.img" in header and "part" not in header
    scene = read_file("fused.hdr", scaling=float(HIGHEST))
    assert scene.wavelengths.tolist() == pytest.approx(pair.wavelengths, rel=1e-5)


def test_overviews_and_cloud_optimised(pair):
    RasterPair.__init__(pair, pair.lr_hsi.parent, 320, 320)
    expected, *_ = fuses(pair, "--method", "bicubic", output="plain.tif")
    values, *_ = fuses(pair, "--method", "bicubic", "--overviews", "--tile", "64", output="layers.tif")
    np.testing.assert_allclose(values, expected, atol=0.01)
    with rasterio.open("layers.tif") as file:
        assert file.overviews(1) == [2, 4, 8]
    values, *_ = fuses(pair, "--method", "bicubic", "--cog", output="cog.tif")
    np.testing.assert_array_equal(values, expected)
    with rasterio.open("cog.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.tags()["METHOD"] == "bicubic" and file.descriptions[0].endswith("nm")


@pytest.mark.slow
def test_cloud_optimised_products_are_valid_by_rio_cogeo(pair):
    RasterPair.__init__(pair, pair.lr_hsi.parent, 640, 640)
    fuses(pair, "--method", "bicubic", "--cog")
    valid, errors, warnings = cog_validate("fused.tif")
    assert valid and not errors and not warnings


def test_a_picture_and_a_report_lie_beside_the_product(pair, weights):
    fuses(pair, "--ckpt", weights, "--tile", "32", report=True)
    page = Path("fused.md").read_text()
    from PIL import Image

    with Image.open("fused.png") as picture:
        assert picture.width > 1000
    assert "![Quick look](fused.png)" in page and "SHA-256" in page and "thousand pixels a second" in page
    # The product, degraded by an independent hand, against both images.
    with rasterio.open("fused.tif") as file:
        fused = torch.from_numpy(file.read() / HIGHEST)
    for row, seen, given in zip(
        [line for line in page.splitlines() if line.startswith(("| LRHSI |", "| HRMSI |"))][2:],
        pair.sensors.degrade(fused),
        (pair.lr_values, pair.hr_values),
        strict=True,
    ):
        error = seen.double() - torch.from_numpy(given / HIGHEST)
        assert float(row.split("|")[2]) == pytest.approx(error.square().mean().sqrt().item(), abs=1e-5)


def test_a_report_replaces_no_file_unasked(pair, capfd):
    Path("fused.md").write_text("mine")
    line = fails(capfd, pair, "--method", "bicubic")
    assert "fused.md would be replaced by the report; give another -o, --no-report" in line
    assert Path("fused.md").read_text() == "mine"
    fuses(pair, "--method", "bicubic")
    fuses(pair, "--method", "bicubic", "--overwrite", report=True)
    assert Path("fused.md").read_text() != "mine"


def test_no_report_where_none_is_wanted(pair):
    fuses(pair, "--method", "bicubic")
    assert not Path("fused.md").exists() and not Path("fused.png").exists()


# Other inputs


def test_matlab_hdf5_and_npy_files_fuse_alike(pair):
    expected, *_ = fuses(pair, "--method", "bicubic", output="a.tif")
    savemat("pair.mat", {"hsi": pair.lr_values.transpose(1, 2, 0), "msi": pair.hr_values.transpose(1, 2, 0)})
    with h5py.File("pair.h5", "w") as file:
        file["hsi"], file["msi"] = pair.lr_values, pair.hr_values
    np.save("hsi.npy", pair.lr_values)
    np.save("msi.npy", pair.hr_values)
    axes = ["--lr-hsi-band-axis", "0", "--hr-msi-band-axis", "0"]
    keys = ["--lr-hsi-key", "hsi", "--hr-msi-key", "msi"]
    for args in (
        ["--lr-hsi", "pair.mat", "--hr-msi", "pair.mat", *keys],
        ["--lr-hsi", "pair.h5", "--hr-msi", "pair.h5", *keys, *axes],
        ["--lr-hsi", "hsi.npy", "--hr-msi", "msi.npy", *axes],
    ):
        nm = ["--lr-hsi-wavelengths", "400", "900"]
        rest = ["--method", "bicubic", "--tile", "32", "--no-report", "--overwrite", "-o", "b.tif"]
        assert main(["fuse", *args, *nm, *rest]) == 0
        with rasterio.open("b.tif") as file:
            np.testing.assert_allclose(file.read(), expected, atol=0.01)
            assert file.descriptions[0] == "400.0 nm" and file.descriptions[-1] == "900.0 nm"
            assert file.crs is None


def test_regions_without_data_are_carried_over(pair):
    lr, hr = pair.lr_values.copy(), pair.hr_values.copy()
    lr[:, 2:4, 3:6], hr[:, 40:50, 60:70] = 0, 7
    pair.write_lr(lr, nodata=0)
    pair.write_hr(hr)
    values, *_ = fuses(pair, "--method", "bicubic", "--hr-msi-nodata", "7", "--tile", "32")
    expected = np.zeros((64, 80), bool)
    expected[8:16, 12:24], expected[40:50, 60:70] = True, True
    assert (np.isnan(values) == expected).all()
    low, high = pair.lr_values.min(), pair.lr_values.max()
    assert values[:, ~expected].min() > low / 2 and values[:, ~expected].max() <= high
    values, *_ = fuses(
        pair, "--method", "bicubic", "--hr-msi-nodata", "7", "--dtype", "uint16", output="b.tif"
    )
    assert ((values == 65535) == expected).all()


def test_saturated_clouds_stay_at_the_top_of_the_range(pair, weights, capfd):
    lr, hr = pair.lr_values.copy(), pair.hr_values.copy()
    lr[:, 4:8, 4:8], hr[:, 16:32, 16:32] = 65535, 65535
    pair.write_lr(lr)
    pair.write_hr(hr)
    values, *_ = fuses(pair, "--ckpt", weights, report=True)
    assert np.isfinite(values).all() and values.max() <= HIGHEST
    cloud = values[:, 20:28, 20:28]
    assert np.median(cloud) > 0.8 * HIGHEST
    assert "5.000%" in Path("fused.md").read_text()  # clipped of the LRHSI: 16 of 320 pixels


# Images that do not belong together


def shifted(pair):
    pair.write_lr(transform=PLACE * Affine.translation(0.4, 0) * Affine.scale(SCALE))


def coarser(pair):
    pair.write_lr(transform=PLACE * Affine.scale(3.6))


def elsewhere(pair):
    pair.write_lr(transform=PLACE * Affine.translation(900, 0) * Affine.scale(SCALE))


def in_another_zone(pair):
    pair.write_lr(crs="EPSG:32634")


def without_a_place(pair):
    write_raster(pair.lr_hsi, pair.lr_values[:, :-1], crs=None)


def swapped(pair):
    pair.lr_hsi, pair.hr_msi = pair.hr_msi, pair.lr_hsi


def empty(pair):
    pair.write_lr(np.full_like(pair.lr_values, 3), nodata=3)


def truncated(pair):
    content = pair.hr_msi.read_bytes()
    pair.hr_msi.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shifted, "+0.40 columns"),
        (coarser, "3.6000 x 3.6000"),
        (elsewhere, "do not overlap"),
        (in_another_zone, "EPSG:32634"),
        (without_a_place, "must cover the same area"),
        (swapped, "look swapped"),
        (empty, "no pixel of"),
        (truncated, "hr_msi.tif"),
        (lambda pair: pair.hr_msi.unlink(), "there is no file"),
        (lambda pair: pair.write_lr(pair.lr_values * 0), "all values of"),
    ],
)
def test_images_that_do_not_belong_together(pair, capfd, change, message):
    change(pair)
    assert message in fails(capfd, pair, "--method", "bicubic")


def test_weights_that_are_for_other_images(pair, weights, capfd):
    pair.write_hr(pair.hr_values[:3], nm=())
    assert "for 4 MSI bands" in fails(capfd, pair, "--ckpt", weights)
    pair.write_hr(nm=MSI_NM[::-1])
    assert "in another order" in fails(capfd, pair, "--ckpt", weights)
    pair.write_hr()
    pair.write_lr((pair.lr_values / HIGHEST).astype(np.float32))
    line = fails(capfd, pair, "--ckpt", weights)
    assert "divided by 10000" in line and "--hsi-scaling" in line
    fuses(pair, "--ckpt", weights, "--hsi-scaling", "1", output="other.tif")
    pair.wavelengths = tuple(nm + 100 for nm in pair.wavelengths)
    pair.write_lr()
    assert "other bands than the weights" in fails(capfd, pair, "--ckpt", weights)


def test_things_that_are_no_weights(pair, capfd):
    Path("empty").mkdir()
    assert "no checkpoint at" in fails(capfd, pair, "--ckpt", "empty")
    Path("broken").mkdir()
    Path("broken/model.json").write_text("{}")
    assert "names no network" in fails(capfd, pair, "--ckpt", "broken")
    Path("broken/model.json").write_text('{"class_path": "os.system"}')
    assert "os.system: it is no subclass" in fails(capfd, pair, "--ckpt", "broken")


def test_a_file_of_several_cubes_asks_for_its_own_option(pair, capfd):
    savemat("two.mat", {"a": pair.lr_values, "b": pair.lr_values})
    pair.hr_msi = Path("two.mat")
    assert "(--hr-msi-key NAME)" in fails(capfd, pair, "--method", "bicubic")


def test_arguments_that_cannot_be_understood(pair, capfd):
    assert "one of the arguments --ckpt --method" in fails(capfd, pair, status=2)
    assert "there is no method 'magic'" in fails(capfd, pair, "--method", "magic")
    assert "a GeoTIFF (.tif), an ENVI file" in fails(capfd, pair, "--method", "bicubic", "-o", "fused.png")


# Resampling


def test_align_brings_a_shifted_grid_onto_the_lrhsi(pair):
    expected, *_ = fuses(pair, "--method", "bicubic", output="a.tif")
    # The same scene, seen by pixels half a pixel further right and down.
    smooth = np.kron(pair.lr_values[:4], np.ones((1, SCALE, SCALE))).astype(np.float32)
    pair.write_hr(smooth, transform=PLACE * Affine.translation(0.5, 0.5))
    values, profile, *_ = fuses(pair, "--method", "bicubic", "--align", output="b.tif")
    assert profile["transform"] == PLACE
    # The last row and column of the LRHSI are covered to all but half a pixel.
    np.testing.assert_allclose(values[:, 1:, 1:], expected[:, 1:, 1:], atol=0.01)


def test_align_warps_another_crs(pair, weights):
    with rasterio.open(pair.hr_msi) as file:
        wide = np.pad(file.read(), ((0, 0), (20, 20), (20, 20)), mode="reflect")
    origin = PLACE * (-20, -20)
    (x,), (y,) = transform_points("EPSG:32633", "EPSG:3857", [origin[0]], [origin[1]])
    # Web Mercator stretches lengths by the inverse cosine of the latitude.
    stretch = 1 / math.cos(math.radians(37.95))
    pair.write_hr(wide, crs="EPSG:3857", transform=Affine(10 * stretch, 0, x, 0, -10 * stretch, y))
    values, profile, *_ = fuses(pair, "--ckpt", weights, "--align")
    assert profile["crs"].to_epsg() == 32633 and profile["transform"] == PLACE
    assert np.isfinite(values).all()
    with rasterio.open("fused.tif") as file:
        seen = RESPONSE(torch.tensor(pair.wavelengths))(torch.from_numpy(file.read()))
    # The two grids are the same to a fraction of a pixel here, so the product looks like the HRMSI.
    agreement = np.corrcoef(seen[3].numpy().ravel(), pair.hr_values[3].ravel())[0, 1]
    assert agreement > 0.9


def test_align_needs_two_places(pair, capfd):
    write_raster(pair.hr_msi, pair.hr_values, crs=None)
    assert "states no place" in fails(capfd, pair, "--method", "bicubic", "--align")


# Targets and interruptions


def test_an_existing_product_is_replaced_only_if_asked(pair, capfd):
    fuses(pair, "--method", "bicubic")
    capfd.readouterr()
    before = Path("fused.tif").read_bytes()
    assert "fused.tif exists" in fails(capfd, pair, "--method", "bicubic")
    assert Path("fused.tif").read_bytes() == before
    fuses(pair, "--method", "bicubic", "--overwrite", "--dtype", "uint16")
    assert Path("fused.tif").read_bytes() != before


def test_an_input_is_no_target(pair, capfd):
    args = ["--method", "bicubic", "--overwrite", "-o", str(pair.hr_msi)]
    assert "is one of the two images" in fails(capfd, pair, *args)


def test_a_target_that_cannot_be_written(pair, capfd):
    Path("file").write_text("")
    assert "file" in fails(capfd, pair, "--method", "bicubic", "-o", "file/fused.tif")
    assert "/proc/fused.tif" in fails(capfd, pair, "--method", "bicubic", "-o", "/proc/fused.tif")


def interrupt(monkeypatch, call, error=KeyboardInterrupt):
    """Let a call of the method, counted from 1, be interrupted."""
    calls, forward = 0, Bicubic.forward

    def counted(*args):
        nonlocal calls
        calls += 1
        if calls == call:
            raise error
        return forward(*args)

    monkeypatch.setattr(Bicubic, "forward", counted)
    return lambda: calls


@pytest.mark.parametrize("output", ["fused.tif", "fused.img"])
@pytest.mark.parametrize("call", [1, 5, 6, 11, 12])
def test_an_interrupted_fusion_goes_on_and_gives_the_same_bytes(pair, capfd, monkeypatch, output, call):
    args = ["--method", "bicubic", "--tile", "16", "--no-report"]
    # Four strips of five tiles.
    command = pair.command(*args, "-o", output)
    assert main(command) == 0
    expected = Path(output).read_bytes()
    Path(output).unlink()
    capfd.readouterr()
    with monkeypatch.context() as patch:
        interrupt(patch, call)
        assert main(command) == 130
    line = capfd.readouterr().err
    part = output.replace(".", ".part.")
    assert part in line and "goes on from there" in line and len(line.splitlines()) == 1
    assert Path(part).exists() and not Path(output).exists()
    done = len(json.loads(Path("fused.part.json").read_text())["strips"])
    assert f"{done} of 4 strips" in line
    assert done == (call - 1) // 5 or done == (call - 1) // 5 - 1
    with monkeypatch.context() as patch:
        calls = interrupt(patch, -1)
        assert main(command) == 0
        # The last strip that was done is computed again for the seam with the next.
        assert calls() == 5 * (4 - done + (done > 0))
    assert Path(output).read_bytes() == expected
    assert not list(Path.cwd().glob("*part*"))


def test_damage_to_what_was_done_is_found(pair, monkeypatch):
    command = pair.command("--method", "bicubic", "--tile", "16", "--no-report", "-o", "fused.img")
    assert main(command) == 0
    expected = Path("fused.img").read_bytes()
    Path("fused.img").unlink()
    with monkeypatch.context() as patch:
        interrupt(patch, 16)
        assert main(command) == 130
    with Path("fused.part.img").open("r+b") as file:
        file.seek(100)
        file.write(b"damage")
    assert main(command) == 0
    assert Path("fused.img").read_bytes() == expected


def test_a_part_of_another_fusion_is_not_gone_on_with(pair, capfd, monkeypatch):
    args = ["--method", "bicubic", "--tile", "16", "--no-report"]
    with monkeypatch.context() as patch:
        interrupt(patch, 8)
        assert main(pair.command(*args, "-o", "fused.tif")) == 130
    capfd.readouterr()
    line = fails(capfd, pair, *args, "--dtype", "uint16")
    assert "of other inputs or options (dtype)" in line and "--overwrite" in line
    os.utime(pair.hr_msi, (1, 1))
    assert "(hr_msi)" in fails(capfd, pair, *args)
    expected, *_ = fuses(pair, *args, output="other.tif")
    values, *_ = fuses(pair, *args, "--overwrite")
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize(("size", "seen_before"), [("1100k", True), ("100k", False)])
def test_a_full_disk_keeps_what_is_done(pair, capfd, monkeypatch, size, seen_before):
    if not seen_before:
        # Another process takes the space after it was asked for.
        monkeypatch.setattr("cofusion.inference.files.check_space", lambda folder, needed: None)
    with small_disk(Path("small"), size) as (folder, grow):
        args = ["--method", "bicubic", "--tile", "16", "--no-report", "--compress", "none"]
        command = pair.command(*args, "-o", str(folder / "fused.tif"))
        assert main(command) == 1
        (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("cofusion")]
        assert ("free some space" in line) == seen_before
        assert "strips are in" in line and "goes on from there" in line
        assert not (folder / "fused.tif").exists()
        assert json.loads((folder / "fused.part.json").read_text())["strips"]
        grow("20m")
        assert main(command) == 0
        with rasterio.open(folder / "fused.tif") as file:
            np.testing.assert_allclose(file.read(), bicubic(pair), atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_fusion_that_is_interrupted_or_killed_is_gone_on_with(pair, sent):
    RasterPair.__init__(pair, pair.lr_hsi.parent, 256, 256)
    save_weights(pair, "weights")
    command = [sys.executable, "-m", "cofusion", *pair.command("--ckpt", "weights", "--tile", "64")]
    command += ["--no-report", "-o", "fused.tif"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    record = Path("fused.part.json")
    deadline = time.monotonic() + 60
    while not (record.exists() and json.loads(record.read_text())["strips"]):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    assert Path("fused.part.tif").exists() and not Path("fused.tif").exists()
    if sent == signal.SIGINT:
        assert process.returncode == 130, said
        assert "fused.part.tif" in said and len(said.splitlines()) == 1
    assert main(command[3:]) == 0
    with rasterio.open("fused.tif") as file:
        values = file.read()
    expected, *_ = fuses(pair, "--ckpt", "weights", "--tile", "64", "--no-report", output="other.tif")
    np.testing.assert_array_equal(values, expected)
