"""What the methods share that were made for one panchromatic image."""

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from cofusion.models.classical.base import ClassicalMethod
from cofusion.models.classical.matching import Match, Matched, checked, match_bands
from cofusion.sensors import Sensors


class Pansharpening(ClassicalMethod):
    """A method that sharpens every hyperspectral band with a guide made of the multispectral ones.

    All coefficients are estimated from the low-resolution pair, over the whole image; the sensors' blur,
    decimation and phase are used, their spectral response is not.

    Args:
        match: Which multispectral bands guide which hyperspectral ones. selection: for each band the one
            that correlates with it best; bands with the same guide are sharpened together. least_squares
            (hypersharpening): the sum of bands that fits the band best; nonnegative: the same with weights
            >= 0; all bands are sharpened together. Left out, it is the way that does best for the method.

    Raises:
        UserError: Another way to match than these.
    """

    best_match: ClassVar[Match] = "least_squares"

    def __init__(self, match: Match | None = None) -> None:
        super().__init__()
        self.match = self.best_match if match is None else checked(match)

    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> Tensor:
        """Match the bands and sharpen."""
        return self.sharpen(lr_hsi, hr_msi, sensors, match_bands(lr_hsi, hr_msi, sensors, self.match))

    @abstractmethod
    def sharpen(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors, pair: Matched) -> Tensor:
        """Fuse images whose guides are known."""
