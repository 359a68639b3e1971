import re
import zlib
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Affine2D
from PIL import Image

from cofusion.reports.figures.comparison import compare
from cofusion.reports.figures.comparison_figure import comparison_figure
from cofusion.reports.figures.curves_figure import band_figure, training_figure
from cofusion.reports.figures.method_lines import OWN, method_lines
from cofusion.reports.figures.print_size import HEIGHT, WIDTH
from cofusion.reports.figures.spectra_figure import spectra_figure
from cofusion.reports.figures.style import save_figure
from cofusion.reports.records.curves import Curve
from cofusion.reports.records.images import read_scene, write_scene
from picture_runs import BANDS, WAVELENGTHS, cubes, psnr


@pytest.fixture
def make(tmp_path):
    """Compare as many methods as wanted."""

    def compared(count=3, with_reference=True, names=None, columns=None):
        names = names or [f"Method {number}" for number in range(count - 1)] + ["CoFusion"]
        recorded, scores = {}, {}
        for number, name in enumerate(names, start=1):
            held = {key: cube[..., :columns] for key, cube in cubes(0.1 / number).items()}
            if columns:
                held["lr_hsi"] = held["lr_hsi"][..., : columns // 4]
            scores[name] = {"psnr": psnr(held), "sam": 2.5}
            held = held if with_reference else {key: held[key] for key in held if key != "reference"}
            write_scene(tmp_path / f"{number}.npz", "field", held, WAVELENGTHS)
            recorded[name] = read_scene(tmp_path / f"{number}.npz")
        return compare(recorded, scores)

    return compared


def lines_of(compared):
    return method_lines(view.name for view in compared.views)


def texts(figure):
    """All texts of a figure as they are drawn: what they say, how large, and where, in inches.

    Numbers at axes are left out: matplotlib keeps some that it does not draw.
    """
    figure.draw_without_rendering()
    every = [text for text in figure.findobj(Text) if re.search("[A-Za-z]", text.get_text())]
    return [
        (text.get_text(), text.get_fontsize(), text.get_window_extent().transformed(Affine2D().scale(0.01)))
        for text in every
    ]


def maps(figure):
    """All error maps, the enlarged details among them."""
    every = [part for axes in figure.axes for part in (axes, *axes.child_axes)]
    return [image for axes in every for image in axes.images if image.get_cmap().name == "magma"]


def test_maps_share_one_scale_and_pictures_stand_over_them(make):
    compared = make()
    figure = comparison_figure(compared, "synthetic x4, field")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["LRHSI", "Reference", "Method 0", "Method 1", "CoFusion"]
    limits = {image.get_clim() for image in maps(figure)}
    assert limits == {(0.0, compared.top)}
    full = [image for image in maps(figure) if image.get_array().shape == (48, 64)]
    for image, view in zip(full, compared.views, strict=True):
        np.testing.assert_array_equal(image.get_array(), view.angles)
    shown = {axes.get_title(): axes.images[0].get_array() for axes in figure.axes if axes.get_title()}
    for view in compared.views:
        np.testing.assert_array_equal(shown[view.name], view.picture)
    texts = [axes.get_xlabel() for axes in figure.axes]
    assert texts.count("SAM 2.50°") == 3
    assert f"PSNR {compared.views[1].scores['psnr']:.2f} dB" in texts


def test_every_picture_has_the_same_detail(make):
    compared = make()
    top, left, side = compared.detail
    figure = comparison_figure(compared)
    frames = [patch for axes in figure.axes for patch in axes.patches if isinstance(patch, Rectangle)]
    boxes = [frame.get_bbox().bounds for frame in frames]
    assert len(boxes) == 9 and set(boxes) == {(left - 0.5, top - 0.5, side, side)}
    *_, note = [text.get_text() for text in figure.texts]
    assert note == f"Enlarged: rows {top} to {top + side - 1},\ncolumns {left} to {left + side - 1}"
    details = [axes.child_axes[0].images[0].get_array() for axes in figure.axes if axes.get_title()]
    rows, cols = slice(top, top + side), slice(left, left + side)
    np.testing.assert_array_equal(details[2], compared.views[0].picture[rows, cols])
    np.testing.assert_array_equal(details[1], compared.measured.picture[rows, cols])


@pytest.mark.parametrize("count", [1, 9, 16])
@pytest.mark.parametrize("with_reference", [True, False])
def test_any_number_of_methods_fits_without_overlap(make, count, with_reference, tmp_path):
    figure = comparison_figure(make(count, with_reference), "title")
    save_figure(figure, tmp_path / "figure.png", dpi=30)
    places = [axes.get_position() for axes in figure.axes]
    assert all(box.x0 >= 0 and box.x1 <= 1 and box.y0 >= 0 and box.y1 <= 1 for box in places)
    for place, one in enumerate(places):
        for other in places[:place]:
            apart = one.x0 >= other.x1 or other.x0 >= one.x1 or one.y0 >= other.y1 or other.y0 >= one.y1
            assert apart
    assert len(maps(figure)) == (2 * count if with_reference else 0)


def test_spectra_and_differences_are_those_of_the_pixels(make):
    compared = make()
    figure = spectra_figure(compared, lines_of(compared))
    above = [axes for axes in figure.axes if "row" in axes.get_title()]
    below = [axes for axes in figure.axes[1:] if axes not in above]
    assert len(above) == len(below) == len(compared.pixels)
    for place, (upper, lower) in enumerate(zip(above, below, strict=True)):
        row, col = compared.pixels[place]
        assert upper.get_title().endswith(f"row {row}, col {col}")
        lines = {line.get_label(): line.get_ydata() for line in upper.lines}
        np.testing.assert_array_equal(lines["Reference"], compared.measured.spectra[place])
        for view, difference in zip(compared.views, lower.lines[1:], strict=True):
            np.testing.assert_array_equal(lines[view.name], view.spectra[place])
            off = view.spectra[place] - compared.measured.spectra[place]
            np.testing.assert_array_equal(difference.get_ydata(), off)
    compared = make(2, with_reference=False)
    assert len(spectra_figure(compared, lines_of(compared)).axes) == 1 + len(compared.pixels)


LONG = "CoFusion (batch_size 16, lr 0.0005, max_epochs 120, patch 64, spacam_depths [1, 1, 4])"


def overlapping(boxes):
    return [
        (one, other)
        for place, (one, a) in enumerate(boxes)
        for other, b in boxes[:place]
        if a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1
    ]


@pytest.mark.parametrize("columns", [64, 8])
def test_a_sheet_of_sixteen_methods_fits_a_printed_page_and_stays_readable(make, columns):
    names = [*(f"Method {number}" for number in range(14)), LONG, f"{LONG} without SpaCAM"]
    figure = comparison_figure(make(names=names, columns=columns), "title")
    width, height = figure.get_size_inches()
    assert width <= WIDTH + 1e-6 and (height <= HEIGHT or columns == 8)
    drawn = texts(figure)
    assert min(size for _, size, _ in drawn) >= 7
    assert all(box.x0 >= -1e-6 and box.x1 <= width + 1e-6 for _, _, box in drawn), drawn
    assert overlapping([(text, box) for text, _, box in drawn]) == []


def test_a_legend_never_leaves_its_figure_and_loses_no_method(make):
    names = [*(f"Method {number}" for number in range(14)), LONG, f"{LONG} without SpaCAM"]
    compared = make(names=names)
    lines = lines_of(compared)
    curves = [Curve(name, np.arange(3), np.arange(3.0), np.arange(3.0), even="CoF" in name) for name in names]
    figures = (
        spectra_figure(compared, lines, "title"),
        band_figure({name: np.arange(6.0) for name in names}, lines),
        training_figure(curves, lines),
        training_figure([Curve(name, *[np.arange(3)] * 3, even=True) for name in names], lines),
        training_figure([*curves[:9], *(replace(curve, even=True) for curve in curves[9:])], lines),
    )
    for figure in figures:
        width, height = figure.get_size_inches()
        assert width <= WIDTH
        (legend,) = figure.legends
        labels = [" ".join(text.get_text().split()) for text in legend.get_texts()]
        assert [label for label in labels if label != "Reference"] == names
        for text, size, box in texts(figure):
            assert size >= 7, text
            assert box.x0 >= -0.01 and box.x1 <= width + 0.01 and box.y0 >= -0.01, text
            assert box.y1 <= height + 0.01, text


def test_every_method_has_a_line_of_its_own():
    names = ["CoFusion", *(f"M{number}" for number in range(30))]
    names += [f"CoFusion (dim {number})" for number in range(9)]
    lines = method_lines(names)
    assert len({(line["color"], line.get("dashes")) for line in lines.values()}) == len(names)
    own = {name: line for name, line in lines.items() if name.startswith("CoFusion")}
    assert {line["color"] for line in own.values()} == set(OWN)
    assert all(line["color"] not in OWN for name, line in lines.items() if name not in own)


def test_bands_are_drawn_over_wavelengths_with_gaps():
    nm = np.array([400, 410, 420, 430, 600, 610])
    lines = method_lines(["A", "CoFusion"])
    figure = band_figure({"A": np.arange(6.0), "CoFusion": np.arange(6.0) + 1}, lines, nm)
    (axes,) = figure.axes
    assert axes.get_xlabel() == "wavelength (nm)" and axes.get_ylabel() == "PSNR (dB)"
    for line, first in zip(axes.lines, (0, 1), strict=True):
        assert np.flatnonzero(np.isnan(line.get_xdata())).tolist() == [4]
        np.testing.assert_array_equal(line.get_ydata()[[0, 5, 6]], [first, first + 4, first + 5])
    assert band_figure({"A": np.arange(BANDS)}, lines).axes[0].get_xlabel() == "band"


def test_training_is_drawn_over_steps_and_time():
    steps, psnr = np.array([10, 20, 30]), np.array([5.0, 33.0, 35.0])
    timed = Curve("CoFusion", steps, psnr, np.array([60.0, 130.0, 200.0]))
    even = Curve("B", steps, psnr - 1, np.array([100.0, 200.0, 300.0]), even=True)
    untimed = Curve("C", steps, psnr - 2)
    lines = method_lines(["CoFusion", "B", "C"])
    over_steps, over_time = training_figure([timed, timed, even, untimed], lines).axes
    assert len(over_steps.lines) == 4 and len(over_time.lines) == 3
    np.testing.assert_allclose(over_time.lines[0].get_xdata(), [1, 130 / 60, 200 / 60])
    assert over_time.get_xlabel() == "time of training (minutes)\nan even pace assumed: B"
    assert over_steps.get_ylim()[0] == 20  # 15 dB below the best
    assert len(training_figure([untimed], lines).axes) == 1
    only = training_figure([even], lines).axes[1].get_xlabel()
    assert only == "time of training (minutes)\nan even pace assumed"


def test_pdf_embeds_its_fonts_as_truetype_and_is_the_same_every_time(make, tmp_path):
    compared = make(2)
    for name in ("one.pdf", "two.pdf", "one.png"):
        save_figure(comparison_figure(compared, "title"), tmp_path / name, dpi=100)
    raw = (tmp_path / "one.pdf").read_bytes()
    assert raw == (tmp_path / "two.pdf").read_bytes()
    streams = re.findall(rb"stream\r?\n(.*?)endstream", raw, re.DOTALL)
    text = raw + b"".join(_inflated(stream) for stream in streams)
    # Embedded as TrueType (FontFile2), not as the Type 3 glyphs that journals refuse.
    assert b"/FontFile2" in text and b"/Subtype /Type3" not in text and b"DejaVuSans" in text
    with Image.open(tmp_path / "one.png") as image:
        assert np.asarray(image.convert("L")).std() > 20


def _inflated(stream):
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""
