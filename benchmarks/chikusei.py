"""What a scene of Chikusei's size costs: memory of a process, and seconds until the first batch.

    python benchmarks/chikusei.py [--folder DIR] [--scales 2 4 8] [--out chikusei.json] [--check]

Writes a file like the public one (MATLAB 7.3, variable `chikusei`, 2517 x 2335 x 128, double, packed;
smooth random values), then for each scale starts `cofusion fit --config chikusei_xS.yaml` for one training
step after a check on the validation region, twice: the first start converts the scene and simulates the
sensors, the second finds both. Peak memory is the resident set as the kernel counts it, pages of mapped
files included. Seconds until the first batch are those of finding, checking and cutting, in a process of
its own. With `--check` the exit code is 1 when a process takes more than 2.5 GB.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from cofusion.scenes import Chikusei

LIMIT_GB = 2.5
ROWS, COLS = 2517, 2335
NAME = "HyperspecVNIR_Chikusei_20140729.mat"
FIRST_BATCH = """
import sys, time
from pathlib import Path
begin = time.perf_counter()
from cofusion.data import FusionDataModule
from cofusion.scenes import Chikusei
from cofusion.sensors import CsvResponse
imported = time.perf_counter()
root, scale = Path(sys.argv[1]), int(sys.argv[2])
response = CsvResponse("ikonos", ["blue", "green", "red"])
data = FusionDataModule(Chikusei, "chikusei_1000x2000", scale, response, root=root)
data.setup("fit")
batch = next(iter(data.train_dataloader()))
print(time.perf_counter() - imported)
"""


def main() -> None:
    args = arguments()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        root = Path(folder)
        print(f"writing {ROWS} x {COLS} x {Chikusei.bands} values to {root / NAME}", flush=True)
        write(root / NAME)
        rows = []
        for scale in args.scales:
            first, again = fit(root, scale), fit(root, scale)
            seconds = first_batch(root, scale)
            rows.append({"scale": scale, "first_fit_gb": first, "second_fit_gb": again, "batch_s": seconds})
            print(
                f"x{scale}: peak memory {first:.2f} GB in the first run, {again:.2f} GB in the second (limit "
                f"{LIMIT_GB} GB); first batch of the second after {seconds:.1f} s",
                flush=True,
            )
        size = (root / NAME).stat().st_size / 1e9
    if args.out:
        args.out.write_text(json.dumps({"file_gb": size, "limit_gb": LIMIT_GB, "scales": rows}, indent=1))
    worst = max(max(row["first_fit_gb"], row["second_fit_gb"]) for row in rows)
    if args.check and worst > LIMIT_GB:
        sys.exit(f"FAILED: a process takes {worst:.2f} GB, more than {LIMIT_GB} GB")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="where 10 GB can be written (default: a temporary one)")
    parser.add_argument("--scales", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a process takes too much")
    return parser.parse_args()


def write(path: Path) -> None:
    """Write the file, 8 bands at a time: axes (bands, cols, rows), as HDF5 shows MATLAB's."""
    random = np.random.default_rng(0)
    down, right = (np.linspace(0, 20, size) for size in (ROWS, COLS))
    with h5py.File(path, "w", userblock_size=512) as file:
        shape = (Chikusei.bands, COLS, ROWS)
        data = file.create_dataset(
            "chikusei", shape, "f8", chunks=(8, 146, 158), compression="gzip", compression_opts=1
        )
        data.attrs["MATLAB_class"] = np.bytes_("double")
        for band in range(0, Chikusei.bands, 8):
            waves = 2000 + 1500 * np.sin(right[:, None] + band / 20) * np.cos(down + band / 30)
            data[band : band + 8] = np.round(waves + random.normal(0, 30, (8, COLS, ROWS)))
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def fit(root: Path, scale: int) -> float:
    """Train one step and return the peak resident memory in GB."""
    command = [sys.executable, "-m", "cofusion", "fit", "--config", f"chikusei_x{scale}.yaml"]
    flags = {
        "data.root": root,
        "run_dir": root / f"run_{scale}_{time.time_ns()}",
        "trainer.max_steps": 1,
        "trainer.accelerator": "cpu",
        "test_after_fit": "false",
        "trainer.enable_progress_bar": "false",
    }
    command += [part for flag, value in flags.items() for part in (f"--{flag}", str(value))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"FAILED: {' '.join(command)}")
    return usage.ru_maxrss * 1024 / 1e9


def first_batch(root: Path, scale: int) -> float:
    """Return the seconds from the start of reading to the first batch."""
    command = [sys.executable, "-c", FIRST_BATCH, str(root), str(scale)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
