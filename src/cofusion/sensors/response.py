"""Spectral responses: how a multispectral sensor sums the bands of a hyperspectral one."""

import csv
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.resources import find_resource
from cofusion.sensors.satellites import Satellite, satellite_curves

_Array = npt.NDArray[np.float64]
ALL_BANDS = slice(None)

# A band counts as seen when some hyperspectral band reaches a tenth of its peak response. Below that lie the
# noise floor of measured tables and the far tails of Gaussians, which normalising would blow up to a band.
_SEEN = 0.1


@dataclass(frozen=True, eq=False)
class SpectralResponse:
    """A linear map from hyperspectral to multispectral bands.

    Attributes:
        weights: `(c, C)` float64, not negative; every row sums to 1, so values stay in [0, 1].
        names: One name for each of the `c` multispectral bands.
        source: Where the weights come from, for the record of a run.

    Raises:
        UserError: A negative or non-finite weight, or a row that does not sum to 1.
    """

    weights: Tensor
    names: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or len(self.names) != self.weights.shape[0]:
            raise UserError(
                f"response {self.source!r}: weights of shape {tuple(self.weights.shape)} do not fit "
                f"{len(self.names)} names; expected one row per name"
            )
        sums = self.weights.sum(1)
        if not bool((self.weights >= 0).all()) or not torch.allclose(sums, torch.ones_like(sums)):
            raise UserError(
                f"response {self.source!r}: weights must not be negative and every row must sum to 1"
            )

    @property
    def msi_bands(self) -> int:
        """Number of multispectral bands `c`."""
        return self.weights.shape[0]

    @property
    def hsi_bands(self) -> int:
        """Number of hyperspectral bands `C`."""
        return self.weights.shape[1]

    def __call__(self, cube: Tensor, bands: slice = ALL_BANDS) -> Tensor:
        """Simulate the multispectral image of a cube.

        Args:
            cube: `(..., C, rows, cols)`, or a run of its bands.
            bands: Which bands these are; the images of all runs add up to that of the cube.

        Returns:
            `(..., c, rows, cols)`, same dtype and device; not contiguous.

        Raises:
            UserError: The cube has another number of bands.
        """
        weights = self.weights[:, bands].to(cube)
        if cube.shape[-3] != weights.shape[1]:
            raise UserError(
                f"response {self.source!r} is for {weights.shape[1]} bands, the cube has {cube.shape[-3]}"
            )
        # Row by row: a product with few rows and very many columns is much slower as one.
        rows = torch.matmul(weights, cube.movedim(-3, -2))
        return rows.movedim(-2, -3)

    @classmethod
    def from_csv(
        cls, table: str, wavelengths: Tensor | Sequence[float], columns: Sequence[str] | None = None
    ) -> "SpectralResponse":
        """Resample a tabulated response to a sensor's wavelengths.

        Every column is interpolated linearly at the sensor's wavelengths, taken as zero outside the table,
        and normalised to sum 1.

        Args:
            table: A CSV file or the name of a shipped one (`nikon_d700`, `ikonos`): a header row, rising
                wavelengths in nm in the first column, one further column per multispectral band.
            wavelengths: `(C,)` band centres of the hyperspectral sensor in nm.
            columns: The bands to use and their order; all of them when left out.

        Raises:
            UserError: No such table, a file that is not such a table, an unknown column, or a column that
                does not respond anywhere within the sensor's wavelengths.
        """
        path = find_resource("srf", table, ".csv")
        names, nm, values = _read_table(path)
        chosen = _choose(names, columns, f"response table {path.name} has no column")
        values = values[:, [names.index(name) for name in chosen]]
        return cls._resampled(chosen, nm, values, wavelengths, path.stem)

    @classmethod
    def from_satellite(
        cls,
        satellite: Satellite,
        wavelengths: Tensor | Sequence[float],
        bands: Sequence[str | int] | None = None,
    ) -> "SpectralResponse":
        """Resample the measured response of a satellite to a sensor's wavelengths.

        The curves are those that the satellites' operators published, as the package pyrsr carries them
        (its reference files name each publication). They are resampled as tables are (see `from_csv`).

        Args:
            satellite: Name of the satellite, for example `sentinel-2a`.
            wavelengths: `(C,)` band centres of the hyperspectral sensor in nm.
            bands: The satellite's bands to use and their order, by their official numbers, for example
                `["2", "3", "4", "8A"]`; when left out, all but panchromatic and thermal ones.

        Raises:
            UserError: An unknown satellite or band, a band that does not respond anywhere within the
                sensor's wavelengths, or pyrsr is not installed.
        """
        names, nm, values = satellite_curves(satellite, pan=bands is not None)
        wanted = None if bands is None else [str(band) for band in bands]
        chosen = _choose(names, wanted, f"satellite {satellite} has no band")
        values = values[:, [names.index(name) for name in chosen]]
        return cls._resampled(chosen, nm, values, wavelengths, satellite)

    @classmethod
    def gaussian(
        cls,
        centres: Sequence[float],
        widths: Sequence[float],
        wavelengths: Tensor | Sequence[float],
        names: Sequence[str] | None = None,
    ) -> "SpectralResponse":
        """Build Gaussian bands from their centres and widths.

        Args:
            centres: Band centres in nm.
            widths: Full widths at half maximum in nm, one per centre.
            wavelengths: `(C,)` band centres of the hyperspectral sensor in nm.
            names: Band names; the centres when left out.

        Raises:
            UserError: Different numbers of centres, widths and names, a width that is not positive, or a band
                that no wavelength of the sensor reaches.
        """
        labels = list(names) if names is not None else [f"{centre:g} nm" for centre in centres]
        if not len(centres) == len(widths) == len(labels) or not centres:
            raise UserError(
                f"a Gaussian response needs one width and one name per centre; got {len(centres)} centres, "
                f"{len(widths)} widths and {len(labels)} names"
            )
        if not min(widths) > 0:
            raise UserError(f"the widths of a Gaussian response must be above 0 nm, not {min(widths)}")
        sensor = _as_array(wavelengths)
        distance = (sensor - np.asarray(centres)[:, None]) / np.asarray(widths)[:, None]
        rows = np.exp(-4.0 * math.log(2.0) * distance**2)
        spans = [(centre - width, centre + width) for centre, width in zip(centres, widths, strict=True)]
        return cls._normalised(rows, np.ones(len(labels)), labels, spans, sensor, "gaussian")

    @classmethod
    def pick(cls, bands: Sequence[int], hsi_bands: int) -> "SpectralResponse":
        """Take some hyperspectral bands as they are.

        Args:
            bands: Band indices, counted from 0.
            hsi_bands: Number of hyperspectral bands `C`.

        Raises:
            UserError: No band, or one that the cube does not have.
        """
        outside = [band for band in bands if not 0 <= band < hsi_bands]
        if outside or not bands:
            raise UserError(
                f"cannot pick bands {list(bands)} of {hsi_bands}; give indices from 0 to {hsi_bands - 1}"
            )
        weights = torch.zeros(len(bands), hsi_bands, dtype=torch.float64)
        weights[torch.arange(len(bands)), torch.tensor(bands)] = 1.0
        return cls(weights, tuple(f"band {band}" for band in bands), "pick")

    @classmethod
    def _resampled(
        cls,
        names: Sequence[str],
        nm: _Array,
        values: _Array,
        wavelengths: Tensor | Sequence[float],
        source: str,
    ) -> "SpectralResponse":
        sensor = _as_array(wavelengths)
        rows = np.stack([np.interp(sensor, nm, column, left=0.0, right=0.0) for column in values.T])
        peaks = values.max(axis=0)
        seen = [nm[column >= _SEEN * peak] for column, peak in zip(values.T, peaks, strict=True)]
        spans = [(float(own[0]), float(own[-1])) for own in seen]
        return cls._normalised(rows, peaks, names, spans, sensor, source)

    @classmethod
    def _normalised(
        cls,
        rows: _Array,
        peaks: _Array,
        names: Sequence[str],
        spans: Sequence[tuple[float, float]],
        sensor: _Array,
        source: str,
    ) -> "SpectralResponse":
        seen = [row.max() >= _SEEN * peak > 0 for row, peak in zip(rows, peaks, strict=True)]
        overlapping = [name for name, is_seen in zip(names, seen, strict=True) if is_seen]
        for name, is_seen, (low, high) in zip(names, seen, spans, strict=True):
            if not is_seen:
                raise UserError(
                    f"response {source!r}: band {name!r} ({low:g} to {high:g} nm) has no support in the "
                    f"cube's {sensor.min():g} to {sensor.max():g} nm; choose columns or bands that overlap: "
                    f"{', '.join(overlapping) or 'none of these does'}"
                )
        weights = rows / rows.sum(axis=1, keepdims=True)
        return cls(torch.from_numpy(weights), tuple(names), source)


class ResponseSpec(ABC):
    """A response not yet tied to a sensor: called with wavelengths, it becomes a `SpectralResponse`."""

    @abstractmethod
    def __call__(self, wavelengths: Tensor) -> SpectralResponse:
        """Return the response for a sensor with these band centres, `(C,)` in nm."""


class CsvResponse(ResponseSpec):
    """A response from a table (see `SpectralResponse.from_csv`).

    Args:
        table: A CSV file or the name of a shipped one: nikon_d700 (red, green, blue) or ikonos (pan, blue,
            green, red, nir).
        columns: The bands to use and their order; all of them when left out.
    """

    def __init__(self, table: str, columns: list[str] | None = None) -> None:
        self.table = table
        self.columns = columns

    def __call__(self, wavelengths: Tensor) -> SpectralResponse:
        """Resample the table to these band centres."""
        return SpectralResponse.from_csv(self.table, wavelengths, self.columns)


class SatelliteResponse(ResponseSpec):
    """The measured response of a satellite (see `SpectralResponse.from_satellite`).

    Args:
        satellite: Name of the satellite.
        bands: Its bands to use and their order, by their official numbers ("8A"); all but panchromatic and
            thermal ones when left out.
    """

    def __init__(self, satellite: Satellite, bands: list[str | int] | None = None) -> None:
        self.satellite = satellite
        self.bands = bands

    def __call__(self, wavelengths: Tensor) -> SpectralResponse:
        """Resample the satellite's curves to these band centres."""
        return SpectralResponse.from_satellite(self.satellite, wavelengths, self.bands)


class GaussianResponse(ResponseSpec):
    """Gaussian bands (see `SpectralResponse.gaussian`).

    Args:
        centres: Band centres in nm.
        widths: Full widths at half maximum in nm, one per centre.
        names: Band names; the centres when left out.
    """

    def __init__(self, centres: list[float], widths: list[float], names: list[str] | None = None) -> None:
        self.centres = centres
        self.widths = widths
        self.names = names

    def __call__(self, wavelengths: Tensor) -> SpectralResponse:
        """Sample the Gaussians at these band centres."""
        return SpectralResponse.gaussian(self.centres, self.widths, wavelengths, self.names)


class BandPick(ResponseSpec):
    """Some of the hyperspectral bands as they are (see `SpectralResponse.pick`).

    Args:
        bands: Band indices, counted from 0.
    """

    def __init__(self, bands: list[int]) -> None:
        self.bands = bands

    def __call__(self, wavelengths: Tensor) -> SpectralResponse:
        """Pick the bands from a sensor with this many band centres."""
        return SpectralResponse.pick(self.bands, len(wavelengths))


def _as_array(wavelengths: Tensor | Sequence[float]) -> _Array:
    return np.asarray(torch.as_tensor(wavelengths), dtype=np.float64)


def _choose(names: Sequence[str], wanted: Sequence[str] | None, complaint: str) -> list[str]:
    chosen = list(wanted) if wanted is not None else list(names)
    unknown = [name for name in chosen if name not in names]
    if unknown or not chosen:
        raise UserError(f"{complaint} {', '.join(unknown) or '(none asked for)'}; it has: {', '.join(names)}")
    return chosen


def _read_table(path: Path) -> tuple[list[str], _Array, _Array]:
    """Return the column names, the wavelengths `(n,)` and the values `(n, columns)` of a response table."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = [line for line in csv.reader(file) if line]
        cells = np.array([[float(cell) for cell in line] for line in lines])
        nm, values = cells[:, 0], cells[:, 1:]
        usable = values.shape[1] == len(header) - 1 > 0 and np.isfinite(cells).all() and (values >= 0).all()
        if not usable or len(nm) < 2 or not (np.diff(nm) > 0).all():
            raise ValueError("ragged, negative or non-finite cells, or wavelengths that do not rise")
    except (ValueError, IndexError, csv.Error) as error:
        raise UserError(
            f"{path} is not a spectral response table ({error}); expected a header row, rising wavelengths "
            f"in nm in the first column and responses >= 0 in the others"
        ) from error
    return header[1:], nm, values
