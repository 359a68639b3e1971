"""What docs/sensors.md claims and a computer can check."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sensors.md").read_text(encoding="utf-8")


def table(result: str) -> list[list[str]]:
    """Return the cells of the table below the mark of a result's file."""
    text = PAGE.partition(f"<!-- docs/results/{result}.json -->\n")[2].strip()
    _, _, *rows = text.partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def results(name: str) -> list[dict]:
    return json.loads((ROOT / f"docs/results/{name}.json").read_text())["rows"]


def test_the_table_of_accuracy_holds_the_recorded_numbers():
    assert table("sensors_estimate") == [
        [
            row["scene"],
            f"`{row['preset']}`",
            str(row["scale"]),
            "none" if row["snr_db"] is None else f"{row['snr_db']:g} dB",
            str(row["pixels"]),
            f"{100 * row['response_error']:.2f}",
            f"{100 * row['sigma_error']:.2f}",
            f"{row['phase_error']:.3f}",
        ]
        for row in results("sensors_estimate")
    ]


def test_noiseless_rows_are_as_close_as_the_page_says():
    for row in results("sensors_estimate"):
        few = (row["scene"], row["scale"]) == ("pavia_centre_crop", 8)
        if row["snr_db"] is None:
            assert row["sigma_error"] < 0.002 and row["phase_error"] < 0.001
            assert row["response_error"] < (0.03 if few else 0.01)


def test_the_table_of_real_pairs_holds_the_recorded_numbers():
    def percent(values):
        return ", ".join(f"{100 * value:.1f}" for value in values)

    assert [row[1:] for row in table("sensors_pairs")] == [
        [str(row["scale"]), str(row["pixels"]), percent(row["residual"]), percent(row["unexplained"])]
        for row in results("sensors_pairs")
    ]


def test_pictures_exist():
    pictures = re.findall(r"\]\((images/[^)]+)\)", PAGE)
    assert len(pictures) == 3
    assert all((ROOT / "docs" / picture).is_file() for picture in pictures)
