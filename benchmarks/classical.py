"""Quality, time and memory of every method that needs no training, and their speed over literal NumPy.

    python benchmarks/classical.py --out FILE [--root DIR] [--pavia FILE] [--only cnmf tv]   # quality
    python benchmarks/classical.py --out FILE --speed [--check]              # over the literal versions
    python benchmarks/classical.py --out FILE --table                        # as Markdown

With `--page docs/methods.md` a call ends with the tables of that page replaced by what the file then holds.

Methods are bicubic interpolation, those of `configs/classical` and `VARIANTS`. Scenes are Indian Pines, with
`--root` CAVE's `balloons` and `hairs`, and with `--pavia` a crop of Pavia Centre; simulated as `CASES` says,
measured as by `cofusion test`, clipped to [0, 1] and with peak 1. Rows that the file already holds are not
repeated, so an interrupted call goes on, and a new method needs the first call only.

One thread in a process of its own for every run. Its time is the processor's seconds, which those who share
the machine lengthen less than a clock's (of three runs the least, where they take less than a second); its
memory is what the resident set grows by.

Speed is taken on synthetic scenes of 512 x 512 x 31 and 608 x 340 x 103 at x4, with noise that gives the
LRHSI all directions, one thread each: the processor's seconds that steps of an iterative method take and
those of its literal version in `literal_fusion.py`, the least of three each. With `--check` the exit code is
1 when one is below 5.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import literal_fusion as literal
from classical_tables import into_page, tables
from cofusion.files import whole_file
from cofusion.inference.classical import BICUBIC, make, names
from cofusion.memory import peak
from cofusion.metrics import ergas, psnr, sam
from cofusion.models.classical import GSA
from cofusion.models.classical.cnmf import CNMF
from cofusion.models.classical.fourier import Torus
from cofusion.models.classical.hysure import HySure, Splitting
from cofusion.models.classical.ltmr import LTMR
from cofusion.models.classical.ltmr import Splitting as TensorSplitting
from cofusion.models.classical.subspace import mix, principal_directions, purest_pixels
from cofusion.models.classical.sup_res_palm import SupResPALM
from cofusion.models.classical.tv import TV, Descent
from cofusion.scenes import CAVE, IndianPines, PaviaC, Synthetic, read_file
from cofusion.sensors import CsvResponse, GaussianResponse, Preset, Sensors, SpectralResponse, upsample

LIMIT = 5.0
NO_NOISE = (None, None)
# Preset, scale, SNR of LRHSI and HRMSI in dB, and the phase that the methods are told where it is not the
# preset's: `paper` samples the first pixel of a block, phase 2 is next to the block's centre.
CASES: tuple[tuple[Preset, int, tuple[float | None, float | None], float | None], ...] = (
    ("wald", 2, NO_NOISE, None),
    ("wald", 4, NO_NOISE, None),
    ("wald", 8, NO_NOISE, None),
    ("wald", 4, (30.0, 40.0), None),
    ("paper", 4, NO_NOISE, None),
    ("paper", 4, NO_NOISE, 2.0),
)
# What is measured beside the methods as they are shipped: GSA as it is compared in the literature.
VARIANTS = {"gsa_selection": lambda: GSA(match="selection")}
REPEATS = 3
OLI = [482.0, 561.0, 655.0, 865.0, 1609.0, 2201.0], [60.0, 57.0, 37.0, 28.0, 85.0, 187.0]
IKONOS = CsvResponse("ikonos", ["blue", "green", "red", "nir"])
# ROSIS over Pavia Centre, 102 bands.
PAVIA_NM = torch.linspace(430, 860, 102, dtype=torch.float64)
SIZES = {"512x512x31": (31, 512, 512), "608x340x103": (103, 608, 340)}


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    record = json.loads(args.out.read_text()) if args.out.is_file() else {"quality": [], "speed": []}
    if args.table:
        print("\n\n".join(tables(record)))
    else:
        extend(record, args)
    if args.page:
        page = into_page(args.page.read_text(encoding="utf-8"), tables(record))
        args.page.write_text(page, encoding="utf-8")
    slow = [row for row in record["speed"] if row["literal / ours"] < LIMIT]
    if args.check and slow:
        sys.exit(f"FAILED: below {LIMIT:g} times as fast as the literal version: {slow}")


def extend(record: dict[str, list[dict[str, Any]]], args: argparse.Namespace) -> None:
    """Measure what the record lacks, or all speeds again; it is written after every row."""
    key, rows = ("speed", speeds()) if args.speed else ("quality", qualities(args, record["quality"]))
    if args.speed:
        record[key] = []
    for row in rows:
        record[key].append(row)
        print(row, flush=True)
        with whole_file(args.out) as part:
            # A line per row.
            part.write_text(json.dumps(record).replace("}, ", "},\n") + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write or to go on with")
    parser.add_argument("--root", type=Path, help="folder of the CAVE scenes")
    parser.add_argument("--pavia", type=Path, help="a MATLAB file with a crop of Pavia Centre")
    parser.add_argument("--only", nargs="+", help="methods to run: names of configs")
    parser.add_argument("--speed", action="store_true", help="compare with the literal versions")
    parser.add_argument("--table", action="store_true", help="print what the file holds")
    parser.add_argument("--page", type=Path, help="document whose tables are replaced")
    parser.add_argument("--check", action="store_true", help="exit with 1 when one is too slow")
    return parser.parse_args()


def scenes(args: argparse.Namespace) -> Iterator[tuple[str, Tensor, SpectralResponse]]:
    pines = IndianPines()
    yield "indian_pines", pines.read("indian_pines").cube, GaussianResponse(*OLI)(pines.wavelengths)
    if args.pavia:
        yield "pavia_centre_crop", read_file(args.pavia, scaling=PaviaC.scaling).cube, IKONOS(PAVIA_NM)
    if args.root:
        cave = CAVE(args.root)
        for name in ("balloons", "hairs"):
            yield name, cave.read(name).cube, CsvResponse("nikon_d700")(cave.wavelengths)


def qualities(args: argparse.Namespace, done: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for scene, cube, response in scenes(args):
        for preset, scale, snr, told in CASES:
            sensors = Sensors.preset(preset, scale, response, hsi_snr=snr[0], msi_snr=snr[1])
            reference = sensors.crop(cube)[None]
            pair = sensors.degrade(reference)
            known = sensors if told is None else replace(sensors, phase=told)
            for method in args.only or (*names(), *VARIANTS):
                key = {
                    "scene": scene,
                    "preset": preset,
                    "scale": scale,
                    "snr": list(snr),
                    "told": known.phase,
                    "method": method,
                }
                if not any(key.items() <= row.items() for row in done):
                    yield key | apart(measure, method, *pair, known, reference)


def apart(function: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
    """Call a function in a process of its own, which shares what this one holds."""
    context = multiprocessing.get_context("fork")
    answer = context.SimpleQueue()
    process = context.Process(target=lambda: answer.put(function(*args)))
    process.start()
    result = answer.get()
    process.join()
    return result


def measure(
    method: str, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors, reference: Tensor
) -> dict[str, Any]:
    def fuse() -> Tensor:
        if method == BICUBIC:
            return upsample(lr_hsi, sensors.scale, sensors.phase)
        net = VARIANTS[method]() if method in VARIANTS else make(method)
        return net(lr_hsi, hr_msi, sensors)

    before, begin = peak_gb(), time.process_time()
    fused = fuse().clamp_(0, 1)
    times, memory = [time.process_time() - begin], peak_gb() - before
    # What takes less than a second is short enough for chance to show.
    while times[0] < 1 and len(times) < REPEATS:
        times.append(seconds(fuse))
    quality = {
        "psnr": psnr(fused, reference),
        "sam": sam(fused, reference),
        "ergas": ergas(fused, reference, sensors.scale),
    }
    return {k: round(float(v), 3) for k, v in (quality | {"seconds": min(times), "gb": memory}).items()}


def peak_gb() -> float:
    return peak() / 1e9


def speeds() -> Iterator[dict[str, Any]]:
    for size in SIZES:
        for method in JOBS:
            yield {"size": size, "method": method} | apart(compare, SIZES[size], method)


def compare(shape: tuple[int, int, int], method: str) -> dict[str, Any]:
    bands, rows, cols = shape
    synthetic = Synthetic(bands=bands, size=max(rows, cols), count=1)
    cube = synthetic.read("synthetic_0").cube[:, :rows, :cols]
    response = (CsvResponse("nikon_d700") if bands == 31 else IKONOS)(synthetic.wavelengths)
    sensors = Sensors.preset("wald", 4, response, border="circular", hsi_snr=40.0)
    ours, its = JOBS[method](*sensors.degrade(cube[None]), sensors)
    # In turns, so that both meet the same neighbours on a shared machine.
    times = [(seconds(ours), seconds(its)) for _ in range(REPEATS)]
    fast, slow = (min(of_one) for of_one in zip(*times, strict=True))
    return {"seconds": fast, "literal": slow, "literal / ours": round(slow / fast, 2)}


def seconds(job: Callable[[], object]) -> float:
    begin = time.process_time()
    job()
    return round(time.process_time() - begin, 4)


def twins(lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> tuple[Any, ...]:
    """X, Y, R, the camera and the interpolation of the literal versions."""
    x, y = (image[0].double().numpy() for image in (lr_hsi, hr_msi))
    camera = literal.Camera(sensors.psf.numpy(), sensors.scale, sensors.phase, *hr_msi.shape[-2:])

    def up(image: literal.Array) -> literal.Array:
        return upsample(torch.from_numpy(image)[None], sensors.scale, sensors.phase)[0].numpy()

    return x, y, sensors.response.weights.numpy(), camera, up


Jobs = tuple[Callable[[], object], Callable[[], object]]


def hysure_steps(lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> Jobs:
    """Two steps each, after the first."""
    options = HySure()
    e, _ = principal_directions(lr_hsi.flatten(2), options.components)
    projected = mix(e.mT, lr_hsi)
    steps = Splitting(options, Torus(sensors, hr_msi), projected, hr_msi, sensors.response.weights @ e)
    x, y, response, camera, up = twins(lr_hsi, hr_msi, sensors)
    weights = options.msi_weight, options.smoothness, options.penalty
    start = up(projected[0].double().numpy())
    its = literal.hysure(x, y, e[0].numpy(), response, start, camera, *weights)
    steps.step()
    next(its)
    return lambda: [steps.step() for _ in range(2)], lambda: [next(its) for _ in range(2)]


def ltmr_steps(lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> Jobs:
    """One step each, after ours took one; clusters are found before."""
    options = LTMR()
    e, _ = principal_directions(lr_hsi.flatten(2), options.components)
    steps = TensorSplitting(options, Torus(sensors, hr_msi), lr_hsi, hr_msi, e)
    _, y, response, camera, up = twins(lr_hsi, hr_msi, sensors)
    x = mix(e.mT, lr_hsi).double()
    places = literal.places(y, options.step)
    its = literal.ltmr(
        x[0].numpy(),
        y,
        response @ e[0].numpy(),
        up(x[0].numpy()),
        camera,
        [float(variance) for variance in steps.noise],
        steps.covariance[0].numpy(),
        [[places[i] for i in group.tolist()] for group in steps.groups],
        options.patch,
        options.rank_weight,
        options.penalty,
        options.growth,
    )
    steps.step()
    return steps.step, lambda: next(its)


def tv_steps(lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> Jobs:
    """One step each, after the first."""
    options = TV()
    steps = Descent(options, Torus(sensors, hr_msi), lr_hsi, hr_msi)
    x, y, response, camera, up = twins(lr_hsi, hr_msi, sensors)
    its = literal.tv(x, y, response, up(x), camera, options.smoothness, options.inner)
    steps.step()
    next(its)
    return steps.step, lambda: next(its)


def cnmf_fusion(lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> Jobs:
    """The whole method with 30 updates per unmixing; the published programs compute the cost in each."""
    method = CNMF(rounds=1, iterations=30, tolerance=1e-12)
    x, y, response, camera, up = twins(lr_hsi, hr_msi, sensors)

    def start() -> np.ndarray:
        # Both begin with this search, which is no part of the comparison.
        return purest_pixels(lr_hsi[0].flatten(1), method.endmembers).double().numpy()

    return lambda: method(lr_hsi, hr_msi, sensors), lambda: literal.cnmf(
        x, y, start(), response, camera, up, method.rounds, method.iterations, watch=True
    )


def sup_res_palm_fusion(lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> Jobs:
    """The whole method with two short turns."""
    method = SupResPALM(rounds=2, steps=5, tolerance=0.0)
    x, y, response, camera, up = twins(lr_hsi, hr_msi, sensors)
    spectra = method.first_spectra(lr_hsi[0].flatten(1)).double().numpy()
    return lambda: method(lr_hsi, hr_msi, sensors), lambda: literal.sup_res_palm(
        x, y, spectra, response, camera, up, method.rounds, method.steps
    )


JOBS = {
    "HySure": hysure_steps,
    "LTMR": ltmr_steps,
    "TV": tv_steps,
    "CNMF": cnmf_fusion,
    "SupResPALM": sup_res_palm_fusion,
}


if __name__ == "__main__":
    main()
