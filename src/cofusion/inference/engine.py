"""Fusing strip by strip: reading ahead, tiles through the network, blending, pixels without data."""

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cofusion.inference.images import Array, Image
from cofusion.inference.tiles import Span, Tiling
from cofusion.scenes.formats.contents import ALL
from cofusion.scenes.holes import fill_nearest

# Receives a strip: its number and its values.
Take = Callable[[int, Array], None]


@dataclass(frozen=True, eq=False)
class Job:
    """A fusion that is set up.

    Attributes:
        lr_hsi: The LRHSI, `(C, h, w)`.
        hr_msi: The HRMSI, `(c, scale * h, scale * w)`.
        scale: Ratio of the two resolutions.
        hsi_scaling: The LRHSI's values are divided by this.
        msi_scaling: The HRMSI's values are divided by this.
        net: Maps `(lr_hsi (1, C, h, w), hr_msi (1, c, H, W))` to `(1, C, H, W)`.
        tiling: How the product is cut.
        device: Where the network runs.
    """

    lr_hsi: Image
    hr_msi: Image
    scale: int
    hsi_scaling: float
    msi_scaling: float
    net: nn.Module
    tiling: Tiling
    device: torch.device


@dataclass
class Clock:
    """Counts what was done while a fusion runs.

    Attributes:
        tiles: Tiles that went through the network.
        network: Seconds spent in it.
        tick: Called after each tile.
    """

    tiles: int = 0
    network: float = 0.0
    tick: Callable[[], None] = field(default=lambda: None)


@dataclass(frozen=True, eq=False)
class _Inputs:
    """What a strip of tiles sees: both images in [0, 1] and the pixels of the product without data."""

    lr_hsi: Tensor
    hr_msi: Tensor
    missing: Any


def fuse_strips(job: Job, todo: list[int], clock: Clock) -> Iterator[tuple[int, Array]]:
    """Fuse strips of the product one after another.

    While one is fused, the next one's inputs are read.

    Args:
        job: The fusion.
        todo: Which strips, of `job.tiling.down()`, in ascending order.
        clock: Counts along.

    Yields:
        The strip's number and its values `(C, rows, cols)` in [0, 1]; NaN where one of the inputs is without
        data. The array is the receiver's.
    """
    strips, overlap = job.tiling.down(), job.tiling.overlap
    # A strip is blended with the end of the one before, which may have been written by an earlier run.
    needed = sorted({*todo, *(number - 1 for number in todo if number and overlap)})
    job.net.eval().to(job.device)
    end = None
    with closing(_ahead(lambda number: _read(job, strips[number]), needed)) as inputs:
        for number, seen in zip(needed, inputs, strict=True):
            span = strips[number]
            fused, following = _fuse_strip(job, span, seen, clock)
            if end is not None:
                fused[:, : end.shape[1]] += end
            end = following
            if number in todo:
                fused[:, seen.missing[: fused.shape[1]]] = np.nan
                yield number, fused
            # Else it would be held while the next strip is fused, written or not.
            del fused


def pass_on(fused: Iterator[tuple[int, Array]], take: Take) -> None:
    """Give away each strip while the next one is fused.

    Args:
        fused: What `fuse_strips` yields.
        take: Called in another thread, with one strip at a time.
    """
    with ThreadPoolExecutor(1, "take") as pool:
        taking = None
        for number, values in fused:
            if taking is not None:
                taking.result()
            taking = pool.submit(take, number, values)
            # Else it would be held here too when it is taken.
            del values
        if taking is not None:
            taking.result()


def _fuse_strip(job: Job, span: Span, seen: _Inputs, clock: Clock) -> tuple[Array, Array]:
    """Return a strip `(C, stop - start, cols)` and its share of the next one's first rows.

    The tiles are blended with each other. Both are weighed for the blending with the strips above and below.
    """
    own, overlap = span.stop - span.start, job.tiling.overlap
    # Two arrays: the strip goes to the writer, which would have to copy a part of a larger one.
    parts = [
        np.zeros((job.lr_hsi.shape[0], rows, job.tiling.cols), np.float32)
        for rows in (own, span.kept - span.stop)
    ]
    for tile in job.tiling.across():
        # Where nothing will be shown, nothing is computed.
        if not seen.missing[:, tile.start : tile.kept].all():
            kept = _fuse_tile(job, span, tile, seen, clock)
            _weigh(kept, tile.weights(overlap), 2)
            _weigh(kept, span.weights(overlap), 1)
            for part, rows in zip(parts, (kept[:, :own], kept[:, own:]), strict=True):
                part[:, :, tile.start : tile.kept] += rows
        clock.tick()
    return parts[0], parts[1]


def _fuse_tile(job: Job, span: Span, tile: Span, seen: _Inputs, clock: Clock) -> Array:
    lr_hsi = seen.lr_hsi[None, :, :, tile.first // job.scale : tile.last // job.scale]
    hr_msi = seen.hr_msi[None, :, :, tile.first : tile.last]
    rows = slice(span.start - span.first, span.kept - span.first)
    cols = slice(tile.start - tile.first, tile.kept - tile.first)
    begin = time.perf_counter()
    with torch.inference_mode():
        fused = job.net(lr_hsi.to(job.device), hr_msi.to(job.device))[0].float().cpu()
    clock.network += time.perf_counter() - begin
    clock.tiles += 1
    kept: Array = fused[:, rows, cols].clamp(0, 1).numpy()
    return kept


def _read(job: Job, span: Span) -> _Inputs:
    lr = job.lr_hsi.load(slice(span.first // job.scale, span.last // job.scale), ALL)
    hr = job.hr_msi.load(slice(span.first, span.last), ALL)
    missing = np.isnan(lr[0]).repeat(job.scale, 0).repeat(job.scale, 1) | np.isnan(hr[0])
    return _Inputs(
        _prepare(lr, job.hsi_scaling),
        _prepare(hr, job.msi_scaling),
        missing[span.start - span.first : span.kept - span.first],
    )


def _prepare(values: Array, scaling: float) -> Tensor:
    """Scale an image to [0, 1].

    Pixels without data get the nearest one's values, so that nothing rings around them.
    """
    fill_nearest(values, np.isnan(values[0]))
    values /= scaling
    return torch.from_numpy(np.clip(values, 0, 1, out=values))


def _weigh(values: Array, weights: Array, axis: int) -> None:
    """Multiply along an axis, in place, where weights are not 1."""
    shared = np.flatnonzero(weights != 1)
    if shared.size:
        along = np.moveaxis(values, axis, -1)
        along[..., shared] *= weights[shared]


def _ahead(read: Callable[[int], _Inputs], numbers: list[int]) -> Generator[_Inputs]:
    """Read one after another, each while the one before is used."""
    with ThreadPoolExecutor(1, "read") as pool:
        upcoming = pool.submit(read, numbers[0]) if numbers else None
        for following in [*numbers[1:], None]:
            if upcoming is None:
                return
            inputs = upcoming.result()
            upcoming = None if following is None else pool.submit(read, following)
            yield inputs
            # Else it would be held while the next one is waited for.
            del inputs
