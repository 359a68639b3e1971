"""What fusing a large scene costs: memory against rows, and the share of the time that the network takes.

    python benchmarks/fuse.py [--rows 576 1152 1728 2517] [--cols 2335] [--dim 64] [--out FILE] [--check]

A pair of GeoTIFFs with random values is written for each number of rows, and fused with random weights by
`cofusion.inference.fuse_files`, each in a fresh process. Memory is the largest resident set of that process
beyond the one it had with all libraries loaded and the network made. The slope is that of the straight line
through the sizes, in bytes per row; a row of the product takes `4 * bands * cols` bytes. What FILE records
already is not measured again. With `--check` the exit code is 1 where the memory grows by more than 1 % of
what the product does, exceeds 2 GB, or less than 90 % of the time goes to the network at the largest size;
with few strips the last one, which is written when nothing is left to be fused, weighs more.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

MOST, SHARE, GROWTH = 2e9, 0.9, 0.01
MSI_BANDS = 4


def main() -> None:
    args = arguments()
    if args.one:
        print(json.dumps(measure(args)))
        return
    about = {name: getattr(args, name) for name in ("bands", "scale", "dim", "tile", "threads")}
    sizes = recorded(args.out, about)
    for count in args.rows:
        if count not in {size["asked"] for size in sizes}:
            sizes.append({"asked": count, **in_process(args, count)})
            sizes.sort(key=lambda size: size["rows"])
            write(args.out, about, sizes)
    slope = write(args.out, about, sizes)
    row = 4 * args.bands * sizes[0]["cols"]
    print(f"memory grows by {slope:.0f} bytes per row of the product, which takes {row} bytes")
    peaks = [size["memory (bytes)"] for size in sizes]
    flat = slope <= GROWTH * row
    if args.check and not (flat and max(peaks) <= MOST and sizes[-1]["network share"] >= SHARE):
        sys.exit(f"FAILED: expected a flat line, at most {MOST:.0e} bytes and {SHARE:.0%} of the time")


def recorded(out: Path | None, about: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the sizes that an earlier run with the same settings has measured."""
    if out is None or not out.exists():
        return []
    record = json.loads(out.read_text())
    if any(record[name] != value for name, value in about.items()):
        sys.exit(f"{out} was recorded with other settings; give another --out")
    return record["sizes"]


def write(out: Path | None, about: dict[str, Any], sizes: list[dict[str, Any]]) -> float:
    """Write what is measured so far; returns the slope of the memory in bytes per row."""
    rows, peaks = [size["rows"] for size in sizes], [size["memory (bytes)"] for size in sizes]
    slope = float(np.polyfit(rows, peaks, 1)[0]) if len(sizes) > 1 else 0.0
    if out:
        record = {**about, "bytes of memory per row": round(slope), "sizes": sizes}
        out.write_text(json.dumps(record, indent=1) + "\n")
    return slope


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[576, 1152, 1728, 2517])
    parser.add_argument("--cols", type=int, default=2335)
    parser.add_argument("--bands", type=int, default=128)
    parser.add_argument("--scale", type=int, default=8)
    parser.add_argument("--dim", type=int, default=64, help="width of the network; the paper's is 64")
    parser.add_argument("--tile", type=int, default=192)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the rasters are written; a temporary one")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a limit is exceeded")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def in_process(args: argparse.Namespace, rows: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        command = [sys.executable, __file__, "--one", "--folder", folder, "--rows", str(rows)]
        for name in ("cols", "bands", "scale", "dim", "tile", "threads"):
            command += [f"--{name}", str(getattr(args, name))]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{found['rows']:>6} x {found['cols']}: {found['memory (bytes)'] / 1e6:.0f} MB, "
        f"{found['seconds']:.0f} s, {found['network share']:.1%} in the network",
        flush=True,
    )
    return found


def measure(args: argparse.Namespace) -> dict[str, Any]:
    from cofusion.memory import keep_pages, peak

    keep_pages()
    import torch

    from cofusion import CoFusion
    from cofusion.inference import fuse_files
    from cofusion.inference.images import open_image
    from cofusion.inference.setup import Options

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    h, w = args.rows[0] // args.scale, args.cols // args.scale
    lr_hsi, hr_msi, fused = (args.folder / f"{name}.tif" for name in ("lr_hsi", "hr_msi", "fused"))
    write_random(lr_hsi, args.bands, h, w, 10.0 * args.scale)
    write_random(hr_msi, MSI_BANDS, h * args.scale, w * args.scale, 10.0)
    net = CoFusion(args.bands, MSI_BANDS, args.scale, dim=args.dim, phase=(args.scale - 1) / 2).eval()
    with torch.inference_mode():
        net(torch.rand(1, args.bands, 4, 4), torch.rand(1, MSI_BANDS, 4 * args.scale, 4 * args.scale))
    # Resident now, not at most: what is free again was no need of the libraries.
    before = resident()
    result = fuse_files(
        open_image(lr_hsi), open_image(hr_msi), net, fused, options=Options(tile=args.tile, device="cpu")
    )
    return {
        "rows": h * args.scale,
        "cols": w * args.scale,
        "memory (bytes)": peak() - before,
        "seconds": round(result.seconds, 1),
        "network share": round(result.network_seconds / result.seconds, 4),
        "product (bytes)": fused.stat().st_size,
    }


def write_random(path: Path, bands: int, rows: int, cols: int, pixel: float) -> None:
    import rasterio

    random = np.random.default_rng(0)
    profile = {"count": bands, "height": rows, "width": cols, "dtype": "uint16", "tiled": True}
    profile |= {"crs": "EPSG:32633", "transform": rasterio.Affine(pixel, 0, 500000, 0, -pixel, 4200000)}
    with rasterio.Env(GDAL_CACHEMAX=64), rasterio.open(path, "w", driver="GTiff", **profile) as file:
        for first in range(0, rows, 256):
            values = random.integers(0, 10000, (bands, min(256, rows - first), cols), np.uint16)
            file.write(values, window=((first, first + values.shape[1]), (0, cols)))


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
