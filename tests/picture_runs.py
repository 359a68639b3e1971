"""Runs with recorded images, written by hand."""

import json
from pathlib import Path

import numpy as np
import yaml

from cofusion.reports.records.images import write_scene

BANDS, ROWS, COLS, SCALE = 6, 48, 64, 4
WAVELENGTHS = np.linspace(450, 700, BANDS)


def reference(seed: int = 0) -> np.ndarray:
    """A smooth scene with edges, in [0, 1]."""
    y, x = np.mgrid[:ROWS, :COLS]
    waves = [0.5 + 0.3 * np.sin(x / 9 + b / 3 + seed) * np.cos(y / 7 - b / 5) for b in range(BANDS)]
    return np.stack(waves) + 0.15 * ((x // 12 + y // 12) % 2)


def cubes(error: float, seed: int = 0, with_reference: bool = True) -> dict[str, np.ndarray]:
    """The cubes of one method that is off by noise of this standard deviation."""
    truth = reference(seed)
    noise = np.random.default_rng(int(error * 1e6)).normal(0, error, truth.shape)
    found = {"fused": truth + noise, "lr_hsi": truth[:, ::SCALE, ::SCALE], "hr_msi": truth[[0, 2, 5]]}
    return found | ({"reference": truth} if with_reference else {})


def psnr(held: dict[str, np.ndarray]) -> float:
    """The PSNR of a method's cubes, as a run records it."""
    mse = np.mean((held["fused"] - held["reference"]) ** 2)
    return float(-10 * np.log10(max(mse, 1e-16)))


def write_run(
    folder: Path,
    class_path: str,
    error: float,
    scenes: dict[str, int] | None = None,
    images: dict[str, dict[str, np.ndarray]] | None = None,
    trained: bool = False,
    seed: int = 1,
) -> Path:
    """Write a run directory.

    Args:
        folder: Where to.
        class_path: Of its network or method.
        error: Standard deviation of what it is off by.
        scenes: Seed of each test scene's reference by name.
        images: What `images/` holds; what was tested where left out.
        trained: Whether it has weights, and a metrics.csv.
        seed: Of its training.
    """
    scenes = {"field": 0} if scenes is None else scenes
    tested = {name: cubes(error, place) for name, place in scenes.items()}
    scores = {
        name: {"psnr": psnr(held), "sam": 100 * error, "ergas": 10 * error} for name, held in tested.items()
    }
    folder.mkdir(parents=True)
    record = {
        "scenes": scores,
        "mean": {key: float(np.mean([each[key] for each in scores.values()])) for key in ("psnr", "sam")},
        "baselines": {},
        "epochs_done": 3 if trained else None,
        "epochs_planned": 3 if trained else None,
        "steps": 30 if trained else None,
        "fit_time_s": 600.0 if trained else None,
        "parameters": 1000 if trained else 0,
        "seed": seed,
        "device": "cpu",
        "protocol": {"dataset": "synthetic", "scale": SCALE},
        "checkpoint": "checkpoints/best.ckpt" if trained else None,
    }
    (folder / "results.json").write_text(json.dumps(record))
    config = {
        "seed_everything": seed,
        "trainer": {"max_epochs": 3},
        "model": {"net": {"class_path": class_path, "init_args": {}}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    if trained:
        lines = ["epoch,step,val/psnr,fit_time_s", "0,9,20.5,", "1,19,25,", "2,29,26,"]
        (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    for number, (name, held) in enumerate((tested if images is None else images).items()):
        write_scene(folder / "images" / f"{number}.npz", name, held, WAVELENGTHS, WAVELENGTHS[[0, 2, 5]])
    return folder
