"""How a network was trained, as far as the numbers depend on it."""

import re
from collections.abc import Mapping
from typing import Any

from cofusion.cluster.trial import short_keys, short_value

# Settings that no number depends on; anything else keeps runs apart.
_WITHOUT_EFFECT = re.compile(
    r"seed_everything|name|test_after_fit|run_dir|ckpt_path|config|"
    r"trainer\.(accelerator|strategy|devices|num_nodes|logger|default_root_dir|num_sanity_val_steps|enable_\w+|"
    r"log_every_n_steps|profiler|barebones|inference_mode|use_distributed_sampler|detect_anomaly|fast_dev_run|"
    r"limit_(val|test|predict)_batches)(\..*)?|"
    r"data\.(root|num_workers|test_scenes|lr_hsi|hr_msi)(\..*)?|data\.scenes\.init_args\.root"
)
# Settings of the pairs, which a protocol has.
PAIRS = re.compile(
    r"data\.(split|scale|preset|phase|psf|border|noise_seed|hsi_snr|msi_snr|response(\..*)?|"
    r"scenes(?!\.init_args\.root)(\..*)?)"
)
# Callbacks that watch and change nothing.
_WATCHERS = (
    "FigureWriter",
    "ImageWriter",
    "Health",
    "ResultsWriter",
    "PredictionWriter",
    "ProgressBar",
    "Bar",
    "Monitor",
)

# What a class is chosen for, in the order in which one tells it.
_PARTS = ("model.net", "model.loss", "model.optimizer", "model.lr_scheduler")
# Of Lightning and torch, which say nothing.
_DEFAULTS = {
    "trainer.max_steps": -1,
    "trainer.overfit_batches": 0.0,
    "trainer.check_val_every_n_epoch": 1,
    "trainer.accumulate_grad_batches": 1,
    "trainer.sync_batchnorm": False,
    "trainer.reload_dataloaders_every_n_epochs": 0,
    **{f"model.optimizer.init_args.{key}": False for key in ("amsgrad", "maximize", "capturable")},
    "model.optimizer.init_args.differentiable": False,
}


def recipe(config: Mapping[str, Any], test: Mapping[str, Any], device: str = "") -> dict[str, Any]:
    """Return what the trained weights depend on, by dotted key: network, loss, optimiser, crops, budget.

    Args:
        config: The config of the training.
        test: That of the test. The pairs are the protocol's matter, unless it trained on other ones.
        device: As a run records it; several devices share each step, so their number counts.
    """
    trained, tested = flat(config), flat(test)
    pairs = [key for key in trained | tested if PAIRS.fullmatch(key)]
    kept = {
        key: value
        for key, value in trained.items()
        if key not in pairs and not _WITHOUT_EFFECT.fullmatch(key)
    }
    kept |= {key: trained.get(key, "none") for key in pairs if trained.get(key) != tested.get(key)}
    # How images were cut matters where they were measured.
    for key in ("model.tile", "model.tile_margin"):
        kept.pop(key, None)
        kept |= {key: tested[key]} if key in tested else {}
    kept.pop("trainer.callbacks", None)
    for callback in _callbacks(config):
        name = str(callback.get("class_path", "")).rpartition(".")[2]
        if not name.endswith(_WATCHERS):
            kept |= flat(callback, f"trainer.callbacks.{name}.")
    several = re.match(r"(\d+) x ", device)
    return {**kept, "processes": int(several[1])} if several else kept


def _callbacks(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    trainer = config.get("trainer")
    callbacks = trainer.get("callbacks") if isinstance(trainer, Mapping) else None
    listed = callbacks if isinstance(callbacks, list) else [callbacks]
    return [callback for callback in listed if isinstance(callback, Mapping)]


def flat(config: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Write nested settings by dotted key; those that are null, the default of many, are left out."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{above}{key}.")
        elif value is not None:
            found[f"{above}{key}"] = value
    return found


def differences(recipes: list[dict[str, Any]]) -> list[str]:
    """Say of each recipe in short words how it differs from the others: `dim 32, max_epochs 10`.

    Args:
        recipes: Of methods that have the same name.
    """
    keys = sorted({key for one in recipes for key in one})
    differing = [key for key in keys if any(one.get(key) != recipes[0].get(key) for one in recipes)]
    names = _short(differing)
    return [", ".join(f"{names[key]} {_value(key, one, recipes)}" for key in differing) for one in recipes]


def _short(keys: list[str]) -> dict[str, str]:
    """Shorten keys; what a class is chosen for names it."""
    bare = {key: key.removesuffix(".class_path") for key in keys}
    short = short_keys(list(bare.values()))
    return {key: short[name] for key, name in bare.items()}


def _value(key: str, one: Mapping[str, Any], recipes: list[dict[str, Any]]) -> str:
    """Write a value for people, in full where it would read like another one."""
    if key not in one:
        return "none"
    alike = any(
        other.get(key) != one[key] and short_value(other.get(key)) == short_value(one[key])
        for other in recipes
    )
    return str(one[key]) if alike else short_value(one[key])


def words(recipe: Mapping[str, Any]) -> str:
    """Write a recipe in one line: classes with their arguments, then the rest.

    Args:
        recipe: As `recipe` returns it.
    """
    left = {key: value for key, value in recipe.items() if _DEFAULTS.get(key) != value}
    parts = []
    for part in _PARTS:
        name = left.pop(f"{part}.class_path", None)
        arguments = {key: left.pop(key) for key in list(left) if key.startswith(f"{part}.")}
        if name is not None:
            parts.append(f"{short_value(name)}{_listed(arguments)}")
    parts += [f"{short} {short_value(left[key])}" for key, short in _short(list(left)).items()]
    return ", ".join(parts)


def _listed(arguments: Mapping[str, Any]) -> str:
    names = short_keys(list(arguments))
    listed = ", ".join(f"{names[key]} {short_value(value)}" for key, value in arguments.items())
    return f" ({listed})" if listed else ""
