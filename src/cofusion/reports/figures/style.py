"""What all figures share: their fonts and tone, and how they are written."""

from pathlib import Path
from typing import TYPE_CHECKING

from cofusion.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAMMA = 0.7  # reflectance is linear, and a screen shows it too dark
STYLE = {
    "font.family": "DejaVu Sans",  # ships with matplotlib
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a name with dollars in it is no formula
}


def save_for_print(figure: "Figure", path: Path, dpi: int = 150) -> None:
    """Write a figure as PNG and, beside it, as PDF, each as `save_figure` does.

    Args:
        figure: The figure.
        path: Of the PNG.
        dpi: Pixels per inch of the PNG, and of what a PDF holds as pixels.

    Raises:
        OSError: The folder cannot be written.
    """
    for suffix in (".png", ".pdf"):
        save_figure(figure, path.with_suffix(suffix), dpi)


def save_figure(figure: "Figure", path: str | Path, dpi: int = 150) -> None:
    """Write a figure as PNG or PDF, whole or not at all.

    Args:
        figure: As `fusion_figure` returns it.
        path: Where to; missing folders are made. A PDF embeds its fonts as TrueType.
        dpi: Pixels per inch; at 150 a figure of five columns is about 1750 pixels wide.

    Raises:
        OSError: The folder cannot be written.
    """
    from matplotlib import rc_context

    path = Path(path)
    # Without these entries the same picture is the same file whenever and by whichever matplotlib it is made.
    unknown = ("Creator", "Producer", "CreationDate") if path.suffix == ".pdf" else ("Software",)
    with whole_file(path) as part, rc_context({"pdf.fonttype": 42}):
        figure.savefig(part, dpi=dpi, metadata=dict.fromkeys(unknown))
