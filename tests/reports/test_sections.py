"""What is averaged, what stands in one table, and what never does."""

import statistics

import pytest

from cofusion.reports.records.runs import read_runs
from cofusion.reports.sections import make_sections, section_title
from run_folders import BICUBIC, CAVE, PAVIA, metrics, write_classical, write_run


def sections(folder):
    runs, left_out = read_runs(folder)
    made, rejected = make_sections(runs)
    return made, {one.name: one.reason for one in [*left_out, *rejected]}


def rows(section):
    return {entry.title: [run.name for run in entry.runs] for entry in section.entries}


def test_seeds_are_averaged_with_their_spread_scenes_first(tmp_path):
    values = {1: (38.0, 42.0), 2: (40.0, 44.0), 3: (41.0, 44.0)}
    for seed, (x, y) in values.items():
        write_run(tmp_path / str(seed), {"x": metrics(x), "y": metrics(y)}, seed=seed)
    (section,), left_out = sections(tmp_path)
    assert not left_out
    entry, bicubic = section.entries
    means = [statistics.mean(pair) for pair in values.values()]
    assert entry.numbers["psnr"].values == pytest.approx(means)
    assert entry.numbers["psnr"].mean == pytest.approx(statistics.mean(means))
    assert entry.numbers["psnr"].deviation == pytest.approx(statistics.stdev(means))
    # What draws nothing is measured once, however many runs measured it.
    assert (bicubic.title, bicubic.runs, bicubic.numbers["psnr"].values) == ("bicubic", (), (30.0,))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"preset": "wald", "psf_size": 8}, "preset wald, psf size 8"),
        ({"phase": 1.5}, "phase 1.5"),
        ({"response": "ikonos"}, "response ikonos"),
        ({"msi_bands": ["pan"]}, "msi bands pan"),
        ({"scaling": 255.0}, "scaling 255.0"),
        ({"split": "cave_20_12"}, "split cave_20_12"),
        ({"hsi_snr": 30.0}, "hsi snr 30.0"),
        ({"psf": "disc"}, "psf disc"),
        ({"unheard_of": 3}, "unheard of 3"),
    ],
)
def test_runs_of_different_protocols_are_never_put_together(tmp_path, changed, named):
    write_run(tmp_path / "a", 40.0, seed=1)
    write_run(tmp_path / "b", 20.0, seed=2, protocol=CAVE | changed)
    found, _ = sections(tmp_path)
    assert sorted(entry.numbers["psnr"].values for one in found for entry in one.entries if entry.runs) == [
        (20.0,),
        (40.0,),
    ]
    titles = [section_title(section) for section in found]
    assert all(title.startswith("CAVE x4, ") for title in titles)
    assert any(named in title for title in titles)


def test_other_test_scenes_are_another_protocol(tmp_path):
    write_run(tmp_path / "a", {name: metrics(40.0) for name in "vwxyz"})
    write_run(tmp_path / "b", {name: metrics(50.0) for name in "vwxy"})
    write_run(tmp_path / "c", {"v": metrics(50.0)})
    found, _ = sections(tmp_path)
    assert [section.apart for section in found] == ["5 test scenes", "4 test scenes", "tested on v"]
    write_run(tmp_path / "d", {name: metrics(50.0) for name in "vwxz"})
    assert sorted(section.apart for section in sections(tmp_path)[0]) == [
        "5 test scenes",
        "tested on v",
        "tested on v + w + x + y",
        "tested on v + w + x + z",
    ]


def test_a_run_without_interpolation_joins_none_that_contradict_one_another(tmp_path):
    write_run(tmp_path / "a", 40.0, seed=1, baselines={})
    write_run(tmp_path / "b", 41.0, seed=2)
    write_run(tmp_path / "c", 42.0, seed=3, bicubic=BICUBIC | {"psnr": 31.0})
    found, _ = sections(tmp_path)
    assert [rows(section)["CoFusion"] for section in found] == [["a"], ["b"], ["c"]]
    assert [section.apart for section in found] == [
        "interpolation not measured",
        "psnr of bicubic 30",
        "psnr of bicubic 31",
    ]


def test_a_run_without_interpolation_joins_those_that_agree(tmp_path):
    write_run(tmp_path / "a", 40.0, seed=1, baselines={})
    write_run(tmp_path / "b", 41.0, seed=2)
    write_run(tmp_path / "c", 42.0, seed=3, baselines={})
    assert [rows(section)["CoFusion"] for section in sections(tmp_path)[0]] == [["a", "b", "c"]]


def test_scales_and_data_sets_have_sections_of_their_own(tmp_path):
    write_run(tmp_path / "a", protocol=PAVIA)
    write_run(tmp_path / "b", protocol=CAVE | {"scale": 8})
    write_run(tmp_path / "c")
    found, _ = sections(tmp_path)
    assert [section_title(section) for section in found] == ["CAVE x4", "CAVE x8", "PaviaU x4"]


def test_protocols_that_read_alike_but_were_other_pairs_are_separated(tmp_path):
    # A split of the same name with another content, say: bicubic interpolation has no other way to differ.
    write_run(tmp_path / "a", 40.0, seed=1)
    write_run(tmp_path / "b", 41.0, seed=2, bicubic=BICUBIC | {"psnr": 30.1})
    write_run(tmp_path / "c", 42.0, seed=3, bicubic=BICUBIC | {"psnr": 30.0001})
    one, other = sections(tmp_path)[0]
    assert (rows(one)["CoFusion"], rows(other)["CoFusion"]) == (["a", "c"], ["b"])
    assert [one.apart, other.apart] == ["psnr of bicubic 30", "psnr of bicubic 30.1"]


def test_headings_say_all_that_differs(tmp_path):
    write_run(tmp_path / "a", 40.0, seed=1)
    # Measured with another convention, say.
    write_run(tmp_path / "b", 41.0, seed=2, bicubic=BICUBIC | {"ssim": 0.91})
    write_run(tmp_path / "c", 42.0, seed=3, protocol=CAVE | {"preset": "wald"})
    assert [section.apart for section in sections(tmp_path)[0]] == [
        "preset paper, ssim of bicubic 0.9",
        "preset paper, ssim of bicubic 0.91",
        "preset wald",
    ]


def test_other_recipes_are_other_rows_and_say_what_differs(tmp_path):
    write_run(tmp_path / "a", seed=1, arguments={"dim": 64})
    write_run(tmp_path / "b", seed=2, arguments={"dim": 64})
    write_run(tmp_path / "c", seed=3, arguments={"dim": 32}, config={"trainer.max_epochs": 1})
    write_run(tmp_path / "d", seed=1, arguments={"dim": 64}, config={"trainer.max_time": "00:00:10:00"})
    ((section,), _) = sections(tmp_path)
    assert {title: names for title, names in rows(section).items() if names} == {
        "CoFusion (dim 64, max_epochs 2, max_time none)": ["a", "b"],
        "CoFusion (dim 32, max_epochs 1, max_time none)": ["c"],
        "CoFusion (dim 64, max_epochs 2, max_time 00:00:10:00)": ["d"],
    }


def test_a_recipe_that_is_not_known_is_named_by_its_weights(tmp_path):
    write_run(tmp_path / "a", seed=1, arguments={"dim": 64})
    write_run(tmp_path / "b", seed=1, arguments={"dim": 32})
    for number in (1, 2):
        write_run(tmp_path / f"c{number}", checkpoint=f"/gone/fit_{number}/checkpoints/best.ckpt")
    ((section,), _) = sections(tmp_path)
    assert {title for title, names in rows(section).items() if names} == {
        "CoFusion (dim 64)",
        "CoFusion (dim 32)",
        "CoFusion (recipe not known, fit_1/checkpoints/best.ckpt)",
        "CoFusion (recipe not known, fit_2/checkpoints/best.ckpt)",
    }


def test_classes_of_one_name_from_two_places_are_told_apart(tmp_path):
    write_run(tmp_path / "a", net="mine.first.Net")
    write_run(tmp_path / "b", net="mine.second.Net")
    ((section,), _) = sections(tmp_path)
    assert set(rows(section)) == {"Net (net mine.first.Net)", "Net (net mine.second.Net)", "bicubic"}


def test_a_seed_that_is_there_twice_with_the_same_numbers_counts_once(tmp_path):
    fit = write_run(tmp_path / "fit_0", 40.0)
    write_run(tmp_path / "a_test", 40.0, checkpoint=str(fit / "checkpoints" / "best.ckpt"))
    write_classical(tmp_path / "gsa_0", 39.0)
    write_classical(tmp_path / "gsa_1", 39.0)
    ((section,), left_out) = sections(tmp_path)
    assert rows(section) == {"CoFusion": ["fit_0"], "GSA": ["gsa_0"], "bicubic": []}
    assert left_out == {
        "a_test": "the same numbers as fit_0: counted once",
        "gsa_1": "the same numbers as gsa_0: counted once",
    }


def test_metrics_that_only_a_later_test_measured_count_with_the_fit(tmp_path):
    fit = write_run(tmp_path / "fit", 40.0)
    checkpoint = str(fit / "checkpoints" / "best.ckpt")
    indices = {"d_lambda": 0.1, "d_s": 0.2, "qnr": 0.72}
    write_run(tmp_path / "test", {"balloons": metrics(40.0, **indices)}, checkpoint=checkpoint)
    ((section,), left_out) = sections(tmp_path)
    numbers = section.entries[0].numbers
    assert (numbers["psnr"].values, numbers["qnr"].values) == ((40.0,), (0.72,))
    assert left_out == {"test": "the same numbers as fit: counted once, with its d_lambda, d_s, qnr"}


def test_a_test_without_a_metric_in_common_is_no_repetition(tmp_path):
    fit = write_run(tmp_path / "fit", 40.0)
    checkpoint = str(fit / "checkpoints" / "best.ckpt")
    write_run(tmp_path / "test", {"balloons": {"qnr": 0.7}}, checkpoint=checkpoint)
    ((section,), left_out) = sections(tmp_path)
    assert "qnr" not in section.entries[0].numbers
    assert left_out["test"].startswith("shares no metric with fit: nobody can tell")


def test_two_later_tests_that_contradict_one_another_do_not_count(tmp_path):
    fit = write_run(tmp_path / "fit", 40.0)
    checkpoint = str(fit / "checkpoints" / "best.ckpt")
    for name, qnr in (("one", 0.7), ("other", 0.8)):
        write_run(tmp_path / name, {"balloons": metrics(40.0, qnr=qnr)}, checkpoint=checkpoint)
    made, left_out = sections(tmp_path)
    assert made == [] and "but qnr 0.7000, 0.8000" in left_out["fit"]


def test_a_seed_that_is_there_twice_with_other_numbers_does_not_count_at_all(tmp_path):
    write_run(tmp_path / "a", 40.0, seed=1)
    write_run(tmp_path / "b", 40.5, seed=1)
    write_run(tmp_path / "c", 41.0, seed=2)
    ((section,), left_out) = sections(tmp_path)
    assert rows(section)["CoFusion"] == ["c"]
    assert section.entries[0].numbers["psnr"].values == (41.0,)
    assert set(left_out) == {"a", "b"}
    assert left_out["a"].startswith(
        "contradicts b: the same method, recipe and seed 1, but psnr 40.0000, 40.5"
    )


def test_where_all_contradict_nothing_is_left(tmp_path):
    write_run(tmp_path / "a", 40.0)
    write_run(tmp_path / "b", 40.5)
    assert sections(tmp_path)[0] == []


def test_the_order_is_the_papers_then_other_networks_then_classical_then_interpolation(tmp_path):
    names = ["classical.FUSE", "classical.GSA", "CoFusion", "deep.MHFNet", "deep.FMPMDNetStyle", "deep.U2Net"]
    for name in names:
        write_run(tmp_path / name, net=f"cofusion.models.{name}")
    write_classical(
        tmp_path / "hpm", 30.0, "cofusion.models.classical.MTFGLP", arguments={"injection": "modulation"}
    )
    ((section,), _) = sections(tmp_path)
    assert list(rows(section)) == [
        "U2Net", "FMPM-DNet-style", "MHF-net", "CoFusion", "GSA", "MTF-GLP-HPM", "FUSE", "bicubic",
    ]  # fmt: skip


def test_pairs_of_ones_own_are_told_by_their_files(tmp_path):
    pair = {"dataset": "real_pair", "scale": 4, "split": "right_0.2", "msi_gain": [1.0257633448496317]}
    scene = {"x (full resolution)": {"d_lambda": 0.1, "d_s": 0.1, "qnr": 0.81}}
    write_run(
        tmp_path / "a", scene, protocol=pair | {"lr_hsi": "a.tif", "hr_msi": "b.tif"}, bicubic={"qnr": 0.7}
    )
    write_run(
        tmp_path / "b", scene, protocol=pair | {"lr_hsi": "c.tif", "hr_msi": "d.tif"}, bicubic={"qnr": 0.7}
    )
    # Estimated again, to the last digit.
    again = pair | {"lr_hsi": "c.tif", "hr_msi": "d.tif", "msi_gain": [1.0257633448496320]}
    write_run(tmp_path / "c", scene, protocol=again, seed=2, bicubic={"qnr": 0.7})
    found, _ = sections(tmp_path)
    assert [(section_title(section), len(section.runs)) for section in found] == [
        ("a.tif x4", 1),
        ("c.tif x4", 2),
    ]
