"""Where a network's weights come from."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a network's weights come from and what their inputs were; None where that is not known.

    Attributes:
        dataset: Name of the data set trained on, as in files and folders: `cave`.
        scenes: Class that reads the data set: `cofusion.scenes.cave.CAVE`.
        split: Name of the split of the data set: `cave_20_11`.
        train_scenes: Names of the scenes trained on.
        hsi_bands: Number of HSI bands C.
        msi_bands: Number of MSI bands c.
        wavelengths: `(C,)` centres of the HSI bands in nm.
        scaling: The files' values were divided by this to lie in [0, 1].
        msi_gain: `(c,)`: of a real pair, whose images have two scalings, the stored values of the HRMSI less
            `msi_offset` were divided by this; None where both images come from one cube.
        msi_offset: `(c,)`, see `msi_gain`.
        scale: Ratio of the two resolutions s.
        phase: Where an LR sample sits in its s x s block, in full-resolution pixels from the first.
        preset: Named protocol that blur and decimation follow: `paper` or `wald`.
        psf: `(k, k)` point spread function of the hyperspectral sensor, one tap per full-resolution pixel,
            sum 1.
        border: Values beyond the image when blurring: `reflect`, `symmetric`, `replicate`, `circular` or
            `constant`.
        response: Where the spectral response of the multispectral sensor comes from: `nikon_d700`.
        response_names: `(c,)` names of the MSI bands, in order.
        response_weights: `(c, C)` share of each HSI band in each MSI band; every row has sum 1.
        version: Version of cofusion that trained the weights.
        commit: Commit of the checkout that trained them, ending in `-dirty` where files were changed.
        seed: Seed of the run.
        steps: Optimiser steps behind the weights.
        test_scenes: Names of the regions that `metrics` were measured on.
        metrics: Mean of each metric over `test_scenes`, named and in units as in `cofusion.metrics`: PSNR in
            dB, SAM in degrees, the others without unit.
    """

    dataset: str | None = None
    scenes: str | None = None
    split: str | None = None
    train_scenes: tuple[str, ...] | None = None
    hsi_bands: int | None = None
    msi_bands: int | None = None
    wavelengths: tuple[float, ...] | None = None
    scaling: float | None = None
    msi_gain: tuple[float, ...] | None = None
    msi_offset: tuple[float, ...] | None = None
    scale: int | None = None
    phase: float | None = None
    preset: str | None = None
    psf: tuple[tuple[float, ...], ...] | None = None
    border: str | None = None
    response: str | None = None
    response_names: tuple[str, ...] | None = None
    response_weights: tuple[tuple[float, ...], ...] | None = None
    version: str | None = None
    commit: str | None = None
    seed: int | None = None
    steps: int | None = None
    test_scenes: tuple[str, ...] | None = None
    metrics: dict[str, float] | None = None
