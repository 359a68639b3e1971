"""What quality without a reference costs: seconds beside torchmetrics and a network, memory at full size.

    python benchmarks/qnr.py [--bands 31 64 128] [--threads N] [--out FILE] [--check]

Three tables, of smooth random cubes:

- D_lambda of 128 x 128 pixels at scale 4, beside `torchmetrics.functional.image.spectral_distortion_index` of
  the same images (which has another convention of windows, and other values).
- All metrics without a reference of one image of CAVE's size (31 x 512 x 512, scale 4), beside those against
  a reference and beside CoFusion's forward pass.
- All metrics without a reference of a scene of Chikusei's size (128 x 2517 x 2335, cut to whole blocks, scale
  8), in a process of its own: seconds, and by how much the peak of its resident set exceeds the images.

Seconds are medians over the turns; torchmetrics and the network are timed once, without warm-up. With
`--check` the exit code is 1 when D_lambda is less than 20 times as fast as torchmetrics' at some number of
bands.
"""

import argparse
import json
import multiprocessing
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.image import spectral_distortion_index

from cofusion import CoFusion
from cofusion.metrics import d_lambda, fusion_metrics, no_reference_scores
from cofusion.sensors import BandPick, Sensors

LIMIT = 20.0
SIDE, SCALE = 128, 4
CAVE = (31, 512, 512)
SCENE = (128, 2517, 2335)
SCENE_SCALE = 8


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    found = {
        "processor": processor(),
        "threads": args.threads,
        "torch": torch.__version__,
        "limit": LIMIT,
        "d_lambda": [beside_torchmetrics(bands, args.turns) for bands in args.bands],
        "test": beside_network(tuple(args.image), args.turns),
        "scene": at_full_size(tuple(args.scene), args.threads),
    }
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n")
    slow = [str(row["bands"]) for row in found["d_lambda"] if row["ratio"] < LIMIT]
    if args.check and slow:
        sys.exit(f"FAILED: less than {LIMIT:.0f} times as fast as torchmetrics at {', '.join(slow)} bands")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = {"nargs": 3, "type": int, "metavar": ("BANDS", "ROWS", "COLS")}
    parser.add_argument("--bands", nargs="+", type=int, default=[31, 64, 128])
    parser.add_argument("--image", **size, default=CAVE, help="size of the image beside the network")
    parser.add_argument("--scene", **size, default=SCENE, help="size of the scene whose memory is measured")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--check", action="store_true", help="exit with 1 when D_lambda is too slow")
    return parser.parse_args()


def beside_torchmetrics(bands: int, turns: int) -> dict[str, float]:
    fused = smooth(bands, SIDE, SIDE)
    lr_hsi = sensors(SCALE, bands).lr_hsi(fused)
    ours = seconds(lambda: d_lambda(fused, lr_hsi), turns)
    theirs = seconds(lambda: spectral_distortion_index(lr_hsi[None], fused[None]), 1)
    print(
        f"D_lambda of {bands} x {SIDE} x {SIDE}: {ours:.4f} s, torchmetrics {theirs:.2f} s, "
        f"{theirs / ours:.0f} times as fast (limit {LIMIT:.0f})",
        flush=True,
    )
    return {"bands": bands, "seconds": ours, "torchmetrics_seconds": theirs, "ratio": theirs / ours}


def beside_network(size: tuple[int, ...], turns: int) -> dict[str, object]:
    fused = smooth(*size)[None]
    seen = sensors(SCALE, size[0])
    lr_hsi, hr_msi = seen.degrade(fused)
    net = CoFusion(size[0], hr_msi.shape[1], SCALE).eval()
    without = seconds(lambda: no_reference_scores(fused, lr_hsi, hr_msi, seen), turns)
    against = seconds(lambda: [metric(fused, fused) for metric in fusion_metrics(SCALE).values()], turns)
    with torch.inference_mode():
        forward = seconds(lambda: net(lr_hsi, hr_msi), 1)
    print(
        f"test of {' x '.join(map(str, size))}: without a reference {without:.3f} s, against one "
        f"{against:.3f} s, CoFusion {forward:.2f} s",
        flush=True,
    )
    return {
        "size": size,
        "no_reference_seconds": without,
        "reference_seconds": against,
        "network_seconds": forward,
    }


def at_full_size(size: tuple[int, ...], threads: int) -> dict[str, object]:
    # A new process: the peak of this one is that of all the tables.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        took, images, extra = pool.submit(full_size, size, threads).result()
    print(
        f"scene of {' x '.join(map(str, size))}: without a reference {took:.1f} s, {extra:.3f} GB beside "
        f"{images:.2f} GB of images",
        flush=True,
    )
    return {"size": size, "seconds": took, "images_gb": images, "extra_gb": extra}


def full_size(size: tuple[int, ...], threads: int) -> tuple[float, float, float]:
    """Return seconds, the size of the images and the memory beyond them, both in GB."""
    torch.set_num_threads(threads)
    seen = sensors(SCENE_SCALE, size[0])
    # Once at a small size, so that the libraries' own memory counts as there before.
    measure(torch.rand(size[0], 4 * SCENE_SCALE, 4 * SCENE_SCALE), seen)
    bands, *sides = size
    fused = torch.empty(bands, *(side // SCENE_SCALE * SCENE_SCALE for side in sides)).uniform_()
    return measure(fused, seen)


def measure(fused: Tensor, seen: Sensors) -> tuple[float, float, float]:
    # Another image than the one degraded: nothing here depends on the values.
    images = fused, fused[:, ::SCENE_SCALE, ::SCENE_SCALE].clone(), fused[:3].clone()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took = seconds(lambda: no_reference_scores(*images, seen), 1)
    extra = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return took, sum(image.nbytes for image in images) / 1e9, extra * 1024 / 1e9


def smooth(bands: int, rows: int, cols: int) -> Tensor:
    coarse = torch.rand(1, bands, rows // 8, cols // 8)
    return F.interpolate(coarse, (rows, cols), mode="bicubic")[0].clamp(0, 1)


def sensors(scale: int, bands: int) -> Sensors:
    response = BandPick([0, bands // 2, bands - 1])(torch.linspace(400, 1000, bands))
    return Sensors.preset("wald", scale, response)


def seconds(job: Callable[[], object], turns: int) -> float:
    """Return the median over the turns; several are preceded by one that does not count."""
    taken = []
    for _ in range(turns + (turns > 1)):
        begin = time.perf_counter()
        job()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken[-turns:])


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


if __name__ == "__main__":
    main()
