"""Quality without a reference of every method on one real pair, fused as `cofusion fuse` does.

    python benchmarks/real_pair.py --lr-hsi A --hr-msi B --ckpt RUN --out methods.json
    python benchmarks/real_pair.py --lr-hsi A --hr-msi B --sensors sensors.json --out methods.json

The sensors, which classical methods are told and which all products are measured with, are those of the file
or those that RUN was trained for.
"""

import argparse
import json
import tempfile
from pathlib import Path

from cofusion.fuse_command import load_weights
from cofusion.inference import classical, fuse_files
from cofusion.inference.consistency import compare, sensors_of
from cofusion.inference.images import open_image
from cofusion.inference.quality import quality
from cofusion.inference.setup import Options
from cofusion.sensors.files import read_sensors


def measure(images, method, name, sensors, folder):
    """Fuse, and return D_lambda, D_s, QNR and the RMSE against both images, which lie in [0, 1]."""
    # Weights know their own sensors; all products are measured with the same.
    options = Options(sensors=sensors if isinstance(method, str) else None)
    result = fuse_files(*images, method, folder / f"{name}.tif", options=options)
    measured = quality(result.path, result.setup, result.layout, sensors)
    del measured["side"]
    hsi, msi = compare(result.path, result.setup, result.layout, sensors)
    return {**measured, "lr_hsi_rmse": hsi.rmse, "lr_hsi_sam": hsi.sam, "hr_msi_rmse": msi.rmse}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("lr-hsi", "hr-msi"):
        parser.add_argument(f"--{name}", type=Path, required=True)
        parser.add_argument(f"--{name}-key")
        parser.add_argument(f"--{name}-nodata", type=float)
    parser.add_argument("--sensors", type=Path)
    parser.add_argument("--ckpt", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    images = [
        open_image(path, key, nodata)
        for path, key, nodata in (
            (given.lr_hsi, given.lr_hsi_key, given.lr_hsi_nodata),
            (given.hr_msi, given.hr_msi_key, given.hr_msi_nodata),
        )
    ]
    methods = {name: name for name in classical.names()}
    sensors = read_sensors(given.sensors) if given.sensors else None
    if given.ckpt is not None:
        net, _ = load_weights(given.ckpt)
        methods["CoFusion"], sensors = net, sensors or sensors_of(net.provenance)
    if sensors is None:
        parser.error("give --sensors, or --ckpt of weights that name theirs")
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, method in methods.items():
            rows[name] = measure(images, method, name, sensors, Path(folder))
            print(name, {key: round(value, 4) for key, value in rows[name].items()}, flush=True)
    rows = dict(sorted(rows.items(), key=lambda row: -row[1]["qnr"]))
    given.out.write_text(json.dumps({"pair": given.lr_hsi.name, "methods": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
