"""What a data set's files must hold, checked from their headers: no public checksum of them is known."""

from dataclasses import dataclass
from pathlib import Path

from cofusion.errors import UserError


@dataclass(frozen=True)
class MatVariable:
    """A MATLAB file, version 5 or 7.3, with one variable of a known shape.

    Attributes:
        name: Name of the variable.
        shape: `(rows, cols, bands)`.
    """

    name: str
    shape: tuple[int, int, int]

    def __str__(self) -> str:
        return f"a MATLAB file whose variable {self.name!r} has the shape {self.shape}"

    def check(self, path: Path) -> None:
        """Check a file without reading its values.

        Raises:
            UserError: The file is no MATLAB file, or has no such variable of this shape.
        """
        try:
            shapes = _shapes(path)
        except Exception as error:  # parsers raise anything from zlib.error to IndexError on damaged files
            raise UserError(f"{path} ({path.stat().st_size} bytes) is not {self}: {error}") from error
        if shapes.get(self.name) != self.shape:
            held = ", ".join(f"{name} {shape}" for name, shape in sorted(shapes.items())) or "nothing"
            raise UserError(f"{path} is not {self}; it holds: {held}")


@dataclass(frozen=True)
class PngStack:
    """A folder with one PNG per band.

    Attributes:
        bands: Number of PNGs.
        size: `(rows, cols)`.
    """

    bands: int
    size: tuple[int, int]

    def __str__(self) -> str:
        return f"a folder of {self.bands} PNGs of {self.size[0]} x {self.size[1]} pixels"

    def check(self, path: Path) -> None:
        """Check the folder of the first band, `NAME_01.png`, by its names and the header of this file.

        Raises:
            UserError: PNGs are missing, or this one is of another size or damaged.
        """
        from PIL import Image

        stem = path.stem.rpartition("_")[0]
        names = [f"{stem}_{band:02d}.png" for band in range(1, self.bands + 1)]
        if lacking := [name for name in names if not (path.parent / name).is_file()]:
            raise UserError(f"{path.parent} is not {self}; it lacks {', '.join(lacking)}")
        try:
            with Image.open(path) as image:
                size = (image.height, image.width)
        except Exception as error:  # as above
            raise UserError(f"{path} cannot be read as a PNG: {error}") from error
        if size != self.size:
            raise UserError(f"{path} has {size[0]} x {size[1]} pixels; {path.parent} is not {self}")


@dataclass(frozen=True)
class EnviRaster:
    """An ENVI data file with its header beside it.

    Attributes:
        bands: Number of bands of the spectrum, the first ones; other channels may follow.
        size: `(rows, cols)`.
    """

    bands: int
    size: tuple[int, int]

    def __str__(self) -> str:
        return f"an ENVI raster of {self.bands} bands of {self.size[0]} x {self.size[1]} pixels"

    def check(self, path: Path) -> None:
        """Check a file by its header and its size.

        Raises:
            UserError: The file has no header or one that does not fit, or is of another shape.
        """
        from cofusion.scenes.formats.raster import open_envi

        bands, *size = open_envi(path, first=self.bands).shape
        if (bands, *size) != (self.bands, *self.size):
            raise UserError(f"{path} has {bands} bands of {size[0]} x {size[1]} pixels; it is not {self}")


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each variable of a MATLAB file, as MATLAB shows it."""
    import h5py
    from scipy.io import whosmat

    if not h5py.is_hdf5(path):
        return {name: tuple(shape) for name, shape, _ in whosmat(path)}
    with h5py.File(path) as file:
        # MATLAB stores columns first, so HDF5 shows the axes reversed.
        return {name: tuple(reversed(getattr(item, "shape", ()))) for name, item in file.items()}
