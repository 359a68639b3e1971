"""What every classical method shares: one call with the two images and the sensors that took them."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from cofusion.models.shapes import check_pair
from cofusion.sensors import Sensors


class ClassicalMethod(nn.Module, ABC):
    """A method without weights: its options are those of the constructor, the sensors those of the images.

    Subclasses implement `fuse`.
    """

    def forward(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> Tensor:
        """Fuse a batch.

        Args:
            lr_hsi: LRHSI X, `(B, C, h, w)`, any device.
            hr_msi: HRMSI Y, `(B, c, H, W)` with `H = scale * h` and `W = scale * w`.
            sensors: Blur, decimation and spectral response, known or estimated.

        Returns:
            HRHSI Z, `(B, C, H, W)`, float32; not clipped.

        Raises:
            ValueError: The shapes do not belong together.
            UserError: The images are none that the method can fuse; says what it needs.
        """
        check_pair(lr_hsi, hr_msi, sensors.scale, msi_bands=sensors.response.msi_bands)
        # Sums over bands and pixels in half precision are not worth their name.
        with torch.autocast(hr_msi.device.type, enabled=False):
            return self.fuse(lr_hsi, hr_msi, sensors)

    @abstractmethod
    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> Tensor:
        """Fuse images whose shapes belong together."""


class SingleImageMethod(ClassicalMethod):
    """A method that fuses one image of the batch after the other. Subclasses implement `fuse_one`."""

    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> Tensor:
        """Return `(B, C, H, W)`."""
        fused = [self.fuse_one(x, y, sensors) for x, y in zip(lr_hsi, hr_msi, strict=True)]
        return torch.stack(fused) if len(fused) > 1 else fused[0][None]

    @abstractmethod
    def fuse_one(self, x: Tensor, y: Tensor, sensors: Sensors) -> Tensor:
        """Fuse an LRHSI `(C, h, w)` and an HRMSI `(c, H, W)`; return `(C, H, W)`, float32."""
