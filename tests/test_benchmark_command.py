"""`cofusion benchmark speed` in process: what it prints and writes, and what it refuses."""

import json
from itertools import count

import pytest

from cofusion import benchmark_command
from cofusion.cli import main
from cofusion.speed import comparison, record
from cofusion.speed.costs import measure

TINY = ["--methods", "psrt", "--sizes", "16", "--bands", "5/3", "--turns", "2", "--threads", "1"]


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    """Memory is measured in this process: another one takes seconds to start, and has tests of its own."""
    monkeypatch.setattr(comparison, "costs", measure)


def speed(*args):
    return main(["benchmark", "speed", *map(str, args)])


def error(capsys, *args, status=1):
    assert speed(*args) == status
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    return lines[0].removeprefix("cofusion: error: ")


def test_record_table_and_figure(tmp_path, capsys):
    out = tmp_path / "new" / "speed"
    assert speed(*TINY, "--ablations", "--precision", "float32", "bf16", "-o", out) == 0
    written = json.loads((out / "speed.json").read_text())
    assert written["versions"]["torch"]
    assert "1 thread" in written["machine"]
    assert written["arguments"]["bands"] == ["5/3"]
    _, rows = record.read_record(out / "speed.json")
    methods = ["CoFusion", "PSRT", "CoFusion no_spacam", "CoFusion no_specam", "CoFusion no_sscfm"]
    assert [(row.precision, row.method) for row in rows] == [
        (precision, method) for precision in ("float32", "bf16") for method in methods
    ]
    for row in rows:
        assert (row.ratio == 1) == (row.method == "CoFusion")
        assert row.turns == 2
        assert row.mpixels_per_s == pytest.approx(16 * 16 / 1e3 / row.latency_ms)
    # The same cells on the screen and in Markdown.
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    tabled = (out / "speed.md").read_text()
    for row in rows:
        assert " ".join(filter(None, record.cells(row))).split() in printed
        assert f"| {' | '.join(filter(None, record.cells(row)))} |" in tabled
    assert (out / "speed.png").read_bytes().startswith(b"\x89PNG")
    assert b"FontFile2" in (out / "speed.pdf").read_bytes()

    assert f"{out / 'speed.json'} exists; give -o another folder" in error(capsys, *TINY, "-o", out)
    assert json.loads((out / "speed.json").read_text()) == written


def test_what_was_measured_stays_where_a_later_case_fails(tmp_path, monkeypatch, capsys):
    begin, calls = comparison.warm_up, count(1)

    def fail(jobs, *args):
        if next(calls) > 2:
            raise RuntimeError("out of memory\nand more")
        begin(jobs, *args)

    monkeypatch.setattr(comparison, "warm_up", fail)
    assert speed(*TINY, "--sizes", 16, 24, "-o", tmp_path) == 1
    assert "CoFusion does not run on cpu (out of memory); choose others" in (capsys.readouterr().err)
    assert {row.size for row in record.read_record(tmp_path / "speed.json")[1]} == {16}


def test_missed_aims_end_with_status_1_where_that_is_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(record, "AIM_BANDS", "5/3")
    monkeypatch.setattr(record, "AIMS", {"PSRT": 1e6})
    assert speed(*TINY) == 0
    assert capsys.readouterr().out.rstrip().endswith("1000000.0")
    assert speed(*TINY, "--check") == 1
    assert "error: below the aim: PSRT at 16 x 16, 5/3 bands, float32" in capsys.readouterr().err
    monkeypatch.setattr(record, "AIMS", {"PSRT": 1e-6})
    assert speed(*TINY, "--check") == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--methods", "psrt", "nonsense"], "there is no method 'nonsense' to time; choose among: cofusion"),
        (["--sizes", "16", "18"], "scale 4 does not divide the size 18; choose a multiple of 4"),
        (["--sizes", "0"], "got size 0"),
        (["--batch", "0"], "batch 0"),
        (["--scale", "1"], "scale 1"),
        (["--turns", "0"], "--turns 0"),
        (["--threads", "0"], "--threads 0"),
        (["--seconds", "-1"], "--seconds -1"),
        (["--device", "cuda:99"], "--device cuda:99: expected cpu, cuda or cuda:N"),
        (["--device", "nonsense"], "--device nonsense: expected cpu, cuda or cuda:N"),
        (["--device", "mps"], "--device mps: expected cpu, cuda or cuda:N"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(given, said, capsys):
    assert said in error(capsys, *TINY, *given)


@pytest.mark.parametrize(
    "given", [["--bands", "5"], ["--bands", "5/3/1"], ["--precision", "fp8"], ["--nonsense"]]
)
def test_arguments_that_cannot_be_understood_end_with_status_2(given, capsys):
    assert given[0] in error(capsys, *given, status=2)


def test_a_file_is_no_folder(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert "file exists; give -o another folder" in error(capsys, *TINY, "-o", tmp_path / "file")


def test_a_file_that_is_no_record(tmp_path):
    (tmp_path / "speed.json").write_text('{"rows": [{"method": "PSRT"}]}')
    with pytest.raises(ValueError, match="is no record of `cofusion benchmark speed`"):
        record.read_record(tmp_path / "speed.json")


def test_the_verb_names_the_files_that_it_writes():
    assert {name.partition(".")[2] for name in benchmark_command._FILES} == {"json", "md", "png", "pdf"}


@pytest.mark.slow
def test_compiled_networks_are_timed(capsys):
    assert speed(*TINY, "--precision", "compiled") == 0
    first, second = capsys.readouterr().out.splitlines()[2:4]
    # Neither memory nor an aim.
    assert first.split()[0] == "CoFusion"
    assert second.split()[:1] + second.split()[3:4] == ["PSRT", "-"]
