"""A sweep's table: a row per setting, means and spread over its seeds, the paper's numbers beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

from cofusion.cluster.groups import Group, baselines
from cofusion.cluster.trial import short_keys, short_value
from cofusion.metric_names import MAIN_METRICS
from cofusion.reports.records.runs import protocol
from cofusion.reports.tables.ablation import ablation_table
from cofusion.reports.tables.paper import ABLATION
from cofusion.reports.tables.spread import Column, Row, Spread, SpreadTable, metric_column, spreads


def ablated(group: Group) -> str | None:
    """Return the variant in the paper's Table 3 that a group repeats; None where it repeats none."""
    if [key.rpartition(".")[2] for key in group.values] != ["variant"]:
        return None
    variant = next(iter(group.values.values()))
    return variant if variant in ABLATION else None


def is_ablation(found: Sequence[Group]) -> bool:
    """Tell whether the groups are rows of the paper's Table 3."""
    return bool(found) and all(ablated(group) for group in found)


def sweep_ablation_table(found: Sequence[Group], latency: Mapping[str, float], device: str) -> SpreadTable:
    """Make the paper's Table 3 of a sweep.

    Args:
        found: A group per variant.
        latency: Variant to ms; variants may be missing.
        device: What the latency was measured on.
    """
    measured = {
        ablated(group) or "": (len(group.trials), spreads(group.scores()) | _parameters(group))
        for group in found
    }
    return ablation_table(measured, protocol(found[0].results[0]), _what(found), latency, device)


def sweep_table(found: Sequence[Group]) -> SpreadTable:
    """Make the table of any sweep; what needs no training, as bicubic, comes last for each data set.

    Args:
        found: The groups.
    """
    keys = list(found[0].values)
    names = short_keys(keys)
    heads = [names[key] for key in keys] or ["setting"]
    rows = [
        Row(
            (*([short_value(value) for value in group.values.values()] or ["all"]), str(len(group.trials))),
            spreads(group.scores()) | _parameters(group),
            len(group.trials),
        )
        for group in found
    ]
    for one, methods in baselines(found):
        labels = _shared(one, found)
        rows += [
            Row((*_named(labels, method), ""), spreads({k: v[:1] for k, v in one.scores(method).items()}))
            for method in methods
        ]
    columns = [metric_column(metric) for metric in MAIN_METRICS]
    columns.append(Column("parameters", "Params (M)", exact=True))
    return SpreadTable(
        (*heads, "runs"), columns, rows, f"Mean ± standard deviation over the runs. {_what(found)}"
    )


def _parameters(group: Group) -> dict[str, Spread]:
    counts = [results["parameters"] / 1e6 for results in group.results if results.get("parameters")]
    return spreads({"parameters": counts})


def _shared(one: Group, found: Sequence[Group]) -> list[str]:
    """The labels that all groups with this one's protocol have in common, "" for the others."""
    protocol = one.results[0].get("protocol")
    alike = [group for group in found if group.results[0].get("protocol") == protocol]
    return [
        short_value(value) if all(group.values[key] == value for group in alike) else ""
        for key, value in one.values.items()
    ]


def _named(labels: list[str], method: str) -> list[str]:
    """Put a method's name where the labels leave room, or in the place of the last."""
    if not labels:
        return [method]
    place = labels.index("") if "" in labels else len(labels) - 1
    return [*labels[:place], method, *labels[place + 1 :]]


def _what(found: Sequence[Group]) -> str:
    """Say what was measured: data sets, scales and epochs."""
    every = [results for group in found for results in group.results]
    sets = dict.fromkeys(_where(results.get("protocol") or {}) for results in every)
    epochs = sorted({results["epochs_done"] for results in every if results.get("epochs_done")})
    span = f"{epochs[0]}-{epochs[-1]}" if len(epochs) > 1 else "".join(map(str, epochs))
    return f"{', '.join(sets)}; {span} epochs."


def _where(protocol: Mapping[str, Any]) -> str:
    return f"{protocol.get('dataset', 'unknown data set')} x{protocol.get('scale', '?')}"
