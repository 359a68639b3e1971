"""CNMF: coupled non-negative matrix factorisation of both images."""

import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.models.classical.base import SingleImageMethod
from cofusion.models.classical.subspace import purest_pixels
from cofusion.models.classical.unmixing import Unmixing
from cofusion.sensors import Sensors, upsample

# A multiplicative update leaves zero at zero: no abundance starts lower than this.
_FLOOR = 1e-4
# The weight of a sum of one is at least this: its square must not vanish in float32.
_DARK = 1e-6


class CNMF(SingleImageMethod):
    """Coupled non-negative matrix factorisation (Yokoya, Yairi and Iwasaki, IEEE TGRS 50(2), 2012).

    The LRHSI is unmixed into endmembers and abundances, `X = W Hh`; the HRMSI with the endmembers as the
    response sees them, `Y = R W Hm`, starting at the interpolated abundances. What the sensor's blur makes of
    the abundances found in one starts the unmixing of the other, in turns; the result is `Z = W Hm`. Both are
    unmixed by multiplicative updates (Lee and Seung, 2001), which never raise `|V - W H|²`. A row of constant
    `δ` below both images asks the abundances of a pixel to sum to one. The first endmembers are the brightest
    pixels that are no mixture of each other (in the paper: vertex component analysis, which finds dark ones
    too, and no sum of one reaches brighter pixels of their colours).

    Negative values count as zero, and the result has none.

    Args:
        endmembers: How many; at most as many as there are bands and as the LRHSI has directions.
        rounds: Unmixings of both images after the first.
        iterations: Updates per unmixing, at most.
        tolerance: Relative change of the cost, per update, at which an unmixing ends.

    Raises:
        UserError: Fewer than one endmember or update, or a negative number of rounds or tolerance.
    """

    def __init__(
        self,
        endmembers: int = 30,
        rounds: int = 2,
        iterations: int = 200,
        tolerance: float = 1e-5,
    ) -> None:
        super().__init__()
        if endmembers < 1 or rounds < 0 or iterations < 1 or tolerance < 0:
            raise UserError(
                f"CNMF takes endmembers >= 1, rounds >= 0, iterations >= 1 and tolerance >= 0, not "
                f"endmembers {endmembers}, rounds {rounds}, iterations {iterations} and tolerance {tolerance}"
            )
        self.endmembers = endmembers
        self.rounds = rounds
        self.iterations = iterations
        self.tolerance = tolerance

    @torch.no_grad()
    def fuse_one(self, x: Tensor, y: Tensor, sensors: Sensors) -> Tensor:
        """Return `(C, H, W)`."""
        x, y = x.clamp(min=0), y.clamp(min=0)
        spectra = purest_pixels(x.flatten(1), self.endmembers)
        delta = sum_to_one_weight(y)
        hsi, msi = Unmixing(x, spectra, delta), Unmixing(y, sensors.response.weights.to(x) @ spectra, delta)
        self._unmix(hsi, first="abundances")
        msi.abundances = _pixels(upsample(_image(hsi.abundances, x), sensors.scale, sensors.phase))
        self._unmix_msi(msi, hsi, sensors)
        for _ in range(self.rounds):
            hsi.abundances = _pixels(sensors.lr_hsi(_image(msi.abundances, y)))
            self._unmix(hsi, first="spectra")
            self._unmix_msi(msi, hsi, sensors)
        return torch.unflatten(msi.mixed(hsi.spectra), 1, y.shape[1:]).float()

    def _unmix_msi(self, msi: Unmixing, hsi: Unmixing, sensors: Sensors) -> None:
        msi.spectra = sensors.response.weights.to(hsi.spectra) @ hsi.spectra
        msi.fit_abundances(self.iterations, self.tolerance)
        # Three bands determine no spectra.
        if len(msi.spectra) > 3:
            msi.fit_both(self.iterations, self.tolerance)

    def _unmix(self, hsi: Unmixing, first: str) -> None:
        if first == "abundances":
            hsi.fit_abundances(3 * self.iterations, self.tolerance)
        else:
            hsi.update_spectra()
        hsi.fit_both(self.iterations, self.tolerance)


def sum_to_one_weight(y: Tensor) -> float:
    """Return `δ = 2 (mean Y / 0.7455)^(1/2) / c³` of an MSI `(c, H, W)`, as in the authors' code.

    It is greater than zero for a black image too.
    """
    return max(_DARK, float(2 * (y.double().mean().clamp(min=0) / 0.7455).sqrt() / y.shape[0] ** 3))


def _image(abundances: Tensor, image: Tensor) -> Tensor:
    """Return abundances `(m, n)` as `(1, m, rows, cols)`."""
    return torch.unflatten(abundances, 1, image.shape[1:])[None]


def _pixels(abundances: Tensor) -> Tensor:
    """Return `(1, m, rows, cols)` as `(m, n)`, at least the floor."""
    return abundances[0].flatten(1).clamp(min=_FLOOR).contiguous()
