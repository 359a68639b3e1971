"""Quality, time and memory of every method that needs no training, and their speed over literal NumPy.

    python benchmarks/classical.py --out FILE [--root DIR] [--pavia FILE] [--only CNMF TV]   # quality
    python benchmarks/classical.py --out FILE --speed [--check]              # over the literal versions
    python benchmarks/classical.py --out FILE --table                        # as Markdown

Methods are all subclasses of `ClassicalMethod` in `cofusion.models.classical`, with their defaults, and FUSE
without its prior. Scenes are Indian Pines, with `--root` CAVE's `balloons` and `hairs`, and with `--pavia` a
crop of Pavia Centre; presets `wald` and `paper`. Every run has a process of its own; its memory is what the
resident set grows by. Rows that the file already holds are not repeated, so an interrupted call goes on.

Speed is taken on synthetic scenes of 512 x 512 x 31 and 608 x 340 x 103 at x4, with noise that gives the
LRHSI all directions, one thread each: the processor's seconds that steps of an iterative method take and
those of its literal version in `literal_fusion.py`. With `--check` the exit code is 1 when one is below 5.
"""

import argparse
import importlib
import json
import multiprocessing
import pkgutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import cofusion.models.classical as classical
import literal_fusion as literal
from cofusion.memory import peak
from cofusion.metrics import ergas, psnr, sam
from cofusion.models.classical.base import ClassicalMethod
from cofusion.models.classical.cnmf import CNMF
from cofusion.models.classical.fourier import Torus
from cofusion.models.classical.fuse import FUSE
from cofusion.models.classical.hysure import HySure, Splitting
from cofusion.models.classical.subspace import mix, principal_directions, vertex_components
from cofusion.models.classical.sup_res_palm import SupResPALM
from cofusion.models.classical.tv import TV, Descent
from cofusion.scenes import CAVE, IndianPines, PaviaC, Synthetic, read_file
from cofusion.sensors import CsvResponse, GaussianResponse, Sensors, SpectralResponse, upsample

LIMIT = 5.0
PRESETS = ("wald", "paper")
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
        print(table(record["quality"]), table(record["speed"]), sep="\n\n")
        return
    rows = speeds() if args.speed else qualities(args, record["quality"])
    key = "speed" if args.speed else "quality"
    if args.speed:
        record[key] = []
    for row in rows:
        record[key].append(row)
        print(row, flush=True)
        args.out.write_text(json.dumps(record, indent=1) + "\n")
    slow = [row for row in record["speed"] if row["literal / ours"] < LIMIT]
    if args.check and slow:
        sys.exit(f"FAILED: below {LIMIT:g} times as fast as the literal version: {slow}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write or to go on with")
    parser.add_argument("--root", type=Path, help="folder of the CAVE scenes")
    parser.add_argument("--pavia", type=Path, help="a MATLAB file with a crop of Pavia Centre")
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--only", nargs="+", help="names of the methods to run")
    parser.add_argument("--speed", action="store_true", help="compare with the literal versions")
    parser.add_argument("--table", action="store_true", help="print what the file holds")
    parser.add_argument("--check", action="store_true", help="exit with 1 when one is too slow")
    return parser.parse_args()


def methods() -> dict[str, ClassicalMethod]:
    """Every method with its defaults, by name."""
    for module in pkgutil.iter_modules(classical.__path__, classical.__name__ + "."):
        importlib.import_module(module.name)
    kinds, found = [ClassicalMethod], {}
    for kind in kinds:
        kinds += kind.__subclasses__()
        if not getattr(kind, "__abstractmethods__", None) and kind.__module__.startswith(classical.__name__):
            found[kind.__name__] = kind()
    return found | {"FUSE (no prior)": FUSE(components=10, prior="none")}


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
    for name, cube, response in scenes(args):
        for preset in PRESETS:
            sensors = Sensors.preset(preset, args.scale, response)
            scene = sensors.crop(cube)[None]
            lr_hsi, hr_msi = sensors.degrade(scene)
            for method, net in {"bicubic": None, **methods()}.items():
                key = {"scene": name, "preset": preset, "scale": args.scale, "method": method}
                known = any(key.items() <= row.items() for row in done)
                if not known and (not args.only or method in args.only):
                    yield key | apart(measure, net, lr_hsi, hr_msi, sensors, scene)


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
    net: ClassicalMethod | None, lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors, scene: Tensor
) -> dict[str, Any]:
    before, begin = peak_gb(), time.perf_counter()
    fused = upsample(lr_hsi, sensors.scale, sensors.phase) if net is None else net(lr_hsi, hr_msi, sensors)
    seconds, memory = time.perf_counter() - begin, peak_gb() - before
    quality = {
        "psnr": psnr(fused, scene, peak="max"),
        "sam": sam(fused, scene),
        "ergas": ergas(fused, scene, sensors.scale),
    }
    return {k: round(float(v), 3) for k, v in (quality | {"seconds": seconds, "gb": memory}).items()}


def peak_gb() -> float:
    return peak() / 1e9


def speeds() -> Iterator[dict[str, Any]]:
    for name, (bands, rows, cols) in SIZES.items():
        synthetic = Synthetic(bands=bands, size=max(rows, cols), count=1)
        cube = synthetic.read("synthetic_0").cube[:, :rows, :cols]
        response = (CsvResponse("nikon_d700") if bands == 31 else IKONOS)(synthetic.wavelengths)
        sensors = Sensors.preset("wald", 4, response, border="circular", hsi_snr=40.0)
        lr_hsi, hr_msi = sensors.degrade(cube[None])
        for method, pair in JOBS.items():
            ours, its = pair(lr_hsi, hr_msi, sensors)
            fast, slow = seconds(ours), seconds(its)
            ratio = round(slow / fast, 2)
            yield {"size": name, "method": method, "seconds": fast, "literal": slow, "literal / ours": ratio}


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
    spectra = vertex_components(lr_hsi[0].flatten(1), method.endmembers, method.seed).numpy()
    return lambda: method(lr_hsi, hr_msi, sensors), lambda: literal.cnmf(
        x, y, spectra, response, camera, up, method.rounds, method.iterations, watch=True
    )


def sup_res_palm_fusion(lr_hsi: Tensor, hr_msi: Tensor, sensors: Sensors) -> Jobs:
    """The whole method with two turns."""
    method = SupResPALM(rounds=2, tolerance=0.0)
    x, y, response, camera, up = twins(lr_hsi, hr_msi, sensors)
    spectra = method.first_spectra(lr_hsi[0].flatten(1)).double().numpy()
    return lambda: method(lr_hsi, hr_msi, sensors), lambda: literal.sup_res_palm(
        x, y, spectra, response, camera, up, method.rounds, method.steps
    )


JOBS = {"HySure": hysure_steps, "TV": tv_steps, "CNMF": cnmf_fusion, "SupResPALM": sup_res_palm_fusion}


def table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(row.values() for row in rows)]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    main()
