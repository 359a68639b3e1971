"""The ledger of metrics in the run directory."""

import csv

import pytest

from cofusion.training.csv_log import MetricsLog


def steps(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return [(int(row["step"]), row.get("a"), row.get("b")) for row in csv.DictReader(file)]


def write(folder, *rows, **options):
    log = MetricsLog(folder, **options)
    for step, metrics in rows:
        log.log_metrics(metrics, step)
        log.save()


def test_rows_of_an_earlier_start_stay_up_to_the_checkpoint(tmp_path):
    write(tmp_path, (1, {"a": 0.5}), (3, {"b": 2.0}), (5, {"a": 0.1}))
    write(tmp_path, (5, {"a": 0.25}), (7, {"c": 1.0}), steps_done=4)
    assert steps(tmp_path) == [(1, "0.5", ""), (3, "", "2.0"), (5, "0.25", ""), (7, "", "")]


def test_earlier_rows_are_on_disk_before_the_first_new_one(tmp_path):
    write(tmp_path, (1, {"a": 0.5}), (3, {"a": 0.2}))
    assert MetricsLog(tmp_path, steps_done=4).experiment is not None
    assert [step for step, _, _ in steps(tmp_path)] == [1, 3]


def test_a_new_run_starts_empty(tmp_path):
    write(tmp_path, (1, {"a": 0.5}))
    write(tmp_path, (1, {"a": 0.75}))
    assert steps(tmp_path) == [(1, "0.75", None)]


def test_resuming_without_an_earlier_file_is_fine(tmp_path):
    write(tmp_path, (5, {"a": 1.0}), steps_done=4)
    assert steps(tmp_path) == [(5, "1.0", None)]


def test_a_write_that_is_cut_leaves_every_earlier_row(tmp_path, monkeypatch):
    write(tmp_path, (1, {"a": 0.5}), (3, {"a": 0.2}))
    log = MetricsLog(tmp_path, steps_done=4)
    log.log_metrics({"b": 1.0}, 5)

    def cut(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(csv.DictWriter, "writerows", cut)
    with pytest.raises(OSError, match="no space"):
        log.save()
    assert [step for step, _, _ in steps(tmp_path)] == [1, 3]
