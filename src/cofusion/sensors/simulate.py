"""Wald's protocol: the images that a hyperspectral and a multispectral sensor would have taken of a cube."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from cofusion.errors import UserError
from cofusion.sensors.decimation import centre_phase
from cofusion.sensors.psf import Border, filter_strided, gaussian_psf
from cofusion.sensors.response import SpectralResponse

Preset = Literal["paper", "wald"]

# A Gaussian's full width at half maximum is 2 sqrt(2 ln 2) = 2.3548 standard deviations.
_FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
# Four standard deviations to either side leave out less than 1e-4 of a Gaussian.
_SIGMAS = 4.0


@dataclass(frozen=True, eq=False)
class Sensors:
    """A hyperspectral and a multispectral sensor that look at the same scene.

    The hyperspectral one blurs with `psf` and keeps one sample per `scale` x `scale` block; the multispectral
    one keeps every pixel and sums the bands with `response`.

    Attributes:
        psf: `(size, size)` with sum 1.
        scale: Integer resolution ratio `s`, at least 2.
        phase: Where a low-resolution sample sits in its block: sample `i` is centred on the full-resolution
            coordinate `i * scale + phase`. A whole number for an odd PSF size, a whole number plus one half
            for an even one.
        border: Values beyond the image, see `cofusion.sensors.blur`.
        response: Spectral response of the multispectral sensor.

    Raises:
        UserError: A scale that is not an integer of at least 2, a PSF that is not square, or a phase that
            does not fit the PSF or the block.
    """

    psf: Tensor
    scale: int
    phase: float
    border: Border
    response: SpectralResponse

    def __post_init__(self) -> None:
        check_scale(self.scale)
        size, cols = self.psf.shape
        if size != cols:
            raise UserError(f"the PSF must be square, not {size} x {cols}")
        kept = self.phase - self._half_pixel
        if kept != int(kept) or not 0 <= self.phase <= self.scale - 1:
            raise UserError(
                f"phase {self.phase} does not fit a PSF of size {size} at scale {self.scale}: give a whole "
                f"number for an odd size, a whole number plus 0.5 for an even one, from 0 to {self.scale - 1}"
            )

    @classmethod
    def preset(cls, name: Preset, scale: int, response: SpectralResponse) -> "Sensors":
        """Build one of the named protocols.

        - `paper`: 3 x 3 Gaussian with sigma 0.5 and the first pixel of every block (phase 0), for every
          scale. The protocol of earlier code by CoFusion's authors; the blur does not grow with the scale.
        - `wald`: Gaussian with full width at half maximum `scale` (sigma = scale / 2.3548, cut beyond 4
          sigma), centred on the block (phase `(scale - 1) / 2`), as in Yokoya et al., IEEE GRSM 2017.

        Both reflect at the image border.

        Args:
            name: `paper` or `wald`.
            scale: Integer resolution ratio, at least 2.
            response: Spectral response of the multispectral sensor.

        Raises:
            UserError: An unknown preset or a scale that is not an integer of at least 2.
        """
        check_scale(scale)
        if name == "paper":
            return cls(gaussian_psf(3, 0.5), scale, 0.0, "reflect", response)
        if name == "wald":
            sigma = scale / _FWHM
            # The same number of pixels beyond the block on both sides keeps the window centred on it.
            beyond = math.ceil(_SIGMAS * sigma - scale / 2)
            psf = gaussian_psf(scale + 2 * beyond, sigma)
            return cls(psf, scale, centre_phase(scale), "reflect", response)
        raise UserError(f"unknown sensor preset {name!r}; choose one of: {', '.join(get_args(Preset))}")

    @property
    def support(self) -> int:
        """Full-resolution pixels beyond its own block that a low-resolution sample can depend on.

        The low-resolution pixels of a window on the block grid are functions of that window widened by
        `support` pixels (and, with border `circular`, of the opposite edge of the scene). The bound also
        holds for the scene flipped or turned.
        """
        size = self.psf.shape[0]
        before = (size - 1) // 2 - self._kept
        after = self._kept + size // 2 - (self.scale - 1)
        return max(0, before, after)

    @property
    def centred(self) -> bool:
        """Whether samples sit at the centre of their blocks, so that flipping commutes with degrading."""
        return self.phase == centre_phase(self.scale)

    def crop(self, image: Tensor) -> Tensor:
        """Leave out the rows and columns beyond the last whole block of a full-resolution image.

        Args:
            image: `(..., rows, cols)`.

        Returns:
            A view of shape `(..., rows // s * s, cols // s * s)`.

        Raises:
            UserError: The image is smaller than one block.
        """
        rows, cols = (size // self.scale * self.scale for size in image.shape[-2:])
        if not rows or not cols:
            raise UserError(
                f"an image of {image.shape[-2]} x {image.shape[-1]} pixels is smaller than one block of "
                f"scale {self.scale}; use a larger image or a smaller scale"
            )
        return image[..., :rows, :cols]

    def degrade(self, hr_hsi: Tensor) -> tuple[Tensor, Tensor]:
        """Simulate both sensors on a whole scene.

        Rows and columns beyond the last whole block are left out first (`crop`), so the pair belongs to
        `crop(hr_hsi)`. Degrade scenes whole and cut patches afterwards: then the blur meets a border only
        where the scene has one.

        Args:
            hr_hsi: `(C, H, W)` or `(B, C, H, W)`, any device.

        Returns:
            `lr_hsi (..., C, H // s, W // s)` and `hr_msi (..., c, H // s * s, W // s * s)`.

        Raises:
            UserError: The image is smaller than one block or than the reflected border, or the response is
                for another number of bands.
        """
        # Cropped after the response: the crop of a large cube would be copied to be multiplied.
        return self.lr_hsi(hr_hsi), self.crop(self.response(hr_hsi))

    def lr_hsi(self, hr_hsi: Tensor, flip_rows: bool = False, flip_cols: bool = False) -> Tensor:
        """Simulate the hyperspectral sensor alone, if asked on the flipped scene.

        A flipped scene is sampled at other places unless the phase is the block's centre. The result for a
        flipped scene is flipped back, so it lies on the upright one: it equals `degrade` of the scene (after
        `crop`) flipped along the chosen axes, flipped again.

        Args:
            hr_hsi: `(..., C, H, W)`.
            flip_rows: Look at the scene upside down.
            flip_cols: Look at the scene mirrored left to right.

        Returns:
            `(..., C, H // s, W // s)`.

        Raises:
            UserError: As for `degrade`.
        """
        flipped = [axis for axis, flip in ((0, flip_rows), (1, flip_cols)) if flip]
        start = (self._mirrored if flip_rows else self._kept, self._mirrored if flip_cols else self._kept)
        return filter_strided(self.crop(hr_hsi), self.psf.flip(flipped), self.border, start, self.scale)

    @property
    def _half_pixel(self) -> float:
        # `blur` centres an even PSF half a pixel after the pixel it writes.
        return 0.0 if self.psf.shape[0] % 2 else 0.5

    @property
    def _kept(self) -> int:
        """The row and column of each block that decimation keeps."""
        return int(self.phase - self._half_pixel)

    @property
    def _mirrored(self) -> int:
        """The row or column that decimation of the flipped scene keeps, counted on the upright one."""
        return int(self.scale - 1 - self.phase - self._half_pixel)


def degrade(hr_hsi: Tensor, sensors: Sensors) -> tuple[Tensor, Tensor]:
    """Simulate `(lr_hsi, hr_msi)` from a full-resolution cube; see `Sensors.degrade`."""
    return sensors.degrade(hr_hsi)


def check_scale(scale: object) -> None:
    """Raise `UserError` unless the scale is an integer of at least 2."""
    if isinstance(scale, bool) or not isinstance(scale, int) or scale < 2:
        raise UserError(f"scale must be an integer of at least 2, not {scale!r}")
