"""What tiles leave at their borders: a scene fused in tiles and whole, by `cofusion.fuse`.

    python benchmarks/seams.py --weights RUN --root DIR [--scene balloons] [--tile 128] [--out FILE]

RUN is a run directory of a training on CAVE, or what `cofusion export` wrote. Printed per kind of pooling and
margin: the largest and the root-mean-square difference from the whole scene's fusion; and the step at the
borders of tiles and of seams: the mean difference between neighbouring rows or columns there that the whole
scene's fusion does not have, in percent of the mean difference between neighbours anywhere in the scene.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cofusion import FusionDataModule, fuse
from cofusion.fuse_command import load_weights
from cofusion.inference.setup import OVERLAP
from cofusion.scenes import CAVE
from cofusion.sensors import CsvResponse
from network import keep_pages, table


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    keep_pages()
    net, sha256 = load_weights(args.weights)
    lr_hsi, hr_msi = scene(args, net.scale)
    rows = []
    for extent in (None, args.extent):
        net.pool_within(extent)
        whole = fuse(lr_hsi, hr_msi, net, tile=max(hr_msi.shape))
        for margin, overlap in ((0, 0), (32, OVERLAP), (64, OVERLAP)):
            tiled = fuse(lr_hsi, hr_msi, net, tile=args.tile, margin=margin, overlap=overlap)
            rows.append(
                {
                    "pooled": "in each tile" if extent is None else f"windows of {extent}",
                    "margin": margin,
                    "seam": overlap,
                    **differences(tiled, whole, args.tile, overlap),
                }
            )
    print(table(rows))
    if args.out:
        record = {"scene": args.scene, "tile": args.tile, "weights": sha256, "rows": rows}
        args.out.write_text(json.dumps(record, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True, help="run directory or exported weights")
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder of the CAVE scenes")
    parser.add_argument("--scene", default="balloons")
    parser.add_argument("--tile", type=int, default=128)
    parser.add_argument("--extent", type=int, default=32, help="side of the training crops")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="also write the numbers as JSON")
    return parser.parse_args()


def scene(args: argparse.Namespace, scale: int) -> tuple[Tensor, Tensor]:
    data = FusionDataModule(
        CAVE,
        split="cave_20_11",
        scale=scale,
        response=CsvResponse("nikon_d700"),
        root=args.root,
        test_scenes=[args.scene],
    )
    data.setup("test")
    (batch,) = data.test_dataloader()
    return batch["lr_hsi"][0], batch["hr_msi"][0]


def differences(tiled: Tensor, whole: Tensor, tile: int, overlap: int) -> dict[str, Any]:
    error = tiled - whole
    steps = []
    for axis in (1, 2):
        borders = [
            start + shift - 1 for start in range(tile, whole.shape[axis], tile) for shift in (0, overlap)
        ]
        here = error.diff(dim=axis).abs().mean((0, 3 - axis))[borders].max()
        steps.append(100 * float(here / whole.diff(dim=axis).abs().mean()))
    return {
        "largest difference": f"{error.abs().max():.1e}",
        "rms difference": f"{error.square().mean().sqrt():.1e}",
        "step at borders (%)": round(max(steps), 2),
    }


if __name__ == "__main__":
    main()
