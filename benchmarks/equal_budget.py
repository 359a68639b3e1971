"""Train every network for the same time, or the same steps, on the same data, and test it.

    python benchmarks/equal_budget.py --out runs/time --minutes 10 -- --data.root DIR
    python benchmarks/equal_budget.py --out runs/time --minutes 10 --methods cofusion psrt -- --data.root DIR
    python benchmarks/equal_budget.py --out runs/steps --steps 500 --rates-of runs/time/plan.json -- ...
    cofusion report runs/time/runs -o report

The curve of the learning rate spans a run, so its length is set beforehand: for `--minutes`, `--jobs`
training steps at a time are timed with `--threads` threads each, and a run gets as many steps as fit into the
minutes. Validation and test take time of their own. Steps, rates and their trials are in `plan.json`.

Everything else is the common recipe of `--config`, but for the learning rate: each network has the one of
`--rates` that is best in validation after a run of a tenth of the steps, or that of an earlier plan.

What follows `--` goes to every `cofusion fit`. Complete runs are not repeated: an interrupted call goes on,
and one with another budget is refused. `results.json` says as `budget` what a run was given.
Networks whose attention goes over all pixels are tested in tiles of 64 pixels.
"""

import argparse
import csv
import json
import math
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cofusion.files import write_text

EPOCHS, TRIAL, SECONDS = 10, 0.1, 10.0
TILES = ["--model.tile", "64", "--model.tile_margin", "0"]
OVER_ALL_PIXELS = ("fusformer", "u2net")


def main() -> None:
    args = arguments()
    check_plan(args)
    args.out.mkdir(parents=True, exist_ok=True)
    plan = timed(args) if args.steps is None else counted(args)
    with ThreadPoolExecutor(args.jobs) as pool:
        untried = [name for name in plan if "lr" not in plan[name]]
        tried = pool.map(lambda name: trials(args, name, plan[name]), untried)
        for name, rates in zip(untried, tried, strict=True):
            plan[name]["trials"] = rates
            plan[name]["lr"] = max(rates, key=lambda rate: rates[rate])
        save(args, plan)
        # The longest first, so that no worker is left alone with one.
        done = list(pool.map(lambda name: whole(args, name, plan[name]), plan))
    if failed := [name for name, fine in zip(plan, done, strict=True) if not fine]:
        sys.exit(f"FAILED: {', '.join(failed)}; their logs are in {args.out}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--config", default="cave_x4.yaml")
    parser.add_argument("--minutes", type=float, default=10.0, help="time of the training steps of a run")
    parser.add_argument("--steps", type=int, help="steps of every run, instead of a time")
    parser.add_argument("--rates-of", type=Path, help="plan.json of an earlier call whose rates are taken")
    parser.add_argument("--methods", nargs="+", help="cofusion and names of the configs in deep/ (all)")
    parser.add_argument("--rates", nargs="+", default=["2e-3", "5e-4"], help="learning rates to try")
    parser.add_argument("--bands", nargs=2, type=int, default=[31, 3], help="HSI and MSI bands of the data")
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--patch", type=int, default=32, help="side of the crops")
    parser.add_argument("--batch", type=int, default=8, help="crops of a step")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="threads of each")
    parser.add_argument("fit", nargs="*", help="flags of cofusion fit, after --")
    return parser.parse_args()


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """What the runs of one folder have in common."""
    unsaid = ("out", "fit", "methods", "rates_of")
    return {name: value for name, value in vars(args).items() if name not in unsaid}


def check_plan(args: argparse.Namespace) -> None:
    """Refuse a folder whose runs were planned otherwise: its steps and its complete runs would stay."""
    path = args.out / "plan.json"
    saved = json.loads(path.read_text()) if path.exists() else settings(args)
    for name, value in settings(args).items():
        if saved.get(name) != value:
            sys.exit(f"{path} was made with --{name} {saved.get(name)}, not {value}; give another --out")


def timed(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return what is known of every method; steps are timed where the file has none."""
    plan, methods, known = earlier(args.out / "plan.json"), methods_of(args), known_rates(args)
    todo = [name for name in methods if name not in plan]
    tasks = [(name, *args.bands, args.scale, args.patch, args.batch, args.threads) for name in todo]
    with multiprocessing.get_context("spawn").Pool(args.jobs, maxtasksperchild=1) as pool:
        for name, seconds in zip(todo, pool.starmap(step, tasks, chunksize=1), strict=True):
            steps = int(60 * args.minutes / seconds)
            plan[name] = {"seconds per step": seconds, "steps": steps, **known.get(name, {})}
            print(f"{name}: {plan[name]}", flush=True)
    save(args, plan)
    return {name: plan[name] for name in sorted(methods, key=lambda name: plan[name]["steps"])}


def counted(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the same steps for every method, with the rate of an earlier plan where there is one."""
    plan, known = earlier(args.rates_of), known_rates(args)
    # Slow ones first, as far as an earlier call has timed them.
    order = sorted(methods_of(args), key=lambda name: -plan.get(name, {}).get("seconds per step", 0.0))
    return {name: {"steps": args.steps, **known.get(name, {})} for name in order}


def known_rates(args: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Return the learning rates that an earlier plan has found."""
    return {name: {"lr": one["lr"]} for name, one in earlier(args.rates_of).items() if "lr" in one}


def earlier(plan: Path | None) -> dict[str, dict[str, Any]]:
    return json.loads(plan.read_text())["methods"] if plan is not None and plan.exists() else {}


def methods_of(args: argparse.Namespace) -> list[str]:
    from cofusion.speed.methods import names

    return list(args.methods or names())


def step(name: str, hsi: int, msi: int, scale: int, patch: int, batch: int, threads: int) -> float:
    """Time training steps on random crops, for some seconds; return the median in seconds."""
    import torch

    from cofusion.memory import keep_pages
    from cofusion.speed.methods import make
    from cofusion.training import FusionLoss

    keep_pages()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    net, loss = make(name, hsi, msi, scale).train(), FusionLoss()
    optimizer = torch.optim.AdamW(net.parameters(), 1e-5, fused=True)
    small = patch // scale
    pair = torch.rand(batch, hsi, small, small), torch.rand(batch, msi, patch, patch)
    reference = torch.rand(batch, hsi, patch, patch)
    taken: list[float] = []
    while len(taken) < 4 or sum(taken) < SECONDS:
        began = time.perf_counter()
        optimizer.zero_grad()
        loss(net(*pair), reference).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        taken.append(time.perf_counter() - began)
    # The first ones choose algorithms and fill caches.
    return statistics.median(taken[2:])


def save(args: argparse.Namespace, plan: dict[str, dict[str, Any]]) -> None:
    path = args.out / "plan.json"
    methods = earlier(path) | plan
    write_text(path, json.dumps({**settings(args), "methods": methods}, indent=1) + "\n")


def trials(args: argparse.Namespace, name: str, plan: dict[str, Any]) -> dict[str, float]:
    """Return the PSNR in validation after a short run, by learning rate; -1 where the run failed."""
    found = {}
    for rate in args.rates:
        run = args.out / "trials" / f"{name}_{rate}"
        steps = max(1, int(TRIAL * plan["steps"]))
        fit(args, run, name, rate, steps, 1, ["--test_after_fit", "false"])
        found[rate] = validation(run)
        print(f"{name} at {rate}: {found[rate]:.2f} dB after {steps} steps", flush=True)
    return found


def whole(args: argparse.Namespace, name: str, plan: dict[str, Any]) -> bool:
    began = time.perf_counter()
    steps = max(1, plan["steps"] // EPOCHS)
    run = args.out / "runs" / name
    fine = fit(args, run, name, plan["lr"], steps, EPOCHS, [])
    if fine:
        say_budget(args, run / "results.json")
    print(f"{name}: {'done' if fine else 'FAILED'} in {time.perf_counter() - began:.0f} s", flush=True)
    return fine


def say_budget(args: argparse.Namespace, path: Path) -> None:
    """Write into a run's results what it was given."""
    results = json.loads(path.read_text())
    if "budget" not in results:
        given = f"{args.minutes:g} min of steps" if args.steps is None else f"{args.steps} steps"
        write_text(path, json.dumps({**results, "budget": given}, indent=2) + "\n")


def fit(
    args: argparse.Namespace, run: Path, name: str, rate: str, steps: int, epochs: int, more: list[str]
) -> bool:
    """Run `cofusion fit` where its results are not there yet; say whether they are now."""
    if (run / "results.json").exists():
        return True
    run.parent.mkdir(parents=True, exist_ok=True)
    overlay = [] if name == "cofusion" else ["--config", f"deep/{name}.yaml"]
    flags = {
        "run_dir": run,
        "model.optimizer.lr": rate,
        "data.patch": args.patch,
        "data.batch_size": args.batch,
        "data.patches_per_epoch": steps * args.batch,
        "trainer.max_epochs": epochs,
        "trainer.accelerator": "cpu",
        "trainer.enable_progress_bar": "false",
        "trainer.enable_model_summary": "false",
    }
    command = [sys.executable, "-m", "cofusion", "fit", "--config", args.config, *overlay]
    command += [word for key, value in flags.items() for word in (f"--{key}", str(value))]
    command += [*(TILES if name in OVER_ALL_PIXELS else []), *more, *args.fit]
    with run.with_suffix(".log").open("w") as log:
        environment = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
        status = subprocess.run(command, stdout=log, stderr=log, env=environment, check=False).returncode
    return status == 0


def validation(run: Path) -> float:
    """Return the last PSNR in validation; -1 where there is none or it is no number."""
    log = run / "metrics.csv"
    rows = csv.DictReader(log.open()) if log.exists() else []
    last = float(([row["val/psnr"] for row in rows if row.get("val/psnr")] or [-1])[-1])
    return last if math.isfinite(last) else -1.0


if __name__ == "__main__":
    main()
