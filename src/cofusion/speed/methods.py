"""The networks that are timed, found where they are configured."""

from pathlib import Path
from typing import Any

from cofusion.configs import read_config
from cofusion.errors import UserError
from cofusion.method_names import method_title
from cofusion.models.base import FusionNetwork
from cofusion.models.pretrained import find_class
from cofusion.resources import resource_dir

COFUSION = "cofusion"


def names() -> tuple[str, ...]:
    """Return the names of all methods: `cofusion` and the shipped configs of `deep/`."""
    return (COFUSION, *(path.stem for path in _configs("deep")))


def ablations() -> tuple[str, ...]:
    """Return the names of CoFusion's ablations: the shipped configs of `ablation/`, not the full network."""
    return tuple(path.stem for path in _configs("ablation") if path.stem != "full")


def make(name: str, hsi_bands: int, msi_bands: int, scale: int) -> FusionNetwork:
    """Make a network with the options of its config and fresh weights.

    Args:
        name: One of `names()` or `ablations()`.
        hsi_bands: Number of HSI bands.
        msi_bands: Number of MSI bands.
        scale: Ratio of the two resolutions.

    Raises:
        UserError: There is no such method, or its config names no network of this project's kind.
    """
    config = _config(name)
    try:
        kind = find_class(config["class_path"])
    except (KeyError, ValueError) as error:
        raise UserError(f"the config of {name} names no network: {error}") from None
    if not issubclass(kind, FusionNetwork):
        raise UserError(f"the config of {name} names {kind.__name__}, which is no FusionNetwork")
    return kind(hsi_bands, msi_bands, scale, **config.get("init_args", {}))


def title(name: str) -> str:
    """Return what a method is called in tables, with the variant where it is an ablation.

    Raises:
        UserError: There is no such method.
    """
    known = method_title(str(_config(name)["class_path"]).rpartition(".")[2])
    return f"{known} {name}" if name in ablations() else known


def _config(name: str) -> dict[str, Any]:
    root = resource_dir("configs")
    if name in ablations():
        own, overlay = (
            read_config(root / file)["model"]["net"] for file in ("base/model.yaml", f"ablation/{name}.yaml")
        )
        return {**own, "init_args": own["init_args"] | overlay["init_args"]}
    if name not in names():
        raise UserError(
            f"there is no method {name!r} to time; choose among: {', '.join((*names(), *ablations()))}"
        )
    file = "base/model.yaml" if name == COFUSION else f"deep/{name}.yaml"
    config: dict[str, Any] = read_config(root / file)["model"]["net"]
    return config


def _configs(folder: str) -> list[Path]:
    return sorted((resource_dir("configs") / folder).glob("*.yaml"))
