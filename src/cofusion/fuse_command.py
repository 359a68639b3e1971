"""The verb fuse: two rasters without a reference become a georeferenced product, a picture and a report.

Only what `cofusion fuse --help` needs is imported here.
"""

import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cofusion.cli import Parser
from cofusion.errors import UserError

if TYPE_CHECKING:
    from cofusion.inference.devices import Team
    from cofusion.inference.images import Image
    from cofusion.models import Pretrained
    from cofusion.sensors import Sensors


def run(verb: str, args: list[str]) -> None:
    """Run the verb.

    Args:
        verb: `fuse`.
        args: The arguments after it.

    Raises:
        UsageError: The arguments cannot be understood.
        UserError: The images do not belong together or to the method, or the product cannot be written.
        KeyboardInterrupt: Ctrl-C; the message names the temporary file.
    """
    given = _parser(verb).parse_args(args)
    # The product is the same however many devices make it.
    command = shlex.join(["cofusion", verb, *_sharing().parse_known_args(args)[1]])
    if given.devices == given.num_nodes == 1:
        _fuse(given, command)
        return
    if min(given.devices, given.num_nodes) < 1:
        raise UserError(
            f"--devices and --num-nodes are at least 1, not {given.devices} and {given.num_nodes}"
        )
    from cofusion.inference.devices import Team

    team = Team(given.devices, given.num_nodes, given.device)
    given.device = str(team.device)
    if team.rank > 0:
        from cofusion.inference.setup import set_up

        team.help(lambda: set_up(**_inputs(given)).job)
    with team.leading():
        _fuse(given, command, team)


def _inputs(given: Namespace) -> dict[str, Any]:
    """Return what is fused, and how."""
    from cofusion.inference.setup import Options

    options = Options(
        align=given.align,
        phase=given.phase,
        hsi_scaling=given.hsi_scaling,
        msi_scaling=given.msi_scaling,
        tile=given.tile,
        overlap=given.overlap,
        margin=given.margin,
        sensors=_sensors(given),
        device=given.device,
    )
    method, sha256 = (
        (given.method, None) if given.ckpt is None else load_weights(given.ckpt, given.pool_extent)
    )
    images = {name: _image(given, name) for name in ("lr_hsi", "hr_msi")}
    return {**images, "method": method, "options": options, "sha256": sha256}


def _fuse(given: Namespace, command: str, team: "Team | None" = None) -> None:
    from cofusion.inference import fuse_files
    from cofusion.inference.report import check_free, write_report

    output = Path(given.output).expanduser()
    # Of a product that exists, fuse_files speaks.
    if not (given.no_report or given.overwrite or output.exists()):
        check_free(output)
    with _progress() as progress:
        result = fuse_files(
            **_inputs(given),
            output=given.output,
            dtype=given.dtype,
            compress=given.compress,
            overviews=given.overviews,
            cog=given.cog,
            overwrite=given.overwrite,
            command=command,
            progress=progress,
            team=team,
        )
    for note in result.setup.pair.notes:
        print(f"note: {note}")
    bands, rows, cols = result.layout.shape
    print(
        f"wrote {result.path}: {bands} bands of {rows} x {cols} pixels in {result.seconds:.1f} s, "
        f"{result.network_seconds / max(result.seconds, 1e-9):.0%} of it in {result.setup.method.name}"
    )
    if not given.no_report:
        print(f"wrote {' and '.join(str(path) for path in write_report(result))}", flush=True)


def _parser(verb: str) -> ArgumentParser:
    parser = Parser(
        f"cofusion {verb}",
        description="Fuse a low-resolution hyperspectral and a high-resolution multispectral raster of one "
        "place, of any size. An interrupted fusion goes on when the same command is given again.",
        parents=[_sharing()],
    )
    add = parser.add_argument
    for name, what in (("lr-hsi", "hyperspectral"), ("hr-msi", "multispectral")):
        images = parser.add_argument_group(f"the {what} image")
        images.add_argument(f"--{name}", required=True, type=_path, metavar="FILE", help="GeoTIFF, ENVI, ...")
        images.add_argument(f"--{name}-key", metavar="NAME", help="variable of a MATLAB, HDF5 or NetCDF file")
        images.add_argument(f"--{name}-nodata", type=float, metavar="V", help="value that stands for no data")
        axis = "axis (0, 1, 2) of a .npy, HDF5 or NetCDF array that holds the bands"
        images.add_argument(f"--{name}-band-axis", type=int, metavar="N", help=axis)
        centres = "band centres, or the first and the last of an even grid"
        images.add_argument(f"--{name}-wavelengths", type=float, nargs="+", metavar="NM", help=centres)
        kind = name.partition("-")[2]
        divisor = "what its values are divided by (as in the training of the weights, else its maximum)"
        images.add_argument(f"--{kind}-scaling", type=float, metavar="V", help=divisor)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--ckpt",
        type=_path,
        metavar="PATH",
        help="run directory, checkpoint, exported weights, or shipped ones by name, such as cave_x4",
    )
    how.add_argument(
        "--method", metavar="NAME", help="a method that needs no weights: bicubic, gsa, hysure, ..."
    )
    add(
        "--sensors",
        type=_path,
        metavar="FILE",
        help="for --method: what `cofusion sensors estimate` wrote (estimated from the pair)",
    )
    add(
        "--align", action="store_true", help="resample the HRMSI onto the LRHSI's grid (GDAL's warper, cubic)"
    )
    add(
        "--phase",
        type=float,
        metavar="P",
        help="where LR samples sit in their blocks (the centre), HR pixels",
    )
    out = parser.add_argument_group("the product")
    out.add_argument(
        "-o", "--output", type=_path, required=True, metavar="FILE", help=".tif, .img for ENVI, or .zarr"
    )
    out.add_argument(
        "--dtype", choices=("float32", "uint16"), default="float32", help="stored type (float32)"
    )
    packed = ("deflate", "lzw", "zstd", "none")
    out.add_argument("--compress", choices=packed, default="deflate", help="packing of the blocks (deflate)")
    out.add_argument("--overviews", action="store_true", help="add coarser images for viewers")
    out.add_argument("--cog", action="store_true", help="write a cloud-optimised GeoTIFF")
    out.add_argument("--overwrite", action="store_true", help="replace a product that exists")
    out.add_argument("--no-report", action="store_true", help="write no picture and no report beside it")
    work = parser.add_argument_group("the work")
    work.add_argument("--tile", type=int, default=192, metavar="N", help="side of the tiles, HR pixels (192)")
    work.add_argument("--overlap", type=int, default=16, metavar="N", help="width of the blended seams (16)")
    work.add_argument("--margin", type=int, metavar="N", help="pixels computed around tiles (what is needed)")
    work.add_argument(
        "--pool-extent", type=int, metavar="N", help="pool CoFusion's statistics in windows of N"
    )
    work.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (auto)")
    return parser


def _sharing() -> ArgumentParser:
    """Return the options that say who does the work, and nothing of the product."""
    parser = Parser(add_help=False, allow_abbrev=False)
    add = parser.add_argument_group("several devices").add_argument
    add("--devices", type=int, default=1, metavar="N", help="processes on each host, one a device (1)")
    add("--num-nodes", type=int, default=1, metavar="N", help="hosts, each with as many devices (1)")
    return parser


def _path(given: str) -> Path:
    return Path(given).expanduser()


def _sensors(given: Namespace) -> "Sensors | None":
    if given.sensors is None:
        return None
    if given.ckpt is not None:
        raise UserError("--sensors is for --method; weights know the sensors that they were trained for")
    from cofusion.sensors.files import read_sensors

    return read_sensors(given.sensors)


def _image(given: Namespace, name: str) -> "Image":
    from cofusion.inference.images import open_image

    options = {
        option: getattr(given, f"{name}_{option}") for option in ("key", "nodata", "band_axis", "wavelengths")
    }
    try:
        return open_image(getattr(given, name), **options)
    except UserError as error:
        # Here the two files have an option each.
        raise UserError(str(error).replace("--key", f"--{name.replace('_', '-')}-key")) from error


def load_weights(path: Path, pool_extent: int | None = None) -> tuple["Pretrained", str]:
    """Make the network of a run, with its provenance.

    Args:
        path: A run directory of a fit, one of its checkpoints, a directory that `cofusion export` wrote, or
            the name of shipped weights.
        pool_extent: Side of the windows that CoFusion's statistics are pooled in, in place of the network's.

    Returns:
        The network, and the SHA-256 of the file that its weights are from.

    Raises:
        UserError: There are no such weights, or they cannot be used.
    """
    from cofusion.files import sha256
    from cofusion.models.pretrained import RECORD, WEIGHTS, any_pretrained, find_pretrained, shipped

    path = find_pretrained(path)
    if not path.exists():
        raise UserError(
            f"there are no weights {path}; expected a run directory, a checkpoint, what `cofusion export` "
            f"wrote, or the name of shipped weights: {', '.join(shipped())}"
        )
    if (path / RECORD).exists():
        try:
            net, file = any_pretrained(path), path / WEIGHTS
        except ValueError as error:
            raise UserError(str(error)) from error
    else:
        net, file = _of_run(path)
    if pool_extent is not None:
        pool_within: Callable[[int], None] | None = getattr(net, "pool_within", None)
        if pool_within is None:
            raise UserError(f"{type(net).__name__} pools no statistics; leave --pool-extent out")
        try:
            pool_within(pool_extent)
        except ValueError as error:
            raise UserError(str(error)) from error
    return net, sha256(file)


def _of_run(path: Path) -> tuple["Pretrained", Path]:
    from cofusion.export import rebuild
    from cofusion.training.checkpoints import find_checkpoint, read_checkpoint
    from cofusion.training.provenance import run_provenance

    file = find_checkpoint(path)
    checkpoint = read_checkpoint(file)
    net = rebuild(checkpoint, file)
    # A run's checkpoints lie in a folder of their own in it.
    net.provenance = run_provenance(file.absolute().parent.parent, file, checkpoint)
    return net.eval(), file


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show a bar with the rate and the time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns: list[Any] = [TextColumn("fusing"), BarColumn(), TaskProgressColumn(), MofNCompleteColumn()]
    columns += [TextColumn("tiles, {task.fields[rate]}"), TimeRemainingColumn()]
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, rate="")

        def show(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:.2f}/s" if speed else "")

        yield show
