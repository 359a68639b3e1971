"""A user's own scenes, in files of any known format."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.scenes.base import SceneSet
from cofusion.scenes.formats import Contents, open_file
from cofusion.scenes.formats.contents import good_bands
from cofusion.scenes.scaling import Scaling
from cofusion.scenes.scene import Scene


def read_file(
    path: str | Path,
    key: str | None = None,
    *,
    scaling: Scaling = "max",
    wavelengths: list[float] | None = None,
    nodata: float | None = None,
    band_axis: int | None = None,
) -> Scene:
    """Read a scene from a file.

    Bands that the file marks as bad are left out. Scale factors and offsets that a file states are not
    applied: the stored values are divided by the scaling.

    Args:
        path: A GeoTIFF, an ENVI header or its data file, a MATLAB (5 or 7.3), HDF5, NetCDF 4 or .npy file, or
            a folder of one 16-bit grey PNG per band.
        key: The variable in a MATLAB, HDF5 or NetCDF file; may be left out where it holds one cube.
        scaling: The values are divided by this: a number, max (the largest value), or a percentile of the
            values such as p99.9.
        wavelengths: Band centres in nm in place of the file's: one per band of the file, or the first and the
            last of an even grid.
        nodata: The value that stands for missing data, in place of the file's.
        band_axis: Which axis (0, 1 or 2) of a .npy, HDF5 or NetCDF array holds the bands. When left out, it
            is told from names and wavelengths in the file, or from the sizes where they are clear.

    Returns:
        The scene, named like the file.

    Raises:
        UserError: No such file, an unknown format, a damaged file, a variable that is not there or not a
            cube, an unclear band axis, or values that `Scene.from_raw` refuses.
    """
    contents, path = open_file(path, key, band_axis), Path(path).expanduser()
    return Scene.from_file(
        path.stem,
        path,
        contents,
        scaling,
        wavelengths=band_centres(contents, wavelengths, path),
        nodata=nodata,
        what={"key": key, "band_axis": band_axis},
    )


class Files(SceneSet):
    """A user's own scenes: one file, or folder of PNGs, per scene, all with the same bands.

    The number of bands and the wavelengths are those of the first file, whose header is read at once.

    Args:
        root: Folder that relative paths begin at.
        files: Paths or patterns (`*.tif`), below the root or absolute. A scene is named like its file without
            the suffix.
        scaling: The values are divided by this: a number; or, for each scene on its own, max or a percentile
            such as p99.9.
        key: The variable in MATLAB, HDF5 and NetCDF files; may be left out where each holds one cube.
        wavelengths: Band centres in nm in place of the files': one per band, or the first and the last of an
            even grid.
        nodata: The value that stands for missing data, in place of the files'.
        band_axis: Which axis (0, 1 or 2) of .npy, HDF5 and NetCDF arrays holds the bands.

    Raises:
        UserError: No file, two of one name, a first file that cannot be used, or one without wavelengths
            where none were given.
    """

    stem = "files"
    title = "Your files"
    homepage = "your own"
    expected = "scenes as GeoTIFF, ENVI, MATLAB, HDF5, NetCDF 4 or .npy files or folders of 16-bit PNGs"
    licence = "yours"
    citation = "none"

    def __init__(
        self,
        root: str | Path,
        files: list[str],
        scaling: Scaling,
        key: str | None = None,
        wavelengths: list[float] | None = None,
        nodata: float | None = None,
        band_axis: int | None = None,
    ) -> None:
        super().__init__(root, scaling)
        self.files = files
        self.key = key
        self.nodata = nodata
        self.band_axis = band_axis
        self._given_wavelengths = wavelengths
        self.wavelengths = self._first_wavelengths()
        self.bands = len(self.wavelengths)

    def names(self) -> tuple[str, ...]:
        """Return the names of the files found, in the order of their names.

        Raises:
            UserError: Nothing found, or two files of one name.
        """
        return tuple(sorted(self._found()))

    def path(self, name: str) -> list[Path]:
        """Return the file of a scene."""
        return [self._found()[name]]

    def require(self, names: Sequence[str]) -> None:
        """Check the names: scenes are what was found.

        Raises:
            UserError: A name that no file has.
        """
        self.check_names(names)

    def read(self, name: str) -> Scene:
        """Read one scene."""
        self.require([name])
        (path,) = self.path(name)
        scene = read_file(
            path,
            self.key,
            scaling=self.scaling,
            wavelengths=self._given_wavelengths,
            nodata=self.nodata,
            band_axis=self.band_axis,
        )
        if len(scene.cube) != self.bands:
            raise UserError(
                f"{path} holds {len(scene.cube)} bands, {self.path(self.names()[0])[0]} {self.bands}; all "
                f"scenes have the same bands"
            )
        return scene

    def _first_wavelengths(self) -> Tensor:
        """Return the band centres of the first file in nm, without those of bad bands."""
        (path,) = self.path(self.names()[0])
        contents = open_file(path, self.key, self.band_axis)
        centres = band_centres(contents, self._given_wavelengths, path)
        if centres is None:
            raise UserError(
                f"{path} states no wavelengths; give the {contents.shape[0]} band centres in nm, or the "
                f"first and the last of an even grid: --data.scenes.init_args.wavelengths '[400, 1000]'"
            )
        return centres[good_bands(len(centres), contents.bad_bands)]

    def _found(self) -> dict[str, Path]:
        entries = [self.root.absolute() / entry for entry in self.files]
        paths = [path for e in entries for path in Path(e.anchor).glob(str(e.relative_to(e.anchor)))]
        found = {path.stem: path for path in sorted(paths)}
        if not found:
            raise UserError(
                f"no file matches {', '.join(self.files) or 'an empty list'} in {self.root.absolute()}; "
                f"expected {self.expected}"
            )
        if len(found) < len(set(paths)):
            names = sorted(path.name for path in paths)
            raise UserError(f"two files have one name without suffix: {', '.join(names)}; rename one")
        return found


def band_centres(contents: Contents, given: list[float] | None, path: str | Path) -> Tensor | None:
    """Return the band centres of a file in nm, or None where nothing states them.

    Args:
        contents: What the file holds.
        given: Centres in place of the file's: one per band, or the first and the last of an even grid.
        path: The file, for messages.

    Raises:
        UserError: Another number of centres.
    """
    if given is None:
        return contents.wavelengths
    bands = contents.shape[0]
    if len(given) not in (2, bands):
        raise UserError(
            f"{len(given)} wavelengths were given for {path}, which has {bands} bands; give one per band, or "
            f"the first and the last of an even grid"
        )
    if len(given) == bands:
        return torch.tensor(given, dtype=torch.float64)
    return torch.linspace(given[0], given[1], bands, dtype=torch.float64)
