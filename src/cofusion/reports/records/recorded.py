"""The images that the runs of a report have recorded, by scene and method."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cofusion.errors import UserError
from cofusion.reports.records.images import FOLDER, RecordedScene, read_scene
from cofusion.reports.records.runs import Run
from cofusion.reports.sections import Entry, Section
from cofusion.reports.tables.paper import ABLATION_NAMES
from cofusion.reports.tables.spread import is_measured


@dataclass(frozen=True, eq=False)
class SceneImages:
    """A scene of a section, with the image and the scores of each method that recorded it.

    Attributes:
        section: The section.
        title: Its heading.
        name: The scene's name.
        recorded: By method, of several seeds the first that recorded the scene.
        scores: By method, the metrics of the same run in this scene.
    """

    section: Section
    title: str
    name: str
    recorded: dict[str, RecordedScene] = field(default_factory=dict)
    scores: dict[str, Mapping[str, float]] = field(default_factory=dict)


def label(entry: Entry) -> str:
    """Return what an entry is called in pictures: its title and, of an ablation, what it lacks."""
    if entry.variant == "full":
        return entry.title
    return f"{entry.title} {ABLATION_NAMES.get(entry.variant, entry.variant)}"


def recorded_scenes(section: Section, title: str, notes: list[str]) -> list[SceneImages]:
    """Find the recorded images of a section: its scenes in order of their names.

    Args:
        section: The section.
        title: Its heading.
        notes: Gets a line for every file that cannot be shown.
    """
    found: dict[str, SceneImages] = {}
    for entry in section.entries:
        for run, path in _files(entry):
            called = f"{run.name}/{FOLDER}/{path.name}"
            try:
                image = read_scene(path, called)
            except UserError as error:
                notes.append(str(error))
                continue
            measured = run.scenes.get(image.name)
            if measured is None:
                notes.append(f"{called} is of {image.name}, which {run.name} was not tested on")
                continue
            scene = found.setdefault(image.name, SceneImages(section, title, image.name))
            if label(entry) not in scene.recorded:
                scene.recorded[label(entry)] = image
                scene.scores[label(entry)] = {
                    key: value for key, value in measured.items() if is_measured(value)
                }
    return [found[name] for name in sorted(found)]


def _files(entry: Entry) -> Iterator[tuple[Run, Path]]:
    """The image files of an entry's runs; those of a later test of the same weights are as good."""
    for run in entry.runs:
        for tested in (run, *run.twins):
            for path in sorted((tested.folder / FOLDER).glob("*.npz")):
                yield tested, path
