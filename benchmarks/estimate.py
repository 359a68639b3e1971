"""How well the sensors of a simulated pair are estimated, where the truth is known.

    python benchmarks/estimate.py --cave DIR --pavia FILE [--out FILE]
    python benchmarks/estimate.py --pairs DIR [--out FILE]

CAVE's balloons with nikon_d700, Indian Pines with Landsat 8 (bands 1 to 7) and a crop of Pavia Centre with
IKONOS, each with two protocols at three scales without noise, and at scale 4 with noise of 40 dB.
With `--pairs`, what is left of two real pairs: Houston 2018 and Paris (Hyperion and ALI).
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
from scipy.io import loadmat

from cofusion.scenes import CAVE, IndianPines, read_file
from cofusion.sensors import CsvResponse, SatelliteResponse, Sensors, estimate_sensors
from cofusion.sensors.estimate.gaussian import fit_gaussian

PAIRS = (
    ("houston2018_pair_hsi128x128x48_rgb512.mat", "hyprImg", "rgbImg"),
    ("paris_hyperion_ali_72x72.mat", "HSim", "MSim"),
)


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    rows = [real(args.pairs / file, *keys) for file, *keys in PAIRS] if args.pairs else simulated(args)
    if args.out:
        args.out.write_text(json.dumps({"torch": torch.__version__, "rows": rows}, indent=1) + "\n")


def real(path: Path, hsi: str, msi: str):
    found = estimate_sensors(read_file(path, hsi).cube, read_file(path, msi).cube)
    row = {"pair": path.stem, "scale": found.scale, "pixels": found.pixels}
    for part in ("residual", "unexplained"):
        row[part] = getattr(found, part).tolist()
    row |= {"sigma": found.gaussian.sigma, "shift": found.gaussian.shift, "doubts": found.doubts()}
    print(row, flush=True)
    return row


def simulated(args):
    rows = []
    for name, (cube, response) in scenes(args).items():
        for preset in ("paper", "wald"):
            for scale, snr in ((2, math.inf), (4, math.inf), (8, math.inf), (4, 40.0)):
                sensors = Sensors.preset(preset, scale, response, hsi_snr=snr, msi_snr=snr)
                row = {
                    "scene": name,
                    "preset": preset,
                    "scale": scale,
                    "snr_db": None if snr == math.inf else snr,
                }
                rows.append(row | measure(cube, sensors))
                print(rows[-1], flush=True)
    return rows


def measure(cube: torch.Tensor, sensors: Sensors) -> dict[str, float]:
    start = time.perf_counter()
    found = estimate_sensors(*sensors.degrade(cube))
    seconds = time.perf_counter() - start
    truth, weights = fit_gaussian(sensors.psf).sigma[0], sensors.response.weights
    return {
        "pixels": found.pixels,
        "response_error": float((found.response.weights - weights).norm() / weights.norm()),
        "sigma_error": max(abs(sigma / truth - 1) for sigma in found.gaussian.sigma),
        "phase_error": max(abs(phase - sensors.phase) for phase in found.phase),
        "residual": float(found.residual.max()),
        "seconds": round(seconds, 1),
    }


def scenes(args):
    balloons, pines = CAVE(args.cave).read("balloons"), IndianPines().read("indian_pines")
    pavia = torch.from_numpy(loadmat(args.pavia)["PaviaCenter"].transpose(2, 0, 1) / 8000).float()
    ikonos = CsvResponse("ikonos", ["blue", "green", "red", "nir"])
    return {
        "balloons": (balloons.cube, CsvResponse("nikon_d700")(balloons.wavelengths)),
        "indian_pines": (pines.cube, SatelliteResponse("landsat-8", list("1234567"))(pines.wavelengths)),
        "pavia_centre_crop": (pavia, ikonos(torch.linspace(430, 860, 102))),
    }


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cave", type=Path)
    parser.add_argument("--pavia", type=Path)
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
