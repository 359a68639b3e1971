"""What runs were computed with: versions, commits and machines, of their tests and of their trainings."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cofusion.reports.records.runs import Run
from cofusion.reports.tables.texts import markdown_code

_DIRTY = "-dirty"


def software_statement(runs: Sequence[Run]) -> str:
    """Return the statement in Markdown; each line names its runs.

    Args:
        runs: Of the report.
    """
    found: dict[str, list[str]] = {}
    for run in runs:
        for text in _lines(run):
            found.setdefault(text, []).append(markdown_code(run.name))
    lines = [
        f"- {text}: {'all runs' if len(names) == len(runs) else ', '.join(names)}"
        for text, names in found.items()
    ]
    return "\n".join(["## Software and hardware\n", *lines]) + "\n"


def _lines(run: Run) -> Iterator[str]:
    """A line, or one for the training and one for a test that was made with something else."""
    tested, trained = _made_with(run.results), _made_with(run.fit)
    if run.training is None:
        yield f"{tested[0]}, tested on {tested[1]}"
    elif tested == trained:
        yield f"{tested[0]}, trained and tested on {tested[1]}"
    else:
        yield f"{trained[0]}, trained on {trained[1]}"
        yield f"{tested[0]}, tested on {tested[1]}"


def _made_with(results: Mapping[str, Any]) -> tuple[str, str]:
    """Software and hardware."""
    versions = results.get("versions")
    listed = versions if isinstance(versions, Mapping) else {}
    software = [
        f"cofusion {_known(results.get('version'))}",
        f"commit {_commit(str(_known(results.get('commit'))))}",
        *(f"{name} {version}" for name, version in listed.items()),
    ]
    return ", ".join(software), _device(str(_known(results.get("device"))), results.get("threads"))


def _commit(commit: str) -> str:
    if not commit.endswith(_DIRTY):
        return commit
    return f"{commit.removesuffix(_DIRTY)} with changes that were not committed"


def _device(device: str, threads: Any) -> str:
    """Name the machine; how many threads it had matters on a CPU."""
    if "cpu" not in device:
        return device
    if threads is None:
        return f"{device}, threads not recorded"
    return f"{device}, {threads} thread{'s' * (threads != 1)}"


def _known(value: Any) -> Any:
    return "not recorded" if value is None else value
