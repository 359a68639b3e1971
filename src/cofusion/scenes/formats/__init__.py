"""The containers that cubes come in. `open_file` knows which is which."""

from pathlib import Path

from cofusion.errors import UserError
from cofusion.scenes.formats.contents import Contents, Raw

__all__ = ["Contents", "Raw", "open_file"]

_HDF5 = (".h5", ".hdf5", ".hdf", ".he5", ".nc", ".nc4")


def open_file(path: str | Path, key: str | None = None, band_axis: int | None = None) -> Contents:
    """Look into a file without reading its values.

    Args:
        path: A GeoTIFF, an ENVI header or its data file, a MATLAB (5 or 7.3), HDF5, NetCDF 4 or .npy file, or
            a folder of one 16-bit grey PNG per band.
        key: The variable in a MATLAB, HDF5 or NetCDF file; may be left out where it holds one cube.
        band_axis: Which axis (0, 1 or 2) of a .npy, HDF5 or NetCDF array holds the bands. When left out, it
            is told from names and wavelengths in the file, or from the sizes where they are clear.

    Raises:
        UserError: No such file, a format that is not known, or a file that is damaged.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise UserError(f"there is no file {path.absolute()}; give the path of a scene")
    if band_axis not in (None, 0, 1, 2):
        raise UserError(f"band_axis is 0, 1 or 2, not {band_axis}")
    # The parsers are heavy: each is imported where a file needs it.
    from cofusion.scenes.formats import hdf5, mat, npy, png, raster

    suffix = path.suffix.lower()
    if path.is_dir():
        return png.open_folder(path)
    if suffix == ".mat":
        return mat.open_mat(path, key)
    if suffix == ".npy":
        return npy.open_npy(path, band_axis)
    if suffix in _HDF5:
        return hdf5.open_hdf5(path, key, band_axis)
    if suffix in (".tif", ".tiff"):
        return raster.open_geotiff(path)
    if suffix == ".hdr":
        return raster.open_envi(path)
    if raster.envi_header(path):
        return raster.open_envi(path)
    raise UserError(
        f"{path}: the format {suffix or 'of a file without suffix'} is not known; expected GeoTIFF (.tif), "
        f"ENVI (.hdr), MATLAB (.mat), HDF5 or NetCDF (.h5, .nc), .npy or a folder of PNGs"
    )
