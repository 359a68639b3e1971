"""Stacks of one 16-bit grey PNG per band."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from cofusion.errors import UserError
from cofusion.scenes.formats.contents import ALL, Contents, Raw, reading

# Pillow calls 16-bit grey PNGs "I;16", and "I" before version 11.
_GREY_16 = ("I;16", "I;16B", "I")


def open_folder(folder: Path) -> Contents:
    """Look into a folder of PNGs whose names end in the number of the band.

    Raises:
        UserError: No PNG, names without a number, numbers with gaps, or a first file that is not 16-bit grey.
    """
    paths = _in_order(folder)
    rows, cols = _read_grey_png(paths[0]).shape
    return Contents(
        format=f"folder of {len(paths)} PNGs",
        shape=(len(paths), rows, cols),
        dtype=np.dtype(np.uint16),
        load=partial(read_png_stack, paths),
        whole=True,
    )


def read_png_stack(paths: Sequence[Path], bands: slice = ALL, rows: slice = ALL, cols: slice = ALL) -> Raw:
    """Read one 16-bit grey PNG per band.

    Args:
        paths: The files in band order.
        bands: Those to read.
        rows: Those to return.
        cols: Those to return.

    Returns:
        `(bands, rows, cols)` uint16.

    Raises:
        UserError: A missing, truncated or foreign file, one that is not 16-bit grey, or bands of different
            sizes.
    """
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise UserError(
            f"{paths[0].parent} holds {len(paths) - len(missing)} of {len(paths)} bands; missing: "
            f"{', '.join(missing)}; unpack the scene again"
        )
    # Decoding releases the interpreter lock.
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(_read_grey_png, paths[bands]))
    for path, image in zip(paths[bands], images, strict=True):
        if image.shape != images[0].shape:
            raise UserError(
                f"{path} is {image.shape[0]} x {image.shape[1]} pixels, {paths[bands][0].name} is "
                f"{images[0].shape[0]} x {images[0].shape[1]}; all bands of a scene have one size"
            )
    return np.stack([image[rows, cols] for image in images])


def _in_order(folder: Path) -> list[Path]:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".png")
    if not paths:
        inner = [path for path in folder.iterdir() if path.is_dir()]
        if len(inner) == 1:
            # Archives nest a stack in a folder of the same name.
            return _in_order(inner[0])
        raise UserError(f"{folder} holds no PNG; expected one 16-bit grey PNG per band")
    numbered = {}
    for path in paths:
        number = re.search(r"(\d+)$", path.stem)
        if not number:
            raise UserError(f"{path}: the name does not end in a number; number the bands, as in band_01.png")
        numbered[int(number[1])] = path
    if len(numbered) < len(paths):
        raise UserError(f"{folder} holds several PNGs of the same number; a stack is one scene alone")
    numbers = sorted(numbered)
    # Bands may be named by number or by wavelength: 1, 2, 3 or 400, 410, 420.
    step = min((b - a for a, b in pairwise(numbers)), default=1)
    missing = [str(n) for n in range(numbers[0], numbers[-1], step) if n not in numbered]
    if missing:
        raise UserError(
            f"{folder} holds {len(paths)} bands from {numbers[0]} to {numbers[-1]}; missing: "
            f"{', '.join(missing[:20])}; complete the stack"
        )
    return [numbered[number] for number in numbers]


def _read_grey_png(path: Path) -> Raw:
    from PIL import Image

    with reading(path, "a 16-bit grey PNG"), Image.open(path, formats=["PNG"]) as image:
        if image.mode not in _GREY_16:
            raise UserError(
                f"{path} is a {image.format} of mode {image.mode}, expected a 16-bit grey PNG; "
                f"leave this scene out (CAVE's archive holds 'watercolors' as 8-bit RGBA)"
            )
        return np.asarray(image).astype(np.uint16, copy=False)
