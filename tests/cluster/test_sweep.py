"""Sweep files: what is read, which trials they make, what is refused."""

import itertools
import json
import math
import statistics
from pathlib import Path

import pytest
import yaml

from cofusion.cluster.sweep import read_sweep
from cofusion.cluster.trial import short_keys, short_value, trial_name
from cofusion.errors import UserError

GRID = {
    "method": "grid",
    "parameters": {
        "seed_everything": {"values": [1, 2]},
        "model.net.variant": {"values": ["full", "no_spacam"]},
    },
    "command": ["cofusion", "fit", "--config", "quickstart.yaml", "${args}"],
}


def sweep(folder: Path, **changes: object):
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump({**GRID, **changes}, sort_keys=False))
    return read_sweep(str(file))


def numbers(folder: Path, count: int = 400, **parameter: object) -> list[float]:
    read = sweep(
        folder, method="random", run_cap=count, parameters={"x": parameter, "n": {"min": 0, "max": 10**9}}
    )
    return [trial.values["x"] for trial in read.trials()]


def test_a_grid_is_every_combination_in_the_files_order(tmp_path):
    trials = sweep(tmp_path).trials()
    assert [(t.index, t.name) for t in trials] == [
        (0, "variant=full,seed_everything=1"),
        (1, "variant=no_spacam,seed_everything=1"),
        (2, "variant=full,seed_everything=2"),
        (3, "variant=no_spacam,seed_everything=2"),
    ]
    assert tuple(trials[1].arguments()) == (
        *("fit", "--config", "quickstart.yaml", "--seed_everything=1", "--model.net.variant=no_spacam"),
    )


def test_the_sweep_is_named_after_its_file_or_its_name(tmp_path):
    assert sweep(tmp_path).name == "mine"
    assert sweep(tmp_path, name="my ablation").name == "my_ablation"


def test_a_config_comes_before_what_it_would_replace(tmp_path):
    parameters = {"data.scale": {"value": 2}, "config": {"values": ["a.yaml", "b.yaml"]}}
    trials = sweep(tmp_path, parameters=parameters, command=["cofusion", "fit", "${args}"]).trials()
    assert tuple(trials[1].arguments()) == ("fit", "--config=b.yaml", "--data.scale=2")
    assert trials[1].name == "config=b.yaml"


def test_flags_for_every_trial_stand_between_its_config_and_its_values(tmp_path):
    parameters = {"data.scale": {"value": 2}, "config": {"values": ["a.yaml"]}}
    (trial,) = sweep(tmp_path, parameters=parameters, command=["cofusion", "fit", "${args}"]).trials()
    given = ["--config", "more.yaml", "--data.root=x"]
    assert trial.arguments(given) == ["fit", "--config=a.yaml", *given, "--data.scale=2"]


def test_runs_are_named_after_the_sweep_and_what_every_name_does_not_hold_anyway(tmp_path):
    names = {
        word
        for trial in sweep(tmp_path, name="table3").trials()
        for word in trial.command("table3", tmp_path)
        if word.startswith("--name=")
    }
    assert names == {"--name=table3"}
    widths = {"model.net.dim": {"values": [8, 16]}, **GRID["parameters"]}
    trials = sweep(tmp_path, name="widths", parameters=widths).trials()
    assert "--name=widths-dim=8" in trials[0].command("widths", tmp_path)
    assert "--name=widths-dim=16" in trials[-1].command("widths", tmp_path)


def test_deeper_parameters_are_dotted_keys(tmp_path):
    parameters = {"model": {"parameters": {"net": {"parameters": {"dim": {"values": [8, 16]}}}}}}
    assert [t.arguments()[-1] for t in sweep(tmp_path, parameters=parameters).trials()] == [
        "--model.net.dim=8",
        "--model.net.dim=16",
    ]


def test_values_are_written_as_yaml_reads_them(tmp_path):
    values = [1e-5, True, None, [1, 1, 9], "two words", {"class_path": "a.B", "init_args": {"dim": 8}}, 3]
    trials = sweep(tmp_path, parameters={"x": {"values": values}}).trials()
    written = [trial.arguments()[-1].removeprefix("--x=") for trial in trials]
    assert [yaml.safe_load(text) for text in written[1:]] == values[1:]
    assert float(written[0]) == 1e-5
    assert len({trial.name for trial in trials}) == len(values)


def test_a_grid_steps_through_ranges_as_wandb_does(tmp_path):
    whole = {"x": {"distribution": "int_uniform", "min": 2, "max": 4}}
    assert [t.values["x"] for t in sweep(tmp_path, parameters=whole).trials()] == [2, 3, 4]
    steps = {"x": {"distribution": "q_uniform", "min": 0.1, "max": 0.4, "q": 0.1}}
    assert [t.values["x"] for t in sweep(tmp_path, parameters=steps).trials()] == [0.1, 0.2, 0.3]


def test_run_cap_ends_a_grid(tmp_path):
    assert [t.index for t in sweep(tmp_path, run_cap=3).trials()] == [0, 1, 2]


def test_a_sweep_that_grows_keeps_its_names(tmp_path):
    before = {t.name for t in sweep(tmp_path).trials()}
    turned = dict(reversed(GRID["parameters"].items()))
    assert before == {t.name for t in sweep(tmp_path, parameters=turned).trials()}
    more = {
        "seed_everything": {"values": [0, 1, 2]},
        "model.net.variant": {"values": ["no_sscfm", "full", "no_spacam"]},
    }
    assert before < {t.name for t in sweep(tmp_path, parameters=more).trials()}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"x": "a b"}, {"x": "a/b"}),
        ({"net": {"class_path": "a.Net"}}, {"net": {"class_path": "b.Net"}}),
        ({"x": "v" * 300 + "1"}, {"x": "v" * 300 + "2"}),
        ({"x": None}, {"x": ""}),
        ({"x": "a,y=b", "y": "c"}, {"x": "a", "y": "b,y=c"}),
    ],
)
def test_names_are_short_words_that_differ_where_values_do(one, other):
    names = [trial_name(values) for values in (one, other)]
    assert names[0] != names[1]
    assert all(len(name) < 200 and "/" not in name and " " not in name for name in names)
    assert names == [trial_name(values) for values in (one, other)]


def test_keys_and_values_are_shortened_for_people():
    assert short_keys(["model.net.init_args.dim", "seed_everything"]) == {
        "model.net.init_args.dim": "dim",
        "seed_everything": "seed_everything",
    }
    assert list(short_keys(["a.x.lr", "b.y.lr"]).values()) == ["x.lr", "y.lr"]
    assert short_value("cave_x4.yaml") == "cave_x4"
    assert short_value({"class_path": "cofusion.models.deep.PSRT", "init_args": {}}) == "PSRT"
    assert short_value(0.5) == "0.5"


# ---- random search


def test_a_random_search_is_drawn_alike_every_time_and_grows_at_its_end(tmp_path):
    few, again = numbers(tmp_path, 5, min=0.0, max=1.0), numbers(tmp_path, 5, min=0.0, max=1.0)
    assert few == again and len(set(few)) == 5
    assert numbers(tmp_path, 9, min=0.0, max=1.0)[:5] == few


def test_another_parameter_leaves_a_draw_as_it_was(tmp_path):
    alone = numbers(tmp_path, 5, min=0.0, max=1.0)
    both = {"y": {"values": [1, 2]}, "x": {"min": 0.0, "max": 1.0}}
    assert [
        t.values["x"] for t in sweep(tmp_path, method="random", run_cap=5, parameters=both).trials()
    ] == alone


def test_another_name_is_another_draw(tmp_path):
    parameters = {"x": {"min": 0.0, "max": 1.0}}
    one, other = (
        [
            t.values["x"]
            for t in sweep(tmp_path, method="random", run_cap=5, parameters=parameters, name=n).trials()
        ]
        for n in ("a", "b")
    )
    assert not set(one) & set(other)


@pytest.mark.parametrize(
    ("parameter", "low", "median", "high"),
    [
        ({"min": 2.0, "max": 6.0}, 2, 4, 6),
        ({"distribution": "log_uniform_values", "min": 0.0001, "max": 0.01}, 0.0001, 0.001, 0.01),
        (
            {"distribution": "log_uniform", "min": math.log(0.0001), "max": math.log(0.01)},
            0.0001,
            0.001,
            0.01,
        ),
        ({"distribution": "normal", "mu": 5, "sigma": 0.1}, 4, 5, 6),
        ({"distribution": "log_normal", "mu": 0, "sigma": 0.1}, 0.5, 1, 2),
    ],
)
def test_draws_follow_their_distribution(parameter, low, median, high, tmp_path):
    drawn = numbers(tmp_path, **parameter)
    assert low <= min(drawn) and max(drawn) <= high
    assert statistics.median(drawn) == pytest.approx(median, rel=0.15)


def test_whole_numbers_reach_both_ends(tmp_path):
    assert set(numbers(tmp_path, min=1, max=4)) == {1, 2, 3, 4}
    assert set(numbers(tmp_path, distribution="q_uniform", min=0, max=1, q=0.25)) == {0, 0.25, 0.5, 0.75, 1}


def test_probabilities_count(tmp_path):
    drawn = numbers(tmp_path, 1000, values=["a", "b", "c"], probabilities=[0.7, 0.3, 0.0])
    assert drawn.count("a") == pytest.approx(700, abs=60)
    assert "c" not in drawn


# ---- what is refused


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "bayes"}, "method bayes needs W&B's server"),
        ({"method": "random"}, "needs run_cap"),
        ({"run_cap": 0}, "run_cap must be at least 1"),
        ({"methods": "grid"}, "methods: Extra inputs"),
        ({"parameters": {}}, "parameters is empty"),
        ({"parameters": {"x": {"values": []}}}, "parameter x: 'values' is empty"),
        ({"parameters": {"x": {"value": 1, "vaules": [2]}}}, "parameters.x.vaules: Extra inputs"),
        ({"parameters": {"x": {"min": 0.0, "max": 1.0}}}, "a grid cannot go through uniform"),
        ({"parameters": {"x": {"distribution": "beta", "min": 0}}}, "unknown distribution 'beta'"),
        ({"parameters": {"run_dir": {"values": ["a"]}}}, "--run_dir is set for every trial"),
        ({"command": ["cofusion", "fit", "${args}", "--run_dir"]}, "command must end in ${args}"),
        ({"command": ["cofusion", "fit", "--run_dir=x", "${args}"]}, "--run_dir is set for every trial"),
        ({"command": ["python", "train.py", "${args}"]}, "expected command: [cofusion, fit"),
        ({"command": None}, "expected command: [cofusion, fit"),
        ({"name": "../elsewhere"}, "names a folder"),
        (
            {"method": "random", "run_cap": 2, "parameters": {"x": {"min": 2.0, "max": 1.0}}},
            "uniform needs min <= max",
        ),
        (
            {
                "method": "random",
                "run_cap": 2,
                "parameters": {"x": {"values": [1, 2], "probabilities": [0.5, 0.6]}},
            },
            "add up to 1",
        ),
    ],
)
def test_what_is_wrong_is_named_in_one_line(changes, words, tmp_path):
    with pytest.raises(UserError) as error:
        sweep(tmp_path, **changes)
    assert words in str(error.value)
    assert "mine.yaml" in str(error.value)


def test_a_file_that_is_no_sweep_is_refused(tmp_path):
    for text in ("- 1\n", "a: [", ""):
        (tmp_path / "mine.yaml").write_text(text)
        with pytest.raises(UserError, match=r"mine\.yaml"):
            read_sweep(str(tmp_path / "mine.yaml"))


def test_wandbs_other_ways_to_write_a_command(tmp_path, monkeypatch):
    monkeypatch.setenv("CONFIG", "demo.yaml")
    command = ["${env}", "${interpreter}", "-m", "cofusion", "fit", "--config", "${envvar:CONFIG}", "${args}"]
    (first, *_) = sweep(tmp_path, command=command).trials()
    assert first.arguments()[:3] == ["fit", "--config", "demo.yaml"]


# ---- the shipped ones, against W&B's own reader


@pytest.mark.parametrize("name", ["ablation", "benchmark", "search"])
def test_wandb_renders_the_same_flags(name):
    utils = pytest.importorskip("wandb.sdk.launch.sweeps.utils")
    read = read_sweep(f"sweep/{name}.yaml")
    config = utils.load_sweep_config(str(read.path))
    command = utils.create_sweep_command(config["command"])
    for trial in itertools.islice(read.trials(), 5):
        rendered = utils.create_sweep_command_args(
            {"args": {k: {"value": v} for k, v in trial.values.items()}}
        )
        theirs = [word for word in command if word != "${args}"][1:] + rendered["args"]
        assert sorted(map(_plain, theirs)) == sorted(map(_plain, trial.arguments()))


def _plain(word: str) -> str:
    """A flag with its value as YAML reads it."""
    key, equals, value = word.partition("=")
    return key + equals + json.dumps(yaml.safe_load(value)) if equals else word
