"""Wald's protocol: the images that a hyperspectral and a multispectral sensor would have taken of a cube."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, get_args

from torch import Tensor

from cofusion.errors import UserError
from cofusion.sensors.decimation import centre_phase
from cofusion.sensors.kernels import PSFSpec
from cofusion.sensors.noise import Noise, noisy
from cofusion.sensors.presets import PRESETS, Preset
from cofusion.sensors.psf import Border, filter_strided
from cofusion.sensors.response import ALL_BANDS, SpectralResponse


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
            (at most `scale - 0.5`, the block's lower edge) for an even one.
        border: Values beyond the image, see `cofusion.sensors.blur`.
        response: Spectral response of the multispectral sensor.
        noise: What the sensors add to what they see.

    Raises:
        UserError: A scale that is not an integer of at least 2, a PSF that is not square, or a phase that
            does not fit the PSF or the block.
    """

    psf: Tensor
    scale: int
    phase: float
    border: Border
    response: SpectralResponse
    noise: Noise = field(default_factory=Noise)

    def __post_init__(self) -> None:
        check_scale(self.scale)
        size, cols = self.psf.shape
        if size != cols:
            raise UserError(f"the PSF must be square, not {size} x {cols}")
        kept = self.phase - self._half_pixel
        if kept % 1 or not 0 <= kept < self.scale:
            raise UserError(
                f"phase {self.phase} does not fit a PSF of size {size} at scale {self.scale}: give a whole "
                f"number for an odd size, a whole number plus 0.5 for an even one, from 0 to "
                f"{self.scale - 1 + self._half_pixel:g}"
            )

    @classmethod
    def preset(
        cls,
        name: Preset,
        scale: int,
        response: SpectralResponse,
        *,
        psf: PSFSpec | None = None,
        phase: float | None = None,
        border: Border | None = None,
        hsi_snr: float | None = None,
        msi_snr: float | None = None,
        noise_seed: int = 0,
    ) -> "Sensors":
        """Build one of the named protocols, if asked with some of its parts replaced.

        `cofusion.sensors.PRESETS` holds them with their sources: `paper` (small blur, first pixel of each
        block), `wald` (blur as wide as a block, block centre) and those of peers.

        Args:
            name: Name of the protocol.
            scale: Integer resolution ratio, at least 2.
            response: Spectral response of the multispectral sensor.
            psf: Replaces the protocol's PSF.
            phase: Replaces its phase.
            border: Replaces its border.
            hsi_snr: Replaces its signal-to-noise ratio of the hyperspectral image, in dB; `inf` for none.
            msi_snr: The same for the multispectral image.
            noise_seed: Seed of the noise.

        Raises:
            UserError: An unknown preset, a scale that is not an integer of at least 2, or parts that do not
                fit together.
        """
        check_scale(scale)
        if name not in PRESETS:
            raise UserError(f"unknown sensor preset {name!r}; choose one of: {', '.join(get_args(Preset))}")
        row = PRESETS[name]
        at = row.phase(scale) if phase is None else phase
        return cls(
            psf=row.psf(scale) if psf is None else psf(scale, at),
            scale=scale,
            phase=at,
            border=row.border if border is None else border,
            response=response,
            noise=Noise(
                row.hsi_snr if hsi_snr is None else hsi_snr,
                row.msi_snr if msi_snr is None else msi_snr,
                noise_seed,
            ),
        )

    def identity(self) -> dict[str, Any]:
        """Return plain values that are equal for sensors that see the same."""
        parts = (self.psf, self.response.weights)
        psf, weights = (hashlib.sha256(part.numpy().tobytes()).hexdigest() for part in parts)
        noise = [str(self.noise.hsi_snr), str(self.noise.msi_snr), self.noise.seed]
        return {
            "psf": psf,
            "scale": self.scale,
            "phase": self.phase,
            "border": self.border,
            "response": weights,
            "noise": noise,
        }

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
        """Whether samples sit at the centre of their blocks."""
        return self.phase == centre_phase(self.scale)

    def check_fits(self, scale: int, msi_bands: int, hsi_bands: int, who: str = "the sensors are") -> None:
        """Check that these are the sensors of a pair.

        Args:
            scale: Ratio of the pair's resolutions.
            msi_bands: Bands of its HRMSI.
            hsi_bands: Bands of its LRHSI.
            who: How the message begins.

        Raises:
            UserError: They are for another scale or other numbers of bands.
        """
        ours = (self.scale, self.response.msi_bands, self.response.hsi_bands)
        if ours != (scale, msi_bands, hsi_bands):
            raise UserError(
                f"{who} of scale {ours[0]} for {ours[1]} MSI and {ours[2]} HSI bands, this pair has scale "
                f"{scale}, {msi_bands} and {hsi_bands} bands; give the sensors of this pair"
            )

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

    def degrade(self, hr_hsi: Tensor, name: str = "") -> tuple[Tensor, Tensor]:
        """Simulate both sensors on a whole scene, with their noise.

        Rows and columns beyond the last whole block are left out first (`crop`), so the pair belongs to
        `crop(hr_hsi)`. Degrade scenes whole and cut patches afterwards: then the blur meets a border only
        where the scene has one, and overlapping patches carry the same noise.

        Args:
            hr_hsi: `(C, H, W)` or `(B, C, H, W)`, any device.
            name: Name of the scene; scenes of other names carry other noise.

        Returns:
            `lr_hsi (..., C, H // s, W // s)` and `hr_msi (..., c, H // s * s, W // s * s)`.

        Raises:
            UserError: The image is smaller than one block or than the reflected border, or the response is
                for another number of bands.
        """
        lr_hsi, hr_msi = self.lr_hsi(hr_hsi), self.hr_msi(hr_hsi)
        return (
            noisy(lr_hsi, self.noise.of_hsi(name)(lr_hsi)),
            noisy(hr_msi, self.noise.of_msi(name)(hr_msi)),
        )

    def hr_msi(self, hr_hsi: Tensor, bands: slice = ALL_BANDS) -> Tensor:
        """Simulate the multispectral sensor alone and without noise.

        Args:
            hr_hsi: `(..., C, H, W)`, or a run of its bands.
            bands: Which bands of the scene these are; the images of all runs add up to the scene's.

        Returns:
            `(..., c, H // s * s, W // s * s)`.

        Raises:
            UserError: As for `degrade`.
        """
        # Cropped after the response: the crop of a large cube would be copied to be multiplied.
        return self.crop(self.response(hr_hsi, bands))

    def lr_hsi(
        self, hr_hsi: Tensor, flip_rows: bool = False, flip_cols: bool = False, transpose: bool = False
    ) -> Tensor:
        """Simulate the hyperspectral sensor alone and without noise, if asked on the turned scene.

        A flipped scene is sampled at other places unless the phase is the block's centre, and a PSF without
        symmetry falls on it in another way. The result for a turned scene is turned back, so it lies on the
        upright one: it equals that of the scene (after `crop`) flipped along the chosen axes, then
        transposed, with the two undone.

        Args:
            hr_hsi: `(..., C, H, W)`.
            flip_rows: Look at the scene upside down.
            flip_cols: Look at the scene mirrored left to right.
            transpose: Look at the (flipped) scene with rows and columns exchanged.

        Returns:
            `(..., C, H // s, W // s)`.

        Raises:
            UserError: As for `degrade`.
        """
        psf, start = self.turned(flip_rows, flip_cols, transpose)
        return filter_strided(self.crop(hr_hsi), psf, self.border, start, self.scale)

    def turned(self, flip_rows: bool, flip_cols: bool, transpose: bool) -> tuple[Tensor, tuple[int, int]]:
        """Return the PSF as it falls on the upright scene, and the first row and column that are kept.

        The arguments are those of `lr_hsi`; orientations with equal answers have equal samples.
        """
        flipped = [axis for axis, flip in ((0, flip_rows), (1, flip_cols)) if flip]
        start = (self._mirrored if flip_rows else self._kept, self._mirrored if flip_cols else self._kept)
        return (self.psf.T if transpose else self.psf).flip(flipped), start

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
