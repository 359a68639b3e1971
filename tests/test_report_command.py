"""`cofusion report` as it is typed."""

import csv
import json
from pathlib import Path

import pytest

from cofusion.cli import main
from command import QUICK, SMALL_RUN, SMALL_SCENES
from run_folders import CAVE, write_classical, write_run

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def error(capsys, *args):
    assert main(["report", *args]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("cofusion: error: ")
    return line


def test_a_report_is_written_from_runs(capsys):
    write_run(Path("runs/a"), 40.0)
    write_classical(Path("runs/b"), 41.0)
    write_run(Path("runs/c"), scenes={})
    assert main(["report", "runs", "-o", "out/report"]) == 0
    told = capsys.readouterr()
    assert told.out == "wrote out/report: report.md and index.html of 2 runs\n"
    assert told.err == "left out: c: not tested: results.json holds no scene\n"
    names = {path.name for path in Path("out/report").iterdir()}
    written = {"index.html", "report.md", "protocol.md", "table1.md", "table1.tex", "table1.csv"}
    assert names == written | {".cofusion-report"}
    assert set(Path("out/report/.cofusion-report").read_text().splitlines()) == written
    page = Path("out/report/report.md").read_text()
    assert Path("out/report/table1.md").read_text() in page
    with Path("out/report/table1.csv").open() as file:
        found = {row["Method"]: row for row in csv.DictReader(file)}
    assert (found["GSA"]["psnr"], found["GSA"]["dataset"], found["GSA"]["scale"]) == ("41.0", "cave", "4")


def test_runs_of_several_folders_stand_in_one_table(capsys):
    write_run(Path("runs/deep/a"), 40.0)
    write_classical(Path("runs/classical/gsa"), 41.0)
    write_run(Path("runs/other/b"), 50.0, seed=2)
    # What is reached twice counts once.
    assert main(["report", "runs/deep", "runs/classical", "runs/../runs/classical/gsa"]) == 0
    assert "of 2 runs" in capsys.readouterr().out
    page = Path("report/report.md").read_text()
    assert "Counted, 2: `deep/a`, `classical/gsa`." in page and "50.00" not in page
    assert "no folder missing" in error(capsys, "runs/deep", "missing", "-o", "new")
    assert "holds the runs in runs/classical" in error(
        capsys, "runs/deep", "runs/classical", "-o", "runs/classical"
    )


def test_an_earlier_report_is_kept_unless_told_otherwise(capsys):
    write_run(Path("runs/a"), 40.0)
    write_run(Path("runs/b"), 40.0, arguments={"variant": "no_sscfm"})
    assert main(["report", "runs"]) == 0
    assert Path("report/table3.md").exists()
    assert "--overwrite" in error(capsys, "runs")
    assert main(["report", "runs/a", "--overwrite"]) == 0
    assert not Path("report/table3.md").exists()
    assert [path.name for path in Path().iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("flags", [[], ["--overwrite"]])
def test_a_folder_that_is_no_report_is_never_replaced(capsys, flags):
    write_run(Path("runs/a"), 40.0)
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("years of work")
    assert "is no report" in error(capsys, "runs", "-o", "mine", *flags)
    Path("file").write_text("x")
    assert "is no report" in error(capsys, "runs", "-o", "file", *flags)
    Path("runs/report.md").write_text("looks like one")
    for target in ("runs", ".", "runs/a"):
        given = "runs/a" if target == "runs/a" else "runs"
        assert "holds the runs" in error(capsys, given, "-o", target, *flags)
    assert Path("mine/thesis.tex").read_text() == "years of work" and Path("runs/a/results.json").is_file()


def test_a_folder_is_not_taken_for_a_report_by_the_name_of_a_file(capsys):
    write_run(Path("runs/a"), 40.0)
    Path("docs/images").mkdir(parents=True)
    Path("docs/report.md").write_text("a page of one's own")
    assert "is no report" in error(capsys, "runs", "-o", "docs", "--overwrite")
    assert Path("docs/report.md").read_text() == "a page of one's own"


@pytest.mark.parametrize("mine", ["notes.txt", "figures/deep/mine.png", "runs/b/results.json"])
def test_a_report_that_holds_something_else_is_never_replaced(capsys, mine):
    write_run(Path("runs/a"), 40.0)
    assert main(["report", "runs"]) == 0
    path = Path("report", mine)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    assert f"report holds {mine}, which is no part of the report" in error(capsys, "runs", "--overwrite")
    path.unlink()
    path.symlink_to(Path("runs").resolve())
    assert f"report holds {mine}, which" in error(capsys, "runs", "--overwrite")
    path.unlink()
    assert main(["report", "runs", "--overwrite"]) == 0


def test_a_report_that_fails_leaves_the_earlier_one(monkeypatch, capsys):
    write_run(Path("runs/a"), 40.0)
    assert main(["report", "runs"]) == 0
    before = Path("report/report.md").read_text()
    write_run(Path("runs/b"), 41.0, seed=2)

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert "No space left" in error(capsys, "runs", "--overwrite")
    assert Path("report/report.md").read_text() == before
    assert {path.name for path in Path().iterdir()} == {"runs", "report"}


def test_strictly_nothing_is_left_out_or_separated(capsys):
    write_run(Path("runs/a"), 40.0)
    assert main(["report", "runs", "--strict", "-o", "one"]) == 0
    write_run(Path("runs/b"), 41.0, protocol=CAVE | {"preset": "wald"})
    assert "CAVE x4, preset paper is one of several protocols" in error(capsys, "runs", "--strict")
    write_run(Path("runs/c"), scenes={})
    assert "c would be left out: not tested" in error(capsys, "runs", "--strict")
    assert not Path("report").exists()


def test_what_cannot_be_reported_is_said_in_one_line(capsys):
    assert "no folder nowhere" in error(capsys, "nowhere")
    Path("runs").mkdir()
    assert "no tested run below runs: no results.json anywhere" in error(capsys, "runs")
    assert main(["report"]) == 2


@pytest.mark.slow
def test_runs_of_the_command_are_what_a_report_reads(capsys):
    """Two seeds, a test of one of them, an ablation and a classical method, for real."""
    small = [*QUICK, "--trainer.callbacks", "null"]
    for seed in ("1", "2"):
        assert main(["fit", *small, f"--seed_everything={seed}", "--run_dir", f"runs/full_{seed}"]) == 0
    assert main(["fit", *small, "--model.net.variant=no_spacam", "--run_dir", "runs/no_spacam"]) == 0
    assert main(["test", *small, "--ckpt_path", "runs/full_1", "--run_dir", "runs/again"]) == 0
    classical = ["--config=quickstart.yaml", "--config=classical/gsa.yaml", *SMALL_RUN, *SMALL_SCENES]
    assert main(["test", *classical, "--trainer.callbacks", "null", "--run_dir", "runs/gsa"]) == 0
    capsys.readouterr()
    assert main(["report", "runs"]) == 0
    assert capsys.readouterr().err == "left out: again: the same numbers as full_1: counted once\n"
    with Path("report/table1.csv").open() as file:
        found = {row["Method"]: row for row in csv.DictReader(file)}
    assert list(found) == ["CoFusion", "GSA", "bicubic", "bicubic_aligned"]
    recorded = [json.loads(Path(f"runs/full_{seed}/results.json").read_text()) for seed in (1, 2)]
    mean = sum(results["mean"]["psnr"] for results in recorded) / 2
    assert float(found["CoFusion"]["psnr"]) == pytest.approx(mean)
    assert (found["CoFusion"]["psnr_n"], found["GSA"]["psnr_n"]) == ("2", "1")
    bicubic = recorded[0]["baselines"]["bicubic"]["mean"]["psnr"]
    assert float(found["bicubic"]["psnr"]) == pytest.approx(bicubic)
    with Path("report/table3.csv").open() as file:
        seeds = {row["Variant"]: row["Seeds"] for row in csv.DictReader(file)}
    assert seeds == {"w/o SpaCAM": "1", "w/o SpeCAM": "0", "w/o SSCFM": "0", "Full Model": "2"}


def test_the_runs_of_the_docs_can_be_reported():
    assert main(["report", str(DOCS / "results")]) == 0
    page = Path("report/report.md").read_text()
    assert "pair.mat x4" in page and "Indian Pines x4" in page
