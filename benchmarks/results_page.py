"""Keep the records of runs, and put the tables of their reports into docs/results.md.

    python benchmarks/results_page.py                                        # the page's tables
    python benchmarks/results_page.py --keep runs/a docs/results/a --keep runs/b docs/results/b

A comment in the page says which report stands below it, and which of the report's files:
`<!-- cofusion report DIRS: table1.md -->` up to `<!-- end -->`. Paths are below the top of the repository.

Of a run are kept `config.yaml`, `metrics.csv` and `results.json`, without the folders of the machine: `root`
becomes `DIR`, and of any other whole path the last name is left. Weights that another of the runs has trained
are named from where their test is kept. Of runs that `equal_budget.py` has trained, their plan is kept too.
Records of runs that are no longer there are removed.
"""

import argparse
import json
import os
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from cofusion.cli import main as cofusion
from cofusion.files import write_text
from cofusion.reports.records.folders import folders_below
from cofusion.reports.records.training_record import trainer_of

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "results.md"
BLOCK = re.compile(r"(<!-- cofusion report ([^\n]+): (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
CONFIG, METRICS, RESULTS, PLAN = "config.yaml", "metrics.csv", "results.json", "plan.json"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", nargs=2, type=Path, action="append", default=[], metavar=("RUNS", "DIR"))
    for runs, target in parser.parse_args().keep:
        keep(runs, target)
    page = filled(PAGE.read_text(encoding="utf-8"))
    write_text(PAGE, page)


def keep(runs: Path, target: Path) -> None:
    """Copy the records of every run below a folder; all that was kept there before is replaced."""
    found = {
        folder.resolve(): folder.relative_to(runs)
        for folder, _, names in folders_below([runs])
        if {CONFIG, RESULTS} <= set(names)
    }
    if not found:
        raise SystemExit(f"no {CONFIG} with {RESULTS} below {runs}; give a folder of run directories")
    records = {place: record(run, found, runs) for run, place in found.items()}
    gone = [kept for kept in kept_in(target) if kept not in records]
    if gone and len(gone) == len(kept_in(target)):
        raise SystemExit(
            f"{target} holds records of other runs, as {gone[0]}; give a folder of its own to {runs}"
        )
    for place in gone:
        forget(target, place)
    for place, results in records.items():
        write(target / place, runs / place, results)
    (target / PLAN).unlink(missing_ok=True)
    if (runs.parent / PLAN).exists():
        shutil.copyfile(runs.parent / PLAN, target / PLAN)


def kept_in(target: Path) -> list[Path]:
    """Return which runs are kept in a folder."""
    return sorted(path.parent.relative_to(target) for path in target.rglob(RESULTS))


def write(kept: Path, run: Path, results: str) -> None:
    config = without_folders((run / CONFIG).read_text(encoding="utf-8"))
    for name, text in ((CONFIG, config), (RESULTS, results)):
        write_text(kept / name, text)
    (kept / METRICS).unlink(missing_ok=True)
    if (run / METRICS).exists():
        shutil.copyfile(run / METRICS, kept / METRICS)


def record(run: Path, found: dict[Path, Path], runs: Path) -> str:
    """Return a run's results; weights of another run are named by a path that holds where they are kept."""
    text = (run / RESULTS).read_text(encoding="utf-8")
    results: dict[str, Any] = json.loads(text)
    checkpoint = Path(results.get("checkpoint") or "")
    trainer = trainer_of(run, str(checkpoint)).resolve()
    if trainer == run:
        return text
    if trainer in found:
        results["checkpoint"] = os.path.relpath(found[trainer].joinpath(*checkpoint.parts[-2:]), found[run])
    elif (trainer / RESULTS).exists():
        raise SystemExit(
            f"{run} tests weights of {trainer}, which is not below {runs}; keep a folder that holds both, as "
            f"their recipe is recorded there alone"
        )
    else:
        results["checkpoint"] = str(Path("/gone", *checkpoint.parts[-3:]))
    return json.dumps(results, indent=2) + "\n"


def without_folders(config: str) -> str:
    """Return a config that says nothing of the machine's folders."""
    config = re.sub(r"(?m)^( *root:) .*", r"\1 DIR", config)
    return re.sub(r"(?m)((?:: |- )['\"]?)[~/].*/", r"\1", config)


def forget(target: Path, place: Path) -> None:
    """Remove the record of a run that is no longer there, and folders that are empty without it."""
    print(f"removed {target / place}: its run is gone", flush=True)
    for name in (CONFIG, METRICS, RESULTS):
        (target / place / name).unlink(missing_ok=True)
    for folder in (place, *place.parents):
        if not any((target / folder).iterdir()):
            (target / folder).rmdir()


def filled(page: str) -> str:
    """Return a page with everything that reports say in it replaced by what they say now."""
    return BLOCK.sub(lambda found: found[1] + file_of(found[2], found[3]) + found[4], page)


def file_of(folders: str, name: str) -> str:
    """Return the text of one file of a report."""
    made = report(folders)
    if name not in made:
        raise SystemExit(f"the report on {folders} has no {name}; it has {', '.join(sorted(made))}")
    return made[name]


@cache
def report(folders: str) -> dict[str, str]:
    """Return the text of every file of a report on folders, which are separated by spaces."""
    with tempfile.TemporaryDirectory() as made:
        target = Path(made) / "report"
        given = [str(ROOT / folder) for folder in folders.split()]
        if cofusion(["report", *given, "-o", str(target)]) != 0:
            raise SystemExit(f"no report on {folders}")
        return {
            # Headings stand below those of the page.
            path.name: re.sub(r"(?m)^#{1,3} ", "#### ", path.read_text(encoding="utf-8"))
            for path in target.glob("*.md")
        }


if __name__ == "__main__":
    main()
