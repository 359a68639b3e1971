"""A statement of what was measured and how, from the records of the runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from cofusion.errors import UserError
from cofusion.reports.records.blurs import blur
from cofusion.reports.records.budget import budget
from cofusion.reports.records.recipe import words
from cofusion.reports.records.runs import PRESETS, Run
from cofusion.reports.records.software import software_statement
from cofusion.reports.sections import Entry, Section, section_title
from cofusion.reports.tables.texts import markdown_code
from cofusion.resources import find_resource

_METRICS = """\
## Metrics

Whole test regions, clipped to [0, 1], in float64; means over scenes are means of the scenes' values.

- PSNR: one MSE over all bands and pixels, peak 1. SSIM: per band, Gaussian window 11 x 11, sigma 1.5, range
  1, then the mean. SAM: degrees, mean over pixels.
- ERGAS: factor 100 / scale. ERGAS (100/4): factor 100 / 4 at every scale, which the paper's Table 1 fits.
- D_λ, D_s, QNR: exponents 1, windows of 32 x 32 pixels; D_s of a band with the multispectral band most
  like it.
- Definitions: docs/metrics.md.
"""


def protocol_statement(sections: Sequence[Section]) -> str:
    """Return the statement in Markdown: data, sensors, metrics, training, hardware and software.

    Args:
        sections: Of the report.
    """
    runs = [run for section in sections for run in section.runs]
    parts = ["# Protocol\n", *(_section(section) for section in sections), _METRICS, software_statement(runs)]
    return "\n".join(parts)


def _section(section: Section) -> str:
    lines = [
        f"## {section_title(section)}\n",
        *_data(section),
        "\nMethods:\n",
        *(_entry(entry) for entry in section.entries if entry.runs),
    ]
    beside = ", ".join(entry.title for entry in section.entries if not entry.runs)
    if beside:
        lines.append(f"- {beside}: measured beside every run")
    return "\n".join(lines) + "\n"


def _data(section: Section) -> list[str]:
    protocol = section.protocol
    files = [str(protocol[key]) for key in ("lr_hsi", "hr_msi") if protocol.get(key)]
    arguments = words(protocol.get("scenes_arguments") or {})
    lines = [
        ("data", ", ".join(part for part in dict.fromkeys([section.dataset, *files, arguments]) if part)),
        ("split", _split(section)),
        ("scaling", _scaling(section)),
        ("LRHSI", _lr_hsi(protocol)),
        ("HRMSI", _hr_msi(protocol)),
    ]
    return [f"- {name}: {text}" for name, text in lines]


def _split(section: Section) -> str:
    """Name the scenes; those of the training where there was one, whose regions the split has."""
    parts = [_plain(section.protocol.get("split"))]
    trained = [run for run in section.runs if run.needs_training]
    if trained:
        scenes = _training_scenes(trained[0])
        listed = f"{len(scenes)} scene{'s' * (len(scenes) != 1)} ({', '.join(scenes)})"
        parts.append(f"trained on {listed if scenes else 'scenes that are not recorded'}")
    return "; ".join([*parts, f"tested on {', '.join(section.protocol['test_scenes'])}"])


def _training_scenes(run: Run) -> list[str]:
    """The scenes that a split trains on; none where its file is not at hand."""
    data = run.config.get("data")
    given = data.get("split") if isinstance(data, Mapping) else None
    try:
        path = find_resource("splits", str(given or run.protocol.get("split")), ".yaml")
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return list(dict.fromkeys(str(region["scene"]) for region in content["train"]))
    except (UserError, OSError, ValueError, yaml.YAMLError, RecursionError, KeyError, TypeError):
        return []


def _scaling(section: Section) -> str:
    protocol = section.protocol
    text = f"values divided by {_plain(protocol.get('scaling'))}"
    if "msi_scaling" in protocol:
        text += f", those of the HRMSI by {_plain(protocol['msi_scaling'])}"
        text += (
            f", then gain {_plain(protocol.get('msi_gain'))} and offset {_plain(protocol.get('msi_offset'))}"
        )
    clipped = max((_clipped(run) for run in section.runs), default=0)
    return f"{text}; {clipped} values of the test scenes clipped" if clipped else text


def _clipped(run: Run) -> int:
    read = run.results["protocol"].get("scenes")
    if not isinstance(read, Mapping):
        return 0
    tested = {scene.partition("[")[0] for scene in run.scenes}
    records = [record for name, record in read.items() if name in tested and isinstance(record, Mapping)]
    return sum(count for record in records if isinstance(count := record.get("clipped"), int))


def _lr_hsi(protocol: Mapping[str, Any]) -> str:
    preset = f"preset {_plain(protocol['preset'])}, " if "preset" in protocol else ""
    size = _plain(protocol.get("psf_size"))
    return (
        f"{preset}{_psf(protocol)}, {size} x {size} taps, scale {protocol['scale']}, "
        f"phase {_plain(protocol.get('phase'))}, border {_plain(protocol.get('border'))}"
        f"{_noise(protocol, 'hsi_snr')}"
    )


def _psf(protocol: Mapping[str, Any]) -> str:
    own = protocol.get("psf", PRESETS)
    if own != PRESETS:
        return f"PSF {_plain(own)}"
    if "psf_arguments" in protocol:
        return f"PSF {words(protocol['psf_arguments'])}"
    return blur(str(protocol.get("preset")), int(protocol["scale"]))


def _hr_msi(protocol: Mapping[str, Any]) -> str:
    arguments = words(protocol.get("response_arguments") or {})
    response = f"{_plain(protocol.get('response'))}{f' ({arguments})' if arguments else ''}"
    return f"response {response}, bands {_plain(protocol.get('msi_bands'))}{_noise(protocol, 'msi_snr')}"


def _noise(protocol: Mapping[str, Any], key: str) -> str:
    if key not in protocol:
        return ""
    if protocol[key] is None:
        return ", no noise"
    return f", noise of {protocol[key]} dB (seed {_plain(protocol.get('noise_seed'))})"


def _entry(entry: Entry) -> str:
    first = entry.runs[0]
    title = entry.title if entry.variant == "full" else f"{entry.title} {entry.variant}"
    seeds = ", ".join("?" if run.seed is None else str(run.seed) for run in entry.runs)
    parts = [
        f"seed{'s' if len(entry.runs) > 1 else ''} {seeds}" if first.needs_training else "",
        f"{first.results['parameters']:,} parameters" if first.needs_training else "",
        words(entry.recipe),
        budget(entry.runs),
        *(
            f"{run.name}: {', '.join(run.incomplete)} missing or not a number in a scene"
            for run in entry.runs
            if run.incomplete
        ),
        f"runs {', '.join(markdown_code(run.name) for run in entry.runs)}",
    ]
    return f"- **{title}**: {'; '.join(part for part in parts if part)}"


def _plain(value: Any) -> str:
    if value is None:
        return "not recorded"
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
