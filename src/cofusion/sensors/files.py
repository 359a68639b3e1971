"""Sensors as a JSON file."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.files import write_text
from cofusion.sensors.noise import Noise
from cofusion.sensors.psf import Border
from cofusion.sensors.response import SpectralResponse
from cofusion.sensors.simulate import Sensors

_FORMAT = "cofusion sensors 1"


def write_sensors(path: str | Path, sensors: Sensors, about: Mapping[str, Any] | None = None) -> None:
    """Write sensors to a JSON file, whole or not at all; every number reads back equal.

    Args:
        path: The file; missing folders are made.
        sensors: What to write.
        about: Plain values for people, for example how the sensors were found; `read_sensors` ignores them.

    Raises:
        OSError: The folder cannot be written.
    """
    noise = {"hsi_snr": _plain(sensors.noise.hsi_snr), "msi_snr": _plain(sensors.noise.msi_snr)}
    content = {
        "format": _FORMAT,
        "scale": sensors.scale,
        "phase": sensors.phase,
        "border": sensors.border,
        "psf": sensors.psf.tolist(),
        "response": {
            "names": list(sensors.response.names),
            "source": sensors.response.source,
            "weights": sensors.response.weights.tolist(),
        },
        "noise": {**noise, "seed": sensors.noise.seed},
        "about": dict(about or {}),
    }
    text = json.dumps(content, indent=1, allow_nan=False)
    write_text(Path(path).expanduser(), text + "\n")


def read_sensors(path: str | Path) -> Sensors:
    """Read sensors that `write_sensors` wrote.

    Args:
        path: The file.

    Raises:
        UserError: No such file, one that is damaged or of another kind, or values that make no sensors.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"there is no file {path}; give a file that `cofusion sensors estimate` wrote")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise ValueError(f"its format is {content['format']!r}, expected {_FORMAT!r}")
        return _sensors(content)
    # UserError is a ValueError: what the sensors themselves refuse.
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise UserError(
            f"{path} is damaged or no file of sensors ({reason}); write it again with "
            f"`cofusion sensors estimate`"
        ) from None


def _sensors(content: dict[str, Any]) -> Sensors:
    response, noise = content["response"], content["noise"]
    psf = _table(content["psf"], "psf")
    if not math.isclose(psf.sum(), 1, abs_tol=1e-6):
        raise ValueError(f"the taps of the psf sum to {float(psf.sum()):g}, not to 1")
    if content["border"] not in get_args(Border):
        raise ValueError(f"unknown border {content['border']!r}")
    return Sensors(
        psf=psf,
        scale=content["scale"],
        phase=float(content["phase"]),
        border=content["border"],
        response=SpectralResponse(
            _table(response["weights"], "weights"),
            tuple(map(str, response["names"])),
            str(response["source"]),
        ),
        noise=Noise(_snr(noise["hsi_snr"]), _snr(noise["msi_snr"]), int(noise["seed"])),
    )


def _table(rows: Any, what: str) -> Tensor:
    table = torch.tensor(rows, dtype=torch.float64)
    if table.ndim != 2 or not table.numel() or not table.isfinite().all():
        raise ValueError(f"{what} holds no table of finite numbers")
    return table


def _plain(snr: float) -> float | None:
    """Return a ratio as JSON has it, which knows no infinity."""
    return None if snr == math.inf else snr


def _snr(value: float | None) -> float:
    return math.inf if value is None else float(value)
