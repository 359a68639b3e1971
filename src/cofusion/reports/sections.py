"""Runs put together: what is averaged, what stands in one table, and what does not.

A section is one data set, scale and protocol; an entry is one method with one recipe in it, whose runs differ
in their seed alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cofusion.method_names import method_title
from cofusion.reports.names import dataset_title, method_rank
from cofusion.reports.records.grouping import agree, fingerprint, grouped, one_per_seed, same_pairs
from cofusion.reports.records.recipe import differences, words
from cofusion.reports.records.runs import LeftOut, Run
from cofusion.reports.tables.spread import Spread, spreads


@dataclass(frozen=True)
class Entry:
    """One method with one recipe: a row of a table.

    Attributes:
        title: What it is called, with what sets it apart from others of the method.
        method: Its class; of a baseline its name in the results.
        variant: CoFusion's ablation, or `full`.
        runs: Its runs, which differ in their seed; none for a baseline that the other runs have measured.
        numbers: By metric, a value per run: the mean over the scenes.
        recipe: What its runs share.
    """

    title: str
    method: str
    variant: str
    runs: tuple[Run, ...]
    numbers: Mapping[str, Spread]
    recipe: Mapping[str, Any]


@dataclass(frozen=True)
class Section:
    """All entries of one data set, scale and protocol.

    Attributes:
        dataset: The data set's stem.
        scale: Ratio of the pixel sizes.
        protocol: What its runs share.
        apart: How the protocol differs from those of other sections of the data set and scale; "" where there
            is no other.
        entries: In the order of the tables.
    """

    dataset: str
    scale: int
    protocol: Mapping[str, Any]
    apart: str
    entries: tuple[Entry, ...]

    @property
    def runs(self) -> list[Run]:
        """Its runs, in the order of the entries."""
        return [run for entry in self.entries for run in entry.runs]


def make_sections(runs: Sequence[Run]) -> tuple[list[Section], list[LeftOut]]:
    """Put runs together.

    Runs of different protocols come into different sections. So do runs whose protocols read alike but whose
    bicubic interpolation differs: they cannot have seen the same pairs. Runs that did not measure it have a
    section of their own where those that did differ. A seed that is there twice with the same numbers counts
    once; with different ones, none of these runs counts.

    Returns:
        The sections, sorted by data set and scale, and the runs that do not count.
    """
    left_out: list[LeftOut] = []
    sections = []
    for alike in grouped(runs, lambda run: fingerprint(run.protocol)):
        for together in same_pairs(alike):
            entries = []
            for group in grouped(together, lambda run: fingerprint([run.method, run.recipe])):
                kept, rejected = one_per_seed(group)
                left_out += rejected
                entries += [_entry(kept)] if kept else []
            if entries:
                entries = sorted(_told_apart(entries), key=_rank) + _baselines(together)
                sections.append(_section(together[0], entries))
    return _apart(sorted(sections, key=lambda one: (one.dataset, one.scale))), left_out


def section_title(section: Section) -> str:
    """Return a section's heading: data set, scale, and what sets its protocol apart."""
    title = f"{dataset_title(section.protocol)} x{section.scale}"
    return f"{title}, {section.apart}" if section.apart else title


def _section(run: Run, entries: list[Entry]) -> Section:
    return Section(run.dataset, run.scale, run.protocol, "", tuple(entries))


# --- entries -------------------------------------------------------------------------------------------
def _entry(runs: list[Run]) -> Entry:
    metrics = dict.fromkeys(metric for run in runs for metric in run.scores)
    numbers = {metric: [run.scores[metric] for run in runs if metric in run.scores] for metric in metrics}
    first = runs[0]
    return Entry(
        method_title(first.method, first.arguments),
        first.method,
        first.variant,
        tuple(runs),
        spreads(numbers),
        first.recipe,
    )


def _baselines(runs: list[Run]) -> list[Entry]:
    """The methods that every run measures beside its own; they draw nothing, so one run's numbers are all."""
    found: dict[str, dict[str, float]] = {}
    for run in runs:
        for name, numbers in run.baselines.items():
            found[name] = {**numbers, **found.get(name, {})}
    return [
        Entry(name, name, "full", (), spreads({key: [value] for key, value in numbers.items()}), {})
        for name, numbers in found.items()
    ]


def _told_apart(entries: list[Entry]) -> list[Entry]:
    """Name entries of one method and variant after what sets them apart.

    A recipe that is not known differs from the others in everything and nothing: its weights name it.
    """
    told = []
    for same in grouped(entries, lambda entry: f"{entry.title} {entry.variant}"):
        known = [entry for entry in same if "checkpoint" not in entry.recipe]
        how = differences([dict(entry.recipe) for entry in known])
        told += [_named(entry, text) for entry, text in zip(known, how, strict=True)]
        unknown = [entry for entry in same if entry not in known]
        weights = [f"recipe not known, {entry.recipe['checkpoint']}" for entry in unknown]
        told += [
            _named(entry, text if len(same) > 1 else "") for entry, text in zip(unknown, weights, strict=True)
        ]
    return told


def _named(entry: Entry, how: str) -> Entry:
    return replace(entry, title=f"{entry.title} ({how})") if how else entry


def _rank(entry: Entry) -> tuple[int, str]:
    return method_rank(entry.method), entry.title


# --- sections ------------------------------------------------------------------------------------------
def _apart(sections: list[Section]) -> list[Section]:
    """Say how sections of one data set and scale differ."""
    told = []
    for same in grouped(sections, lambda section: fingerprint([_data(section), section.scale])):
        keys = sorted({key for section in same for key in section.protocol})
        differing = [
            key
            for key in keys
            if any(
                fingerprint(section.protocol.get(key)) != fingerprint(same[0].protocol.get(key))
                for section in same
            )
        ]
        values = {key: [section.protocol.get(key) for section in same] for key in differing}
        named = []
        for place, section in enumerate(same):
            how = [_difference(key, each[place], each) for key, each in values.items()]
            named.append(replace(section, apart=", ".join(how)))
        for alike in grouped(named, lambda section: section.apart):
            told += alike if len(alike) == 1 else _apart_by_pairs(alike)
    return told


def _apart_by_pairs(sections: list[Section]) -> list[Section]:
    """Name sections of one recorded protocol after the first number of interpolation that differs."""
    numbers = [
        {
            f"{metric} of {entry.method}": spread.mean
            for entry in section.entries
            if not entry.runs
            for metric, spread in entry.numbers.items()
        }
        for section in sections
    ]
    differing = [key for one in numbers for key in one if not all(agree({key: one[key]}, n) for n in numbers)]
    told = []
    for section, one in zip(sections, numbers, strict=True):
        # Without a number that tells it apart, a section is named after its first run.
        key = next((key for key in differing if key in one), None)
        name = f"as {section.runs[0].name}" if one else "interpolation not measured"
        how = f"{key} {one[key]:.6g}" if key else name
        told.append(replace(section, apart=", ".join(filter(None, [section.apart, how]))))
    return told


def _data(section: Section) -> list[Any]:
    """A pair of one's own is told from others by its files."""
    return [section.dataset, section.protocol.get("lr_hsi"), section.protocol.get("hr_msi")]


def _difference(key: str, value: Any, values: list[Any]) -> str:
    """Write one of several values of a protocol for people."""
    if key == "test_scenes":
        alike = any(len(other) == len(value) and other != value for other in values)
        return f"tested on {' + '.join(value)}" if alike or len(value) < 4 else f"{len(value)} test scenes"
    if isinstance(value, Mapping):
        return words(value)
    text = " + ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{key.replace('_', ' ')} {'none' if value is None else text}"
