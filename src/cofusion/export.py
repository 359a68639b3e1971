"""The verb export: the network of a run as a directory that `from_pretrained` reads."""

from pathlib import Path
from typing import Any

from cofusion.cli import Parser
from cofusion.errors import UserError
from cofusion.models import Pretrained
from cofusion.models.pretrained import find_class
from cofusion.training.checkpoints import check_fits, read_checkpoint
from cofusion.training.provenance import run_provenance


def run(verb: str, args: list[str]) -> None:
    """Run the verb.

    Args:
        verb: `export`.
        args: The arguments after it.

    Raises:
        UsageError: The arguments cannot be understood.
        UserError: The run has no such checkpoint, or its network cannot be exported.
    """
    parser = Parser(f"cofusion {verb}", description="Write the network of a run as a directory that travels.")
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="run directory of a fit")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="directory to write")
    parser.add_argument("--ckpt", choices=("best", "last"), default="best", help="weights to export (best)")
    parser.add_argument("--half", action="store_true", help="round to half precision: half the size")
    given = parser.parse_args(args)
    export(given.run_dir.expanduser(), given.output.expanduser(), given.ckpt, half=given.half)
    print(f"wrote {given.output}: model.safetensors and model.json", flush=True)


def export(run_dir: Path, output: Path, ckpt: str = "best", *, half: bool = False) -> None:
    """Write the network of a run as a directory that `from_pretrained` reads.

    Args:
        run_dir: Run directory of a fit.
        output: Directory to write; made where it is missing.
        ckpt: `best` or `last`.
        half: Round the weights to half precision.

    Raises:
        UserError: The run has no such checkpoint, or its network cannot be exported.
        OSError: The directory cannot be written.
    """
    path = run_dir / "checkpoints" / f"{ckpt}.ckpt"
    if not path.is_file():
        raise UserError(
            f"no checkpoint {path}; expected the run directory of a fit, for example runs/NAME/fit_0"
        )
    checkpoint = read_checkpoint(path)
    net = rebuild(checkpoint, path)
    try:
        net.save_pretrained(output, run_provenance(run_dir, path, checkpoint), half=half)
    except ValueError as error:
        raise UserError(str(error)) from error


def rebuild(checkpoint: dict[str, Any], path: Path) -> Pretrained:
    """Make the network that a checkpoint describes, with its weights.

    Args:
        checkpoint: As returned by `read_checkpoint`.
        path: The checkpoint's file, for messages.

    Raises:
        UserError: The checkpoint does not say which network it is of, or the network cannot be made.
    """
    record = checkpoint.get("cofusion", {}).get("net")
    if record is None:
        raise UserError(
            f"{path} does not say which network its weights belong to; export a run of `cofusion fit`"
        )
    try:
        net = find_class(record["class_path"])(**record["init_args"])
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: cannot make its network {record['class_path']}: {error}") from error
    check_fits(checkpoint, net, path)
    weights = checkpoint["state_dict"].items()
    net.load_state_dict({key.removeprefix("net."): value for key, value in weights if key.startswith("net.")})
    return net
