"""Point spread functions by description: called with scale and phase, they become taps."""

import math
import warnings
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.sensors.psf import gaussian_psf, sigma_from_fwhm, sigma_from_mtf

# Four standard deviations to either side leave out less than 1e-4 of a Gaussian.
_SIGMAS = 4.0


class PSFSpec(ABC):
    """A PSF not yet tied to a scale."""

    @abstractmethod
    def __call__(self, scale: int, phase: float) -> Tensor:
        """Return `(size, size)` taps with sum 1 for a sensor of this scale that samples at this phase."""

    @abstractmethod
    def describe(self) -> str:
        """Return one line that says which PSF this is, for the record of a run."""


class GaussianPSF(PSFSpec):
    """A Gaussian by its width, given in one of three ways.

    Each is one number, or two: along the rows' axis (down the picture) and along the columns' axis.

    Args:
        sigma: Standard deviation in full-resolution pixels.
        fwhm: Full width at half maximum in full-resolution pixels (see `sigma_from_fwhm`).
        mtf: What is left of the amplitude at the low-resolution grid's Nyquist frequency, between 0 and 1
            (see `sigma_from_mtf`); sensors are specified at about 0.1 to 0.35.
        angle: Degrees by which both axes are turned, from the downward axis towards the right one.
        size: Taps per axis; when left out, the smallest window that fits the phase and is 8 sigma wide.

    Raises:
        UserError: Not exactly one of the three widths, or widths, angle or size that cannot be used.
    """

    def __init__(
        self,
        sigma: float | list[float] | None = None,
        fwhm: float | list[float] | None = None,
        mtf: float | list[float] | None = None,
        angle: float = 0.0,
        size: int | None = None,
    ) -> None:
        given = {"sigma": sigma, "fwhm": fwhm, "mtf": mtf}
        widths = {name: width for name, width in given.items() if width is not None}
        if len(widths) != 1:
            raise UserError(
                f"a Gaussian PSF takes one of sigma, fwhm and mtf; given: {', '.join(widths) or 'none'}"
            )
        ((self.kind, width),) = widths.items()
        self.width = tuple(width) if isinstance(width, list) else (width, width)
        if len(self.width) != 2:
            raise UserError(
                f"the {self.kind} of a Gaussian PSF is one number or two (down, right), not {width}"
            )
        self.angle = angle
        self.size = size
        self(2, 0.0)

    def __call__(self, scale: int, phase: float) -> Tensor:
        """Sample the Gaussian: on an odd number of taps for a whole phase, else on an even one."""
        down, right = (self._sigma(width, scale) for width in self.width)
        size = self.size if self.size is not None else gaussian_window(max(down, right), phase)
        return gaussian_psf(size, (down, right), self.angle)

    def describe(self) -> str:
        """Return what the widths are and, where they differ, which is which and the angle."""
        down, right = self.width
        width = f"{down:g}" if down == right else f"{down:g} down, {right:g} right, turned {self.angle:g} deg"
        return f"gaussian, {self.kind} {width}"

    def _sigma(self, width: float, scale: int) -> float:
        if self.kind == "mtf":
            return sigma_from_mtf(width, scale)
        return sigma_from_fwhm(width) if self.kind == "fwhm" else width


class MeasuredPSF(PSFSpec):
    """A PSF from a file: `.npy`, `.csv` (numbers only, one row per line) or a single-band TIFF.

    One tap is one full-resolution pixel, whatever the scale. Taps are divided by their sum; negative ones,
    which measurements have, are kept.

    Args:
        path: The file.

    Raises:
        UserError: No such file, or one that does not hold a square table of finite numbers with a sum above
            0.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser()
        taps = _read(self.path)
        square = taps.ndim == 2 and taps.shape[0] == taps.shape[1] > 0
        if not square or not np.isfinite(taps).all() or not taps.sum() > 0:
            raise UserError(
                f"{self.path} cannot be a PSF: it holds {' x '.join(map(str, taps.shape)) or 'one'} values "
                f"with sum {taps.sum():g}; expected a square table of finite numbers with a sum above 0"
            )
        self.total = float(taps.sum())
        self.taps = torch.from_numpy(taps / self.total)

    def __call__(self, scale: int, phase: float) -> Tensor:
        """Return the taps; whether they fit the phase, the sensors check."""
        return self.taps

    def describe(self) -> str:
        """Return the file's name and the sum that its taps were divided by."""
        return f"{self.path.name}, divided by its sum {self.total:g}"


def gaussian_window(sigma: float, phase: float) -> int:
    """Return the smallest size that is 8 sigma wide and centred on the phase: odd for a whole one."""
    if not 0 < sigma < math.inf:
        raise UserError(f"the sigma of a Gaussian PSF must be above 0 pixels, not {sigma}")
    size = math.ceil(2 * _SIGMAS * sigma)
    return size if (size % 2 == 1) == (phase % 1 == 0) else size + 1


def _read(path: Path) -> npt.NDArray[np.float64]:
    readers = {".npy": _read_npy, ".csv": _read_csv, ".tif": _read_tiff, ".tiff": _read_tiff}
    reader = readers.get(path.suffix.lower())
    if reader is None or not path.is_file():
        raise UserError(f"{path} is no PSF file; give an existing one that ends in {', '.join(readers)}")
    try:
        return np.asarray(reader(path), dtype=np.float64)
    except (ValueError, TypeError, OSError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read as a PSF ({reason}); expected a square table") from error


def _read_npy(path: Path) -> Any:
    return np.load(path, allow_pickle=False)


def _read_csv(path: Path) -> Any:
    with warnings.catch_warnings():
        # An empty file is a table of no values; the person hears so in one line.
        warnings.simplefilter("ignore", UserWarning)
        return np.loadtxt(path, delimiter=",", ndmin=2)


def _read_tiff(path: Path) -> Any:
    import rasterio

    with warnings.catch_warnings():
        # A kernel has no place on Earth.
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            return file.read(1) if file.count == 1 else file.read()
