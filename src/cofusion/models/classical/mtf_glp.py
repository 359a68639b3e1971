"""Generalised Laplacian pyramid with filters matched to the sensor: add what its blur takes away."""

from typing import Literal, get_args

from torch import Tensor

from cofusion.errors import UserError
from cofusion.models.classical.injection import add_detail, mix, modulation, up
from cofusion.models.classical.matching import Match, Matched
from cofusion.models.classical.pansharpening import Pansharpening
from cofusion.models.classical.statistics import centred, covariance, ratio, regression
from cofusion.sensors import Sensors

Injection = Literal["equalised", "regression", "full_scale", "modulation"]


class MTFGLP(Pansharpening):
    """Generalised Laplacian pyramid matched to the modulation transfer function of the sensor.

    `Z_j = up(X)_j + g_j (P_j - L_j)` with `L_j = up(down(P_j))`, where `down` is the hyperspectral sensor's
    own blur and decimation. Aiazzi et al., "MTF-tailored multiscale fusion of high-resolution MS and Pan
    imagery", Photogrammetric Engineering & Remote Sensing 72(5), 2006.

    Args:
        match: As for every `Pansharpening`.
        injection: `equalised`: g_j is the ratio of the standard deviations of X_j and `down(P_j)`.
            `regression` (MTF-GLP-CBD; Alparone et al., IEEE TGRS 45(10), 2007): `g_j = cov(X_j, down(P_j)) /
            var(down(P_j))`. `full_scale` (MTF-GLP-FS; Vivone, Restaino and Chanussot, IEEE TIP 27(7), 2018):
            `g_j = cov(up(X)_j, P_j) / cov(L_j, P_j)`. `modulation` (MTF-GLP-HPM; Vivone et al., IEEE GRSL
            11(5), 2014): `Z_j = up(X)_j P_j / L_j` with the equalised guide, the ratio kept between 0 and 10.

    Raises:
        UserError: Another injection than these.
    """

    def __init__(self, match: Match | None = None, injection: Injection = "equalised") -> None:
        super().__init__(match)
        if injection not in get_args(Injection):
            known = ", ".join(get_args(Injection))
            raise UserError(f"unknown injection {injection!r}; choose one of: {known}")
        self.injection = injection

    def sharpen(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors, pair: Matched) -> Tensor:
        """Inject the details of the guides."""
        match self.injection:
            case "regression":
                weights = regression(pair.x, pair.guides) * pair.weights
            case "full_scale":
                weights = _full_scale_gain(lr_hsi, hr_msi, sensors, pair) * pair.weights
            case _:
                weights = pair.equalised(pair.x)
        if self.injection != "modulation":
            return _inject(lr_hsi, hr_msi, sensors, pair, weights)
        offset = pair.mean_offset(weights)
        low = mix(weights, up(pair.y_low, sensors), offset)
        return modulation(mix(weights, hr_msi, offset), low).mul_(up(lr_hsi, sensors))


class GLPHS(Pansharpening):
    """GLP for hyperspectral images: `Z_j = up(X)_j + P_j - up(down(P_j))` with guides fitted to each band.

    Selva et al., "Hyper-sharpening: a first approach on SIM-GA data", IEEE JSTARS 8(6), 2015, as compared by
    Yokoya et al., IEEE GRSM 5(2), 2017.
    """

    def sharpen(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors, pair: Matched) -> Tensor:
        """Inject the details of the guides as they are."""
        return _inject(lr_hsi, hr_msi, sensors, pair, pair.weights)


def _inject(lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors, pair: Matched, weights: Tensor) -> Tensor:
    """Return `up(X) + W (Y - up(down(Y)))` as `up(X - W down(Y)) + W Y`: one interpolation."""
    rest = pair.x + pair.x_mean - weights @ pair.y_low.flatten(2).double()
    return add_detail(up(rest.view(lr_hsi.shape), sensors), weights, hr_msi)


def _full_scale_gain(lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors, pair: Matched) -> Tensor:
    y = centred(hr_msi)[0]
    # A covariance needs only one centred side.
    with_x = covariance(up(lr_hsi, sensors).flatten(2).double(), y)
    with_low = covariance(up(pair.y_low, sensors).flatten(2).double(), y)
    of_bands = (with_x * pair.weights).sum(-1, keepdim=True)
    return ratio(of_bands, (pair.weights @ with_low * pair.weights).sum(-1, keepdim=True))
