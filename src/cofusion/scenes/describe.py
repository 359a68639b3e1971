"""What a file holds, in words."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from cofusion.scenes.formats import Contents, Raw, open_file

Mask = npt.NDArray[np.bool_]

_LISTED = 12


def describe_file(path: str | Path, key: str | None = None, band_axis: int | None = None) -> str:
    """Describe a scene's file: its facts, one per line, then warnings about its values.

    Values that `read_file` refuses, such as NaN, are described.

    Args:
        path: A file or folder of any format that `read_file` knows.
        key: The variable in a MATLAB, HDF5 or NetCDF file; may be left out where it holds one cube.
        band_axis: As for `read_file`.

    Returns:
        Lines, without a newline at the end. A warning begins with `warning: `. Bands, rows and columns are
        counted from 0.

    Raises:
        UserError: No such file, an unknown format, several cubes and no key, or a damaged file.
    """
    contents = open_file(path, key, band_axis)
    values = contents.load()
    missing = _missing(values, contents.nodata)
    facts = {
        "format": contents.format,
        "bands": str(contents.shape[0]),
        "rows x cols": f"{contents.shape[1]} x {contents.shape[2]}",
        "type": str(contents.dtype),
        "wavelengths": _wavelengths(contents),
        "bad bands": _numbers(contents.bad_bands) or "none marked",
        "range": _range(values, missing),
        "nodata": _nodata(contents, missing),
        "georeference": _georeference(contents),
    }
    lines = [str(path), *(f"  {name:<13}{fact}" for name, fact in facts.items())]
    return "\n".join([*lines, *(f"warning: {warning}" for warning in _warnings(contents, values, missing))])


def _wavelengths(contents: Contents) -> str:
    nm = contents.wavelengths
    return "not in the file" if nm is None else f"{nm[0]:.1f} to {nm[-1]:.1f} nm"


def _range(values: Raw, missing: Mask | None) -> str:
    low, high = np.inf, -np.inf
    for band in values:
        valid = band[_valid(band, missing)]
        if valid.size:
            low, high = min(low, float(valid.min())), max(high, float(valid.max()))
    return "no finite value" if low > high else f"{low:g} to {high:g}"


def _nodata(contents: Contents, missing: Mask | None) -> str:
    if contents.nodata is None:
        return "no value stated"
    count = 0 if missing is None else int(missing.sum())
    return f"{contents.nodata:g}, in {count} of {contents.shape[1] * contents.shape[2]} pixels"


def _georeference(contents: Contents) -> str:
    place = contents.georeference
    if place is None:
        return "none"
    a, b, c, d, e, f = place.transform
    name = (place.crs or "no coordinate system").split(",")[0]
    return f"{name}, pixels of {np.hypot(a, d):g} x {np.hypot(b, e):g}, upper left at ({c:.10g}, {f:.10g})"


def _warnings(contents: Contents, values: Raw, missing: Mask | None) -> list[str]:
    wrong = sum(int((~np.isfinite(band) & _kept(band, missing)).sum()) for band in values)
    negative = sum(int((band[_valid(band, missing)] < 0).sum()) for band in values)
    dead = [number for number, band in enumerate(values) if _is_constant(band[_valid(band, missing)])]
    saturated = _saturated(contents, values, missing)
    found = []
    if wrong:
        found.append(f"{wrong} of {values.size} values are NaN or infinite")
    if negative:
        found.append(f"{negative} of {values.size} values are negative")
    if dead:
        found.append(f"{len(dead)} dead bands (one value throughout): {_numbers(dead)}")
    if saturated:
        found.append(saturated)
    return found


def _saturated(contents: Contents, values: Raw, missing: Mask | None) -> str | None:
    """Say how many pixels hold the largest value, where it is the type's or is shared by too many.

    Real spectra rarely share their maximum: 1 in 10000 values, and at least 10, is taken for a plateau.
    """
    highest = max((float(v.max()) for v in (b[_valid(b, missing)] for b in values) if v.size), default=0.0)
    hits = np.zeros(contents.shape[1:], bool)
    count = 0
    for band in values:
        here = (band == highest) & _valid(band, missing)
        hits |= here
        count += int(here.sum())
    limit = float(np.iinfo(contents.dtype).max) if contents.dtype.kind in "iu" else None
    if highest == limit or (highest > 0 and count >= max(10, values.size / 10000)):
        return f"{int(hits.sum())} of {hits.size} pixels are saturated, at the largest value, {highest:g}"
    return None


def _missing(values: Raw, nodata: float | None) -> Mask | None:
    """Return `(rows, cols)`, True where a pixel holds no data, by the rule of `Scene.from_raw`."""
    if nodata is None:
        return None
    here = [np.isnan(band) if np.isnan(nodata) else band == np.float32(nodata) for band in values]
    mask: Mask = np.all(here, axis=0) if nodata == 0 else np.any(here, axis=0)
    return mask


def _kept(band: Raw, missing: Mask | None) -> Mask:
    return np.ones(band.shape, bool) if missing is None else ~missing


def _valid(band: Raw, missing: Mask | None) -> Mask:
    valid: Mask = np.isfinite(band) & _kept(band, missing)
    return valid


def _is_constant(values: Raw) -> bool:
    return values.size > 0 and bool((values == values[0]).all())


def _numbers(bands: tuple[int, ...] | list[int]) -> str:
    shown = ", ".join(map(str, bands[:_LISTED]))
    return f"{shown} and {len(bands) - _LISTED} more" if len(bands) > _LISTED else shown
