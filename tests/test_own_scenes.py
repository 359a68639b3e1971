"""A user's own files, from the command line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml

from cofusion.cli import main
from command import SMALL
from scene_files import values, write_split

BANDS = 5
NM = np.linspace(450, 850, BANDS)


def write_geotiff(path: Path, cube: np.ndarray) -> list[str]:
    profile = {"count": BANDS, "height": cube.shape[1], "width": cube.shape[2], "dtype": "uint16"}
    place = rasterio.Affine(30, 0, 500000, 0, -30, 4000000)
    with rasterio.open(path.with_suffix(".tif"), "w", crs="EPSG:32633", transform=place, **profile) as data:
        data.write(cube)
        data.descriptions = [f"{nm:g} nm" for nm in NM]
    return [f"{path.stem}.tif"]


def write_envi(path: Path, cube: np.ndarray) -> list[str]:
    cube.tofile(path.with_suffix(".img"))
    centres = ", ".join(f"{nm / 1000:g}" for nm in NM)
    path.with_suffix(".hdr").write_text(
        f"ENVI\nsamples = {cube.shape[2]}\nlines = {cube.shape[1]}\nbands = {BANDS}\ndata type = 12\n"
        f"interleave = bsq\nbyte order = 0\nwavelength units = Micrometers\nwavelength = {{{centres}}}\n"
    )
    return [f"{path.stem}.hdr"]


def write_npy(path: Path, cube: np.ndarray) -> list[str]:
    np.save(path.with_suffix(".npy"), cube)
    return [f"{path.stem}.npy"]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with a split of the scenes `field` and `town`."""
    monkeypatch.chdir(tmp_path)
    write_split(
        tmp_path / "split.yaml",
        "files",
        train=[{"scene": "field"}],
        validation=[{"scene": "field", "rows": [0, 16], "cols": [0, 16]}],
        test=[{"scene": "town"}],
    )
    return tmp_path


def fit(scenes: dict, *args: str) -> int:
    """Train one epoch of two steps, with the scenes in a config of their own."""
    response = {"centres": [500, 650, 800], "widths": [80, 80, 80]}
    data = {
        "scenes": {"class_path": "cofusion.scenes.Files", "init_args": scenes},
        "split": "split.yaml",
        "scale": 4,
        "response": {"class_path": "cofusion.sensors.GaussianResponse", "init_args": response},
    }
    config = {"config": ["base/trainer.yaml", "base/model.yaml"], "data": data}
    Path("own.yaml").write_text(yaml.safe_dump(config))
    return main(
        [
            "fit",
            "--config",
            "own.yaml",
            *SMALL,
            "--data.root",
            ".",
            "--run_dir",
            "run",
            "--trainer.max_epochs=1",
            *args,
        ]
    )


@pytest.mark.parametrize(
    ("write", "options"),
    [(write_geotiff, {}), (write_envi, {}), (write_npy, {"wavelengths": [450, 850], "band_axis": 0})],
)
@pytest.mark.parametrize("scaling", [1000, "p99.9"])
def test_fit_on_own_files(root, write, options, scaling):
    files = []
    for seed, name in enumerate(("field", "town")):
        files += write(root / name, values(BANDS, 48, 40, 1000, seed).astype(np.uint16))
    assert fit({"files": files, "scaling": scaling, **options}) == 0
    results = json.loads(Path("run/results.json").read_text())
    assert list(results["scenes"]) == ["town"]
    assert results["protocol"]["dataset"] == "files"
    assert results["protocol"]["scaling"] == scaling
    assert results["mean"]["psnr"] > 0
    # The picture says what this scene was divided by.
    assert main(["data", "show", "--config", "own.yaml", "--data.root", ".", "-o", "town.png"]) == 0
    assert Path("town.png").is_file()


def test_the_example_of_the_documents_trains(root):
    for seed, name in enumerate(("field", "town")):
        write_geotiff(root / name, values(BANDS, 48, 40, 9000, seed).astype(np.uint16))
    text = (Path(__file__).parents[1] / "data" / "README.md").read_text(encoding="utf-8")
    Path("my_scenes.yaml").write_text(re.search(r"```yaml\n(# my_scenes.yaml.*?)```", text, re.DOTALL)[1])
    Path("split.yaml").rename("my_split.yaml")
    args = ["--config", "my_scenes.yaml", "--data.root", ".", *SMALL, "--run_dir", "run"]
    assert main(["fit", *args, "--trainer.max_epochs=1"]) == 0
    assert json.loads(Path("run/results.json").read_text())["mean"]["psnr"] > 0


def test_a_file_without_wavelengths_is_refused_in_one_line(root, capsys):
    for name in ("field", "town"):
        write_npy(root / name, values(BANDS, 48, 40, 1000).astype(np.uint16))
    assert fit({"files": ["*.npy"], "scaling": 1000}) != 0
    error = capsys.readouterr().err
    assert "field.npy states no wavelengths; give the 5 band centres" in error
    assert "Traceback" not in error
