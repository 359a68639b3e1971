import io
import math

import pytest
from rich.console import Console

from cofusion.reports import metric_table

RESULTS = {
    "cofusion": {"psnr": 37.512, "ssim": 0.98765, "sam": 1.234, "ergas": 0.9},
    "bicubic": {"psnr": 31.2, "ssim": 0.9, "sam": 1.111, "ergas": 1.8},
}


def cells(results):
    """Heads, then rows; what is bold in asterisks."""
    columns = metric_table(results).columns
    rows = zip(*(column.cells for column in columns), strict=True)
    marks = str.maketrans("", "", "/")
    plain = [[cell.translate(marks).replace("[bold]", "**") for cell in row] for row in rows]
    return [[column.header for column in columns], *plain]


def rendered(results, width=120):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard")
    console.print(metric_table(results, "mean over 5 scenes"))
    return console.file.getvalue()


def test_metrics_are_named_with_unit_and_direction():
    header, *rows = cells(RESULTS)
    assert header == ["Method", "PSNR (dB) ↑", "SSIM ↑", "SAM (°) ↓", "ERGAS ↓"]
    assert [row[0] for row in rows] == ["cofusion", "bicubic"]


def test_best_is_bold_in_the_metrics_own_direction():
    assert cells(RESULTS)[1:] == [
        ["cofusion", "**37.51**", "**0.9877**", "1.23", "**0.900**"],
        ["bicubic", "31.20", "0.9000", "**1.11**", "1.800"],
    ]


def test_values_that_print_alike_are_both_best():
    rows = cells({"a": {"psnr": 30.001}, "b": {"psnr": 30.004}, "c": {"psnr": 29.0}})[1:]
    assert [row[1] for row in rows] == ["**30.00**", "**30.00**", "29.00"]


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_is_not_a_number_is_a_dash_and_never_best(value):
    rows = cells({"a": {"psnr": value}, "b": {"psnr": 20.0}, "c": {}})[1:]
    assert [row[1] for row in rows] == ["-", "**20.00**", "-"]


def test_a_lone_method_is_not_called_best():
    assert cells({"a": {"psnr": 30.0}})[1] == ["a", "30.00"]


def test_unknown_metric_keeps_its_name_and_has_no_best():
    header, first, second = cells({"a": {"seconds": 1.0}, "b": {"seconds": 2.0}})
    assert header[1] == "seconds" and first[1] == "1.00" and second[1] == "2.00"


def test_terminal_table_shows_the_same_values():
    text = rendered(RESULTS)
    for word in ("mean over 5 scenes", "Method", "PSNR (dB) ↑", "37.51", "0.9877", "31.20", "1.11"):
        assert word in text
    assert "\x1b[1m37.51" in text and "\x1b[1m31.20" not in text


def test_terminal_table_keeps_method_names_whole_on_80_columns():
    results = {
        "bicubic_aligned": dict.fromkeys(["psnr", "psnr_max", "ssim", "sam", "ergas", "ergas_100_4"], 1.0)
    }
    assert "bicubic_aligned" in rendered(results, width=80)


def test_no_results_make_an_empty_table():
    assert cells({}) == [["Method"]]
    assert "Method" in rendered({})
