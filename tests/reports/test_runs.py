"""Which runs count, under which name, and why others do not."""

import json
import os

import pytest
import yaml

from cofusion.reports.records.runs import read_runs
from run_folders import CAVE, metrics, write_classical, write_run


def reasons(folder):
    return {one.name: one.reason for one in read_runs(folder)[1]}


def test_runs_are_found_at_any_depth_with_what_they_are(tmp_path):
    write_run(tmp_path / "cave_x4" / "fit_0", 40.0, arguments={"variant": "no_spacam"}, seed=7)
    write_classical(tmp_path / "sweep" / "deep" / "gsa", 38.0)
    runs, left_out = read_runs(tmp_path)
    assert not left_out
    assert [(run.name, run.method, run.variant, run.seed) for run in runs] == [
        ("cave_x4/fit_0", "CoFusion", "no_spacam", 7),
        ("sweep/deep/gsa", "GSA", "full", None),
    ]
    assert (runs[0].dataset, runs[0].scale, runs[0].scores["psnr"]) == ("cave", 4, 40.0)
    assert [run.needs_training for run in runs] == [True, False]


def test_a_run_directory_itself_and_links_are_read_and_loops_end(tmp_path):
    run = write_run(tmp_path / "disk" / "fit_0")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "here").symlink_to(run)
    (tmp_path / "runs" / "again").symlink_to(tmp_path / "runs")
    assert [one.name for one in read_runs(run)[0]] == ["fit_0"]
    assert [one.name for one in read_runs(tmp_path / "runs")[0]] == ["here"]


def test_a_mean_is_that_of_the_scenes(tmp_path):
    write_run(tmp_path / "a", {"x": metrics(30.0), "y": metrics(40.0)})
    (run,), _ = read_runs(tmp_path)
    assert run.scores["psnr"] == 35.0 and run.incomplete == []


def test_a_metric_that_a_scene_lacks_is_never_averaged_over_the_others(tmp_path):
    plain = {"x": {"psnr": 20.0, "sam": 5.0}, "y": {"sam": 7.0}}
    write_run(
        tmp_path / "a",
        {"x": metrics(30.0), "y": metrics(40.0), "z": {"ssim": 0.9}},
        baselines={"bicubic": {"scenes": {**plain, "z": {"sam": 9.0}}}, "other": {"scenes": plain}},
    )
    (run,), _ = read_runs(tmp_path)
    assert list(run.scores) == ["ssim"] and "psnr" in run.incomplete
    assert run.baselines == {"bicubic": {"sam": 7.0}, "other": {}}


def test_a_metric_that_is_not_a_number_in_a_scene_is_left_out_and_the_others_count(tmp_path):
    write_run(tmp_path / "a", {"x": metrics(30.0, sam=None), "y": metrics(40.0)})
    (run,), _ = read_runs(tmp_path)
    assert "sam" not in run.scores and run.scores["psnr"] == 35.0
    assert run.incomplete == ["sam"]


def test_json_with_nan_is_as_good_as_null(tmp_path):
    folder = write_run(tmp_path / "a", {"x": metrics(30.0)})
    text = (folder / "results.json").read_text().replace('"sam": 2.0', '"sam": NaN')
    (folder / "results.json").write_text(text)
    (run,), _ = read_runs(tmp_path)
    assert run.incomplete == ["sam"]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"scenes": {}}, "not tested"),
        ({"scenes": None}, "not tested"),
        ({"scenes": [1]}, "scenes is no table"),
        ({"scenes": {"x": {"psnr": "40"}}}, "psnr of x is '40'"),
        ({"scenes": {"x": {"psnr": None}}}, "no metric of it is a number"),
        ({"mean": {"psnr": 41.0}}, "contradicts itself: mean psnr is 41.0, that of its scenes 40.0"),
        ({"protocol": {}}, "no protocol"),
        ({"protocol": {"dataset": "cave"}}, "no protocol"),
        ({"protocol": CAVE | {"scale": "x4"}}, "scale 'x4'"),
        ({"protocol": CAVE | {"scale": -4}}, "scale -4, which is no whole number of at least 1"),
        ({"protocol": CAVE | {"scale": True}}, "scale True"),
        ({"protocol": CAVE | {"dataset": ["cave"]}}, "data set ['cave']"),
        ({"protocol": CAVE | {"phase": 10**400}}, "a number of more than 308 digits"),
        ({"scenes": {"x": {"psnr": 10**400}}}, "a number of more than 308 digits"),
        ({"scenes": {"x": {"psnr": 1e200}}}, "psnr of x is 1e+200"),
        ({"scenes": {"x": {"psnr": True}}}, "psnr of x is True"),
        ({"baselines": {"bicubic": 3}}, "baselines.bicubic is no table"),
        ({"baselines": 3}, "baselines"),
        ({"steps": "many"}, "steps is 'many'"),
        ({"steps": -5}, "steps is -5"),
        ({"fit_time_s": True}, "fit_time_s is True"),
        ({"parameters": None, "epochs_done": 1}, "no number of parameters"),
        ({"parameters": 0}, "2 epochs done by a method without parameters"),
        ({"epochs_done": 3}, "contradicts itself: 3 epochs done of 2"),
        ({"epochs_done": 1}, "stopped early: 1 of 2 epochs"),
        ({"epochs_done": None}, "not trained"),
    ],
)
def test_a_record_that_cannot_be_counted_is_left_out_with_the_reason(tmp_path, damage, reason):
    write_run(tmp_path / "bad", **damage)
    write_run(tmp_path / "good", 41.0)
    runs, left_out = read_runs(tmp_path)
    assert [run.name for run in runs] == ["good"]
    assert [one.name for one in left_out] == ["bad"] and reason in left_out[0].reason
    assert "\n" not in left_out[0].reason


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("results.json", '{"scenes": {', "cannot be read: Expecting"),
        ("results.json", "[]", "no table of keys"),
        ("results.json", b"\xff\xfe\x00", "cannot be read"),
        ("results.json", '{"a":' * 500 + "1" + "}" * 500, "nested deeper than 50 levels"),
        ("results.json", "[" * 100_000 + "]" * 100_000, "cannot be read: nested too deeply"),
        ("config.yaml", "{a: " * 2000 + "1" + "}" * 2000, "no config.yaml beside results.json that can be"),
        ("config.yaml", "&a {model: {net: {class_path: a.B}}, more: *a}", "nested deeper than 50 levels"),
        ("config.yaml", "{model: {net: {class_path: a.B}}, data: {x: 1" + "0" * 400 + "}}", "308 digits"),
        ("config.yaml", None, "no config.yaml"),
        ("config.yaml", "a: [", "no config.yaml beside results.json that can be read"),
        ("config.yaml", "model: {net: null}", "names no network"),
        ("config.yaml", "model: 3", "names no network"),
        ("config.yaml", "{model: {net: {class_path: a.B}}, trainer: 3}", "damaged: trainer"),
    ],
)
def test_damaged_files_are_left_out_with_the_reason(tmp_path, file, content, reason):
    path = write_run(tmp_path / "bad") / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert reason in reasons(tmp_path)["bad"]


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"data.preset": "wald"}, "data.preset is 'wald' in config.yaml and 'paper' in results.json"),
        ({"data.scale": 8}, "data.scale is 8 in config.yaml and 4 in results.json"),
        ({"data.split": "mine/cave_20_12.yaml"}, "data.split is 'mine/cave_20_12.yaml' in config.yaml"),
        ({"data.hsi_snr": 30.0}, "data.hsi_snr is 30.0 in config.yaml and None in results.json"),
        ({"seed_everything": 2}, "seed_everything is 2 in config.yaml and 1 in results.json"),
    ],
)
def test_results_of_another_config_are_left_out(tmp_path, config, reason):
    write_run(tmp_path / "a", config=config)
    write_run(tmp_path / "b", 41.0, seed=2)
    assert [run.name for run in read_runs(tmp_path)[0]] == ["b"]
    assert reasons(tmp_path)["a"].startswith("contradicts itself: ") and reason in reasons(tmp_path)["a"]


def test_a_training_of_another_length_than_its_config_asks_for_is_left_out(tmp_path):
    write_run(tmp_path / "a", config={"trainer.max_epochs": 1}, epochs_done=2, epochs_planned=2)
    write_run(tmp_path / "b", config={"trainer.max_epochs": 3}, epochs_done=2, epochs_planned=2)
    told = reasons(tmp_path)
    assert told["a"] == ("contradicts itself: trainer.max_epochs is 1 in config.yaml and 2 in results.json")
    assert "trainer.max_epochs is 3" in told["b"]


def test_a_config_that_says_the_same_in_other_words_does_not_contradict(tmp_path):
    same = {"data.phase": 0, "data.hsi_snr": float("inf"), "data.split": "/mine/cave_20_11.yaml"}
    write_run(tmp_path / "a", config=same | {"data.scale": 4, "data.preset": "paper", "data.border": None})
    write_run(tmp_path / "b", seed=2, config={"data.split": "cave_20_11"})
    assert read_runs(tmp_path)[1] == []


def test_a_run_that_has_not_finished_is_named(tmp_path):
    write_run(tmp_path / "crashed").joinpath("results.json").unlink()
    write_run(tmp_path / "good", 41.0)
    for name, text in (("wandb", "model:\n  value: {}\n"), ("other", "a: [")):
        (tmp_path / "good" / name).mkdir()
        (tmp_path / "good" / name / "config.yaml").write_text(text)
    assert reasons(tmp_path) == {"crashed": "no results.json: its run has not finished"}


def test_names_and_texts_that_are_no_unicode_are_written_all_the_same(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    write_run(folder, {"\ud800": metrics(40.0)})
    (run,), _ = read_runs(tmp_path)
    for text in (run.name, *run.scenes):
        text.encode("utf-8")


def test_a_run_that_may_stop_by_itself_is_complete(tmp_path):
    stopper = [{"class_path": "lightning.pytorch.callbacks.EarlyStopping"}]
    write_run(tmp_path / "early", epochs_done=1, config={"trainer.callbacks": stopper})
    write_run(tmp_path / "timed", epochs_done=1, config={"trainer.max_time": "00:00:10:00"})
    assert len(read_runs(tmp_path)[0]) == 2


def test_a_test_of_other_weights_is_known_by_their_training(tmp_path):
    fit = write_run(tmp_path / "fit_0", seed=7, config={"data.patch": 64})
    write_run(
        tmp_path / "test_0", checkpoint=str(fit / "checkpoints/best.ckpt"), epochs_done=1, device="another"
    )
    fitted, tested = read_runs(tmp_path)[0]
    assert (tested.seed, tested.recipe) == (7, fitted.recipe)
    assert tested.recipe["data.patch"] == 64 and not tested.tests_itself
    assert tested.fit["device"] == "cpu (a test)"


def test_weights_may_be_named_from_the_folder_of_their_test(tmp_path):
    write_run(tmp_path / "fit_0", seed=7)
    write_run(tmp_path / "test_0", checkpoint="../fit_0/checkpoints/best.ckpt", seed=8)
    fitted, tested = read_runs(tmp_path)[0]
    assert (tested.seed, tested.recipe, tested.tests_itself) == (7, fitted.recipe, False)


def test_a_test_of_weights_whose_training_stopped_early_is_left_out(tmp_path):
    fit = write_run(tmp_path / "fit_0", epochs_done=1, scenes={})
    write_run(tmp_path / "test_0", checkpoint=str(fit / "checkpoints/last.ckpt"))
    assert reasons(tmp_path)["test_0"] == "stopped early: 1 of 2 epochs"


def test_a_test_of_weights_that_are_gone_has_no_seed_and_no_recipe(tmp_path):
    write_run(tmp_path / "test_0", seed=5, checkpoint="/gone/fit_3/checkpoints/best.ckpt")
    (run,), _ = read_runs(tmp_path)
    assert (run.seed, run.training) == (None, None)
    assert run.recipe["checkpoint"] == "fit_3/checkpoints/best.ckpt"


def test_the_recipe_knows_the_training_and_not_where_it_ran(tmp_path):
    write_run(tmp_path / "a", seed=1, config={"data.root": "/here", "trainer.logger": False})
    write_run(tmp_path / "b", seed=2, config={"data.num_workers": 4, "trainer.devices": 1})
    write_run(tmp_path / "c", seed=1, config={"model.optimizer.init_args.lr": 0.001})
    write_run(tmp_path / "d", seed=1, config={"trainer.callbacks": [{"class_path": "cofusion.training.EMA"}]})
    write_run(tmp_path / "e", seed=1, device="4 x a GPU")
    watcher = {"class_path": "cofusion.training.callbacks.Health", "init_args": {"every_n_steps": 5}}
    write_run(tmp_path / "f", seed=1, config={"trainer.callbacks": [watcher]})
    a, b, c, d, e, f = (run.recipe for run in read_runs(tmp_path)[0])
    assert a == b == f
    assert all(a != other for other in (c, d, e)) and e["processes"] == 4


def test_how_images_were_cut_counts_where_they_were_measured(tmp_path):
    fit = write_run(tmp_path / "fit", config={"model.tile": 32})
    checkpoint = str(fit / "checkpoints" / "best.ckpt")
    write_run(tmp_path / "whole", checkpoint=checkpoint)
    write_run(tmp_path / "tiles", checkpoint=checkpoint, config={"model.tile": 64, "model.tile_margin": 0})
    runs = {run.name: run.recipe for run in read_runs(tmp_path)[0]}
    assert runs["fit"]["model.tile"] == 32 and "model.tile" not in runs["whole"]
    assert (runs["tiles"]["model.tile"], runs["tiles"]["model.tile_margin"]) == (64, 0)


def test_weights_tested_on_other_pairs_than_they_were_trained_on_are_another_recipe(tmp_path):
    # The same protocol of the test, but the weights of one have seen noise and those of the other have not.
    noisy = CAVE | {"hsi_snr": 30.0}
    write_run(tmp_path / "trained_noisy", protocol=noisy, config={"data.hsi_snr": 30.0})
    fit = write_run(tmp_path / "clean" / "fit")
    checkpoint = str(fit / "checkpoints" / "best.ckpt")
    write_run(tmp_path / "clean" / "t", protocol=noisy, config={"data.hsi_snr": 30.0}, checkpoint=checkpoint)
    runs = {run.name: run for run in read_runs(tmp_path)[0]}
    one, other = runs["trained_noisy"], runs["clean/t"]
    assert one.protocol == other.protocol
    assert other.recipe["data.hsi_snr"] == "none" and "data.hsi_snr" not in one.recipe


def test_the_protocol_holds_what_the_test_depends_on_and_no_more(tmp_path):
    write_run(tmp_path / "a")
    # Read by the fit, or by an older version that had no noise.
    write_run(tmp_path / "b", protocol=CAVE | {"scenes": {"beads": {"scaling": 65535, "clipped": 0}}})
    write_run(tmp_path / "c", protocol={key: CAVE[key] for key in CAVE if key not in ("psf", "hsi_snr")})
    write_run(tmp_path / "d", protocol=CAVE | {"noise_seed": 5})
    write_run(tmp_path / "e", protocol=CAVE | {"hsi_snr": 30.0})
    write_run(tmp_path / "f", {"feathers": metrics(40.0)})
    write_run(tmp_path / "g", config={"data.response.init_args": {"centres": [500.0]}})
    a, b, c, d, e, f, g = (run.protocol for run in read_runs(tmp_path)[0])
    assert a == b == c == d
    assert all(a != other for other in (e, f, g))


def test_nothing_is_changed_by_reading(tmp_path):
    folder = write_run(tmp_path / "a")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    read_runs(tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert json.loads(before["results.json"])["mean"]["psnr"] == 40.0
    assert yaml.safe_load(before["config.yaml"])["seed_everything"] == 1
