"""What is kept of runs, and how a page is filled with what reports say of it."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import pytest

from cofusion.reports.report import files, read_report
from run_folders import write_run

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
results_page = importlib.import_module("results_page")


def kept(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_kept_test_is_reported_alike_once_its_runs_are_gone(tmp_path):
    fit = write_run(tmp_path / "runs/deep/fit_0", seed=7, scenes={})
    checkpoint = str((fit / "checkpoints/best.ckpt").resolve())
    write_run(tmp_path / "runs/test_0", checkpoint=checkpoint, seed=8)
    write_run(tmp_path / "disk/own", 41.0, arguments={"dim": 8})
    (tmp_path / "runs/own").symlink_to(tmp_path / "disk/own")
    before = files(read_report(tmp_path / "runs"))
    results_page.keep(tmp_path / "runs", tmp_path / "kept")
    shutil.rmtree(tmp_path / "runs")
    shutil.rmtree(tmp_path / "disk")
    assert files(read_report(tmp_path / "kept")) == before
    record = json.loads((tmp_path / "kept/test_0/results.json").read_text())
    assert record["checkpoint"] == "../deep/fit_0/checkpoints/best.ckpt"
    assert "recipe not known" not in before["protocol.md"] and "seed 7" in before["protocol.md"]


def test_a_test_whose_training_would_be_lost_is_not_kept(tmp_path):
    fit = write_run(tmp_path / "elsewhere/fit_0")
    checkpoint = str((fit / "checkpoints/best.ckpt").resolve())
    write_run(tmp_path / "runs/test_0", checkpoint=checkpoint)
    with pytest.raises(SystemExit, match=r"test_0 tests weights of .*fit_0, which is not below"):
        results_page.keep(tmp_path / "runs", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    shutil.rmtree(fit)
    before = files(read_report(tmp_path / "runs"))
    results_page.keep(tmp_path / "runs", tmp_path / "kept")
    assert files(read_report(tmp_path / "kept")) == before
    assert str(tmp_path) not in (tmp_path / "kept/test_0/results.json").read_text()


def test_nothing_kept_names_a_folder_of_the_machine(tmp_path):
    config = {
        "data.scenes.init_args.root": "/mine/cave",
        "data.lr_hsi": "/mine/some data/a.tif",
        "data.split": "~/splits/cave_20_11.yaml",
        "trainer.callbacks": [{"class_path": "a.B", "init_args": {"paths": ["/mine/x.csv", "b/c.csv"]}}],
    }
    write_run(tmp_path / "runs/a", config=config)
    results_page.keep(tmp_path / "runs", tmp_path / "kept")
    text = (tmp_path / "kept/a/config.yaml").read_text()
    assert "mine" not in text and "~" not in text and text.count("root: DIR") == 2
    for line in ("lr_hsi: a.tif", "split: cave_20_11.yaml", "- x.csv", "- b/c.csv"):
        assert line in text
    assert files(read_report(tmp_path / "kept")).keys() == files(read_report(tmp_path / "runs")).keys()


def test_records_of_runs_that_are_gone_go_too(tmp_path, capsys):
    for name in ("a", "deep/b"):
        (write_run(tmp_path / "time/runs" / name) / "metrics.csv").write_text("step\n")
    (tmp_path / "time/plan.json").write_text("{}")
    results_page.keep(tmp_path / "time/runs", tmp_path / "kept")
    (tmp_path / "kept/notes.txt").write_text("mine")
    shutil.rmtree(tmp_path / "time/runs/deep")
    (tmp_path / "time/runs/a/metrics.csv").unlink()
    (tmp_path / "time/plan.json").unlink()
    results_page.keep(tmp_path / "time/runs", tmp_path / "kept")
    assert kept(tmp_path / "kept") == ["a/config.yaml", "a/results.json", "notes.txt"]
    assert capsys.readouterr().out == f"removed {tmp_path}/kept/deep/b: its run is gone\n"
    assert not (tmp_path / "kept/deep").exists()


def test_records_of_other_runs_are_never_replaced(tmp_path):
    write_run(tmp_path / "runs/a")
    write_run(tmp_path / "kept/other/b")
    before = kept(tmp_path / "kept")
    with pytest.raises(SystemExit, match=r"holds records of other runs, as other/b"):
        results_page.keep(tmp_path / "runs", tmp_path / "kept")
    assert kept(tmp_path / "kept") == before
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match=r"no config\.yaml with results\.json below"):
        results_page.keep(tmp_path / "empty", tmp_path / "new")


def test_a_page_is_filled_with_the_files_of_reports(tmp_path, monkeypatch):
    write_run(tmp_path / "a", 40.0)
    monkeypatch.setattr(results_page, "ROOT", tmp_path)
    block = "<!-- cofusion report a: table1.md -->\n{}<!-- end -->\n"
    page = results_page.filled(f"one\n{block.format('old')}two\n")
    assert "| CoFusion | 1 | **40.00** |" in page and "old" not in page
    assert page.startswith("one\n") and page.endswith("<!-- end -->\ntwo\n")
    assert results_page.filled(page) == page
    with pytest.raises(
        SystemExit, match=r"the report on a has no table3\.md; it has protocol\.md, report\.md, "
    ):
        results_page.filled("<!-- cofusion report a: table3.md -->\n<!-- end -->\n")
