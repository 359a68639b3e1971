"""MSG, the multi-scale generator (section 3.2, equation 1)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cofusion.models.cofusion.guide import Guide
from cofusion.models.cofusion.layers import ResidualBlock
from cofusion.sensors.decimation import interpolate


class MSG(nn.Module):
    """Generate local and global proxy features at full, half and quarter resolution.

    Equation 1: local features run from fine to coarse, `F_c^l = E_c(down2(F_c^{l-1}))`, starting from the
    HRMSI; proxy features run from coarse to fine, `F_c'^l = E_c'(up2(F_c'^{l+1}))`, starting from the LRHSI.
    The HRMSI guides both: as the hyperspectral sensor would see it, it enters the proxy flow beside the
    LRHSI, and what that view lacks enters the local flow beside the HRMSI (`Guide`).

    Args:
        hsi_bands: Number of HSI bands C.
        msi_bands: Number of MSI bands c.
        scale: Ratio of the two resolutions.
        phase: Where an LR sample sits in its `scale` x `scale` block, in full-resolution pixels.
        dim: Width D of every level.
        local_depths: Residual blocks in each E_c, from full to quarter resolution.
        proxy_depths: Residual blocks in each E_c', in the same order.
    """

    def __init__(
        self,
        hsi_bands: int,
        msi_bands: int,
        scale: int,
        phase: float,
        dim: int,
        local_depths: Sequence[int],
        proxy_depths: Sequence[int],
    ) -> None:
        super().__init__()
        self.guide = Guide(scale, phase)
        self.embed_msi = nn.Conv2d(2 * msi_bands, dim, 3, padding=1)
        self.embed_hsi = nn.Conv2d(hsi_bands + msi_bands, dim, 3, padding=1)
        self.local_encoders = nn.ModuleList(_encoder(dim, depth) for depth in local_depths)
        self.proxy_encoders = nn.ModuleList(_encoder(dim, depth) for depth in proxy_depths)

    def forward(self, lr_hsi: Tensor, hr_msi: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Build both pyramids.

        Args:
            lr_hsi: LRHSI X, `(B, C, h, w)`.
            hr_msi: HRMSI Y, `(B, c, H, W)`; H and W divisible by 4.

        Returns:
            Local and proxy features, each a list from level 1 `(B, D, H, W)` to level 3 `(B, D, H/4, W/4)`.
        """
        lr_msi, detail = self.guide(hr_msi)
        local = self._local_flow(torch.cat((hr_msi, detail), 1))
        return local, self._proxy_flow(torch.cat((lr_hsi, lr_msi), 1), local)

    def _local_flow(self, hr_images: Tensor) -> list[Tensor]:
        features = [self.local_encoders[0](embed(self.embed_msi, hr_images))]
        for encoder in self.local_encoders[1:]:
            # At factor 2, bilinear interpolation of block centres is the 2x2 block mean.
            features.append(encoder(F.avg_pool2d(features[-1], 2)))
        return features

    def _proxy_flow(self, lr_images: Tensor, local: list[Tensor]) -> list[Tensor]:
        """Go up from the LRHSI's grid through the sizes of the local features."""
        x = embed(self.embed_hsi, lr_images)
        features: list[Tensor] = []
        for encoder, level in zip(reversed(self.proxy_encoders), reversed(local), strict=True):
            x = encoder(resize(x, level))
            features.insert(0, x)
        return features


def embed(convolution: nn.Conv2d, image: Tensor) -> Tensor:
    """Map an image to features in the image's own precision.

    Under mixed precision its reflectances would be rounded to three digits, which costs 0.1 dB.
    """
    with torch.autocast(image.device.type, enabled=False):
        features: Tensor = convolution(image)
    return features


def resize(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear interpolation to another map's rows and columns."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    size = like.shape[-2:]
    if torch.compiler.is_compiling() and x.requires_grad:
        # Compilers turn the gradient of an interpolation into a scatter, which is slow on a CPU; that of a
        # product is a product.
        return interpolate(x, *(_weights(old, new, x) for old, new in zip(x.shape[-2:], size, strict=True)))
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def _weights(old: int, new: int, like: Tensor) -> Tensor:
    """Return the matrix `(new, old)` that interpolates a line of samples linearly between their centres."""
    places = (torch.arange(new, dtype=like.dtype, device=like.device) + 0.5) * (old / new) - 0.5
    samples = torch.arange(old, dtype=like.dtype, device=like.device)
    return (1 - (places.clamp(0, old - 1)[:, None] - samples).abs()).clamp(min=0)


def _encoder(dim: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(dim) for _ in range(depth)))
