"""Band centres as files state them, in nm."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from cofusion.errors import UserError

_NM = ("nm", "nanometer", "nanometers", "nanometre", "nanometres")
_UM = ("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres")
_LENGTH = re.compile(r"([\d.]+)\s*(" + "|".join(sorted((*_NM, *_UM), key=len, reverse=True)) + r")\b", re.I)


def in_nm(values: Sequence[float], unit: str | None, bands: int, source: str) -> Tensor:
    """Return band centres in nm.

    Args:
        values: One centre per band.
        unit: What the file calls their unit. Where it says nothing that is a length, 0.1 to 50 are taken for
            micrometres and 100 to 50000 for nanometres: no optical sensor's ranges overlap.
        bands: Number of bands of the cube.
        source: The file, for the error.

    Returns:
        `(bands,)` float64.

    Raises:
        UserError: Another number of centres than bands, or values that are no optical wavelengths.
    """
    nm = torch.tensor([float(value) for value in values], dtype=torch.float64)
    if len(nm) != bands:
        raise UserError(
            f"{source} states {len(nm)} wavelengths for {bands} bands; repair its list of wavelengths"
        )
    name = (unit or "").strip().lower()
    if name in _UM or (name not in _NM and bool(((nm >= 0.1) & (nm <= 50)).all())):
        nm = nm * 1000
    if not bool(((nm >= 100) & (nm <= 50000)).all()):
        raise UserError(
            f"{source} states wavelengths from {nm.min():g} to {nm.max():g} {unit or 'of no unit'}; expected "
            f"nanometres (100 to 50000) or micrometres (0.1 to 50)"
        )
    return nm


def parse_length(text: str) -> float | None:
    """Return the first length in a text (`"Band 12 (0.56 µm)"`) in nm, or None where there is none."""
    found = _LENGTH.search(text)
    if not found:
        return None
    try:
        value = float(found[1])
    except ValueError:
        return None
    return value * 1000 if found[2].lower() in _UM else value
