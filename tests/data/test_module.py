import json
import math
import os
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from cofusion.data import FusionDataModule, TrainingCrops
from cofusion.errors import UserError
from cofusion.scenes import CAVE, Chikusei, DatasetNotFoundError, IndianPines, PaviaU, Synthetic
from cofusion.sensors import BandPick, CsvResponse, GaussianResponse
from scene_files import write_pavia_u, write_split

VISIBLE = GaussianResponse([450, 550, 650], [60, 60, 60])


def synthetic(size=64, bands=8, **options):
    arguments = {"split": "synthetic", "scale": 4, "response": VISIBLE, "patch": 16, "batch_size": 4}
    arguments |= {"patches_per_epoch": 12} | options
    return FusionDataModule(lambda root: Synthetic(root, bands=bands, size=size), **arguments)


def batches(data, epoch=0):
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def same(a, b):
    return all(
        one["name"] == other["name"]
        and all(torch.equal(one[key], other[key]) for key in ("lr_hsi", "hr_msi", "hr_hsi"))
        for one, other in zip(a, b, strict=True)
    )


# Real containers, from the files to the batches


@pytest.mark.parametrize("preset", ["paper", "wald"])
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_cave(cave_root, preset, scale):
    data = FusionDataModule(
        CAVE,
        str(cave_root / "split.yaml"),
        scale,
        CsvResponse("nikon_d700"),
        root=cave_root,
        preset=preset,
        patch=16,
        batch_size=2,
        patches_per_epoch=6,
    )
    assert (data.hsi_bands, data.msi_bands, data.scale) == (31, 3, scale)
    data.setup("fit")
    train = batches(data)
    assert len(train) == 3
    for batch in train:
        assert batch["lr_hsi"].shape == (2, 31, 16 // scale, 16 // scale)
        assert batch["hr_msi"].shape == (2, 3, 16, 16)
        assert batch["hr_hsi"].shape == (2, 31, 16, 16)
        assert all(re.fullmatch(r"(beads|face)\[\d+:\d+, \d+:\d+\]", name) for name in batch["name"])
    (validation,) = data.val_dataloader()
    assert validation["name"] == ["face"]
    assert validation["hr_hsi"].shape == (1, 31, 16, 16)
    data.setup("test")
    test = list(data.test_dataloader())
    assert [batch["name"] for batch in test] == [["balloons"], ["feathers"]]
    for batch, name in zip(test, ("balloons", "feathers"), strict=True):
        cube = CAVE(cave_root).read(name).cube
        assert torch.equal(batch["hr_hsi"][0], cube)
        lr_hsi, hr_msi = data.sensors.degrade(cube)
        assert torch.equal(batch["lr_hsi"][0], lr_hsi) and torch.equal(batch["hr_msi"][0], hr_msi)
        assert all(batch[key].dtype == torch.float32 for key in ("lr_hsi", "hr_msi", "hr_hsi"))
    assert [batch["name"] for batch in data.predict_dataloader()] == [["balloons"], ["feathers"]]


@pytest.mark.parametrize("preset", ["paper", "wald"])
@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize(
    ("scenes", "fixture", "response", "msi_bands"),
    [
        (PaviaU, "pavia_u_root", CsvResponse("ikonos", ["blue", "green", "red", "nir"]), 4),
        (Chikusei, "chikusei_root", CsvResponse("ikonos", ["blue", "green", "red"]), 3),
    ],
)
def test_one_scene_sets(request, scenes, fixture, response, msi_bands, scale, preset):
    root = request.getfixturevalue(fixture)
    data = FusionDataModule(
        scenes, str(root / "split.yaml"), scale, response, root=root, preset=preset, patch=16, batch_size=2
    )
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["hr_msi"].shape == (2, msi_bands, 16, 16)
    (validation,) = data.val_dataloader()
    assert validation["hr_hsi"].shape == (1, scenes.bands, 24, 24)
    (test,) = data.test_dataloader()
    assert test["name"] == [scenes.stem]
    assert torch.equal(test["hr_hsi"][0], scenes(root).read(scenes.stem).cube[:, 0:32, 32:64])


def test_indian_pines_test_columns_are_never_trained_on():
    data = FusionDataModule(
        IndianPines,
        "indian_pines_columns",
        4,
        GaussianResponse([485, 560, 660, 830, 1650, 2215], [70, 80, 60, 140, 200, 270]),
        patch=32,
        patches_per_epoch=400,
    )
    data.setup("fit")
    data.setup("test")
    (test,) = data.test_dataloader()
    assert test["hr_hsi"].shape == (1, 200, 144, 44)
    assert test["hr_msi"].shape == (1, 6, 144, 44)
    ends = [int(re.search(r":(\d+)\]", name)[1]) for batch in batches(data) for name in batch["name"]]
    assert 80 < max(ends) <= 92


# Randomness


def test_crops_are_a_function_of_seed_and_epoch():
    data = synthetic()
    data.setup("fit")
    first = batches(data, epoch=0)
    assert same(first, batches(data, epoch=0))
    assert not same(first, batches(data, epoch=1))
    again = synthetic()
    again.setup("fit")
    torch.manual_seed(1)
    assert same(first, batches(again, epoch=0))
    other = synthetic(seed=4)
    other.setup("fit")
    assert not same(first, batches(other, epoch=0))


def test_workers_change_nothing():
    alone, helped = synthetic(), synthetic(num_workers=2)
    alone.setup("fit")
    helped.setup("fit")
    for epoch in (0, 3):
        assert same(batches(alone, epoch), batches(helped, epoch))
    helped.setup("test")
    assert [batch["name"] for batch in helped.test_dataloader()] == [["synthetic_3"]]


class Names(LightningModule):
    """Trains one number and keeps the names of every epoch's crops."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = {}

    def training_step(self, batch, _):
        self.seen.setdefault(self.current_epoch, []).extend(batch["name"])
        return (batch["hr_hsi"].mean() - self.weight).square()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def train(folder, epochs, workers=0, resume=None):
    module = Names()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        default_root_dir=folder,
        logger=False,
        callbacks=[ModelCheckpoint(folder, save_last=True)],
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(module, synthetic(num_workers=workers), ckpt_path=resume)
    return module.seen


@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_resumed_run_sees_what_an_uninterrupted_one_sees(tmp_path, workers):
    whole = train(tmp_path / "whole", 4, workers)
    assert len({tuple(names) for names in whole.values()}) == 4
    begun = train(tmp_path / "cut", 2, workers)
    resumed = train(tmp_path / "cut", 4, workers, resume=tmp_path / "cut" / "last.ckpt")
    assert begun | resumed == whole
    assert set(resumed) == {2, 3}


class Weighed(TrainingCrops):
    """Reports, instead of a crop's name, the memory that its worker has for itself, in MB."""

    def __getitems__(self, numbers):
        batch = super().__getitems__(numbers)
        rollup = Path("/proc/self/smaps_rollup").read_text()
        own = sum(int(n) for n in re.findall(r"Private_(?:Dirty|Hugetlb):\s+(\d+) kB", rollup)) / 1024
        return batch | {"name": [f"{os.getpid()} {own}"]}


def test_workers_do_not_copy_the_cubes():
    data = synthetic(size=384, bands=128, num_workers=1, patches_per_epoch=128, batch_size=8)
    data.setup("fit")
    cubes = sum(pair.hr_hsi.nbytes for pair in data._pairs.values()) / 2**20
    assert cubes > 200
    loader = data.train_dataloader()
    loader.dataset.__class__ = Weighed
    reports = [batch["name"][0].split() for batch in loader]
    assert {int(pid) for pid, _ in reports}.isdisjoint({os.getpid()})
    assert max(float(own) for _, own in reports) < 100, reports


# The command line's view


def build(tmp_path, text, *flags):
    parser = ArgumentParser(exit_on_error=False)
    config = tmp_path / "config.yaml"
    config.write_text(text)
    parser.add_argument("--config", action=ActionConfigFile)
    parser.add_class_arguments(FusionDataModule, "data")
    arguments = parser.parse_args(["--config", str(config), *flags])
    # What was parsed survives being saved and read again, as a run's record is.
    config.write_text(parser.dump(arguments))
    assert parser.parse_args(["--config", str(config)]).data == arguments.data
    return parser.instantiate(arguments).data


CAVE_YAML = """
data:
  scenes: cofusion.scenes.CAVE
  split: cave_20_11
  scale: 4
  response:
    class_path: cofusion.sensors.CsvResponse
    init_args: {table: nikon_d700}
"""
PAVIA_YAML = """
data:
  root: {root}
  scenes:
    class_path: cofusion.scenes.PaviaU
    init_args: {{scaling: p99}}
  split: {split}
  scale: 2
  patch: 8
  response:
    class_path: cofusion.sensors.CsvResponse
    init_args: {{table: ikonos}}
"""
SYNTHETIC_YAML = """
data:
  scenes:
    class_path: cofusion.scenes.Synthetic
    init_args: {bands: 20, size: 64}
  split: synthetic
  scale: 4
  patch: 32
  response:
    class_path: cofusion.sensors.GaussianResponse
    init_args: {centres: [450, 550], widths: [60, 60]}
"""


def test_yaml_builds_the_module_and_flags_override_single_keys(tmp_path):
    data = build(tmp_path, CAVE_YAML, "--data.root", str(tmp_path), "--data.patch", "32", "--data.scale", "8")
    assert isinstance(data.scenes, CAVE)
    assert data.scenes.root == tmp_path
    assert (data.patch, data.scale, data.hsi_bands, data.msi_bands, data.phase) == (32, 8, 31, 3, 0.0)
    assert data.wavelengths.tolist() == list(range(400, 701, 10))


def test_yaml_passes_arguments_to_scenes_and_response(tmp_path):
    flags = (
        "--data.scenes.init_args.bands",
        "24",
        "--data.preset",
        "wald",
        "--data.test_scenes",
        "[synthetic_3]",
    )
    data = build(tmp_path, SYNTHETIC_YAML, *flags)
    assert (data.hsi_bands, data.msi_bands, data.scenes.size, data.phase) == (24, 2, 64, 1.5)
    data.setup("fit")
    assert next(iter(data.train_dataloader()))["hr_hsi"].shape == (8, 24, 32, 32)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--data.preset", "walt"),
        ("--data.border", "zero"),
        ("--data.psf", "torch.nn.Linear"),
        ("--data.scale", "2.5"),
        ("--data.pach", "8"),
        ("--data.scenes", "torch.nn.Linear"),
    ],
)
def test_the_parser_refuses_what_cannot_be(tmp_path, flag, value):
    with pytest.raises(ArgumentError):
        build(tmp_path, CAVE_YAML, flag, value)


def test_yaml_names_a_satellite_and_its_bands(tmp_path):
    satellite = SYNTHETIC_YAML.replace("GaussianResponse", "SatelliteResponse").replace(
        "{centres: [450, 550], widths: [60, 60]}", "{satellite: sentinel-2a, bands: [4, 3, 8A]}"
    )
    protocol = build(tmp_path, satellite).protocol
    assert (protocol["response"], protocol["msi_bands"]) == ("sentinel-2a", ["4", "3", "8A"])
    with pytest.raises(ArgumentError, match="landsat-8"):
        build(tmp_path, satellite.replace("sentinel-2a", "sentinel-9"))


def test_yaml_replaces_parts_of_the_preset(tmp_path):
    np.save(tmp_path / "measured.npy", np.full((5, 5), 0.1))
    path = f"{tmp_path}/measured.npy"
    measured = json.dumps({"class_path": "cofusion.sensors.MeasuredPSF", "init_args": {"path": path}})
    flags = ("--data.psf", measured, "--data.phase", "2", "--data.border", "symmetric")
    data = build(tmp_path, SYNTHETIC_YAML, *flags, "--data.preset", "hysure", "--data.msi_snr", ".inf")
    torch.testing.assert_close(data.sensors.psf, torch.full((5, 5), 0.04, dtype=torch.float64))
    assert (data.phase, data.sensors.border) == (2.0, "symmetric")
    protocol = data.protocol
    assert protocol["psf"] == "measured.npy, divided by its sum 2.5"
    assert (protocol["hsi_snr"], protocol["msi_snr"], protocol["noise_seed"]) == (30.0, None, 0)
    assert json.loads(json.dumps(protocol, allow_nan=False)) == protocol
    width = '{"class_path": "cofusion.sensors.GaussianPSF", "init_args": {"mtf": [0.3, 0.2], "angle": 10}}'
    turned = build(tmp_path, SYNTHETIC_YAML, "--data.psf", width, "--data.preset", "3dt")
    assert turned.protocol["psf"] == "gaussian, mtf 0.3 down, 0.2 right, turned 10 deg"
    assert turned.phase == 2.5


def test_a_circular_border_does_not_leak_from_the_opposite_edge(tmp_path):
    path = write_split(
        tmp_path / "s.yaml",
        "synthetic",
        train=[{"scene": "synthetic_0"}],
        validation=[{"scene": "synthetic_1"}],
        test=[{"scene": "synthetic_0", "rows": [0, 8]}],
    )
    ends = {}
    for border in ("circular", "reflect"):
        data = synthetic(split=str(path), preset="hysure", border=border, patches_per_epoch=400)
        data.setup("fit")
        names = [name for batch in batches(data) for name in batch["name"]]
        ends[border] = max(int(re.search(r":(\d+),", name)[1]) for name in names)
    # The 5 x 5 kernel at pixel 1 reaches one pixel beyond its block; the grid of blocks has steps of 4.
    assert ends == {"circular": 60, "reflect": 64}


def test_noise_is_that_of_the_scene_whatever_the_crops():
    options = {"preset": "hysure", "patches_per_epoch": 40}
    noisy, other = synthetic(**options), synthetic(**options, seed=9)
    clean = synthetic(**options, hsi_snr=math.inf, msi_snr=math.inf)
    reseeded = synthetic(**options, noise_seed=1)
    for data in (noisy, clean, other, reseeded):
        data.setup("test")
    test, again, without, third = (
        next(iter(data.test_dataloader())) for data in (noisy, other, clean, reseeded)
    )
    for key, snr in (("lr_hsi", 30), ("hr_msi", 40)):
        power = (test[key] - without[key]).square().mean((2, 3)) / without[key].square().mean((2, 3))
        assert (-10 * power.log10() - snr).abs().max() < 1.5
        # Runs of another seed draw other crops and see the same test set.
        assert torch.equal(test[key], again[key])
        assert not torch.equal(test[key], third[key])


def test_protocol_is_plain_and_complete():
    protocol = synthetic(preset="wald").protocol
    assert protocol == {
        "dataset": "synthetic",
        "scaling": 1.0,
        "scenes": {},
        "split": "synthetic",
        "scale": 4,
        "preset": "wald",
        "phase": 1.5,
        "psf": "the preset's",
        "psf_size": 14,
        "border": "reflect",
        "hsi_snr": None,
        "msi_snr": None,
        "noise_seed": 0,
        "response": "gaussian",
        "msi_bands": ["450 nm", "550 nm", "650 nm"],
    }


def test_protocol_records_what_each_scene_was_divided_by(tmp_path):
    write_pavia_u(tmp_path)
    text = PAVIA_YAML.format(root=tmp_path, split=tmp_path / "split.yaml")
    data = build(tmp_path, text)
    data.setup("fit")
    scene = data.scenes.read("pavia_u")
    assert scene.clipped > 0
    assert data.protocol["scaling"] == "p99"
    assert data.protocol["scenes"] == {"pavia_u": {"scaling": scene.scaling, "clipped": scene.clipped}}


# Bad input


@pytest.mark.parametrize("scale", [1, 0, 2.5, "4"])
def test_scale_must_be_an_integer_of_at_least_two(scale):
    with pytest.raises(UserError, match="scale must be an integer of at least 2"):
        synthetic(scale=scale)


@pytest.mark.parametrize(
    ("patch", "advice"), [(18, "16 or 20"), (2, "4 or 8"), (0, "4 or 8"), (-4, "4 or 8")]
)
def test_patch_must_be_a_multiple_of_the_scale(patch, advice):
    with pytest.raises(UserError, match=f"patch {patch} is not a multiple of scale 4; use {advice}"):
        synthetic(patch=patch)


def test_patch_larger_than_the_scene():
    data = synthetic(patch=68)
    data.setup("fit")
    with pytest.raises(
        UserError, match=r"patch 68 is larger than .+ 64 x 64 pixels; use a patch of at most 64"
    ):
        data.train_dataloader()


def test_patch_that_does_not_fit_beside_the_held_out_regions(pavia_u_root):
    data = FusionDataModule(
        PaviaU, str(pavia_u_root / "split.yaml"), 2, BandPick([0]), root=pavia_u_root, patch=64
    )
    data.setup("fit")
    with pytest.raises(
        UserError, match=r"no crop of 64 pixels fits the training region pavia_u\[0:90, 0:70\]"
    ):
        data.train_dataloader()


@pytest.mark.parametrize(
    ("argument", "value"), [("batch_size", 0), ("patches_per_epoch", 0), ("num_workers", -1), ("seed", -1)]
)
def test_counts_have_their_minimum(argument, value):
    with pytest.raises(UserError, match=f"{argument} must be at least"):
        synthetic(**{argument: value})


def test_an_epoch_holds_a_batch():
    data = synthetic(batch_size=16)
    data.setup("fit")
    with pytest.raises(UserError, match="patches_per_epoch 12 over 1 processes is less than one batch of 16"):
        data.train_dataloader()


def test_split_and_scenes_belong_together():
    with pytest.raises(
        UserError, match="split 'cave_20_11' is for the data set 'cave', the scenes are 'synthetic'"
    ):
        synthetic(split="cave_20_11")


def test_a_split_with_an_unknown_scene(tmp_path):
    path = write_split(tmp_path / "s.yaml", "synthetic", *([{"scene": f"synthetic_{i}"}] for i in (0, 1, 7)))
    with pytest.raises(UserError, match="Synthetic has no scene synthetic_7; it has: synthetic_0"):
        synthetic(split=str(path))


def test_missing_scenes_are_listed_for_the_stage_that_needs_them(cave_root):
    def cave(**options):
        return FusionDataModule(CAVE, "cave_20_11", 4, CsvResponse("nikon_d700"), root=cave_root, **options)

    with pytest.raises(DatasetNotFoundError) as error:
        cave().setup("test")
    assert len(error.value.missing) == 9
    assert "--data.test_scenes '[balloons, feathers]'" in str(error.value)
    with pytest.raises(DatasetNotFoundError) as error:
        cave().setup("fit")
    assert len(error.value.missing) == 18
    assert "test_scenes" not in str(error.value)
    chosen = cave(test_scenes=["feathers", "balloons"])
    chosen.setup("test")
    assert [batch["name"] for batch in chosen.test_dataloader()] == [["balloons"], ["feathers"]]
    with pytest.raises(DatasetNotFoundError, match="no file for cd;"):
        cave(test_scenes=["cd", "balloons"]).setup("test")


@pytest.mark.parametrize(
    ("chosen", "named"), [(["beads", "hairs"], "beads"), (["hair"], "hair"), ([], "none given")]
)
def test_unknown_test_scenes_list_the_known_ones(chosen, named):
    with pytest.raises(
        UserError, match=f"test_scenes: {named}; the test scenes of this split are: balloons, cd"
    ):
        FusionDataModule(CAVE, "cave_20_11", 4, CsvResponse("nikon_d700"), test_scenes=chosen)


def test_a_response_beyond_the_sensor():
    with pytest.raises(UserError, match=r"'2215 nm' .+ no support in the cube's 400 to 1000 nm"):
        synthetic(response=GaussianResponse([485, 2215], [70, 270]))


def test_several_regions_of_a_scene_are_told_apart(tmp_path):
    path = write_split(
        tmp_path / "s.yaml",
        "synthetic",
        train=[{"scene": "synthetic_0"}],
        validation=[{"scene": "synthetic_1", "rows": [0, 32]}, {"scene": "synthetic_1", "rows": [32, 64]}],
        test=[{"scene": "synthetic_2"}],
    )
    data = synthetic(split=str(path))
    data.setup("validate")
    names = [batch["name"] for batch in data.val_dataloader()]
    assert names == [["synthetic_1[0:32, 0:64]"], ["synthetic_1[32:64, 0:64]"]]


def test_processes_share_crops_and_regions(tmp_path):
    split = write_split(
        tmp_path / "s.yaml",
        "synthetic",
        train=[{"scene": "synthetic_0"}],
        validation=[{"scene": "synthetic_1"}],
        test=[{"scene": f"synthetic_{i}", "rows": rows} for i in (2, 3) for rows in ([0, 32], [32, 64])][:3],
    )
    whole, crops, regions = synthetic(split=str(split)), [], []
    whole.setup("fit")
    for rank in range(2):
        data = synthetic(split=str(split), batch_size=2)
        data.setup("fit")
        data.setup("test")
        data.trainer = SimpleNamespace(
            world_size=2,
            global_rank=rank,
            fit_loop=Trainer(logger=False, enable_checkpointing=False).fit_loop,
        )
        crops.append([name for batch in batches(data, 1) for name in batch["name"]])
        regions.append([batch["name"] for batch in data.test_dataloader()])
    assert [len(own) for own in crops] == [6, 6]
    assert sorted(crops[0] + crops[1]) == sorted(
        name for batch in batches(whole, 1) for name in batch["name"]
    )
    assert [len(own) for own in regions] == [2, 1]
    assert len({name for own in regions for (name,) in own}) == 3
    with pytest.raises(UserError, match=r"1 validation regions for 2 processes.+use at most 1 devices"):
        data.val_dataloader()
