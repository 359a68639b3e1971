"""Which parts of which scenes train, validate and test."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cofusion.errors import UserError
from cofusion.resources import find_resource

Span = tuple[int, int | None]

_PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Region:
    """A rectangle of a scene, in full-resolution pixels.

    Attributes:
        scene: Name of the scene.
        rows: First row and the row after the last; None for the end of the scene.
        cols: The same for the columns.
    """

    scene: str
    rows: Span = (0, None)
    cols: Span = (0, None)

    def within(self, rows: int, cols: int, scale: int) -> "Window":
        """Fit the region to a scene of known size and to its low-resolution grid.

        Args:
            rows: Rows of the scene.
            cols: Columns of the scene.
            scale: Integer resolution ratio.

        Returns:
            The largest window inside the region whose edges lie on multiples of `scale`.

        Raises:
            UserError: The region reaches beyond the scene, or holds no whole block.
        """
        return Window(self._fit("rows", rows, scale), self._fit("cols", cols, scale))

    def _fit(self, axis: str, size: int, scale: int) -> tuple[int, int]:
        first, last = getattr(self, axis)
        last = size if last is None else last
        if last > size:
            raise UserError(
                f"the split asks for {axis} {first} to {last} of scene {self.scene!r}, which has {size}; "
                f"use the full scene or a split that fits this one"
            )
        aligned = -(-first // scale) * scale, last // scale * scale
        if aligned[0] >= aligned[1]:
            raise UserError(
                f"{axis} {first} to {last} of scene {self.scene!r} hold no whole block of scale {scale}; "
                f"use a smaller scale or a larger region"
            )
        return aligned


@dataclass(frozen=True)
class Window:
    """A rectangle with known edges on the low-resolution grid, in full-resolution pixels, half open."""

    rows: tuple[int, int]
    cols: tuple[int, int]

    def __str__(self) -> str:
        return f"[{self.rows[0]}:{self.rows[1]}, {self.cols[0]}:{self.cols[1]}]"


@dataclass(frozen=True)
class Split:
    """The parts of a data set.

    Training may name whole scenes that also hold validation or test regions: training crops never touch those
    (see `cofusion.data.allowed_corners`).

    Attributes:
        name: Stem of the split's file.
        dataset: `SceneSet.stem` of the data set.
        source: Where the split comes from.
        train: Regions that training crops are cut from.
        validation: Regions on which training is watched.
        test: Regions that results are reported on.
    """

    name: str
    dataset: str
    source: str
    train: tuple[Region, ...]
    validation: tuple[Region, ...]
    test: tuple[Region, ...]


def load_split(name_or_path: str) -> Split:
    """Read a split.

    Args:
        name_or_path: A YAML file or the name of a shipped one, for example `cave_20_11`.

    Raises:
        UserError: No such split, a file that is not a split, or validation and test regions that overlap.
    """
    path = find_resource("splits", name_or_path, ".yaml")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        parts = {part: tuple(_region(entry) for entry in content[part]) for part in _PARTS}
        if not all(parts.values()):
            raise ValueError("a part without regions")
        split = Split(path.stem, str(content["dataset"]), str(content["source"]), **parts)
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} is not a split ({reason}); expected the keys dataset, source, train, validation and "
            f"test, each of the last three a list of entries such as {{scene: NAME, rows: [0, 128], cols: "
            f"[0, null]}}"
        ) from error
    _check_disjoint(split, path)
    return split


def _region(entry: dict[str, Any]) -> Region:
    unknown = set(entry) - {"scene", "rows", "cols"}
    if unknown:
        raise ValueError(f"unknown key {', '.join(sorted(unknown))}")
    return Region(str(entry["scene"]), _span(entry.get("rows")), _span(entry.get("cols")))


def _span(given: Sequence[int | None] | None) -> Span:
    if given is None:
        return (0, None)
    first, last = given
    if not isinstance(first, int) or first < 0:
        raise ValueError(f"{first!r} is not a first pixel")
    if last is not None and (not isinstance(last, int) or last <= first):
        raise ValueError(f"{last!r} does not end a range that begins at {first}")
    return first, last


def _check_disjoint(split: Split, path: Path) -> None:
    for validation in split.validation:
        for test in split.test:
            if validation.scene == test.scene and all(
                _overlap(getattr(validation, axis), getattr(test, axis)) for axis in ("rows", "cols")
            ):
                raise UserError(
                    f"{path}: a validation region of scene {test.scene!r} overlaps a test region; training "
                    f"would be tuned to the test data, move one of them"
                )


def _overlap(a: Span, b: Span) -> bool:
    return (a[1] is None or b[0] < a[1]) and (b[1] is None or a[0] < b[1])
