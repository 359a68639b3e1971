"""How much the network's answer on a tile differs from its answer on the whole image.

    python benchmarks/tiles.py --weights DIR --root DIR [--out FILE]

DIR of `--weights` is what `cofusion export` writes. For the test scenes of CAVE's split that are there, the
scene is fused whole and in tiles whose margins are discarded, with statistics pooled over the whole image
(the paper's reading) and in windows of the training crop's side. Printed per margin: the largest and the
root-mean-square difference from the whole answer with the same pooling, and the PSNR against the reference.
The receptive field is measured by gradients: the share of the gradient of a central pixel's spectrum, by
magnitude, that lies within a distance of that pixel.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cofusion import CoFusion, FusionDataModule
from cofusion.metrics import psnr
from cofusion.scenes import CAVE
from cofusion.sensors import CsvResponse
from network import keep_pages, table

INTERIOR = 128
MARGINS = (0, 16, 32, 64, 96, 128)
SHARES = (0.5, 0.9, 0.99, 0.999, 1.0)


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    keep_pages()
    net = CoFusion.from_pretrained(args.weights)
    scenes = list(test_scenes(args, net.scale))
    record = {"extent": args.extent, "interior": INTERIOR, "tiles": [], "receptive_field": []}
    for extent in (None, args.extent):
        net.pool_within(extent)
        record["tiles"] += differences(net, scenes)
        record["receptive_field"].append(receptive_field(net, scenes[0]))
    print(table(record["tiles"]), "\n")
    print(table(record["receptive_field"]))
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True, help="directory that `cofusion export` wrote")
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder of the CAVE scenes")
    parser.add_argument("--scenes", nargs="+", default=["balloons", "feathers", "hairs"])
    parser.add_argument("--extent", type=int, default=32, help="side of the training crops")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="also write the numbers as JSON")
    return parser.parse_args()


def test_scenes(args: argparse.Namespace, scale: int) -> Any:
    data = FusionDataModule(
        CAVE,
        split="cave_20_11",
        scale=scale,
        response=CsvResponse("nikon_d700"),
        root=args.root,
        test_scenes=args.scenes,
    )
    data.setup("test")
    return data.test_dataloader()


def differences(net: CoFusion, scenes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for the whole image and one per margin; means over the scenes, the largest of all."""
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for scene in scenes:
        whole = fuse(net, scene)
        rows.setdefault("whole image", []).append((0.0, 0.0, psnr(whole, scene["hr_hsi"]).item()))
        for margin in MARGINS:
            tiled = fuse_tiles(net, scene, margin)
            error = tiled - whole
            quality = psnr(tiled, scene["hr_hsi"]).item()
            values = error.abs().max().item(), error.square().mean().sqrt().item(), quality
            rows.setdefault(f"{margin}", []).append(values)
    return [
        {
            "pooled": pooling(net),
            "margin": margin,
            "largest difference": f"{max(v[0] for v in values):.1e}",
            "rms difference": f"{statistics.mean(v[1] for v in values):.1e}",
            "PSNR (dB)": round(statistics.mean(v[2] for v in values), 3),
        }
        for margin, values in rows.items()
    ]


def pooling(net: CoFusion) -> str:
    return "whole image" if net.pool_extent is None else f"windows of {net.pool_extent}"


def fuse(net: CoFusion, scene: dict[str, Any]) -> Tensor:
    with torch.inference_mode():
        return net(scene["lr_hsi"], scene["hr_msi"]).clamp(0, 1)


def fuse_tiles(net: CoFusion, scene: dict[str, Any], margin: int) -> Tensor:
    """Fuse in tiles of `INTERIOR` pixels and a margin around, cut at the border of the scene."""
    rows, cols = scene["hr_hsi"].shape[-2:]
    fused = torch.empty_like(scene["hr_hsi"])
    for top in range(0, rows, INTERIOR):
        for left in range(0, cols, INTERIOR):
            above, before = max(0, top - margin), max(0, left - margin)
            tile = cut(scene, net.scale, above, top + INTERIOR + margin, before, left + INTERIOR + margin)
            inside = (..., slice(top, top + INTERIOR), slice(left, left + INTERIOR))
            part = fuse(net, tile)[..., top - above :, left - before :]
            fused[inside] = part[..., : fused[inside].shape[-2], : fused[inside].shape[-1]]
    return fused


def cut(scene: dict[str, Any], scale: int, top: int, bottom: int, left: int, right: int) -> dict[str, Any]:
    coarse = (..., slice(top // scale, bottom // scale), slice(left // scale, right // scale))
    return {"lr_hsi": scene["lr_hsi"][coarse], "hr_msi": scene["hr_msi"][..., top:bottom, left:right]}


def receptive_field(net: CoFusion, scene: dict[str, Any]) -> dict[str, Any]:
    """Distance (Chebyshev, full-resolution pixels) within which a share of the HRMSI's gradient lies."""
    hr_msi = scene["hr_msi"].clone().requires_grad_()
    rows, cols = hr_msi.shape[-2:]
    centre = rows // 2, cols // 2
    fused = net(scene["lr_hsi"], hr_msi)
    (gradient,) = torch.autograd.grad(fused[0, :, *centre].sum(), hr_msi)
    strength = gradient[0].abs().sum(0)
    distance = torch.maximum(
        (torch.arange(rows) - centre[0]).abs()[:, None], (torch.arange(cols) - centre[1]).abs()
    )
    within = torch.zeros(int(distance.max()) + 1).index_add_(0, distance.flatten(), strength.flatten())
    share = within.cumsum(0) / within.sum()
    found: dict[str, Any] = {"pooled": pooling(net)}
    for wanted in SHARES:
        last = within.nonzero().max() if wanted == 1 else (share < wanted).sum()
        found[f"{wanted:.1%} within"] = int(last)
    return found


if __name__ == "__main__":
    main()
