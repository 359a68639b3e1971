"""What docs/metrics.md claims and a computer can check."""

import json
import re
from pathlib import Path

from cofusion import metrics
from cofusion.metrics import HIGHER_IS_BETTER

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
MEASURED = json.loads((ROOT / "docs/results/qnr_cpu.json").read_text())


def test_every_metric_of_the_results_is_described_with_its_direction():
    named = re.findall(r"^\| `(\w+)` ([↑↓]) \|", TEXT, re.MULTILINE)
    assert dict(named) == {name: "↑" if higher else "↓" for name, higher in HIGHER_IS_BETTER.items()}


def test_the_costs_are_the_recorded_ones():
    table = TEXT.partition("<!-- docs/results/qnr_cpu.json -->\n")[2]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:5]]
    assert rows == [
        [
            str(row["bands"]),
            f"{1000 * row['seconds']:.0f} ms",
            f"{row['torchmetrics_seconds']:.1f} s",
            f"{row['ratio']:.0f}",
        ]
        for row in MEASURED["d_lambda"]
    ]
    test, scene = MEASURED["test"], MEASURED["scene"]
    assert f"{test['no_reference_seconds']:.2f} s" in table
    assert f"{test['reference_seconds']:.2f} s" in table
    assert f"{test['network_seconds']:.1f} s" in table
    assert f"{scene['seconds']:.0f} s" in table
    assert f"{scene['extra_gb']:.2f} GB beside {scene['images_gb']:.1f} GB" in table


def test_the_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    fused, lr_hsi, hr_msi, sensors = (names[name] for name in ("fused", "lr_hsi", "hr_msi", "sensors"))
    assert metrics.qnr(fused, lr_hsi, hr_msi, sensors).shape == ()
