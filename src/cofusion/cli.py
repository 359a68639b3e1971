"""The `cofusion` command: finds the verb, runs it and turns what goes wrong into one line.

Only what `cofusion --help` needs is imported here; the verbs' own code is in `cofusion.lightning_cli`,
`cofusion.fuse_command`, `cofusion.export`, `cofusion.sweep_command`, `cofusion.report_command`,
`cofusion.benchmark_command`, `cofusion.sensors_command` and `cofusion.data_command`.
"""

import importlib
import os
import sys
from argparse import ArgumentParser
from typing import NoReturn

from cofusion.errors import UserError
from cofusion.memory import keep_pages

VERBS = {
    "fit": "train a network, then test its best weights",
    "validate": "measure a checkpoint on the validation regions",
    "test": "measure a checkpoint on the test scenes",
    "predict": "write the fused test scenes as GeoTIFF",
    "fuse": "fuse two rasters without a reference into a georeferenced product",
    "export": "write the network of a run as a directory for CoFusion.from_pretrained",
    "sweep": "run the trials of a sweep file, here or as a SLURM job array; their state, their table",
    "report": "the paper's tables from the results of recorded runs, beside the paper's numbers",
    "benchmark": "time all methods side by side: latency, memory, parameters, multiply-adds",
    "sensors": "estimate the spectral response and the PSF of a pair that has no reference",
    "data": "list, describe and prepare data sets, describe a file, show what a config makes of a scene",
}
# Where a verb's code is, unless it is one of Lightning's.
_HOMES = {
    "fuse": "cofusion.fuse_command",
    "export": "cofusion.export",
    "sweep": "cofusion.sweep_command",
    "report": "cofusion.report_command",
    "benchmark": "cofusion.benchmark_command",
    "sensors": "cofusion.sensors_command",
    "data": "cofusion.data_command",
}

_HELP = """usage: cofusion VERB --config NAME.yaml [--config OVERLAY.yaml ...] [--KEY VALUE ...]

Multispectral and hyperspectral image fusion.

verbs:
{verbs}

A config is a file or the name of a shipped one; later configs and flags win over earlier ones.
All flags of a verb: cofusion VERB --help

examples:
  cofusion fit --config quickstart.yaml
  cofusion data prepare cave --root DIR
  cofusion data show --config cave_x4.yaml --data.root DIR
  cofusion fit --config cave_x4.yaml --config ablation/no_spacam.yaml --data.root DIR
  cofusion test --config cave_x4.yaml --data.root DIR --ckpt_path runs/cave_x4/fit_0
  cofusion export runs/cave_x4/fit_0 -o weights/cave_x4
  cofusion fuse --lr-hsi A.tif --hr-msi B.tif --ckpt weights/cave_x4 -o fused.tif
  cofusion sweep run sweep/ablation.yaml --jobs 2 -- --data.root DIR
  cofusion report runs -o report
  cofusion benchmark speed --methods u2net psrt -o speed
  cofusion sensors estimate --lr-hsi A.tif --hr-msi B.tif -o sensors.json --figure sensors.png
"""

FAILED, USAGE, INTERRUPTED, UNREAD, TERMINATED = 1, 2, 130, 141, 143


class UsageError(UserError):
    """Arguments or a config that cannot be understood; ends with status 2."""


class TerminatedError(UserError):
    """SIGTERM came, as from `kill`, `timeout` or a queue; ends with status 143, as a shell would say it."""


_STATUS: dict[type[Exception], int] = {UsageError: USAGE, TerminatedError: TERMINATED}


class Parser(ArgumentParser):
    """The parser of a verb that is not Lightning's; says in one line what it does not understand."""

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`."""
        raise UsageError(f"{message}; expected {self.format_usage().removeprefix('usage: ')}")


def main(args: list[str] | None = None) -> int:
    """Run the command.

    Args:
        args: Arguments after the program's name; those of the process where left out.

    Returns:
        Exit status: 0, or 1 for an error, 2 for arguments that cannot be understood, 130 after Ctrl-C, 141
        where nobody reads the output any more (`| head`), 143 after SIGTERM. With the environment variable
        `COFUSION_TRACEBACK=1` an error is raised with its traceback instead.
    """
    args = sys.argv[1:] if args is None else args
    if not args or args[0] in ("-h", "--help"):
        print(_help(), end="")
        return 0
    if args[0] == "--version":
        from cofusion import __version__

        print(f"cofusion {__version__}")
        return 0
    if args[0] not in VERBS:
        return _fail(f"unknown verb {args[0]!r}; choose one of {', '.join(VERBS)}", USAGE)
    return _run(args[0], args[1:])


def _help() -> str:
    return _HELP.format(verbs="\n".join(f"  {verb:<9} {line}" for verb, line in VERBS.items()))


def _run(verb: str, args: list[str]) -> int:
    keep_pages()
    try:
        importlib.import_module(_HOMES.get(verb, "cofusion.lightning_cli")).run(verb, args)
        sys.stdout.flush()
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "interrupted", INTERRUPTED)
    except SystemExit as stop:
        # Lightning turns Ctrl-C into its own exit; `--help` and `--print_config` leave this way too.
        if isinstance(stop.__context__, KeyboardInterrupt):
            return _fail("interrupted", INTERRUPTED)
        return stop.code if isinstance(stop.code, int) else 0
    except BrokenPipeError:
        # What is still to be flushed at the end of the process would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except (UserError, OSError) as error:
        if os.environ.get("COFUSION_TRACEBACK") == "1":
            raise
        return _fail(str(error), _STATUS.get(type(error), FAILED))
    return 0


def _fail(message: str, status: int) -> int:
    print(f"cofusion: error: {' '.join(message.split())}", file=sys.stderr)
    return status
