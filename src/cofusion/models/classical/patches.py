"""Overlapping patches of a periodic image, and patches that look alike."""

import itertools

import torch
from torch import Tensor

# Patches that clusters are found in, and the steps that takes.
_SAMPLE = 8192
_STEPS = 10
# Patches whose clusters are looked up at once.
_BLOCK = 4096


class Patches:
    """All patches of an image whose opposite edges meet, at every `step` pixels.

    Args:
        size: Rows and columns of the image.
        patch: Pixels along an edge of a patch; may be more than the image has.
        step: Pixels from one patch to the next; at most `patch`, so that every pixel is in one.
    """

    def __init__(self, size: tuple[int, int], patch: int, step: int) -> None:
        self.size, self._counts = size, tuple(-(-n // step) for n in size)
        self._reach = tuple((count - 1) * step + patch for count in self._counts)
        lines = [[slice(i, i + (count - 1) * step + 1, step) for i in range(patch)] for count in self._counts]
        # Where the first, the second and so on of every patch's pixels are.
        self._pixels = list(itertools.product(*lines))
        self._times = torch.ones(1)
        self._times = self.join(self.cut(torch.ones(1, *size)))

    def cut(self, image: Tensor) -> Tensor:
        """Return the patches `(n, patch * patch, bands)` of an image `(bands, rows, cols)`."""
        for axis, reach in zip((1, 2), self._reach, strict=True):
            at = torch.arange(reach, device=image.device) % image.shape[axis]
            image = image.index_select(axis, at)
        image = image.movedim(0, -1).contiguous()
        patches = image.new_empty(*self._counts, len(self._pixels), image.shape[-1])
        for k, at_pixel in enumerate(self._pixels):
            patches[:, :, k] = image[at_pixel]
        return patches.flatten(0, 1)

    def join(self, patches: Tensor) -> Tensor:
        """Return the image of which patches `(n, patch * patch, bands)` were cut; they are averaged."""
        grid = torch.unflatten(patches, 0, self._counts)
        image = patches.new_zeros(*self._reach, patches.shape[-1])
        for k, at_pixel in enumerate(self._pixels):
            image[at_pixel] += grid[:, :, k]
        image = _wrap(_wrap(image, 0, self.size[0]), 1, self.size[1])
        return image.movedim(-1, 0) / self._times.to(image)


def clusters(points: Tensor, count: int, seed: int) -> list[Tensor]:
    """Return the indices of points that are close together, by k-means (Lloyd, IEEE TIT 28(2), 1982).

    The centres are found in a random sample and the same on every device up to rounding.

    Args:
        points: `(n, features)`.
        count: Clusters, at most as many as there are points; empty ones are left out.
        seed: Seed of the sample, of which the first points are the first centres.

    Returns:
        One tensor of indices per cluster; together they are all.
    """
    random = torch.Generator().manual_seed(seed)
    sample = points[torch.randperm(len(points), generator=random)[:_SAMPLE].to(points.device)]
    centres = sample[:count]
    for _ in range(_STEPS):
        centres = torch.stack([sample[group].mean(0) for group in _nearest(sample, centres)])
    return _nearest(points, centres)


def _nearest(points: Tensor, centres: Tensor) -> list[Tensor]:
    """Return, for every centre that has any, the indices of the points to which it is the nearest."""
    offsets = centres.square().sum(1) / 2
    parts = torch.split(points, _BLOCK)
    labels = torch.cat([torch.addmm(offsets, part, centres.mT, alpha=-1).argmin(1) for part in parts])
    groups = torch.split(torch.argsort(labels, stable=True), torch.bincount(labels).tolist())
    return [group for group in groups if len(group)]


def _wrap(image: Tensor, axis: int, size: int) -> Tensor:
    """Add what lies beyond the end of an axis to its beginning."""
    first, *beyond = torch.split(image, size, axis)
    first = first.clone() if beyond else first
    for part in beyond:
        first.narrow(axis, 0, part.shape[axis]).add_(part)
    return first
