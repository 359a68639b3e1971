"""The few spectra that a scene is made of: its principal directions, or its purest pixels."""

import torch
from torch import Tensor

# Directions with less than this share of the largest one's energy are the rounding of float32.
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


def vertex_components(pixels: Tensor, count: int, seed: int = 0) -> Tensor:
    """Return the purest pixels by vertex component analysis (Nascimento and Bioucas-Dias, IEEE TGRS 2005).

    Pixels are projected on their principal directions and scaled to a common plane; in turn, the one that
    reaches furthest in a random direction orthogonal to all that were found is the next endmember. (The
    published variant for noisy images, which projects to one dimension less, is left out.)

    Args:
        pixels: `(bands, n)`.
        count: How many endmembers, at least 1.
        seed: Seed of the directions; the same on every device.

    Returns:
        Spectra `(bands, m)` of as many pixels as `count` or as the image has directions, float64.
    """
    directions, energy = principal_directions(pixels[None], count)
    rank = max(1, int((energy > 0).sum()))
    projected = directions[0, :, :rank].mT @ pixels.double()
    length = projected.mT @ projected.mean(1)
    # Zero pixels have no place on the plane; they are no endmembers.
    bright = length > 1e-9 * length.abs().max()
    plane = torch.where(bright, projected / torch.where(bright, length, 1.0), 0.0)
    random = torch.Generator().manual_seed(seed)
    found = plane.new_zeros(rank, rank)
    chosen: list[int] = []
    for i in range(rank):
        direction = torch.randn(rank, generator=random, dtype=torch.float64).to(plane.device)
        if chosen:
            basis = torch.linalg.qr(found[:, :i]).Q
            direction = direction - basis @ (basis.mT @ direction)
        chosen.append(int((direction @ plane).abs().argmax()))
        found[:, i] = plane[:, chosen[-1]]
    return pixels.double()[:, chosen]
