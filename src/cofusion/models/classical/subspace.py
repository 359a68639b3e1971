"""The few spectra that a scene is made of: its principal directions, or its purest pixels."""

import torch
from torch import Tensor

# Directions and remainders with less than this share of the largest energy are the rounding of float32.
_NOTHING = 1e-11


def principal_directions(pixels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the directions that hold most of the energy of the pixels' spectra.

    They are the first left singular vectors of `(bands, pixels)`, the mean not removed, so that a constant
    image lies in their span.

    Args:
        pixels: `(B, bands, n)`.
        count: How many, at least 1.

    Returns:
        `E (B, bands, p)` with orthonormal columns and their mean energies per pixel `(B, p)`, largest first,
        both float64; `p` is `count`, or as many as there can be. Columns without energy are zero.
    """
    pixels = pixels.double()
    energy, directions = torch.linalg.eigh(pixels @ pixels.mT / pixels.shape[-1])
    p = min(count, *pixels.shape[1:])
    energy, directions = energy.flip(-1)[:, :p], directions.flip(-1)[..., :p]
    present = energy > _NOTHING * energy[:, :1]
    return directions * present[:, None], energy * present


def mix(matrix: Tensor, image: Tensor) -> Tensor:
    """Multiply every pixel's spectrum by a matrix.

    Args:
        matrix: `(B, m, n)` or `(m, n)`, any precision.
        image: `(B, n, rows, cols)`.

    Returns:
        `(B, m, rows, cols)` in the image's precision.
    """
    return torch.unflatten(matrix.to(image) @ image.flatten(-2), -1, image.shape[-2:])


def purest_pixels(pixels: Tensor, count: int) -> Tensor:
    """Return the brightest pixels that no mixture explains, by successive projections.

    In turn, the pixel with the largest part orthogonal to all that were found (Araújo et al., Chemometrics
    and Intelligent Laboratory Systems 57(2), 2001). Where every pixel is a mixture of a few pure ones with
    abundances that sum to at most one, these are found.

    Args:
        pixels: `(bands, n)`.
        count: How many, at least 1.

    Returns:
        `(bands, m)`, as many as `count` or as the image has directions, but at least one.
    """
    rest, chosen = pixels.double(), list[int]()
    least = _NOTHING * rest.square().sum(0).max()
    for _ in range(count):
        energy = rest.square().sum(0)
        brightest = int(energy.argmax())
        if chosen and energy[brightest] <= least:
            break
        chosen.append(brightest)
        direction = rest[:, brightest] / energy[brightest].clamp(min=1e-300).sqrt()
        rest = rest - direction[:, None] * (direction @ rest)
    return pixels[:, chosen]
