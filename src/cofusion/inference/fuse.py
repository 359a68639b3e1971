"""Fusing images in memory."""

from typing import Any, overload

import numpy.typing as npt
import torch
from torch import Tensor, nn

from cofusion.inference.engine import Clock, fuse_strips
from cofusion.inference.images import image_of
from cofusion.inference.setup import Options, set_up
from cofusion.scenes import Scene


@overload
def fuse(lr_hsi: Scene, hr_msi: Scene, method: nn.Module | str, **options: Any) -> Scene: ...
@overload
def fuse(
    lr_hsi: Tensor | npt.ArrayLike, hr_msi: Tensor | npt.ArrayLike, method: nn.Module | str, **options: Any
) -> Tensor: ...
def fuse(lr_hsi: Any, hr_msi: Any, method: nn.Module | str, **options: Any) -> Any:
    """Fuse a pair of any size, in tiles.

    For files, and products that do not fit into memory, see `cofusion.inference.fuse_files`.

    Args:
        lr_hsi: LRHSI, `(C, h, w)` in [0, 1]: a `Scene`, tensor or array. Pixels without data are a scene's
            mask, or NaN.
        hr_msi: HRMSI, `(c, H, W)` in [0, 1]: the same. Two scenes with georeferences are cropped to the area
            that they share; otherwise both cover the same area and `H = scale * h`, `W = scale * w`.
        method: A network, as `CoFusion.from_pretrained` makes it (it is put into evaluation mode, on the
            device), or the name of a method that needs no
            weights: `bicubic`.
        options: Fields of `cofusion.inference.setup.Options`: `phase`, `tile`, `overlap`, `margin`, `device`;
            `hsi_scaling` and `msi_scaling` where the values do not lie in [0, 1].

    Returns:
        HRHSI in [0, 1]: of two scenes a `Scene` at the HRMSI's place, with a mask where one of them is
        without data; else a tensor `(C, H, W)`, NaN there.

    Raises:
        UserError: The images do not belong together or to the method.
        TypeError: An option that does not exist.

    Example:
        >>> import torch
        >>> from cofusion import fuse
        >>> fuse(torch.rand(31, 32, 32), torch.rand(3, 128, 128), "bicubic").shape
        torch.Size([31, 128, 128])
    """
    # Values in memory are in [0, 1] already, whatever the files of the training were divided by.
    wanted = Options(**({"hsi_scaling": 1.0, "msi_scaling": 1.0} | options))
    setup = set_up(image_of(lr_hsi, "lr_hsi"), image_of(hr_msi, "hr_msi"), method, wanted)
    fused = torch.empty(setup.job.lr_hsi.shape[0], *setup.job.hr_msi.shape[1:])
    strips = setup.job.tiling.down()
    for number, values in fuse_strips(setup.job, list(range(len(strips))), Clock()):
        fused[:, strips[number].start : strips[number].stop] = torch.from_numpy(values)
    if not (isinstance(lr_hsi, Scene) and isinstance(hr_msi, Scene)):
        return fused
    missing = fused[0].isnan()
    return Scene(
        name=hr_msi.name,
        cube=fused.nan_to_num_(0),
        wavelengths=lr_hsi.wavelengths,
        scaling=lr_hsi.scaling,
        source=f"{lr_hsi.source} and {hr_msi.source}",
        georeference=setup.pair.georeference,
        nodata=missing if missing.any() else None,
    )
