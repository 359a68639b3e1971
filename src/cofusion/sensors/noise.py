"""Sensor noise of a given signal-to-noise ratio, the same whenever it is drawn for the same scene."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cofusion.errors import UserError

Draw = Callable[[Tensor], Tensor | None]


@dataclass(frozen=True)
class Noise:
    """White Gaussian noise of the two sensors.

    In every band, the noise has the power `mean(band ** 2) / 10 ** (SNR / 10)`. It is a function of the seed,
    the sensor, the scene's name and the image's shape alone. Noisy values are not clipped, so the noise keeps
    its mean of zero; dark and bright pixels may leave [0, 1] by it.

    Attributes:
        hsi_snr: Signal-to-noise ratio of the hyperspectral image in dB; infinite for none.
        msi_snr: Signal-to-noise ratio of the multispectral image in dB; infinite for none.
        seed: Seed of both, at least 0.

    Raises:
        UserError: A ratio that is not a number or minus infinity, or a negative seed.
    """

    hsi_snr: float = math.inf
    msi_snr: float = math.inf
    seed: int = 0

    def __post_init__(self) -> None:
        for name, snr in (("hsi_snr", self.hsi_snr), ("msi_snr", self.msi_snr)):
            if not snr > -math.inf:
                raise UserError(f"{name} must be a number of dB, or inf for no noise, not {snr}")
        if self.seed < 0:
            raise UserError(f"noise_seed must be at least 0, not {self.seed}")

    def of_hsi(self, name: str) -> Draw:
        """Return what draws the noise of a scene's hyperspectral image.

        Args:
            name: Name of the scene.

        Returns:
            A function of the image `(..., C, h, w)` without noise, whose power per band scales the noise. It
            returns noise of the same shape, dtype and device, or None for none. Called with the bands in
            runs, in order, it draws what it would for all at once.
        """
        return self._source(self.hsi_snr, name, sensor=0)

    def of_msi(self, name: str) -> Draw:
        """Return what draws the noise of a scene's multispectral image `(..., c, H, W)`; see `of_hsi`."""
        return self._source(self.msi_snr, name, sensor=1)

    def _source(self, snr: float, name: str, sensor: int) -> Draw:
        random = np.random.default_rng([self.seed, sensor, *name.encode()])

        def draw(image: Tensor) -> Tensor | None:
            if snr == math.inf:
                return None
            # Drawn on the CPU: the same on every device.
            noise = torch.from_numpy(random.standard_normal(image.shape, dtype=np.float32)).to(image)
            power = image.square().mean((-2, -1), keepdim=True) / 10.0 ** (snr / 10.0)
            return noise.mul_(power.sqrt())

        return draw


def noisy(image: Tensor, noise: Tensor | None) -> Tensor:
    """Return `image + noise`, or the image itself where there is no noise."""
    return image if noise is None else image + noise
