"""Whether a recorded image may stand beside others, and beside the numbers of its run."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cofusion.errors import UserError
from cofusion.reports.records.images import RecordedScene

Array = npt.NDArray[Any]

# Share of its mean squared error by which the same image may differ on another device: 0.09 dB.
_SAME_MSE = 0.02
_MOST_DB = 999.0


def check_same(one: RecordedScene, first: RecordedScene, measured: Array) -> None:
    """Check that an image is of the scene, the size and the protocol of the first.

    Args:
        one: The image.
        first: The first.
        measured: Its reference, or its LRHSI where there is none.

    Raises:
        UserError: It is of another.
    """
    if one is first:
        return
    key = "reference" if "reference" in first.cubes else "lr_hsi"
    same = one.shape == first.shape and one.cubes == first.cubes and one.name == first.name
    # A simulated LRHSI differs in its last digits between devices; a reference was only read.
    tolerance = 0 if key == "reference" else 2e-3
    if not same or not np.allclose(one.cube(key), measured, atol=tolerance, equal_nan=True):
        raise UserError(
            f"{one.called} is of another {first.name}: its {key} differs from that of {first.called}"
        )


def check_psnr(called: str, fused: Array, reference: Array, scores: Mapping[str, float]) -> None:
    """Check that an image is the one whose PSNR was recorded, not of another method or of another test.

    Args:
        called: What messages call the image.
        fused: The image.
        reference: Its reference.
        scores: What was recorded of it.

    Raises:
        UserError: Its PSNR is further from the recorded one than half precision explains.
    """
    if "psnr" not in scores:
        return
    mse = float(np.mean((fused.astype(np.float64) - reference) ** 2))
    if not math.isfinite(mse):
        raise UserError(f"{called} is not what was tested: it or its reference is not finite")
    decibels = min(max(scores["psnr"], -_MOST_DB), _MOST_DB)
    recorded = 10 ** (-decibels / 10)
    if abs(mse - recorded) > _SAME_MSE * recorded + 6 * (_rounding(fused) + _rounding(reference)):
        raise UserError(
            f"{called} is not what was tested: its PSNR is {-10 * np.log10(max(mse, 1e-16)):.2f} dB, the "
            f"recorded one {decibels:.2f} dB"
        )


def _rounding(cube: Array) -> float:
    """The mean squared error of rounding to half precision: a twelfth of the squared step."""
    steps = np.spacing(np.abs(cube).astype(np.float16)).astype(np.float64)
    return float(np.mean(steps**2) / 12)
