"""The structure of MATLAB 5 files, checked before a parser follows it.

scipy's reader trusts the tags of a file: a type that does not exist ends the process. Layout after "MAT-File
Format", The MathWorks: a header of 128 bytes, then elements, each a tag (type, size) and its data, padded to
8 bytes; an array is an element of elements: flags, dimensions, name, values. Packed elements carry a checksum
and need no look.
"""

import math
import struct
from collections.abc import Iterator
from typing import BinaryIO

_ARRAY, _PACKED = 14, 15
_INT8, _INT32, _UINT32, _UTF8 = 1, 5, 6, 16
_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
_NUMBER_CLASSES = range(6, 16)
_COMPLEX = 0x0800


def check_mat5(file: BinaryIO) -> None:
    """Follow the tags of all arrays of numbers.

    Args:
        file: An open file of MATLAB version 5.

    Raises:
        ValueError: A tag that does not fit; the message says where.
        struct.error: The file ends inside of a tag.
    """
    header = file.read(128)
    order = {b"IM": "<", b"MI": ">"}.get(header[126:128])
    if order is None:
        raise ValueError("no MATLAB 5 header")
    end = file.seek(0, 2)
    for kind, start, size in _elements(file, order, 128, end):
        if kind == _ARRAY:
            _check_array(file, order, start, start + size)


def _check_array(file: BinaryIO, order: str, start: int, end: int) -> None:
    elements = _elements(file, order, start, end)
    flags = struct.unpack(f"{order}2I", _data(file, next(elements), (_UINT32,)))
    if flags[0] & 0xFF not in _NUMBER_CLASSES:
        return
    sizes = _data(file, next(elements), (_INT32,))
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    _data(file, next(elements), (_INT8, _UTF8))
    for part in range(2 if flags[0] & _COMPLEX else 1):
        kind, place, size = next(elements)
        if size != math.prod(shape) * _BYTES.get(kind, 0):
            raise ValueError(f"part {part} of an array of shape {shape} has {size} bytes at byte {place}")


def _elements(file: BinaryIO, order: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield type, first byte and size of the elements between two places of a file."""
    while start < end:
        file.seek(start)
        kind, size = struct.unpack(f"{order}2I", file.read(8))
        place = start + 8
        # Up to 4 bytes fit into the tag itself: their number stands in the upper half of the type.
        if kind >> 16:
            kind, size, place = kind & 0xFFFF, kind >> 16, start + 4
            last = start + 8
        else:
            last = end
        if place + size > last:
            raise ValueError(f"an element of {size} bytes at byte {place} goes beyond byte {last}")
        yield kind, place, size
        # Packed elements alone are not padded.
        start = place + size if kind == _PACKED else start + 8 * math.ceil((place + size - start) / 8)


def _data(file: BinaryIO, element: tuple[int, int, int], expected: tuple[int, ...]) -> bytes:
    kind, place, size = element
    if kind not in expected:
        raise ValueError(f"an element of type {kind} at byte {place}, expected type {expected[0]}")
    file.seek(place)
    return file.read(size)
