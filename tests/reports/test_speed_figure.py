"""The picture of a comparison of speeds: the bars are the numbers."""

import matplotlib.pyplot as plt
import pytest

from cofusion.reports.figures.speed_figure import speed_figure
from cofusion.reports.figures.style import save_figure
from cofusion.speed.record import Row


def row(method, precision, size, bands, latency_ms, parameters):
    return Row(method, precision, size, bands, 3, latency_ms, 1.0, None, parameters, 10, 1.0)


ROWS = [
    row(method, precision, size, bands, (index + 1) * size * (0.5 if precision == "bf16" else 1), 10**index)
    for precision in ("float32", "bf16")
    for bands in ("31/3", "103/4")
    for size in (64, 128)
    for index, method in enumerate(("CoFusion", "A", "B"))
]


@pytest.mark.parametrize("precisions", [("float32",), ("float32", "bf16")])
def test_bars_are_the_numbers_on_logarithmic_axes(precisions):
    rows = [each for each in ROWS if each.precision in precisions]
    figure = speed_figure(rows, "a machine")
    assert plt.get_fignums() == []
    lines = [figure.axes[:3], figure.axes[3:]]
    for bands, (counts, *latencies) in zip(("31/3", "103/4"), lines, strict=True):
        assert bands in counts.get_title(loc="left")
        assert [bar.get_width() for bar in counts.patches] == [1e-6, 1e-5, 1e-4]
        for size, panel in zip((64, 128), latencies, strict=True):
            assert panel.get_xscale() == "log"
            assert f"{size} x {size}" in panel.get_xlabel()
            drawn = [bar.get_width() for bar in panel.patches]
            assert drawn == [each.latency_ms for each in rows if each.bands == bands and each.size == size]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["CoFusion", "A", "B"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(precisions)


def test_a_method_that_was_not_measured_everywhere_has_no_bar_there():
    rows = [each for each in ROWS if (each.method, each.size) != ("A", 128)]
    panel = speed_figure(rows).axes[2]
    assert [round(bar.get_y() + bar.get_height() / 2) for bar in panel.patches] == [0, 2, 0, 2]


def test_a_pdf_is_the_same_file_each_time_and_holds_its_fonts(tmp_path):
    for name in ("one.pdf", "other.pdf"):
        save_figure(speed_figure(ROWS[:3]), tmp_path / name)
    written = (tmp_path / "one.pdf").read_bytes()
    assert b"FontFile2" in written
    assert written == (tmp_path / "other.pdf").read_bytes()
