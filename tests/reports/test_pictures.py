import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cofusion.cli import main
from cofusion.reports.figures import style
from cofusion.reports.records.curves import read_curve
from cofusion.reports.records.images import write_scene
from cofusion.reports.records.runs import read_run
from picture_runs import cubes, psnr, write_run

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def report(tmp_path, monkeypatch):
    """Write a report of the runs so far; gives its folder. Figures are drawn only where that is asked for."""

    def save(figure, path, dpi=150):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a figure")

    def make(drawn=False):
        if not drawn:
            monkeypatch.setattr(style, "save_figure", save)
        assert main(["report", str(tmp_path / "runs"), "-o", str(tmp_path / "report"), "--overwrite"]) == 0
        return tmp_path / "report"

    return make


def embedded(folder):
    (text,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>',
        (folder / "index.html").read_text(),
        re.DOTALL,
    )
    return json.loads(text)


def figures(folder):
    return sorted(path.relative_to(folder / "figures").as_posix() for path in folder.rglob("figures/*/*"))


def methods(scene):
    return [cube["name"] for cube in scene["cubes"]]


def test_what_runs_recorded_is_drawn(tmp_path, report):
    write_run(tmp_path / "runs/gsa", "cofusion.models.GSA", 0.05, {"my/forest": 1})
    write_run(tmp_path / "runs/own", "cofusion.CoFusion", 0.02, {"my/forest": 1}, trained=True)
    folder = report(drawn=True)
    stems = ["band_psnr", "scene_my_forest", "scene_my_forest_spectra", "training"]
    assert figures(folder) == [f"synthetic_x4/{stem}.{kind}" for stem in stems for kind in ("pdf", "png")]
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            assert image.width > 600 and np.asarray(image.convert("L")).std() > 5
    shown = re.findall(r"!\[.*\]\((.*)\)", (folder / "report.md").read_text())
    assert len(shown) == 4 and all((folder / path).is_file() for path in shown)


def test_a_name_with_dollars_is_no_formula(tmp_path, report):
    write_run(tmp_path / "runs/gsa", r"mine.$\G$_$", 0.05, {r"$\field$ $^": 1}, trained=True)
    row = {"method": r"$\G$", "precision": "float32", "size": 64, "bands": r"$\b$", "turns": 3}
    row |= {"latency_ms": 3.5, "mpixels_per_s": 1.0, "peak_mib": None, "parameters": 10, "multiply_adds": 5}
    record = {"machine": r"$\m$", "rows": [row | {"ratio": 1.0}]}
    (tmp_path / "runs/speed.json").write_text(json.dumps(record))
    assert len(list(report(drawn=True).rglob("*.png"))) == 5


def test_every_recorded_scene_is_on_the_page(tmp_path, report):
    scenes = {"field": 0, "my/forest": 1}
    write_run(tmp_path / "runs/gsa", "cofusion.models.GSA", 0.05, scenes)
    write_run(tmp_path / "runs/own", "cofusion.CoFusion", 0.02, scenes, trained=True)
    held = embedded(report())
    assert [scene["name"] for scene in held] == ["field", "my/forest"]
    assert all(methods(scene) == ["Reference", "CoFusion", "GSA"] for scene in held)
    assert held[0]["cubes"][1]["scores"]["psnr"] == pytest.approx(psnr(cubes(0.02)))


def test_a_report_without_images_has_none(tmp_path, report):
    shutil.rmtree(write_run(tmp_path / "runs/gsa", "cofusion.models.GSA", 0.05) / "images")
    folder = report()
    assert not (folder / "figures").exists() and "## Pictures" not in (folder / "report.md").read_text()
    page = (folder / "index.html").read_text()
    assert 'id="tables"' in page and 'id="data"' not in page and 'id="pictures"' not in page


def test_speeds_measured_beside_the_runs_are_drawn(tmp_path, report, capsys):
    shutil.rmtree(write_run(tmp_path / "runs/gsa", "cofusion.models.GSA", 0.05) / "images")
    args = ["--methods", "hsrnet", "--bands", "5/3", "--turns", "1", "--sizes", "16"]
    assert main(["benchmark", "speed", *args, "-o", str(tmp_path / "runs/speed")]) == 0
    folder = report(drawn=True)
    assert "(figures/efficiency.png)" in (folder / "report.md").read_text()
    assert "Parameters and latency of a forward pass" in (folder / "index.html").read_text()
    for kind in ("png", "pdf"):
        assert (folder / f"figures/efficiency.{kind}").stat().st_size > 5000
    record = json.loads((tmp_path / "runs/speed/speed.json").read_text())
    for damage in ({"rows": []}, {"rows": [{**record["rows"][0], "precision": "int3"}]}, {"rows": [3]}):
        (tmp_path / "runs/speed/speed.json").write_text(json.dumps(record | damage))
        folder = report()
        told = "no picture of speeds: speed/speed.json is no record of `cofusion benchmark speed`"
        assert not (folder / "figures").exists() and f"note: {told}\n" in capsys.readouterr().err
        assert str(tmp_path) not in (folder / "report.md").read_text()


def test_speeds_of_one_machine_stand_in_one_figure_wherever_they_lie(tmp_path, report):
    shutil.rmtree(write_run(tmp_path / "runs/gsa", "cofusion.models.GSA", 0.05) / "images")
    (tmp_path / "runs/speed").symlink_to(DOCS / "results" / "speed_cpu")
    page = (report() / "report.md").read_text()
    assert page.count("Parameters and latency") == 1 and "(figures/efficiency.png)" in page
    shutil.copytree(DOCS / "results" / "speed_cpu" / "bf16", tmp_path / "runs/again")
    page = (report() / "report.md").read_text()
    assert "(figures/efficiency_1.png)" in page and "(figures/efficiency_2.png)" in page


def test_images_that_cannot_stand_beside_the_others_are_named(tmp_path, report, capsys):
    write_run(tmp_path / "runs/a", "cofusion.models.GSA", 0.05)
    broken = write_run(tmp_path / "runs/b", "cofusion.models.PCA", 0.1) / "images" / "0.npz"
    broken.write_bytes(broken.read_bytes()[:1000])
    write_run(tmp_path / "runs/c", "cofusion.models.FUSE", 0.02, images={"field": cubes(0.02, seed=1)})
    write_run(tmp_path / "runs/d", "cofusion.models.SFIM", 0.03, images={"elsewhere": cubes(0.03)})
    folder = report()
    (scene,) = embedded(folder)
    assert methods(scene) == ["Reference", "GSA"]
    told = capsys.readouterr().err
    page = (folder / "report.md").read_text()
    for words in (
        r"b/images/0\.npz cannot be read as a recorded scene",
        r"FUSE: no picture: c/images/0\.npz is of another field: its reference differs from that of a/image",
        r"d/images/0\.npz is of elsewhere, which d was not tested on",
    ):
        assert re.search(words, page), words
        assert re.search(f"note: .*{words}", told), words
        assert re.search(words, (folder / "index.html").read_text()), words
    assert str(tmp_path) not in page


def test_images_of_another_method_are_not_shown_beside_its_numbers(tmp_path, report, capsys):
    gsa = write_run(tmp_path / "runs/gsa", "cofusion.models.GSA", 0.1) / "images" / "0.npz"
    own = write_run(tmp_path / "runs/own", "cofusion.CoFusion", 0.01, trained=True) / "images" / "0.npz"
    write_run(tmp_path / "runs/pca", "cofusion.models.PCA", 0.05)
    for source, target in ((gsa, tmp_path / "kept"), (own, gsa), (tmp_path / "kept", own)):
        shutil.move(source, target)
    assert methods(embedded(report())[0]) == ["Reference", "PCA"]
    told = capsys.readouterr().err
    assert "CoFusion: no picture: own/images/0.npz is not what was tested: its PSNR is 19.98 dB" in told
    assert "GSA: no picture: gsa/images/0.npz is not what was tested: its PSNR is 40.02 dB" in told


def captions(folder):
    return [
        text for text in re.findall(r"!\[(.*)\]", (folder / "report.md").read_text()) if "every band" in text
    ]


def test_the_psnr_of_bands_is_a_mean_over_the_scenes_of_all_methods(tmp_path, report, capsys):
    scenes = {"field": 0, "forest": 1, "lake": 2}
    gsa = write_run(tmp_path / "runs/gsa", "cofusion.models.GSA", 0.05, scenes)
    write_run(tmp_path / "runs/own", "cofusion.CoFusion", 0.02, scenes, trained=True)
    (gsa / "images" / "1.npz").unlink()
    (caption,) = captions(report())
    assert "mean over 2 scenes (field, lake)" in caption
    for number in ("0", "2"):
        (gsa / "images" / f"{number}.npz").unlink()
    write_run(tmp_path / "runs/pca", "cofusion.models.PCA", 0.05, scenes, {"lake": cubes(0.05, 2)})
    (caption,) = captions(report())
    assert ", of lake; " in caption
    (tmp_path / "runs/own/images/2.npz").unlink()
    assert captions(report()) == []
    assert "no PSNR of the bands: no scene has all of CoFusion, PCA" in capsys.readouterr().err


def test_scenes_of_another_number_of_bands_are_not_averaged(tmp_path, report):
    run = write_run(tmp_path / "runs/gsa", "cofusion.models.GSA", 0.1, {"a": 0, "b": 1})
    fewer = {key: cube if key == "hr_msi" else cube[:5] for key, cube in cubes(0.1, 1).items()}
    write_scene(run / "images" / "1.npz", "b", fewer)
    record = json.loads((run / "results.json").read_text())
    record["scenes"]["b"]["psnr"] = psnr(fewer)
    (run / "results.json").write_text(json.dumps({**record, "mean": {}}))
    folder = report()
    assert [scene["grid"][0] for scene in embedded(folder)] == [6, 5]
    (caption,) = captions(folder)
    assert ", of a; " in caption


def test_a_method_has_the_same_line_in_all_sections(tmp_path, report):
    for part, nets in (("one", ["models.GSA", "models.PCA"]), ("other", ["models.PCA", "CoFusion"])):
        for net in nets:
            run = write_run(tmp_path / f"runs/{part}/{net}", f"cofusion.{net}", 0.05)
            record = json.loads((run / "results.json").read_text())
            record["protocol"]["split"] = part
            (run / "results.json").write_text(json.dumps(record))
    one, other = embedded(report())
    colours = [{cube["name"]: cube["colour"] for cube in scene["cubes"]} for scene in (one, other)]
    assert colours[0]["PCA"] == colours[1]["PCA"] != colours[0]["GSA"]


def test_a_page_of_images_with_unknown_wavelengths_can_be_read(tmp_path, report):
    run = write_run(tmp_path / "runs/gsa", "cofusion.models.GSA", 0.05)
    write_scene(run / "images" / "0.npz", "field", cubes(0.05), [500, 510, np.nan, 530, 540, 550])
    (scene,) = embedded(report())
    assert scene["axis"] == "band" and scene["x"] == [1, 2, 3, 4, 5, 6]


def test_of_several_seeds_the_first_with_images_is_shown(tmp_path, report):
    for seed, error in ((1, 0.02), (2, 0.03), (3, 0.04)):
        run = write_run(tmp_path / f"runs/{seed}", "cofusion.CoFusion", error, trained=True, seed=seed)
        if seed == 1:
            shutil.rmtree(run / "images")
    (scene,) = embedded(report())
    (own,) = [cube for cube in scene["cubes"] if cube["name"] == "CoFusion"]
    assert own["scores"]["psnr"] == pytest.approx(psnr(cubes(0.03)))
    band = "PSNR of every band, of field; of several seeds the first that recorded images"
    assert band in (tmp_path / "report" / "report.md").read_text()


def test_images_of_a_later_test_of_the_same_weights_are_shown(tmp_path, report):
    """A test counts once, yet it may be the only one that recorded its images."""
    own = write_run(tmp_path / "runs/own", "cofusion.CoFusion", 0.02, trained=True)
    shutil.copytree(own, tmp_path / "runs/again")
    shutil.rmtree(own / "images")
    folder = report()
    assert "counted once" in (folder / "report.md").read_text()
    assert methods(embedded(folder)[0]) == ["Reference", "CoFusion"]


def test_a_curve_is_that_of_the_log(tmp_path):
    run = read_run(write_run(tmp_path / "own", "cofusion.CoFusion", 0.02, trained=True), "own")
    curve = read_curve("CoFusion", run)
    assert curve.steps.tolist() == [10, 20, 30] and curve.psnr.tolist() == [20.5, 25, 26]
    assert curve.even and curve.seconds.tolist() == [200, 400, 600]
    log = tmp_path / "own" / "metrics.csv"
    with log.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["step", "val/psnr", "fit_time_s"], [9, 20.5, 7], [9, "", ""], [19, 25, 15.5]])
    curve = read_curve("CoFusion", run)
    assert not curve.even and curve.seconds.tolist() == [7, 15.5] and curve.steps.tolist() == [10, 20]


@pytest.mark.parametrize(
    "damage", ["", "step\n1\n", "step,val/psnr\nx,1\n", "step,val/psnr\n1,many\n", "\0\0", None]
)
def test_a_log_that_cannot_be_read_is_no_curve(tmp_path, damage):
    run = read_run(write_run(tmp_path / "own", "cofusion.CoFusion", 0.02, trained=True), "own")
    log = tmp_path / "own" / "metrics.csv"
    log.unlink() if damage is None else log.write_text(damage)
    assert read_curve("CoFusion", run) is None


def test_nothing_is_learned_by_a_method_without_weights(tmp_path):
    run = read_run(write_run(tmp_path / "gsa", "cofusion.models.GSA", 0.02), "gsa")
    assert read_curve("GSA", run) is None


def test_given_pixels_are_drawn_and_have_to_lie_in_a_recorded_scene(tmp_path, report, capsys):
    write_run(tmp_path / "runs/gsa", "cofusion.models.GSA", 0.05, {"a:field": 0, "forest": 1})

    def told(*pixels):
        flags = [word for pixel in pixels for word in ("--pixel", pixel)]
        args = ["report", str(tmp_path / "runs"), "-o", str(tmp_path / "report"), "--overwrite"]
        status = main([*args, *flags])
        return status, capsys.readouterr().err.strip()

    report()
    assert told("a:field:5,6", "a:field:47,63", "forest:0,1") == (0, "")
    field, forest = embedded(tmp_path / "report")
    assert (field["pixels"], forest["pixels"]) == ([[5, 6], [47, 63]], [[0, 1]])
    for pixels, words in (
        (["forest:48,0"], "pixel 48,0 lies outside of forest, which has 48 x 64 pixels"),
        (["woods:1,1"], "no run has recorded images of the scene 'woods'; recorded are: a:field, forest"),
    ):
        assert told(*pixels) == (1, f"cofusion: error: {words}")
    assert told("forest:1")[0] == told("forest:-1,2")[0] == told(*["forest:1,1"] * 4)[0] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "runs"]
