"""Component substitution: replace what the bands have in common by the guide.

The methods compute `Z_j = up(X)_j + g_j (P'_j - I_j)`. They differ in the component I_j (a weighted sum of
the bands that are sharpened together), in whether the guide P_j is equalised to it (P': the same mean and
standard deviation), and in the gain g_j. All is linear, so it is one interpolation and one product:
`up(X - g I) + g P'`.
"""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from cofusion.models.classical.injection import add_detail, mix, modulation, up
from cofusion.models.classical.matching import Match, Matched
from cofusion.models.classical.pansharpening import Pansharpening
from cofusion.models.classical.statistics import (
    covariance,
    positive_ridge,
    regression,
    ridge_level,
    ridge_solve,
)
from cofusion.sensors import Sensors


class ComponentSubstitution(Pansharpening):
    """What the methods share; subclasses name component and gain."""

    best_match: ClassVar[Match] = "selection"
    equalised: ClassVar[bool] = True

    def sharpen(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors, pair: Matched) -> Tensor:
        """Return `up(X - g I) + g P'`."""
        spectra = self.spectra(pair)
        component = spectra @ pair.x
        gain = self.gain(pair, spectra, component)
        weights = gain * (pair.equalised(component) if self.equalised else pair.weights)
        base = pair.x - gain * component + pair.mean_offset(weights)
        return add_detail(up(base.view(lr_hsi.shape), sensors), weights, hr_msi)

    @abstractmethod
    def spectra(self, pair: Matched) -> Tensor:
        """Return the weights of every band's component, `(B, C, C)`."""

    @abstractmethod
    def gain(self, pair: Matched, spectra: Tensor, component: Tensor) -> Tensor:
        """Return `g`, `(B, C, 1)`, for the components `(B, C, pixels)` of these weights."""


class IHS(ComponentSubstitution):
    """Generalised intensity-hue-saturation: `I` is the mean of the bands, `g_j = 1`.

    Tu et al., "A new look at IHS-like image fusion methods", Information Fusion 2(3), 2001.
    """

    def spectra(self, pair: Matched) -> Tensor:
        """Average the bands."""
        return pair.mean_spectra

    def gain(self, pair: Matched, spectra: Tensor, component: Tensor) -> Tensor:
        """Add the same detail to every band."""
        return torch.ones_like(pair.x_mean)


class Brovey(Pansharpening):
    """Brovey transform: `Z_j = up(X)_j P'_j / I_j`, with component and guide of `IHS`.

    Gillespie, Kahle and Walker, "Color enhancement of highly correlated images. II. Channel ratio and
    'chromaticity' transformation techniques", Remote Sensing of Environment 22(3), 1987. The ratio is kept
    between 0 and 10.
    """

    best_match: ClassVar[Match] = "selection"

    def sharpen(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors, pair: Matched) -> Tensor:
        """Return `up(X) P' / I`."""
        component, mean = pair.mean_spectra @ pair.x, pair.mean_spectra @ pair.x_mean
        weights = pair.equalised(component)
        guide = mix(weights, hr_msi, mean - weights @ pair.y_mean)
        intensity = up((component + mean).view(lr_hsi.shape), sensors)
        return modulation(guide, intensity).mul_(up(lr_hsi, sensors))


class PCA(ComponentSubstitution):
    """Principal component analysis: `I` is the first principal component, `g_j` its loading on band j.

    Chavez, Sides and Anderson, "Comparison of three different methods to merge multiresolution and
    multispectral data: Landsat TM and SPOT panchromatic", Photogrammetric Engineering & Remote Sensing 57(3),
    1991. The component's sign is the one that correlates with the guide.
    """

    def spectra(self, pair: Matched) -> Tensor:
        """Return the first eigenvector of each group's covariance."""
        members = pair.groups.mT
        within = covariance(pair.x, pair.x)[:, None] * members[..., None] * members[..., None, :]
        first = torch.linalg.eigh(within).eigenvectors[..., -1]
        spectra = pair.groups @ first
        along = ((spectra @ pair.x) * pair.guides).sum(-1, keepdim=True)
        return torch.where(along < 0, -spectra, spectra)

    def gain(self, pair: Matched, spectra: Tensor, component: Tensor) -> Tensor:
        """Return every band's loading."""
        return spectra.diagonal(dim1=-2, dim2=-1)[..., None]


class GS(ComponentSubstitution):
    """Gram-Schmidt: `I` is the mean of the bands, `g_j = cov(I, X_j) / var(I)`.

    Laben and Brower, "Process for enhancing the spatial resolution of multispectral imagery using
    pan-sharpening", US patent 6 011 875, 2000.
    """

    def spectra(self, pair: Matched) -> Tensor:
        """Average the bands."""
        return pair.mean_spectra

    def gain(self, pair: Matched, spectra: Tensor, component: Tensor) -> Tensor:
        """Regress every band on its component."""
        return regression(pair.x, component)


class GSA(ComponentSubstitution):
    """Adaptive Gram-Schmidt: `I` is what the bands know of the guide, `g_j = cov(I, X_j) / var(I)`.

    `I = sum_k w_k up(X)_k + w_0` with the least-squares fit of the guide, seen at low resolution, by the
    bands that are sharpened together; the guide is not equalised. Aiazzi, Baronti and Selva, "Improving
    component substitution pansharpening through multivariate regression of MS+Pan data", IEEE TGRS 45(10),
    2007.

    Args:
        match: As for every `Pansharpening`.
        ridge: Added to the bands' variances in the fit, as a part of their mean; above 0. It makes the fit
            possible where there are more bands than low-resolution pixels.

    Raises:
        UserError: A ridge that is not positive.
    """

    best_match: ClassVar[Match] = "least_squares"
    equalised: ClassVar[bool] = False

    def __init__(self, match: Match | None = None, ridge: float = 1e-6) -> None:
        super().__init__(match)
        self.ridge = positive_ridge(ridge)

    def spectra(self, pair: Matched) -> Tensor:
        """Fit the multispectral bands by each group, and mix the fits as the guides mix the bands."""
        members = pair.groups.mT[..., None]
        bands = covariance(pair.x, pair.x)
        fits = ridge_solve(
            bands[:, None] * members * members.mT,
            covariance(pair.x, pair.y)[:, None] * members,
            ridge_level(bands, self.ridge),
        )
        return torch.einsum("bjg,bji,bgki->bjk", pair.groups, pair.weights, fits)

    def gain(self, pair: Matched, spectra: Tensor, component: Tensor) -> Tensor:
        """Regress every band on its component."""
        return regression(pair.x, component)
