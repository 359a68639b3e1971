"""Scenes that are mapped from a converted copy: made once, found again, made anew when anything is wrong."""

import json
import multiprocessing
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

import scene_files
from cofusion.data import Pair, TrainingCrops, WholeRegions, Window
from cofusion.errors import UserError
from cofusion.scenes import Chikusei, Scene, kept, mapped, read_file
from cofusion.scenes.formats import open_file
from cofusion.sensors import Sensors, SpectralResponse

SCALING = 5000.0


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch):
    monkeypatch.setattr(mapped, "MAPPED_ABOVE", 0)
    # Three bands of the small files a run.
    monkeypatch.setattr(mapped, "_RUN", 3 * 90 * 70 * 4)
    monkeypatch.delenv("COFUSION_CACHE", raising=False)


@pytest.fixture
def root(tmp_path):
    scene_files.write_chikusei(tmp_path / "chikusei")
    return tmp_path


def read(root, scaling=SCALING):
    return Chikusei(root, scaling).read("chikusei")


def folders(root):
    return sorted(path for path in (root / "chikusei" / ".cofusion").iterdir() if path.is_dir())


@pytest.fixture
def conversions(monkeypatch):
    """Count how often a copy is made."""
    count, make = [], kept._make

    def counting(*args):
        count.append(args)
        return make(*args)

    monkeypatch.setattr(kept, "_make", counting)
    return count


@pytest.mark.parametrize("rule", [SCALING, "max", "p99", "p50.5"])
def test_a_mapped_scene_equals_one_in_memory(root, rule, monkeypatch, caplog):
    scene = read(root, rule)
    told = caplog.text
    caplog.clear()
    monkeypatch.setattr(mapped, "MAPPED_ABOVE", 2**30)
    plain = read(root, rule)
    assert scene.mapped is not None and plain.mapped is None
    assert torch.equal(scene.cube, plain.cube)
    assert (scene.scaling, scene.clipped) == (plain.scaling, plain.clipped)
    assert ("clipped" in told) == (plain.clipped > 0)
    assert torch.equal(scene.wavelengths, plain.wavelengths)


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".h5", ".mat"])
def test_files_of_other_formats_are_mapped_too(tmp_path, suffix, monkeypatch):
    rasterio = pytest.importorskip("rasterio")
    cube = np.random.default_rng(0).integers(1, 999, (40, 90, 90)).astype(np.float32)
    cube[:, 3, 4] = -5
    path = tmp_path / f"scene{suffix}"
    if suffix == ".npy":
        np.save(path, cube)
    elif suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("cube", data=cube, chunks=(7, 32, 90))
    elif suffix == ".mat":
        scene_files.savemat(path, {"cube": cube.transpose(1, 2, 0)})
    else:
        shape = {"count": 40, "height": 90, "width": 90}
        with rasterio.open(path, "w", "GTiff", dtype="float32", **shape) as file:
            file.write(cube)
    scene = read_file(path, nodata=-5)
    monkeypatch.setattr(mapped, "MAPPED_ABOVE", 2**30)
    plain = read_file(path, nodata=-5)
    assert scene.mapped is not None and plain.mapped is None
    assert torch.equal(scene.cube, plain.cube)
    assert torch.equal(scene.nodata, plain.nodata)
    assert scene.nodata.sum() == 1


def test_bad_bands_are_left_out_of_the_copy(tmp_path):
    cube = np.arange(5 * 20 * 30, dtype=np.float32).reshape(5, 20, 30)
    path = tmp_path / "a.npy"
    np.save(path, cube)
    contents = replace(open_file(path, band_axis=0), bad_bands=(0, 3), wavelengths=torch.arange(5.0))
    scene = Scene.from_file("a", path, contents, "max")
    np.testing.assert_allclose(scene.cube, cube[[1, 2, 4]] / cube.max(), rtol=1e-6)
    assert scene.wavelengths.tolist() == [1, 2, 4]


def test_the_second_start_finds_the_copy(root, conversions):
    first = read(root)
    again = read(root)
    assert len(conversions) == 1
    assert torch.equal(first.cube, again.cube)
    assert (first.scaling, first.clipped) == (again.scaling, again.clipped)


def test_another_scaling_has_a_copy_of_its_own(root, conversions):
    read(root)
    read(root, "max")
    read(root)
    assert len(conversions) == len(folders(root)) == 2


def test_a_changed_source_is_converted_anew(root, conversions):
    before = read(root).cube.clone()
    path = root / "chikusei" / scene_files.CHIKUSEI_FILE
    with h5py.File(path, "r+") as file:
        file["chikusei"][5] = 1234
    after = read(root).cube
    assert len(conversions) == 2
    assert torch.equal(after[5], torch.full_like(after[5], 1234 / SCALING))
    assert torch.equal(after[6:], before[6:])


def test_a_touched_source_is_recognised_by_its_checksum(root, conversions, monkeypatch):
    read(root)
    os.utime(root / "chikusei" / scene_files.CHIKUSEI_FILE)
    read(root)
    assert len(conversions) == 1
    # And its new time is noted.
    monkeypatch.setattr(kept, "sha256", lambda path: pytest.fail("read once more"))
    read(root)


@pytest.mark.parametrize("damage", ["byte", "cut", "gone", "record"])
def test_a_damaged_copy_is_made_anew(root, conversions, damage):
    expected = read(root).cube.clone()
    (folder,) = folders(root)
    copy = folder / "hr_hsi.npy"
    if damage == "byte":
        with copy.open("r+b") as file:
            file.seek(5000)
            file.write(b"\xff")
    elif damage == "cut":
        os.truncate(copy, 5000)
    elif damage == "gone":
        copy.unlink()
    else:
        (folder / "record.json").write_text(json.dumps({"identity": "?"}))
    assert torch.equal(read(root).cube, expected)
    assert len(conversions) == 2


def test_what_a_killed_process_left_is_removed(root):
    folder = root / "chikusei" / ".cofusion"
    read(root)
    (made,) = folders(root)
    left = folder / f".{made.name}.999.part"
    shutil.move(made, left)
    read(root)
    assert made.is_dir() and not left.exists()


def test_a_refused_scene_leaves_nothing(root):
    with h5py.File(root / "chikusei" / scene_files.CHIKUSEI_FILE, "r+") as file:
        file["chikusei"][17, 3, 2] = np.nan
    with pytest.raises(UserError, match=r"scene 'chikusei': 1 of 806400 values .+ band 17, row 2, column 3"):
        read(root)
    assert not [path for path in (root / "chikusei" / ".cofusion").iterdir() if path.is_dir()]


def test_no_room_is_said_before_anything_is_written(root, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**6))
    with pytest.raises(UserError, match=r"has 1\.0 MB free and 3\.2 MB more are needed"):
        read(root)


def test_the_cache_may_lie_elsewhere(root, tmp_path, monkeypatch):
    monkeypatch.setenv("COFUSION_CACHE", str(tmp_path / "cache"))
    scene = read(root)
    assert scene.mapped.path.is_relative_to(tmp_path / "cache")
    assert not (root / "chikusei" / ".cofusion").exists()


def test_a_folder_that_cannot_be_written_is_named(root, monkeypatch):
    blocked = root / "file"
    blocked.write_text("")
    monkeypatch.setenv("COFUSION_CACHE", str(blocked / "cache"))
    with pytest.raises(UserError, match=r"file/cache/.+ cannot be written \(.+COFUSION_CACHE"):
        read(root)


def _start(root, barrier, results):
    made = []
    make = kept._make
    kept._make = lambda *args: made.append(1) or make(*args)
    barrier.wait()
    cube = read(root).cube
    results.put((len(made), float(cube.double().sum())))


def test_of_processes_that_start_at_once_one_converts(root):
    # Forked, so that they see what the fixture has set.
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_start, args=(root, barrier, results)) for _ in range(3)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(made for made, _ in found) == [0, 0, 1]
    assert len({total for _, total in found}) == 1


@pytest.mark.parametrize("preset", ["paper", "wald", "hysure"])
@pytest.mark.parametrize("scale", [2, 4])
def test_a_mapped_scene_is_seen_as_one_in_memory(root, preset, scale, monkeypatch, conversions):
    sensors = Sensors.preset(preset, scale, SpectralResponse.pick([5, 60, 127], 128))
    pair = Pair.simulate(read(root), sensors, flips=True)
    again = Pair.simulate(read(root), sensors, flips=True)
    assert len(conversions) == 2
    monkeypatch.setattr(mapped, "MAPPED_ABOVE", 2**30)
    plain = Pair.simulate(read(root), sensors, flips=True)
    assert pair.mapped and again.mapped and not plain.mapped
    assert len(pair.lr_hsi) == len(plain.lr_hsi) == 8
    for other in (pair, again):
        torch.testing.assert_close(other.hr_msi, plain.hr_msi)
        for one, expected in zip(other.lr_hsi, plain.lr_hsi, strict=True):
            torch.testing.assert_close(one, expected)
    assert len({image.data_ptr() for image in pair.lr_hsi}) == len(
        {image.data_ptr() for image in plain.lr_hsi}
    )


def test_other_sensors_have_images_of_their_own(root, conversions):
    response = SpectralResponse.pick([5, 60, 127], 128)
    scene = read(root)
    for given in ({}, {"phase": 1}, {"hsi_snr": 30.0}, {"noise_seed": 1, "hsi_snr": 30.0}):
        Pair.simulate(scene, Sensors.preset("paper", 2, response, **given), flips=False)
    Pair.simulate(scene, Sensors.preset("paper", 2, response), flips=True)
    assert len(conversions) == 1 + 5


def resident(path):
    """Return the bytes of a file that are resident in this process."""
    total, here = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split()[0]
        if not first.endswith(":"):
            here = line.endswith(str(path))
        elif here and first == "Rss:":
            total += 1024 * int(line.split()[1])
    return total


def test_released_pages_are_not_resident(root):
    scene = read(root)
    before = scene.cube.clone()
    assert resident(scene.mapped.path) >= before.nbytes
    scene.mapped.release()
    assert resident(scene.mapped.path) == 0
    assert torch.equal(scene.cube, before)


def test_runs_cover_the_scene_and_leave_nothing_resident(root):
    scene = read(root)
    seen = torch.zeros_like(scene.cube)
    for bands, run in scene.runs():
        assert len(run) <= 3
        seen[bands] += run
    assert torch.equal(seen, scene.cube[:])
    scene.mapped.release()
    for _ in scene.runs():
        pass
    assert resident(scene.mapped.path) == 0


def test_crops_and_regions_leave_nothing_resident(root):
    sensors = Sensors.preset("paper", 2, SpectralResponse.pick([5, 60, 127], 128))
    pair = Pair.simulate(read(root), sensors, flips=True)
    crops = TrainingCrops([pair], [torch.tensor([[0, 0], [9, 3]])], 16, 2, 8, seed=0, augment=True)
    regions = WholeRegions([("part", pair, Window((0, 80), (0, 60)))], 2)
    for batch in (crops.__getitems__(range(8)), regions[0]):
        assert (batch["hr_hsi"] > 0).any()
        assert sum(resident(file.path) for file in pair.mapped) == 0
