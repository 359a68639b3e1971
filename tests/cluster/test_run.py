"""`cofusion sweep run` and `status` from outside, with trials that take no time."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cofusion.cli import main
from cofusion.cluster.devices import shares

RUNS = Path("runs/swept")


def starts(mode: str) -> int:
    file = RUNS / f"mode={mode}" / "starts"
    return len(file.read_text().splitlines()) if file.exists() else 0


def states(capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """The lines of `status`, by the trial's mode."""
    capsys.readouterr()
    assert main(["sweep", "status", "sweep.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[1].removeprefix("mode="): line.split()[2:] for line in lines[1:-1]}


def error(capfd: pytest.CaptureFixture[str]) -> str:
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("cofusion: error: ")
    return lines[0]


def wait_for(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_failing_trial_does_not_stop_the_others(sweep, capfd):
    assert main(["sweep", "run", sweep("bad", "good", "untested")]) == 1
    assert "2 of 3 trials are not complete: mode=bad (failed: no such scene (" in error(capfd)
    found = states(capfd)
    assert found["good"][:4] == ["complete", "2/2", "20.10", "30.00"]
    assert found["bad"][0] == "failed"
    # Ended with status 0 and trained to the end, but its test is not there.
    assert found["untested"][0] == "cut"


def test_a_trial_that_slurm_will_start_again_has_not_failed(sweep, capfd):
    assert main(["sweep", "run", sweep("requeued")]) == 1
    assert states(capfd)["requeued"][0] == "cut"


def test_started_again_it_runs_what_is_not_complete(sweep, capfd):
    assert main(["sweep", "run", sweep("good", "flaky")]) == 1
    assert (starts("good"), starts("flaky")) == (1, 1)
    # Not tried again unasked.
    assert main(["sweep", "run", "sweep.yaml"]) == 1
    assert "--retries 1 tries it again" in capfd.readouterr().err
    assert (starts("good"), starts("flaky")) == (1, 1)
    assert main(["sweep", "run", "sweep.yaml", "--retries", "1"]) == 0
    assert (starts("good"), starts("flaky")) == (1, 2)
    assert main(["sweep", "run", "sweep.yaml"]) == 0
    assert (starts("good"), starts("flaky")) == (1, 2)


def test_a_trial_is_retried_as_often_as_asked_over_all_starts(sweep):
    assert main(["sweep", "run", sweep("bad"), "--retries", "2"]) == 1
    assert starts("bad") == 3
    assert main(["sweep", "run", "sweep.yaml", "--retries", "2"]) == 1
    assert starts("bad") == 3
    assert main(["sweep", "run", "sweep.yaml", "--retries", "3"]) == 1
    assert starts("bad") == 4


def test_retries_help_in_the_same_start(sweep):
    assert main(["sweep", "run", sweep("flaky", "good"), "--retries", "1"]) == 0
    assert starts("flaky") == 2


def test_trials_know_their_sweep_and_flags(sweep):
    assert main(["sweep", "run", sweep("good"), "--", "--seed_everything=5"]) == 0
    record = json.loads((RUNS / "mode=good/trial.json").read_text())
    assert record["flags"] == ["--seed_everything=5"]
    assert json.loads((RUNS / "mode=good/results.json").read_text())["mean"]["psnr"] == 35
    assert (RUNS / "mode=good/starts").read_text().split()[1:] == ["swept", "swept-mode=good"]


def test_one_trial_by_number_or_name(sweep, capfd):
    assert main(["sweep", "run", sweep("good", "flaky"), "--trial", "0"]) == 0
    assert (starts("good"), starts("flaky")) == (1, 0)
    assert main(["sweep", "run", "sweep.yaml", "--trial", "mode=flaky", "--retries", "1"]) == 0
    assert starts("flaky") == 2
    assert main(["sweep", "run", "sweep.yaml", "--trial", "7"]) == 1
    assert "has the trials 0 to 1" in error(capfd)


def test_dry_run_prints_commands_and_runs_nothing(sweep, capsys):
    assert main(["sweep", "run", sweep("good", "bad"), "--dry_run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and "--mode=bad" in lines[1]
    assert not Path("runs").exists()


# ---- changes


@pytest.mark.parametrize("finished", [True, False])
def test_a_changed_command_is_noticed(finished, sweep, capfd):
    main(["sweep", "run", sweep("good" if finished else "untested")])
    mode = "good" if finished else "untested"
    sweep(mode, command=["cofusion", "fit", "--config", "quickstart.yaml", "--data.scale=2", "${args}"])
    capfd.readouterr()
    assert main(["sweep", "run", "sweep.yaml"]) == 1
    assert "began with not --data.scale=2; give the sweep another name" in error(capfd)
    assert starts(mode) == 1
    assert states(capfd)[mode][0] == "changed"
    main(["sweep", "run", "sweep.yaml", "--accept_changes"])
    assert starts(mode) == 2
    assert states(capfd)[mode][0] == ("complete" if finished else "cut")


def test_other_flags_and_edited_configs_are_noticed(sweep, capfd, elsewhere):
    own = elsewhere / "own.yaml"
    own.write_text("# a comment\ndata: {scale: 4}\n")
    flags = ["--", "--config", "own.yaml"]
    assert main(["sweep", "run", sweep("good"), *flags]) == 0
    assert main(["sweep", "run", "sweep.yaml"]) == 1
    assert "began with own.yaml, config work/own.yaml;" in error(capfd)
    own.write_text("# another comment\ndata: {scale: 4}\n")
    assert main(["sweep", "run", "sweep.yaml", *flags]) == 0
    own.write_text("data: {scale: 2}\n")
    assert main(["sweep", "run", "sweep.yaml", *flags]) == 1
    assert (RUNS / "mode=good/results.json").exists()
    assert re.search(r"began with config \w+/own\.yaml", capfd.readouterr().err)


def test_results_of_another_command_do_not_pass_for_those_of_a_killed_one(sweep, launch, capfd):
    assert main(["sweep", "run", sweep("good")]) == 0
    # The same trial, now of a command that takes long.
    sweep("good", command=["cofusion", "fit", "--config", "quickstart.yaml", "--pause=30", "${args}"])
    process = launch("run", "sweep.yaml", "--accept_changes")
    wait_for(lambda: starts("good") == 2)
    process.terminate()
    process.communicate(timeout=20)
    assert states(capfd)["good"][0] == "cut"


def test_a_directory_that_holds_another_run_is_left_alone(sweep, capfd):
    foreign = RUNS / "mode=good"
    foreign.mkdir(parents=True)
    (foreign / "config.yaml").write_text("trainer: {max_epochs: 2}\n")
    assert main(["sweep", "run", sweep("good")]) == 1
    assert "holds a run that is no trial" in error(capfd)
    assert starts("good") == 0


# ---- several at a time, and what stops them


def test_several_run_at_a_time(sweep):
    name = sweep(parameters={"mode": {"value": "second"}, "seed_everything": {"values": [1, 2, 3]}})
    assert main(["sweep", "run", name, "--jobs", "2"]) == 0
    attempts = [json.loads(path.read_text())["attempts"] for path in sorted(RUNS.glob("*/trial.json"))]
    (first,), (second,), (third,) = attempts
    assert second["began"] < first["ended"]
    assert third["began"] >= min(first["ended"], second["ended"])


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_launcher_leaves_trials_that_go_on(signum, sweep, launch, capfd):
    process = launch("run", sweep("slow", "good"))
    wait_for(lambda: (RUNS / "mode=slow/metrics.csv").exists())
    process.send_signal(signum)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signum, out
    assert "stopped; the same command goes on" in out
    found = states(capfd)
    assert found["slow"][0] == "cut" and found["good"][0] == "waiting"
    done = len((RUNS / "mode=slow/metrics.csv").read_text().splitlines())
    process = launch("run", "sweep.yaml")
    wait_for(lambda: starts("slow") == 2)
    process.kill()
    process.communicate()
    assert done > 1


def test_a_second_signal_kills_a_trial_that_does_not_stop(sweep, launch):
    process = launch("run", sweep("stubborn"))
    wait_for(lambda: (RUNS / "mode=stubborn/metrics.csv").exists())
    process.terminate()
    time.sleep(0.5)
    assert process.poll() is None
    process.terminate()
    assert process.wait(timeout=5) == 128 + signal.SIGTERM
    process.communicate()


def test_a_killed_launcher_leaves_a_trial_that_nobody_starts_twice(sweep, launch, capfd):
    process = launch("run", sweep("slow"))
    wait_for(lambda: (RUNS / "mode=slow/metrics.csv").exists())
    process.kill()
    process.communicate()
    pid = int((RUNS / "mode=slow/starts").read_text().split()[0])
    try:
        os.kill(pid, 0)
        assert states(capfd)["slow"][0] == "running"
        assert main(["sweep", "run", "sweep.yaml"]) == 1
        assert "runs already" in capfd.readouterr().err
        assert starts("slow") == 1
    finally:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: states(capfd)["slow"][0] == "cut")


def test_two_launchers_share_the_trials(sweep, launch):
    name = sweep(parameters={"mode": {"value": "good"}, "seed_everything": {"values": list(range(8))}})
    both = [launch("run", name) for _ in range(2)]
    outs = [process.communicate(timeout=60)[0] for process in both]
    counts = [len(path.read_text().splitlines()) for path in RUNS.glob("*/starts")]
    assert counts == [1] * 8, outs


# ---- what cannot be


@pytest.mark.parametrize(
    ("args", "words", "status"),
    [
        (["run"], "the following arguments are required: FILE", 2),
        (["run", "nowhere.yaml"], "nowhere.yaml' is neither a file nor", 1),
        (["run", "sweep.yaml", "--jobs", "0"], "--jobs: expected a whole number above 0, got", 2),
        (["run", "sweep.yaml", "--jbos", "2"], "unrecognized arguments: --jbos", 2),
        (["run", "sweep.yaml", "--sbatch", "gpus=1"], "--sbatch is for --launcher slurm", 2),
        (["run", "sweep.yaml", "--", "--run_dir", "x"], "--run_dir is set for every trial", 1),
        (["run", "sweep.yaml", "--", "--mode=bad"], "mode is a parameter of sweep.yaml", 1),
        (["status", "sweep.yaml", "--", "--x"], "flags after -- are for `cofusion sweep run`", 2),
        (["table", "sweep.yaml"], "first: cofusion sweep run sweep.yaml", 1),
    ],
)
def test_what_cannot_be_is_said_in_one_line(args, words, status, sweep, capfd):
    sweep("good")
    assert main(["sweep", *args]) == status
    assert words in error(capfd)


def test_a_missing_config_is_said_and_leaves_nothing(sweep, capfd):
    name = sweep("good", command=["cofusion", "fit", "--config", "nowhere.yaml", "${args}"])
    assert main(["sweep", "run", name]) == 1
    assert "'nowhere.yaml' is neither a file" in error(capfd)
    assert not (RUNS / "mode=good").exists()


# ---- devices


def test_devices_are_shared_out(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert shares(1, ["0", "1"]) == [{}]
    assert shares(2, []) == [{"OMP_NUM_THREADS": "4"}] * 2
    assert [s["CUDA_VISIBLE_DEVICES"] for s in shares(2, ["0", "1", "2", "3"])] == ["0,1", "2,3"]
    assert [s["CUDA_VISIBLE_DEVICES"] for s in shares(3, ["4", "7"])] == ["4", "7", "4"]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert shares(2, []) == [{}, {}]


# ---- SLURM, with a stand-in for its commands


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`sbatch` and `srun` that only note how they were called; srun runs the command."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sbatch").write_text(f'#!/bin/bash\necho "$@" >> {folder}/calls\necho "77;cluster"\n')
    (folder / "srun").write_text(
        f'#!/bin/bash\necho "$@" >> {folder}/calls\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"\n'
    )
    for path in folder.iterdir():
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def task(script: Path, index: int) -> "subprocess.CompletedProcess[str]":
    """Run a task of a job array as SLURM would."""
    ids = {
        "SLURM_JOB_ID": "80",
        "SLURM_ARRAY_JOB_ID": "77",
        "SLURM_ARRAY_TASK_ID": str(index),
        "SLURM_CPUS_PER_TASK": "3",
    }
    return subprocess.run(
        ["bash", str(script)],
        env={**os.environ, **ids},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_sbatch_one_line_says_so(sweep, monkeypatch, capfd):
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["sweep", "run", sweep("good"), "--launcher", "slurm"]) == 1
    assert "sbatch is not found" in error(capfd)
    assert not Path("runs").exists()


def test_one_job_array_runs_the_sweep(sweep, slurm, capfd):
    options = ["--sbatch", "partition=gpu", "time=8:00:00", "--jobs", "2"]
    args = ["sweep", "run", sweep("good", "bad", "flaky"), "--launcher", "slurm", *options]
    assert main([*args, "--retries", "1", "--", "--seed_everything=3"]) == 0
    assert "submitted 3 of 3 trials as job 77" in capfd.readouterr().out
    script = RUNS / "slurm/0/job.sh"
    lines = script.read_text().splitlines()
    for line in ("partition=gpu", "time=8:00:00", "array=0,1,2%2", "requeue", "signal=SIGUSR1@90"):
        assert f"#SBATCH --{line}" in lines
    assert (slurm / "calls").read_text() == f"--parsable {script}\n"
    assert states(capfd)["bad"] == ["waiting", "-", "-", "-", "job", "77_1"]

    # What was submitted stays what it was.
    sweep("other")
    done = [task(script, index) for index in range(3)]
    assert [each.returncode for each in done] == [0, 1, 0], done
    sweep("good", "bad", "flaky")
    found = states(capfd)
    assert found["good"][:4] == ["complete", "2/2", "20.10", "33.00"]
    assert found["good"][4:] == [os.uname().nodename + ",", "job", "77_0"]
    assert found["bad"][0] == "failed" and starts("bad") == 2
    assert found["flaky"][0] == "complete"
    assert "--kill-on-bad-exit=1 --cpus-per-task=3 " in (slurm / "calls").read_text()

    # Queued again, a complete trial is done at once; a new submission takes the rest alone.
    assert task(script, 0).returncode == 0 and starts("good") == 1
    capfd.readouterr()
    assert main([*args, "--retries", "2", "--", "--seed_everything=3"]) == 0
    assert "submitted 1 of 3" in capfd.readouterr().out
    assert "#SBATCH --array=1%2" in (RUNS / "slurm/1/job.sh").read_text()


def test_given_options_win_over_the_defaults(sweep, capfd):
    args = [
        "run",
        sweep("good"),
        "--launcher",
        "slurm",
        "--dry_run",
        "--sbatch",
        "signal=USR2@30",
        "--requeue",
    ]
    assert main(["sweep", *args[:-1]]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert "#SBATCH --signal=USR2@30" in lines
    assert sum("signal" in line for line in lines) == 1
    assert main(["sweep", *args[:5], "--sbatch", "array=1-9"]) == 1
    assert "other than array" in error(capfd)


def test_sbatchs_refusal_is_passed_on(sweep, slurm, capfd):
    (slurm / "sbatch").write_text("#!/bin/bash\necho 'sbatch: error: invalid partition' >&2\nexit 1\n")
    assert main(["sweep", "run", sweep("good"), "--launcher", "slurm"]) == 1
    assert "sbatch refuses" in (line := error(capfd)) and "invalid partition" in line


def test_a_trial_of_the_launcher_slurm_needs_a_job(sweep, capfd):
    assert main(["sweep", "run", sweep("good"), "--launcher", "slurm", "--trial", "0"]) == 1
    assert "for the tasks of a job" in error(capfd)
