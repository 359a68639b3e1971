"""Run directories as `cofusion fit` and `cofusion test` leave them, without running either."""

import copy
import json
from pathlib import Path
from typing import Any

import yaml

CAVE = {
    "dataset": "cave",
    "scaling": 65535.0,
    "split": "cave_20_11",
    "scale": 4,
    "preset": "paper",
    "phase": 0.0,
    "psf": "the preset's",
    "psf_size": 3,
    "border": "reflect",
    "hsi_snr": None,
    "msi_snr": None,
    "noise_seed": 0,
    "response": "nikon_d700",
    "msi_bands": ["red", "green", "blue"],
}
PAVIA = CAVE | {
    "dataset": "pavia_u",
    "scaling": 8000.0,
    "split": "pavia_u_centre_128",
    "response": "ikonos",
    "msi_bands": ["blue", "green", "red", "nir"],
}
BICUBIC = {"psnr": 30.0, "ssim": 0.9, "sam": 4.0, "ergas": 6.0, "ergas_100_4": 6.0}


def metrics(psnr: float | None, **others: float | None) -> dict[str, float | None]:
    """Metrics of one scene."""
    same = {"ssim": 0.99, "sam": 2.0, "ergas": 1.0, "ergas_100_4": 1.0}
    return {"psnr": psnr, "psnr_max": psnr} | same | others


def mean(scenes: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """The mean as a run records it: null where a value is null."""
    keys = dict.fromkeys(key for scene in scenes.values() for key in scene)
    found = {key: [scene[key] for scene in scenes.values() if key in scene] for key in keys}
    return {key: None if None in each else sum(each) / len(each) for key, each in found.items()}


def write_run(
    folder: Path,
    psnr: float | dict[str, Any] | None = 40.0,
    *,
    net: str = "cofusion.CoFusion",
    arguments: dict[str, Any] | None = None,
    seed: int = 1,
    protocol: dict[str, Any] | None = None,
    bicubic: dict[str, float] | None = None,
    config: dict[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """Write `results.json` and `config.yaml` of a complete, tested fit.

    Args:
        folder: The run directory.
        psnr: Of the one scene, or metrics by scene.
        net: Class of the network.
        arguments: Its arguments.
        seed: Of the training.
        protocol: In the results.
        bicubic: Metrics of bicubic interpolation in every scene.
        config: Keys by dotted path that differ from a run of two epochs; the results have as many epochs.
        changes: Of the results.
    """
    scenes = psnr if isinstance(psnr, dict) else {"balloons": metrics(psnr)}
    epochs = (config or {}).get("trainer.max_epochs", 2)
    plain = dict.fromkeys(scenes, bicubic or BICUBIC)
    results = {
        "scenes": scenes,
        "mean": mean(scenes),
        "baselines": {"bicubic": {"scenes": plain, "mean": mean(plain)}},
        "epochs_done": epochs,
        "epochs_planned": epochs,
        "steps": 400,
        "parameters": 4_780_000,
        "version": "0.1.0",
        "versions": {"python": "3.11.7", "torch": "2.9.0"},
        "commit": "0123abc",
        "seed": seed,
        "device": "cpu (a test)",
        "fit_time_s": 90.0,
        "protocol": CAVE if protocol is None else protocol,
        "checkpoint": "checkpoints/best.ckpt",
    } | changes
    settings: dict[str, Any] = {
        "seed_everything": seed,
        "name": folder.name,
        "trainer": {"max_epochs": 2, "accelerator": "auto"},
        "model": {
            "net": {"class_path": net, "init_args": arguments or {}},
            "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.002}},
        },
        "data": {"root": "somewhere", "patch": 32, "batch_size": 8},
    }
    for key, value in (config or {}).items():
        *above, last = key.split(".")
        place = settings
        for part in above:
            place = place.setdefault(part, {})
        place[last] = copy.deepcopy(value)
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return folder


def write_classical(
    folder: Path, psnr: float, net: str = "cofusion.models.classical.GSA", **given: Any
) -> Path:
    """Write a test of a method that needs no training."""
    nothing = dict.fromkeys(("epochs_done", "epochs_planned", "steps", "fit_time_s", "checkpoint"))
    return write_run(folder, psnr, net=net, **{"parameters": 0, **nothing, **given})
