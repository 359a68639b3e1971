"""Which way to match multispectral with hyperspectral bands does best, for every pansharpening method.

    python benchmarks/matching.py --out docs/results/matching.json --page docs/methods/pansharpening.md \
        --root CAVE_DIR --pavia PAVIA_CROP.mat

Scenes are those of `classical.py`, at x4 with the preset `wald`; PSNR in dB with peak 1, clipped to [0, 1].
With `--page`, the table of that page is replaced by what was found.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any, get_args

from classical import scenes
from classical_tables import LABELS, SCENES, markdown
from cofusion.files import whole_file
from cofusion.inference.classical import BICUBIC, make, names
from cofusion.metrics import psnr
from cofusion.models.classical.matching import Match
from cofusion.models.classical.pansharpening import Pansharpening
from cofusion.sensors import Sensors

Row = dict[str, Any]
MARK = "<!-- docs/results/matching.json -->\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--root", type=Path, help="folder of the CAVE scenes")
    parser.add_argument("--pavia", type=Path, help="a MATLAB file with a crop of Pavia Centre")
    parser.add_argument("--page", type=Path, help="document whose table is replaced")
    args = parser.parse_args()
    rows = [row for scene in scenes(args) for row in measured(*scene)]
    with whole_file(args.out) as part:
        # A line per row.
        part.write_text(json.dumps(rows).replace("}, ", "},\n") + "\n")
    if args.page:
        page = args.page.read_text(encoding="utf-8")
        args.page.write_text(into_page(page, table(rows)), encoding="utf-8")


def pansharpening() -> list[str]:
    """Return the names of the configs whose method matches bands."""
    return [name for name in names() if name != BICUBIC and isinstance(make(name), Pansharpening)]


def measured(scene: str, cube: Any, response: Any) -> list[Row]:
    sensors = Sensors.preset("wald", 4, response)
    reference = sensors.crop(cube)[None]
    pair = sensors.degrade(reference)
    rows = []
    for name in pansharpening():
        row: Row = {"scene": scene, "method": name}
        for match in get_args(Match):
            method = make(name)
            method.match = match
            fused = method(*pair, sensors).clamp(0, 1)
            row[match] = round(float(psnr(fused, reference)), 3)
        rows.append(row)
        print(row, flush=True)
    return rows


def table(rows: list[Row]) -> str:
    """Return the PSNR of each method on each scene by selection, least squares and non-negative ones."""
    kept = [scene for scene in SCENES if any(row["scene"] == scene for row in rows)]
    cells = {(row["method"], row["scene"]): row for row in rows}
    methods = [name for name in LABELS if any(row["method"] == name for row in rows)]
    lines = [
        [
            LABELS[name],
            make(name).best_match,
            *(", ".join(f"{cells[name, scene][match]:.2f}" for match in get_args(Match)) for scene in kept),
        ]
        for name in methods
    ]
    return markdown(["method", "default", *(SCENES[scene] for scene in kept)], lines)


def into_page(page: str, found: str) -> str:
    """Return a page with the table behind the mark replaced."""
    return re.sub(rf"(?<={re.escape(MARK)})(\|.*\n)+", found + "\n", page)


if __name__ == "__main__":
    main()
