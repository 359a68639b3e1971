"""What every data set offers: its names, its facts, and reading one scene."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from cofusion.errors import UserError
from cofusion.scenes.formats import Contents, Raw
from cofusion.scenes.scaling import Scaling, check_scaling
from cofusion.scenes.scene import Scene


class DatasetNotFoundError(UserError):
    """Scenes of a data set are not where they were looked for.

    Args:
        scenes: The data set.
        missing: Names of the scenes without a file.
        advice: What else the person could do, one clause.
    """

    def __init__(self, scenes: "SceneSet", missing: Sequence[str], advice: str = "") -> None:
        self.missing = tuple(missing)
        looked_for = " or ".join(str(path.absolute()) for path in scenes.path(missing[0]))
        likewise = " (and the others likewise)" if len(missing) > 1 else ""
        super().__init__(
            f"{scenes.title}: no file for {', '.join(missing)}; looked for {looked_for}{likewise}; "
            f"expected {scenes.expected}; source: {scenes.homepage}; give the folder that holds the files as "
            f"--data.root DIR (data/README.md has the layout){advice and '; '}{advice}; or try "
            f"--config quickstart.yaml, which needs no data"
        )


class SceneSet(ABC):
    """A known data set: where its scenes lie and how to read them.

    Constructing one reads no file. A subclass states the facts as class attributes and implements `names`,
    `path` and `read`.

    Attributes:
        stem: Name of the data set in files and folders, for example `cave`.
        title: Name for people.
        bands: Number of bands of every scene.
        wavelengths: `(bands,)` band centres in nm.
        full_size: Rows and columns of every scene of the public data set, or None where they differ.
        scaling: The values are divided by this: a number, or a rule as in `Scene.from_raw`.
        homepage: Official source.
        expected: One phrase on the files and their shape.
        licence: Terms of use.
        citation: What to cite.

    Args:
        root: Folder that holds the scenes, directly or in a folder named like `stem`.
        scaling: Divisor of the file's values instead of the data set's own: a number, max, or a percentile
            such as p99.9; the number used is recorded in each scene.

    Raises:
        UserError: A scaling that is none of these.
    """

    stem: ClassVar[str]
    title: ClassVar[str]
    homepage: ClassVar[str]
    expected: ClassVar[str]
    licence: ClassVar[str]
    citation: ClassVar[str]
    bands: int
    wavelengths: Tensor
    scaling: Scaling
    full_size: ClassVar[tuple[int, int] | None] = None

    def __init__(self, root: str | Path = "data", scaling: Scaling | None = None) -> None:
        self.root = Path(root).expanduser()
        if scaling is not None:
            check_scaling(scaling)
            self.scaling = scaling

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Return the names of all scenes of the data set, present or not."""

    @abstractmethod
    def path(self, name: str) -> list[Path]:
        """Return the files that may hold a scene, in the order in which they are tried."""

    @abstractmethod
    def read(self, name: str) -> Scene:
        """Read one scene.

        Raises:
            DatasetNotFoundError: No file for this scene.
            UserError: An unknown name, or a file that is truncated, foreign or of another shape.
        """

    def require(self, names: Sequence[str]) -> None:
        """Check, without reading, that there is a file for every one of these scenes.

        Raises:
            UserError: A name that the data set does not know.
            DatasetNotFoundError: Scenes without a file; lists every one.
        """
        self.check_names(names)
        missing = [name for name in names if not any(path.is_file() for path in self.path(name))]
        if missing:
            raise DatasetNotFoundError(self, missing)

    def check_names(self, names: Sequence[str]) -> None:
        """Raise `UserError` for names that the data set does not know."""
        known = self.names()
        unknown = [name for name in names if name not in known]
        if unknown:
            raise UserError(f"{self.title} has no scene {', '.join(unknown)}; it has: {', '.join(known)}")

    def find(self, name: str) -> Path:
        """Return the file of a scene: the first of `path(name)` that exists.

        Raises:
            UserError: As `require`.
        """
        self.require([name])
        return next(path for path in self.path(name) if path.is_file())

    def scene(self, name: str, raw: Raw, source: str) -> Scene:
        """Make a `Scene` from a file's values, `(bands, rows, cols)`.

        Raises:
            UserError: Another number of bands than the data set's, transposed axes, or values that `Scene`
                refuses.
        """
        if raw.ndim == 3:
            self._check_axes(raw.shape, source)
        return Scene.from_raw(name, raw, self.wavelengths, self.scaling, source)

    def scene_in(self, name: str, contents: Contents, path: Path) -> Scene:
        """Make a `Scene` of the cube of a file; a large one is mapped (`Scene.from_file`).

        Raises:
            UserError: As for `scene`.
        """
        self._check_axes(contents.shape, str(path))
        return Scene.from_file(name, path, contents, self.scaling, wavelengths=self.wavelengths)

    def _check_axes(self, shape: tuple[int, ...], source: str) -> None:
        bands, rows, cols = shape
        if bands == self.bands and (rows, cols) != self._turned_size():
            return
        turned = bands == self.bands or self.bands in (rows, cols)
        raise UserError(
            f"{source} holds {bands} bands of {rows} x {cols} pixels; expected {self.expected}"
            f"{'; its axes are transposed, store it with the axes of the public file' if turned else ''}"
        )

    def _turned_size(self) -> tuple[int, int] | None:
        """Return columns and rows where they differ from rows and columns."""
        return None if self.full_size is None or len(set(self.full_size)) == 1 else self.full_size[::-1]

    def _under_root(self, *relative: str) -> list[Path]:
        """Return each relative path below the root and below the data set's folder in it."""
        return [folder / path for folder in (self.root, self.root / self.stem) for path in relative]
