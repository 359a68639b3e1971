"""Tiny scenes in the real containers of the data sets.

Each function writes what a user would have unpacked, with the real names, types and axis orders, and returns
the values that were written. `write_*_split` writes a split file that fits them.
"""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import torch
import yaml
from PIL import Image
from scipy.io import savemat
from torch import Tensor

from cofusion.scenes import Synthetic
from cofusion.sensors import GaussianResponse, Sensors
from cofusion.sensors.files import write_sensors

CAVE_TRAIN = ("beads", "face")
CAVE_TEST = ("balloons", "feathers")
HOUSTON_FILE = "FullHSIDataset/20170218_UH_CASI_S4_NAD83.pix"
CHIKUSEI_FILE = "HyperspecVNIR_Chikusei_20140729.mat"


def values(bands: int, rows: int, cols: int, highest: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """Return `(bands, rows, cols)` whole numbers from 0 to `highest` with edges, texture and smooth "
    "spectra."""
    scene = Synthetic(bands=bands, size=max(rows, cols, 16), count=1, seed=seed).read("synthetic_0")
    return np.round(scene.cube.numpy().astype(np.float64)[:, :rows, :cols] * highest)


def write_cave_scene(
    root: Path, name: str, size: int = 64, nested: bool = True, seed: int = 0
) -> npt.NDArray[np.uint16]:
    """Write one CAVE scene, nested as in the archive (`<scene>_ms/<scene>_ms/`) or flat (`<scene>_ms/`)."""
    folder = root / f"{name}_ms" / f"{name}_ms" if nested else root / f"{name}_ms"
    folder.mkdir(parents=True)
    cube = values(31, size, size, 62000, seed).astype(np.uint16)
    for band, image in enumerate(cube, start=1):
        Image.fromarray(image).save(folder / f"{name}_ms_{band:02d}.png", compress_level=1)
    # The archive adds a colour rendering, which is no band.
    Image.fromarray(np.zeros((size, size, 3), np.uint8)).save(folder / f"{name}_RGB.bmp")
    return cube


def write_cave(root: Path, size: int = 64) -> dict[str, npt.NDArray[np.uint16]]:
    """Write four CAVE scenes, two of them flat, and `root/split.yaml`."""
    names = (*CAVE_TRAIN, *CAVE_TEST)
    cubes = {
        name: write_cave_scene(root, name, size, nested=i % 2 == 0, seed=i) for i, name in enumerate(names)
    }
    write_split(
        root / "split.yaml",
        "cave",
        train=[{"scene": name} for name in CAVE_TRAIN],
        validation=[{"scene": "face", "rows": [0, 16], "cols": [size - 16, None]}],
        test=[{"scene": name} for name in CAVE_TEST],
    )
    return cubes


def write_pavia_u(root: Path, rows: int = 90, cols: int = 70) -> npt.NDArray[np.uint16]:
    """Write PaviaU.mat, MATLAB version 5, uint16, and `root/split.yaml`; return `(bands, rows, cols)`."""
    root.mkdir(parents=True, exist_ok=True)
    cube = values(103, rows, cols, 8000).astype(np.uint16)
    savemat(root / "PaviaU.mat", {"paviaU": cube.transpose(1, 2, 0)}, do_compression=True)
    _write_one_scene_split(root / "split.yaml", "pavia_u")
    return cube


def write_pavia_c(root: Path, rows: int = 90, cols: int = 70, key: str = "pavia") -> npt.NDArray[np.uint16]:
    """Write Pavia.mat, MATLAB version 5, uint16, and `root/split.yaml`; return `(bands, rows, cols)`."""
    root.mkdir(parents=True, exist_ok=True)
    cube = values(102, rows, cols, 8000).astype(np.uint16)
    savemat(root / "Pavia.mat", {key: cube.transpose(1, 2, 0)}, do_compression=True)
    _write_one_scene_split(root / "split.yaml", "pavia_c")
    return cube


def write_chikusei(root: Path, rows: int = 90, cols: int = 70) -> npt.NDArray[np.float64]:
    """Write the Chikusei file, MATLAB version 7.3, and `root/split.yaml`; return `(bands, rows, cols)`.

    Version 7.3 is HDF5 behind 512 bytes of text; MATLAB's column order shows as reversed axes.
    """
    root.mkdir(parents=True, exist_ok=True)
    cube = values(128, rows, cols, 6000)
    path = root / CHIKUSEI_FILE
    with h5py.File(path, "w", userblock_size=512) as file:
        data = file.create_dataset(
            "chikusei",
            data=cube.transpose(0, 2, 1),
            chunks=(8, min(16, cols), min(32, rows)),
            compression="gzip",
        )
        data.attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    _write_one_scene_split(root / "split.yaml", "chikusei")
    return cube


def write_houston_2018(root: Path, rows: int = 90, cols: int = 70) -> npt.NDArray[np.uint16]:
    """Write the contest's ENVI pair and `root/split.yaml`; return the 48 bands, `(bands, rows, cols)`.

    The file's last two channels are no bands: their "wavelengths" in the header are their numbers.
    """
    (root / HOUSTON_FILE).parent.mkdir(parents=True, exist_ok=True)
    cube = values(48, rows, cols, 19000).astype("<u2")
    others = np.full((2, rows, cols), 60000, cube.dtype)
    np.concatenate([cube, others]).tofile(root / HOUSTON_FILE)
    centres = [*np.round(np.linspace(374.4, 1047.1, 48), 1), 49, 50]
    (root / HOUSTON_FILE).with_suffix(".hdr").write_text(
        f"ENVI\nsamples = {cols}\nlines = {rows}\nbands = 50\nheader offset = 0\nfile type = ENVI Standard\n"
        f"data type = 12\ninterleave = bsq\nbyte order = 0\n"
        f"map info = {{UTM, 1, 1, 271460.5, 3290891.5, 1, 1, 15, North, WGS-84, units=Meters}}\n"
        f"wavelength units = Nanometers\nwavelength = {{{', '.join(f'{nm:f}' for nm in centres)}}}\n"
    )
    _write_one_scene_split(root / "split.yaml", "houston_2018")
    return cube


def write_real_pair(
    root: Path, gain: Sequence[float] = (0.5, 0.8, 1.3), offset: Sequence[float] = (0.02, 0, -0.01)
) -> tuple[Tensor, Sensors]:
    """Write a pair of scale 4 as `hsi.npy` (0 to 4000) and `msi.npy` (bytes' range), and `sensors.json`.

    Of the HRMSI, 255 times `gain` times what belongs to the LRHSI, plus `offset`, is stored. Return the scene
    `(6, 128, 128)` in [0, 1] that both show, and the sensors.
    """
    scene = Synthetic(bands=6, size=128, count=1, seed=3).read("synthetic_0").cube
    response = GaussianResponse([480, 560, 650], [80, 80, 80], ["b", "g", "r"])
    sensors = Sensors.preset("wald", 4, response(torch.linspace(450, 700, 6)))
    lr_hsi, hr_msi = sensors.degrade(scene)
    root.mkdir(parents=True, exist_ok=True)
    np.save(root / "hsi.npy", (4000 * lr_hsi).numpy())
    gains, offsets = (torch.tensor(line)[:, None, None] for line in (gain, offset))
    np.save(root / "msi.npy", (255 * (gains * hr_msi + offsets)).numpy())
    write_sensors(root / "sensors.json", sensors)
    return scene, sensors


def write_split(path: Path, dataset: str, train: list, validation: list, test: list) -> Path:
    """Write a split file."""
    content = {"dataset": dataset, "source": "test", "train": train, "validation": validation, "test": test}
    path.write_text(yaml.safe_dump(content))
    return path


def _write_one_scene_split(path: Path, dataset: str) -> None:
    """Split one scene of at least 90 x 70 pixels; validation and test hold whole blocks at scales 2, 4 and "
    "8."""
    write_split(
        path,
        dataset,
        train=[{"scene": dataset}],
        validation=[{"scene": dataset, "rows": [64, 88], "cols": [40, 64]}],
        test=[{"scene": dataset, "rows": [0, 32], "cols": [32, 64]}],
    )
