"""One line style per method, the same in every figure and on the page."""

from collections.abc import Iterable, Mapping
from typing import Any

Lines = Mapping[str, Mapping[str, Any]]

# Okabe and Ito's palette without its yellow, which is too light for a line on white. Vermilion is CoFusion's,
# and a dark vermilion that of its seventh row and those after it.
OWN = ("#D55E00", "#7A3600")
COLOURS = ("#0072B2", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#7F7F7F")
#: Dashes in points, the second round of colours and so on; an empty one is a solid line.
DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (4, 1.6),
    (1.2, 1.4),
    (6, 1.5, 1.2, 1.5),
    (9, 3),
    (3, 1.2, 1, 1.2, 1, 1.2),
)
REFERENCE: dict[str, Any] = {"color": "#000000", "linewidth": 3.2, "alpha": 0.3}


def method_lines(methods: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Give every method a line that differs from the others' in colour or in its dashes.

    CoFusion and its variants are vermilion, wider and drawn last. A report asks once for all of its methods,
    so that each has the same line in all figures.

    Args:
        methods: Names in the order of the tables; one that comes again keeps its line.

    Returns:
        Keyword arguments of matplotlib's `plot` by name: `color`, `linewidth`, `zorder` and, where the line
        is dashed, `dashes`.
    """
    names = list(dict.fromkeys(methods))
    own = [name for name in names if name.startswith("CoFusion")]
    others = [name for name in names if name not in own]
    lines = {}
    for place, name in enumerate(own):
        turn, dashes = divmod(place, len(DASHES))
        lines[name] = _line(OWN[turn % len(OWN)], dashes, linewidth=1.8, zorder=3)
    for place, name in enumerate(others):
        turn, colour = divmod(place, len(COLOURS))
        lines[name] = _line(COLOURS[colour], turn % len(DASHES), linewidth=1.1, zorder=2)
    return lines


def _line(colour: str, dashes: int, **options: Any) -> dict[str, Any]:
    return {"color": colour, **options, **({"dashes": DASHES[dashes]} if DASHES[dashes] else {})}
