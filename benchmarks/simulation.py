"""What simulating a scene costs: both sensors' images of a cube over one plain read and write of it.

    python benchmarks/simulation.py [--presets paper wald ...] [--device cuda] [--out FILE] [--check]

A cube of CAVE's size (31 x 512 x 512, random numbers) at scale 4 with three multispectral bands. Simulation
and copies take turns in one run, so that a busy machine slows both alike; the ratios are medians over the
turns. A plain read and write is `cube.clone()`, which may have to get its memory from the system; the ratio
to a copy into memory at hand is printed beside it. With `--check` the exit code is 1 when the simulation with
one of the presets takes longer than 3 clones.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import torch

from cofusion.sensors import CsvResponse, Preset, Sensors

LIMIT = 3.0
BANDS, SCALE = 31, 4


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    cube = torch.rand(BANDS, args.size, args.size, device=args.device)
    at_hand = torch.empty_like(cube)
    response = CsvResponse("nikon_d700")(torch.arange(400, 701, 10.0))
    print(f"{BANDS} x {args.size} x {args.size} at x{SCALE}, {args.threads} threads, {args.device}")
    failed, rows = [], []
    for preset in args.presets:
        # Noise is drawn, not computed from the cube: its cost is that of the random numbers.
        sensors = Sensors.preset(preset, SCALE, response, hsi_snr=torch.inf, msi_snr=torch.inf)
        jobs = {
            "simulation": lambda sensors=sensors: sensors.degrade(cube),
            "clone": lambda: cube.clone(),
            "copy": lambda: at_hand.copy_(cube),
        }
        ratios = median_ratios(jobs, args.turns, args.device)
        rows.append(
            {"preset": preset, "simulation / clone": ratios["clone"], "simulation / copy": ratios["copy"]}
        )
        print(
            f"{preset:>16}: simulation / clone {ratios['clone']:.2f} (limit {LIMIT:.0f}), simulation / copy "
            f"into memory at hand {ratios['copy']:.2f}"
        )
        if ratios["clone"] > LIMIT:
            failed.append(preset)
    if args.out:
        about = {"threads": args.threads, "device": str(args.device), "torch": torch.__version__}
        args.out.write_text(json.dumps({**about, "limit": LIMIT, "rows": rows}, indent=1) + "\n")
    if args.check and failed:
        sys.exit(f"FAILED: the simulation takes more than {LIMIT:.0f} clones with {', '.join(failed)}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presets", nargs="+", choices=get_args(Preset), default=["paper"])
    parser.add_argument("--size", type=int, default=512, help="rows and columns of the cube")
    parser.add_argument("--turns", type=int, default=61)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a preset takes too long")
    return parser.parse_args()


def median_ratios(
    jobs: dict[str, Callable[[], object]], turns: int, device: torch.device
) -> dict[str, float]:
    """Time the jobs in turn, after one turn of warm-up; the first over each of the others, turn by turn."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(1 + turns):
        for name, job in jobs.items():
            begin = time.perf_counter()
            job()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn > 0:
                seconds[name].append(time.perf_counter() - begin)
    first, *others = jobs
    return {
        name: statistics.median(a / b for a, b in zip(seconds[first], seconds[name], strict=True))
        for name in others
    }


if __name__ == "__main__":
    main()
