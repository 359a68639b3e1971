"""The verb data: what the known data sets and a file hold, how to get them, what a config makes of them.

Only what `cofusion data --help` needs is imported here.
"""

import textwrap
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from cofusion.cli import Parser
from cofusion.errors import UserError

if TYPE_CHECKING:
    from cofusion.scenes.base import SceneSet
    from cofusion.scenes.catalogue import Source


def run(verb: str, args: list[str]) -> None:
    """Run the verb.

    Args:
        verb: `data`.
        args: The arguments after it.

    Raises:
        UsageError: The arguments cannot be understood.
        UserError: An unknown name, or files that cannot be had or read.
    """
    if args[:1] == ["show"]:
        # Configs and flags of a run, which Lightning's parser reads.
        from cofusion import show

        show.run(args[1:])
        return
    given = _parser(verb).parse_args(args)
    given.call(given)


def _parser(verb: str) -> ArgumentParser:
    parser = Parser(f"cofusion {verb}", description="Data sets: what they are, how to get and see them.")
    verbs = parser.add_subparsers(required=True, metavar="{list,describe,prepare,show}")

    lists = verbs.add_parser(
        "list", help="one line per known data set", description="List the known data sets."
    )
    lists.set_defaults(call=_list)

    describe = verbs.add_parser(
        "describe",
        help="what a data set is, or what a file holds",
        description="Say what a data set is and where it comes from, or what a file holds.",
    )
    describe.add_argument("what", metavar="NAME-or-FILE", help="a known data set, or a file")
    describe.add_argument("--key", help="variable of a MATLAB, HDF5 or NetCDF file")
    axis = "axis (0, 1 or 2) of a .npy, HDF5 or NetCDF array that holds the bands"
    describe.add_argument("--band_axis", type=int, help=axis)
    describe.set_defaults(call=_describe)

    prepare = verbs.add_parser(
        "prepare",
        help="fetch, unpack and check a data set",
        description="Fetch a data set or unpack what you have put there, and check it. An interrupted run is "
        "completed by the next.",
    )
    prepare.add_argument("name", metavar="NAME", help="a known data set")
    prepare.add_argument("--url", help="another address, for example a mirror")
    prepare.add_argument("--sha256", help="checksum of what the address gives")
    prepare.set_defaults(call=_prepare)
    verbs.add_parser(
        "show", help="a picture of a scene, its split and the simulated pair, as a config has them"
    )
    for command in (lists, describe, prepare):
        command.add_argument(
            "--root", type=_folder, default=Path("data"), metavar="DIR", help="folder (data)"
        )
    return parser


def _folder(given: str) -> Path:
    return Path(given).expanduser()


def _list(given: Namespace) -> None:
    from cofusion.scenes.catalogue import CATALOGUE

    head = ("name", "scenes", "size", "bands", "wavelengths", "licence", f"in {given.root}")
    rows = [head]
    for known, source in CATALOGUE.items():
        scenes = known(given.root)
        low, high = scenes.wavelengths.aminmax()
        span = f"{low:.0f}-{high:.0f} nm"
        count, found = str(len(scenes.names())), _found(scenes)
        rows.append((scenes.stem, count, source.size, str(scenes.bands), span, scenes.licence, found))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _found(scenes: "SceneSet") -> str:
    """Return how many scenes are there, as one cell."""
    from cofusion.scenes.fetch.prepare import missing

    try:
        here, total = len(scenes.names()) - len(missing(scenes)), len(scenes.names())
    except UserError:
        return "no"
    return {0: "no", total: "yes"}.get(here, f"{here} of {total}")


def _describe(given: Namespace) -> None:
    from cofusion.scenes.catalogue import CATALOGUE, find_set

    known = find_set(given.what)
    if known is not None:
        print(_describe_set(known(given.root), CATALOGUE[known]))
    elif Path(given.what).expanduser().exists():
        from cofusion.scenes.describe import describe_file

        print(describe_file(Path(given.what).expanduser(), given.key, given.band_axis))
    else:
        stems = ", ".join(known.stem for known in CATALOGUE)
        raise UserError(f"{given.what!r} is neither a file nor a known data set; known are {stems}")


def _describe_set(scenes: "SceneSet", source: "Source") -> str:
    """Return what is known about a data set, one fact a paragraph."""
    low, high = scenes.wavelengths.aminmax()
    count = len(scenes.names())
    facts = {
        "holds": f"{count} scene{'s' * (count > 1)} ({source.size} pixels), {scenes.bands} bands, "
        f"{low:.0f}-{high:.0f} nm; values are divided by {scenes.scaling:g}",
        "scenes": ", ".join(scenes.names()),
        "licence": scenes.licence,
        "cite": scenes.citation,
        "page": scenes.homepage,
        "files": scenes.expected,
        "address": _address(source),
        "SHA-256": _checksum(source),
        "here": f"{_found(scenes)}, in {scenes.root.absolute()}",
    }
    lines = [f"{scenes.title} ({scenes.stem})"]
    for name, fact in facts.items():
        # Addresses stay whole, so that they can be clicked and copied.
        wrapped = textwrap.wrap(fact, 96, break_long_words=False, break_on_hyphens=False)
        lines += [
            f"  {head:<9}{line}" for head, line in zip([name] + [""] * len(wrapped), wrapped, strict=False)
        ]
    return "\n".join(lines)


def _address(source: "Source") -> str:
    if source.content is None:
        return "none needed: nothing to fetch"
    return source.url or f"no public direct address: {source.manual} and put it into the root"


def _checksum(source: "Source") -> str:
    if source.content is None:
        return "none needed"
    return source.sha256 or f"not known; prepare checks instead that each scene is {source.content}"


def _prepare(given: Namespace) -> None:
    from cofusion.scenes.catalogue import CATALOGUE, known_set
    from cofusion.scenes.fetch.prepare import prepare

    known = known_set(given.name)
    prepare(
        known(given.root), CATALOGUE[known], given.url, given.sha256, lambda line: print(line, flush=True)
    )
