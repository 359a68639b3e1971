"""Damage small files of every format and see that the readers refuse them or read a sound scene.

    python benchmarks/fuzz_readers.py --per_format 200 --out fuzz.json

Every valid file is damaged in one of three ways, chosen by the seed: cut off, some bytes changed, or a piece
of it put in another place. The damaged files are read in another process, under limits on time and memory.
A reader may raise a `UserError` of one line, or return a scene of the shape that was written, float32, finite
and in [0, 1]. Anything else is a violation: a hang, a crash of the process, another exception, another shape.

Values changed in a format without checksums cannot be noticed by any reader: such a scene is counted as read.
So would be a changed flag in an ENVI list of bad bands; the files here have none. A GeoTIFF whose header
states fewer rows or columns than it holds is found unless it is packed or damaged twice: about one file of
3000 is read with another shape, which counts as a violation.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

BANDS, ROWS, COLS = 5, 24, 20
WAVELENGTHS = np.linspace(400, 800, BANDS)
MEMORY = 8 * 2**30

Cube = npt.NDArray[np.uint16]


def write_mat5(path: Path, cube: Cube) -> Path:
    from scipy.io import savemat

    savemat(path.with_suffix(".mat"), {"cube": cube.transpose(1, 2, 0), "wavelength": WAVELENGTHS})
    return path.with_suffix(".mat")


def write_mat5_packed(path: Path, cube: Cube) -> Path:
    from scipy.io import savemat

    savemat(path.with_suffix(".mat"), {"cube": cube.transpose(1, 2, 0)}, do_compression=True)
    return path.with_suffix(".mat")


def write_mat73(path: Path, cube: Cube) -> Path:
    import h5py

    with h5py.File(path.with_suffix(".mat"), "w", userblock_size=512) as file:
        file.create_dataset("cube", data=cube.transpose(0, 2, 1), chunks=(2, 10, 12), compression="gzip")
        file["wavelength"] = WAVELENGTHS[:, None]
    return path.with_suffix(".mat")


def write_hdf5(path: Path, cube: Cube) -> Path:
    import h5py

    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["scene/cube"] = cube
        file["scene/wavelength"] = WAVELENGTHS
    return path.with_suffix(".h5")


def write_netcdf(path: Path, cube: Cube) -> Path:
    import h5py

    # What netCDF writes: checksums, packed chunks, and a dimension scale of wavelengths.
    with h5py.File(path.with_suffix(".nc"), "w") as file:
        data = file.create_dataset("cube", data=cube, compression="gzip", shuffle=True, fletcher32=True)
        file["wavelength"] = WAVELENGTHS
        file["wavelength"].attrs["units"] = "nm"
        file["wavelength"].make_scale("wavelength")
        data.dims[0].attach_scale(file["wavelength"])
    return path.with_suffix(".nc")


def write_npy(path: Path, cube: Cube) -> Path:
    np.save(path.with_suffix(".npy"), cube)
    return path.with_suffix(".npy")


def write_geotiff(path: Path, cube: Cube, **options: object) -> Path:
    import rasterio

    path = path.with_suffix(".tif")
    profile = {"count": BANDS, "height": ROWS, "width": COLS, "dtype": cube.dtype, "crs": "EPSG:32633"}
    place = rasterio.Affine(30, 0, 500000, 0, -30, 4000000)
    with rasterio.open(path, "w", driver="GTiff", transform=place, **profile, **options) as data:
        data.write(cube)
        data.descriptions = [f"{nm:g} nm" for nm in WAVELENGTHS]
    return path


def write_geotiff_packed(path: Path, cube: Cube) -> Path:
    return write_geotiff(path, cube, compress="deflate", predictor=2, interleave="pixel")


def write_envi(path: Path, cube: Cube) -> Path:
    cube.astype("<u2").transpose(1, 0, 2).tofile(path.with_suffix(".img"))
    header = path.with_suffix(".hdr")
    centres = ", ".join(f"{nm / 1000:g}" for nm in WAVELENGTHS)
    header.write_text(
        f"ENVI\nsamples = {COLS}\nlines = {ROWS}\nbands = {BANDS}\nheader offset = 0\ndata type = 12\n"
        f"interleave = bil\nbyte order = 0\nwavelength units = Micrometers\nwavelength = {{{centres}}}\n"
    )
    return header


def write_png_stack(path: Path, cube: Cube) -> Path:
    from PIL import Image

    path.mkdir()
    for number, band in enumerate(cube, start=1):
        Image.fromarray(band).save(path / f"band_{number:02d}.png")
    return path


FORMATS: dict[str, Callable[[Path, Cube], Path]] = {
    "MATLAB 5": write_mat5,
    "MATLAB 5, packed": write_mat5_packed,
    "MATLAB 7.3": write_mat73,
    "HDF5": write_hdf5,
    "NetCDF 4": write_netcdf,
    ".npy": write_npy,
    "GeoTIFF": write_geotiff,
    "GeoTIFF, packed": write_geotiff_packed,
    "ENVI": write_envi,
    "PNG stack": write_png_stack,
}


def sample() -> Cube:
    """Return a smooth cube with some texture, 100 to 9100."""
    band, row, col = np.mgrid[:BANDS, :ROWS, :COLS]
    wave = 4000 * (1 + np.sin(band / 2 + row / 5) * np.cos(col / 4))
    return (100 + wave + np.random.default_rng(0).integers(0, 1000, wave.shape)).astype(np.uint16)


def damage(content: bytes, generator: np.random.Generator) -> bytes:
    """Return another content: cut off, with bytes changed, or with a piece put elsewhere."""
    size = len(content)
    kind = generator.integers(3)
    if kind == 0:
        return content[: generator.integers(size)]
    changed = bytearray(content)
    if kind == 1:
        for place in generator.integers(size, size=2 ** generator.integers(6)):
            changed[place] ^= int(generator.integers(1, 256))
    else:
        start, target = generator.integers(size, size=2)
        piece = content[start : start + int(generator.integers(1, 1 + size // 4))]
        # Over what was there, or between it.
        changed[target : target + len(piece) * int(generator.integers(2))] = piece
    return bytes(changed) if changed != content else content[:-1]


def damaged_copy(valid: Path, folder: Path, generator: np.random.Generator) -> Path:
    """Copy a file, its data file or its folder and damage one of the files."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(valid.parent, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    victim = files[generator.integers(len(files))]
    victim.write_bytes(damage(victim.read_bytes(), generator))
    return folder / valid.name


def verdict(path: Path) -> str:
    """Read a file; return "refused", "read", or what is wrong with the outcome."""
    from cofusion.errors import UserError
    from cofusion.scenes import read_file

    try:
        cube = read_file(path).cube
    except UserError as error:
        return "refused" if "\n" not in str(error) else f"an error of several lines: {error!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if tuple(cube.shape) != (BANDS, ROWS, COLS):
        return f"a cube of shape {tuple(cube.shape)}"
    sound = str(cube.dtype) == "torch.float32" and bool(((cube >= 0) & (cube <= 1)).all())
    return "read" if sound else f"a cube of {cube.dtype} from {cube.min()} to {cube.max()}"


def read_paths(pipe: Connection) -> None:
    """Answer each path from the pipe with its verdict."""
    import logging

    logging.disable()
    # GDAL quotes damaged text that rasterio cannot decode, which ends up on the standard error.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    verdict(Path("none.npy"))  # the imports are not part of the first file's time
    pipe.send("ready")
    while True:
        pipe.send(verdict(pipe.recv()))


class Reader:
    """Reads files in a process of its own, which is started again after a hang or a crash."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._start()

    def read(self, path: Path) -> str:
        self._pipe.send(path)
        try:
            if self._pipe.poll(self.seconds):
                return str(self._pipe.recv())
            outcome = f"a hang of more than {self.seconds:g} s"
        except EOFError:
            self._process.join()
            outcome = f"a crash with exit code {self._process.exitcode}"
        self.stop()
        self._start()
        return outcome

    def stop(self) -> None:
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        # Spawned: a forked process would inherit the locks of this one's threads.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=read_paths, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe.recv()


def fuzz(name: str, count: int, seed: int, reader: Reader, work: Path) -> dict[str, Any]:
    """Damage a format's valid file `count` times; return the outcomes and the violations."""
    (work / "valid").mkdir(parents=True)
    valid = FORMATS[name](work / "valid" / "scene", sample())
    outcome = reader.read(valid)
    if outcome != "read":
        raise SystemExit(f"{name}: the undamaged file gives {outcome}")
    counts = {"refused": 0, "read": 0}
    violations = []
    for number in range(count):
        # Each file depends on its own number alone, so that one can be made again.
        generator = np.random.default_rng((seed, list(FORMATS).index(name), number))
        outcome = reader.read(damaged_copy(valid, work / "damaged", generator))
        if outcome in counts:
            counts[outcome] += 1
        else:
            violations.append({"number": number, "outcome": outcome})
    return {"files": count, **counts, "violations": violations}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--per_format", type=int, default=200, help="damaged files of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20.0, help="time limit of one file")
    parser.add_argument("--formats", nargs="+", choices=list(FORMATS), default=list(FORMATS))
    parser.add_argument("--out", type=Path, help="write the results to this JSON file")
    args = parser.parse_args()
    reader = Reader(args.seconds)
    results = {}
    print("| format | damaged files | refused | read | violations |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in args.formats:
            found = fuzz(name, args.per_format, args.seed, reader, Path(folder) / name)
            cells = (found[column] for column in ("files", "refused", "read"))
            print(f"| {name} | {' | '.join(map(str, cells))} | {len(found['violations'])} |", flush=True)
            results[name] = found
    reader.stop()
    for name, found in results.items():
        for violation in found["violations"]:
            print(f"{name}, file {violation['number']}: {violation['outcome']}", file=sys.stderr)
    if args.out:
        from cofusion.files import write_text

        write_text(args.out, json.dumps({"seed": args.seed, "formats": results}, indent=2) + "\n")
    if any(found["violations"] for found in results.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
