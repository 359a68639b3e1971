"""Putting the page together."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What is shown.
        value: What it is sorted by, if that is a number.
        rank: 1 for the best of its column, 2 for the second, 0 for all others.
    """

    text: str
    value: float | None = None
    rank: int = 0


@dataclass(frozen=True)
class PageTable:
    """A table of the page.

    Attributes:
        title: Its heading.
        heads: Headings of its columns.
        rows: Its cells.
        caption: Below it.
        noted: Whether its last column is text, whatever that is sorted by.
    """

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    noted: bool = False

    @property
    def numeric(self) -> list[bool]:
        """Of every column, whether it holds numbers."""
        columns = range(len(self.heads) - self.noted)
        found = [any(row[column].value is not None for row in self.rows) for column in columns]
        return [*found, *([False] if self.noted else [])]


def build_page(
    title: str,
    *,
    tables: Sequence[PageTable] = (),
    scenes: Sequence[Mapping[str, Any]] = (),
    figures: Sequence[tuple[str, str]] = (),
    protocol: Sequence[tuple[str, Sequence[tuple[str, str]]]] = (),
    runs: Sequence[tuple[str, Sequence[tuple[str, str]]]] = (),
    notes: Sequence[str] = (),
) -> str:
    """Make the page: plain HTML with its style, script, pictures and numbers inside.

    Whatever is given is text and shown as such, never read as HTML.

    Args:
        title: Heading.
        tables: Of methods and metrics.
        scenes: As `page_scene` makes them.
        figures: Caption and data URI of pictures that stand still.
        protocol: What was measured how: for each protocol its name, and statements with their values.
        runs: For each run its folder, and what it records.
        notes: What was left out and why.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    here = files(__package__)
    environment = Environment(
        loader=PackageLoader("cofusion.reports", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=title,
        style=(here / "page.css").read_text(encoding="utf-8"),
        script=(here / "page.js").read_text(encoding="utf-8"),
        tables=tables,
        scenes=list(scenes),
        figures=figures,
        protocol=protocol,
        runs=runs,
        notes=notes,
    )


def figure_uri(path: "Path") -> str:
    """Return a PNG file as a data URI."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
