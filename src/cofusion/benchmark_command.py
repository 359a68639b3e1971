"""The verb benchmark: time all methods side by side.

Only what `cofusion benchmark --help` needs is imported here.
"""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cofusion.cli import Parser
from cofusion.errors import UserError
from cofusion.speed import PRECISIONS

if TYPE_CHECKING:
    from cofusion.speed.record import Row

_FILES = ("speed.json", "speed.md", "speed.png", "speed.pdf")
_PACKAGES = ("cofusion", "torch", "numpy")


def run(verb: str, args: list[str]) -> None:
    """Run the verb.

    Args:
        verb: `benchmark`.
        args: The arguments after it.

    Raises:
        UsageError: The arguments cannot be understood.
        UserError: There is no such method or GPU, sizes that the scale does not divide, a folder that holds
            results already, or aims that are missed where `--check` asks for them.
    """
    given = _parser(verb).parse_args(args)
    given.call(given)


def _parser(verb: str) -> ArgumentParser:
    parser = Parser(f"cofusion {verb}", description="Measure methods side by side.")
    verbs = parser.add_subparsers(required=True, metavar="{speed}")
    speed = verbs.add_parser(
        "speed",
        help="latency, throughput, memory, parameters and multiply-adds",
        description="Time the forward pass of every network in one process, in turn and on the same inputs, "
        "and print its time as a multiple of CoFusion's: the median of every turn's ratio.",
        epilog="example: cofusion benchmark speed --methods u2net psrt --sizes 64 --bands 103/4 -o speed",
    )
    add = speed.add_argument
    add("--methods", nargs="+", metavar="NAME", help="beside CoFusion, names of the configs in deep/ (all)")
    add("--ablations", action="store_true", help="also CoFusion's ablations")
    add("--sizes", nargs="+", type=int, default=[64, 128], metavar="N", help="rows and columns (64 128)")
    add(
        "--bands",
        nargs="+",
        type=_bands,
        default=[(31, 3), (103, 4)],
        metavar="HSI/MSI",
        help="numbers of bands (31/3 103/4)",
    )
    add("--scale", type=int, default=4, metavar="S", help="ratio of the two resolutions (4)")
    add("--batch", type=int, default=1, metavar="N", help="images at a time (1)")
    add(
        "--precision",
        nargs="+",
        choices=PRECISIONS,
        default=["float32"],
        help="float32, bf16 under autocast, or float32 compiled and frozen (float32)",
    )
    add("--device", default="cpu", metavar="NAME", help="cpu, cuda, cuda:1 (cpu)")
    add("--threads", type=int, metavar="N", help="threads of the CPU (torch's own choice)")
    add("--turns", type=int, default=15, metavar="N", help="how often each is timed (15)")
    add(
        "--seconds",
        type=float,
        default=10.0,
        metavar="S",
        help="a method that has taken longer than this takes part in no more turns (10)",
    )
    add("--check", action="store_true", help="end with status 1 where a ratio is below its aim")
    add("-o", "--output", type=Path, metavar="DIR", help=f"folder for {', '.join(_FILES)}")
    speed.set_defaults(call=_speed)
    return parser


def _bands(text: str) -> tuple[int, int]:
    try:
        hsi, msi = map(int, text.split("/"))
    except ValueError:
        raise ArgumentTypeError(f"expected numbers of bands such as 103/4, got {text!r}") from None
    return hsi, msi


def _speed(given: Namespace) -> None:
    folder = _output(given.output)
    _check_numbers(given)
    from cofusion.files import write_text
    from cofusion.reports.figures.speed_figure import speed_figure
    from cofusion.reports.figures.style import save_for_print
    from cofusion.speed.case import Case
    from cofusion.speed.comparison import compare
    from cofusion.speed.methods import ablations, names
    from cofusion.speed.record import markdown, missed, text_table, write_record

    about, threads = _about(given)
    cases = [
        Case(size, bands, given.scale, precision, given.batch)
        for precision in given.precision
        for bands in given.bands
        for size in given.sizes
    ]
    methods = [*(given.methods or names()), *(ablations() if given.ablations else ())]
    rows: list[Row] = []
    for found in compare(
        methods,
        cases,
        device=given.device,
        threads=threads,
        turns=given.turns,
        seconds=given.seconds,
        say=_say,
    ):
        print(f"{text_table(found)}\n", flush=True)
        rows += found
        if folder:
            # What was measured stays where a later case fails.
            write_record(folder / "speed.json", about, rows)
    if folder:
        write_text(folder / "speed.md", markdown(rows))
        save_for_print(speed_figure(rows, about["machine"]), folder / "speed.png")
        print(f"wrote {folder}: {', '.join(_FILES)}", flush=True)
    below = missed(rows)
    if below and given.check:
        raise UserError(f"below the aim: {'; '.join(below)}")


def _output(folder: Path | None) -> Path | None:
    if folder is None:
        return None
    folder = folder.expanduser()
    there = [name for name in _FILES if (folder / name).exists()]
    if there or (folder.exists() and not folder.is_dir()):
        raise UserError(f"{folder / there[0] if there else folder} exists; give -o another folder")
    return folder


def _check_numbers(given: Namespace) -> None:
    numbers = {"--turns": given.turns, "--threads": given.threads, "--seconds": given.seconds}
    for flag, number in numbers.items():
        if number is not None and number <= 0:
            raise UserError(f"{flag} {number}: expected more than 0")


def _about(given: Namespace) -> tuple[dict[str, Any], int]:
    """Return what the record says beside its rows, and the number of threads."""
    import torch

    from cofusion.machine import processor, versions

    threads = given.threads or torch.get_num_threads()
    if given.device == "cpu":
        machine = f"{processor()}, {threads} thread{'s' * (threads > 1)}"
    else:
        machine = _gpu(given.device)
    arguments = {name: value for name, value in vars(given).items() if name not in ("call", "output")}
    arguments["bands"] = ["/".join(map(str, bands)) for bands in given.bands]
    return {"machine": machine, "versions": versions(_PACKAGES), "arguments": arguments}, threads


def _gpu(name: str) -> str:
    """Return what a GPU is called."""
    import torch

    try:
        device = torch.device(name)
        if device.type != "cuda":
            raise ValueError
        known: str = torch.cuda.get_device_name(device)
    except (AssertionError, RuntimeError, ValueError):
        count = torch.cuda.device_count()
        raise UserError(
            f"--device {name}: expected cpu, cuda or cuda:N; torch {torch.__version__} sees "
            f"{count} GPU{'s' * (count != 1)} here"
        ) from None
    return known


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
