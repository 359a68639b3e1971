"""Whatever a record or an image holds, a report is made or refused in one line."""

import copy
import io
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from cofusion.errors import UserError
from cofusion.reports.figures import style
from cofusion.reports.records.images import write_scene
from cofusion.reports.report import read_report, write_report
from picture_runs import WAVELENGTHS, cubes, psnr
from run_folders import CAVE, metrics, write_classical, write_run

JUNK = (
    None, True, 3, -1, 2.5, float("nan"), float("inf"), 10**30, 10**400, "x", "", "/etc/a/b/c", "\ud800",
    "a`*|\n$\\x_$", [], [1], ["a"], {}, {"a": {"b": 2}},
)  # fmt: skip
NUMBERS = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1.0, 7e4, 1e-30)


@pytest.fixture(autouse=True)
def _drawn_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn whole, but small and once."""

    def save(figure: Any, path: Path, dpi: int = 150) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            drawn = io.BytesIO()
            figure.savefig(drawn, dpi=20)
            path.write_bytes(drawn.getvalue())

    monkeypatch.setattr(style, "save_figure", save)


def write_runs(folder: Path) -> None:
    """Two methods with images of a scene that they were both tested on, one of them trained."""
    for number, write in enumerate((write_run, write_classical)):
        held = cubes(0.02 * (number + 1))
        scene = metrics(psnr(held), d_lambda=0.1, d_s=0.1, qnr=0.81)
        protocol = CAVE | {"scenes": {"balloons": {"scaling": 1.0, "clipped": 2}}}
        callbacks = [{"class_path": "cofusion.training.EMA", "init_args": {"decay": 0.9}}]
        config = {"trainer.callbacks": callbacks}
        run = write(folder / str(number), {"balloons": scene}, protocol=protocol, config=config)
        write_scene(run / "images" / "0.npz", "balloons", held, WAVELENGTHS, WAVELENGTHS[[0, 2, 5]])
    (folder / "0" / "metrics.csv").write_text("step,val/psnr\n9,20\n19,25\n")
    row = {"method": "CoFusion", "precision": "float32", "size": 64, "bands": "31/3", "turns": 3}
    row |= {"latency_ms": 3.5, "mpixels_per_s": 1.0, "peak_mib": None, "parameters": 10, "multiply_adds": 5}
    (folder / "speed.json").write_text(json.dumps({"machine": "a test", "rows": [row | {"ratio": 1.0}]}))


def report(folder: Path) -> tuple[str, list[dict[str, Any]]]:
    """Write a report; return its page in Markdown, and the scenes of the one for a browser."""
    write_report(read_report(folder / "runs"), folder / "report")
    html = (folder / "report" / "index.html").read_text(encoding="utf-8")
    data = re.search(r'id="data">(.*?)</script>', html, re.DOTALL)
    page = (folder / "report" / "report.md").read_text(encoding="utf-8")
    assert str(folder) not in page
    return page, json.loads(data[1], parse_constant=pytest.fail) if data else []


def places(record: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a nested record: what holds it, and its key there."""
    for key in list(record) if isinstance(record, dict) else range(len(record)):
        yield record, key
        if isinstance(record[key], dict | list):
            yield from places(record[key])


def damage(record: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    for _ in range(chance.choice((1, 1, 2, 4))):
        every = list(places(record))
        holder, key = chance.choice(every or [(record, "new")])
        if chance.random() < 0.2 and every:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(chance.choice(JUNK))
    return record


def damage_record(folder: Path, chance: random.Random) -> None:
    name = chance.choice(("0/results.json", "0/results.json", "0/config.yaml", "speed.json"))
    path = folder / name
    if path.suffix == ".json":
        path.write_text(json.dumps(damage(json.loads(path.read_text()), chance)))
    else:
        path.write_text(yaml.safe_dump(damage(yaml.safe_load(path.read_text()), chance)))


def damage_image(folder: Path, chance: random.Random) -> None:
    """Damage what a file holds, or the file."""
    path = folder / "1" / "images" / "0.npz"
    if chance.random() < 0.4:
        raw = bytearray(path.read_bytes())
        for _ in range(chance.choice((1, 4, 40))):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        path.write_bytes(raw[: chance.choice((len(raw), chance.randrange(len(raw))))])
        return
    with np.load(path) as file:
        held = dict(file)
    for _ in range(chance.choice((1, 2))):
        key = chance.choice(list(held))
        held[key] = damaged(held[key], chance)
    with path.open("wb") as file:
        np.savez(file, **held)


def damaged(array: np.ndarray, chance: random.Random) -> np.ndarray:
    kind = chance.choice(("some", "all", "type", "shape", "rest"))
    if array.dtype.kind == "f" and kind in ("some", "all"):
        mask = np.random.default_rng(chance.randrange(99)).random(array.shape) < (
            0.1 if kind == "some" else 1
        )
        return np.where(mask, chance.choice(NUMBERS), array)
    if kind == "type" and array.dtype.kind == "f":
        return array.astype(chance.choice(("U8", "f8", "c8", "i2", "?")))
    if kind == "shape" and array.ndim:
        return chance.choice((array[:0], array[:1], array[..., :8], array.ravel(), array[None]))
    return np.array(chance.choice(("x", "\ud800", 3, np.nan)))


@pytest.mark.parametrize("part", range(2))
def test_damaged_records_never_end_in_a_traceback(tmp_path: Path, part: int):
    made = 0
    for number in range(part * 12, part * 12 + 12):
        folder = tmp_path / str(number)
        write_runs(folder / "runs")
        damage_record(folder / "runs", random.Random(number))
        try:
            page, scenes = report(folder)
            made += "| GSA" in page and bool(scenes)
        except UserError as error:
            assert "\n" not in str(error)
    assert made >= 10  # the other run of each pair is whole


@pytest.mark.parametrize("part", range(2))
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
def test_damaged_images_never_end_in_a_traceback(tmp_path: Path, part: int):
    for number in range(part * 12, part * 12 + 12):
        folder = tmp_path / str(number)
        write_runs(folder / "runs")
        damage_image(folder / "runs", random.Random(number))
        page, (scene,) = report(folder)
        assert "| GSA" in page and scene["cubes"][1]["name"] == "CoFusion"
