import io
import struct

import numpy as np
import pytest
from scipy.io import savemat

from cofusion.scenes.formats.mat5 import check_mat5

CUBE = np.arange(4 * 5 * 3, dtype=np.uint16).reshape(4, 5, 3)


def saved(**options):
    file = io.BytesIO()
    variables = {
        "cube": CUBE,
        "c": CUBE.astype(np.uint8)[:1, :1],
        "complex": CUBE * 1j,
        "name": "a word",
        "parts": {"a": 1.0, "b": "text"},
        "cells": np.array([1, "two"], object),
        "empty": np.zeros((0, 3)),
        "yes": np.array([True, False]),
    }
    savemat(file, variables, **options)
    return bytearray(file.getvalue())


def place_of_values(content):
    """Return where the tag of the cube's values begins: type 4 (uint16) and their size."""
    return bytes(content).index(struct.pack("<2I", 4, CUBE.nbytes))


@pytest.mark.parametrize("packed", [False, True])
def test_what_matlab_files_hold_passes(packed):
    assert check_mat5(io.BytesIO(saved(do_compression=packed))) is None


@pytest.mark.parametrize("kind", [0, 8, 10, 11, 20, 77, 0xFFFF])
def test_a_type_that_does_not_exist_is_found(kind):
    content = saved()
    struct.pack_into("<I", content, place_of_values(content), kind)
    # scipy ends the process on some of these.
    with pytest.raises(ValueError, match=r"part 0 of an array of shape \(4, 5, 3\) has 120 bytes"):
        check_mat5(io.BytesIO(content))


@pytest.mark.parametrize("size", [0, 119, 121, 2**31])
def test_a_size_that_does_not_fit_the_shape_is_found(size):
    content = saved()
    struct.pack_into("<I", content, place_of_values(content) + 4, size)
    with pytest.raises(ValueError, match=r"has \d+ bytes at byte|goes beyond byte"):
        check_mat5(io.BytesIO(content))


def test_every_truncation_but_at_the_end_of_a_variable_is_found():
    file = io.BytesIO()
    savemat(file, {"cube": CUBE})
    content = file.getvalue()
    for end in range(len(content)):
        if end == 128:  # a header without variables
            continue
        with pytest.raises((ValueError, struct.error)):
            check_mat5(io.BytesIO(content[:end]))


def test_files_of_the_other_byte_order_pass():
    order = ">"
    name = struct.pack(order + "2I4s4x", 1, 4, b"cube")
    flags = struct.pack(order + "4I", 6, 8, 6, 0)
    shape = struct.pack(order + "2I3i4x", 5, 12, 2, 1, 1)
    data = struct.pack(order + "2I2d", 9, 16, 1.5, 2.5)
    body = flags + shape + name + data
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    assert check_mat5(io.BytesIO(header + struct.pack(order + "2I", 14, len(body)) + body)) is None
