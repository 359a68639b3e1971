"""Tables 1 to 3 from generated runs: marks, differences, empty cells, formats."""

import csv
import io
import json
import re

import pytest

from cofusion.reports.report import read_report
from cofusion.reports.tables.result_tables import ablation_tables, main_table, no_reference_table
from cofusion.reports.tables.spread import Column, Row, Spread, SpreadTable, tables_csv
from run_folders import BICUBIC, CAVE, PAVIA, metrics, write_classical, write_run

SCENES = [
    "balloons", "cd", "chart_and_stuffed_toy", "clay", "fake_and_real_beers", "fake_and_real_lemon_slices",
    "fake_and_real_tomatoes", "feathers", "flowers", "hairs", "jelly_beans",
]  # fmt: skip
# The column that the paper's PSNR stands beside, and the paper's.
PEAK, PAPERS = "PSNR, peak max (dB) ↑", "PSNR, peak max (dB) ↑ paper"


def everywhere(psnr, **others):
    return {scene: metrics(psnr, **others) for scene in SCENES}


def section(folder):
    (only,) = read_report(folder).sections
    return only


def cells(table):
    """Cells of a Markdown table by first label and heading; `X paper` is what stands beside X."""
    head, _, *rows = (line.strip("|").split("|") for line in table.markdown().splitlines() if line[:1] == "|")
    names, last = [], ""
    for name in map(str.strip, head):
        names.append(f"{last} paper" if name == "paper (Δ)" else name)
        last = name
    return {row[0].strip(): dict(zip(names, map(str.strip, row), strict=True)) for row in rows}


def test_table_1_has_means_spread_runs_the_papers_value_and_the_difference(tmp_path):
    write_run(tmp_path / "1", everywhere(49.0), seed=1)
    write_run(tmp_path / "2", everywhere(50.0), seed=2)
    write_classical(tmp_path / "gsa", everywhere(45.0, sam=1.5))
    found = cells(main_table(section(tmp_path)))
    assert list(found) == [
        "HSRnet", "Fusformer", "PSRT", "U2Net", "3DT-Net", "BUGPan", "FMPM-DNet-style", "SMGU-Net-style",
        "CoFusion", "GSA", "bicubic",
    ]  # fmt: skip
    ours = found["CoFusion"]
    assert (ours["Runs"], ours["PSNR (dB) ↑"]) == ("2", "**49.50 ± 0.71**")
    assert ours[PAPERS] == "49.14 (+0.36)"
    assert ours["ERGAS ↓ paper"] == "2.009 (-1.009)"
    write_run(tmp_path / "like" / "x", everywhere(49.13819))
    assert cells(main_table(section(tmp_path / "like")))["CoFusion"][PAPERS] == "49.14 (+0.00)"
    assert ours["Training"] == "400 steps, 2 epochs, 1.5 min, cpu (a test)"
    assert found["GSA"]["PSNR (dB) ↑"] == "<u>45.00</u>" and found["GSA"]["SAM (°) ↓"] == "**1.50**"
    assert (found["GSA"][PAPERS], found["GSA"]["Training"]) == ("-", "nothing to train")


def test_the_papers_psnr_stands_beside_ours_of_the_peak_that_its_authors_code_takes(tmp_path):
    write_run(tmp_path / "a", everywhere(49.0, psnr_max=47.5))
    write_classical(tmp_path / "gsa", everywhere(45.0, psnr_max=None))
    table = main_table(section(tmp_path))
    ours = cells(table)["CoFusion"]
    assert (ours["PSNR (dB) ↑"], ours[PEAK]) == ("**49.00**", "47.50")
    assert ours[PAPERS] == "49.14 (-1.64)" and "PSNR (dB) ↑ paper" not in ours
    assert cells(table)["GSA"][PEAK] == "-"
    assert "states no peak" in table.caption


def test_a_psnr_of_the_papers_peak_that_was_not_recorded_is_empty(tmp_path):
    ablation(tmp_path, psnr_max=False)
    (table,) = ablation_tables(section(tmp_path))
    row = cells(table)["Full Model"]
    assert (row["PSNR (dB) ↑"], row[PEAK]) == ("**38.15 ± 0.07**", "-")
    assert row[PAPERS] == "38.32" and "PSNR (dB) ↑ paper" not in row
    assert "states no peak" in table.caption


def test_a_budget_that_was_given_is_said(tmp_path):
    write_run(tmp_path / "1", everywhere(49.0), budget="6 min of steps")
    row = cells(main_table(section(tmp_path)))["CoFusion"]
    assert row["Training"] == "400 steps, 2 epochs, 1.5 min, cpu (a test), budget 6 min of steps"


def test_trainings_are_sorted_by_their_time(tmp_path):
    write_run(tmp_path / "1", everywhere(49.0), seed=1, fit_time_s=100.0)
    write_run(tmp_path / "2", everywhere(50.0), seed=2, fit_time_s=300.0)
    write_run(tmp_path / "3", everywhere(50.0), arguments={"dim": 8}, fit_time_s=None)
    write_classical(tmp_path / "gsa", everywhere(45.0))
    efforts = {row.labels[0]: row.effort for row in main_table(section(tmp_path)).rows}
    assert (efforts["CoFusion (dim none)"], efforts["CoFusion (dim 8)"]) == (200.0, None)
    assert (efforts["GSA"], efforts["bicubic"], efforts["HSRnet"]) == (0.0, 0.0, None)


def test_what_nobody_ran_is_a_visible_dash_beside_the_papers_value(tmp_path):
    write_classical(tmp_path / "gsa", everywhere(45.0))
    row = cells(main_table(section(tmp_path)))["HSRnet"]
    assert row["PSNR (dB) ↑"] == "-" and row[PAPERS] == "46.82"
    assert (row["Runs"], row["Training"]) == ("0", "-")


def test_differences_are_marked_where_protocol_scenes_or_method_are_not_the_papers(tmp_path):
    some = {scene: metrics(40.0) for scene in SCENES[:5]}
    write_run(tmp_path / "a", some, protocol=CAVE | {"preset": "wald"})
    write_run(
        tmp_path / "b", some, protocol=CAVE | {"preset": "wald"}, net="cofusion.models.deep.SMGUNetStyle"
    )
    table = main_table(section(tmp_path))
    found = cells(table)
    assert found["CoFusion"][PAPERS] == "49.14 (-9.14)†‡"
    assert found["SMGU-Net-style"][PAPERS] == "48.82 (-8.82)†‡§"
    assert "† Another protocol than the paper's: preset wald, not paper." in table.caption
    assert "‡ Not the paper's scenes: 5 of the 11 test scenes." in table.caption
    assert "§ In the style of that method" in table.caption


def test_ergas_stands_beside_the_papers_with_the_papers_factor(tmp_path):
    write_run(tmp_path / "a", everywhere(47.0, ergas=1.1, ergas_100_4=2.2), protocol=CAVE | {"scale": 8})
    row = cells(main_table(section(tmp_path)))["CoFusion"]
    assert (row["ERGAS ↓"], row["ERGAS (100/4) ↓"]) == ("**1.100**", "**2.200**")
    assert "ERGAS ↓ paper" not in row and row["ERGAS (100/4) ↓ paper"] == "2.355 (-0.155)"


def test_other_data_have_no_column_of_the_paper(tmp_path):
    write_run(tmp_path / "a", protocol=CAVE | {"dataset": "indian_pines"})
    table = main_table(section(tmp_path))
    assert list(cells(table)) == ["CoFusion", "bicubic"]
    assert "paper" not in table.markdown() and "over the one test scene" in table.caption


def test_a_cell_of_fewer_runs_says_so(tmp_path):
    write_run(tmp_path / "1", everywhere(49.0), seed=1)
    write_run(tmp_path / "2", everywhere(50.0, sam=None), seed=2)
    row = cells(main_table(section(tmp_path)))["CoFusion"]
    assert row["Runs"] == "2" and row["SAM (°) ↓"] == "**2.00 (n = 1)**"


def test_ablations_are_in_table_3_alone(tmp_path):
    write_run(tmp_path / "a", protocol=PAVIA)
    write_run(tmp_path / "b", 50.0, protocol=PAVIA, arguments={"variant": "no_spacam"})
    assert cells(main_table(section(tmp_path)))["CoFusion"]["PSNR (dB) ↑"] == "**40.00**"


def test_table_2_holds_the_indices_without_a_reference(tmp_path):
    indices = {"d_lambda": 0.05, "d_s": 0.06, "qnr": 0.893}
    plain = {"bicubic": BICUBIC | {"qnr": 0.8}, "other": BICUBIC}
    baselines = {name: {"scenes": dict.fromkeys(SCENES, numbers)} for name, numbers in plain.items()}
    write_run(tmp_path / "a", everywhere(40.0, **indices), baselines=baselines)
    table = no_reference_table(section(tmp_path))
    row = cells(table)["CoFusion"]
    assert (row["D_λ ↓"], row["QNR ↑"], row["QNR ↑ paper"]) == ("0.0500", "**0.8930**", "0.8604 (+0.0326)")
    assert "cannot be compared" in table.caption
    assert cells(table)["bicubic"]["D_s ↓"] == "-"
    assert "HSRnet" in cells(table) and "other" not in cells(table)
    write_run(tmp_path / "b" / "x", protocol=PAVIA)
    assert no_reference_table(section(tmp_path / "b")) is None


def test_table_1_needs_a_reference(tmp_path):
    write_run(tmp_path / "a", {"x": {"qnr": 0.9}}, bicubic={"qnr": 0.8})
    assert main_table(section(tmp_path)) is None


def ablation(folder, psnr_max=True, **changes):
    for number, variant in enumerate(("full", "no_spacam", "no_sscfm")):
        for seed in (1, 2):
            arguments = {"variant": variant, "dim": 64}
            run = folder / f"{variant}_{seed}"
            given = {"protocol": PAVIA, "parameters": 4_900_000 - 300_000 * number} | changes
            scene = metrics(38.0 - number + seed / 10)
            scene = scene if psnr_max else {key: scene[key] for key in scene if key != "psnr_max"}
            write_run(run, {"balloons": scene}, arguments=arguments, seed=seed, **given)


def test_table_3_has_the_four_rows_of_the_paper(tmp_path):
    ablation(tmp_path)
    (table,) = ablation_tables(section(tmp_path))
    found = cells(table)
    assert list(found) == ["w/o SpaCAM", "w/o SpeCAM", "w/o SSCFM", "Full Model"]
    assert [row["Seeds"] for row in found.values()] == ["2", "0", "2", "2"]
    assert found["Full Model"]["PSNR (dB) ↑"] == "**38.15 ± 0.07**"
    assert found["Full Model"][PAPERS] == "38.32 (-0.17)"
    assert found["w/o SpaCAM"]["PSNR (dB) ↑"] == "<u>37.15 ± 0.07</u>"
    assert found["w/o SpeCAM"]["PSNR (dB) ↑"] == "-" and found["w/o SpeCAM"][PAPERS] == "37.59"
    assert found["w/o SSCFM"]["Params (M) ↓"] == "**4.30**"
    assert "cannot be compared" not in table.caption


def test_ablations_of_other_recipes_are_tables_of_their_own(tmp_path):
    ablation(tmp_path / "short")
    ablation(tmp_path / "long", config={"trainer.max_epochs": 1}, steps=200)
    one, other = ablation_tables(section(tmp_path))
    captions = sorted(table.caption.split("; ")[1] for table in (one, other))
    assert [caption.split(", ")[:2] for caption in captions] == [
        ["max_epochs 1", "200 steps"],
        ["max_epochs 2", "400 steps"],
    ]
    assert cells(one)["Full Model"]["Seeds"] == cells(other)["Full Model"]["Seeds"] == "2"


def test_an_ablation_on_other_data_is_marked(tmp_path):
    ablation(tmp_path, protocol=CAVE)
    (table,) = ablation_tables(section(tmp_path))
    assert cells(table)["Full Model"][PAPERS] == "38.32 (-0.17)‡"
    assert "‡ Not the paper's scenes: cave, not pavia_u." in table.caption


def test_latency_is_what_the_sweep_measured(tmp_path):
    ablation(tmp_path)
    measured = {"runs": {"full": "full_1", "no_spacam": "another"}, "ms": {"full": 7.5, "no_spacam": 3}}
    (tmp_path / "latency.json").write_text(json.dumps(measured | {"device": "a test"}))
    (table,) = ablation_tables(section(tmp_path))
    found = cells(table)
    assert found["Full Model"]["Latency (ms) ↓"] == "7.50" and found["w/o SpaCAM"]["Latency (ms) ↓"] == "-"
    assert "Latency here: a test" in table.caption
    (tmp_path / "latency.json").write_text("{")
    assert cells(ablation_tables(section(tmp_path))[0])["Full Model"]["Latency (ms) ↓"] == "-"


def test_latex_is_the_same_table_in_booktabs(tmp_path):
    write_run(tmp_path / "a", everywhere(49.0, d_lambda=0.1, d_s=0.1, qnr=0.8))
    write_classical(tmp_path / "b", everywhere(48.0))
    table = main_table(section(tmp_path))
    lines = table.latex().splitlines()
    rules = [lines.index(rf"\{rule}rule") for rule in ("top", "mid", "bottom")]
    body = lines[rules[1] + 1 : rules[2]]
    assert len(body) == len(table.rows) and all(line.endswith(r" \\") for line in body)
    columns = re.fullmatch(r"\\begin\{tabular\}\{([lr]+)\}", lines[rules[0] - 1])[1]
    assert {line.count(" & ") for line in (*body, lines[rules[0] + 1])} == {len(columns) - 1}
    assert lines[0] == r"\begin{table*}" and lines[-1] == r"\end{table*}"
    text = table.latex()
    assert r"\textbf{49.00} & \textbf{49.00} & 49.14 ($-$0.14) & " in text and " & -- & " in text
    without = no_reference_table(section(tmp_path)).latex()
    assert r"$D_\lambda$ $\downarrow$ & paper ($\Delta$) & $D_s$ $\downarrow$" in without
    for latex in (text, without):
        assert latex.isascii() and latex.count("{") == latex.count("}") and latex.count("$") % 2 == 0
        assert not re.search(r"(?<!\\)[%#]|[^\\$D]_", latex)


def test_latex_shows_any_name_as_it_is():
    names = ["[Net", "*Net", "FIELD_scene.tif D_s", 'a<b> "c" |d| 5 µm (-3)', "", "D_λ"]
    columns = [Column("d_s", "D_s ↓", 2, False), Column("x", "D_scene ↓", 2, False)]
    rows = [Row((name, "1"), {"d_s": Spread((0.5,))}) for name in names]
    lines = SpreadTable(("Method", "Runs"), columns, rows, "Of D_s.tif").latex().splitlines()
    head, start = lines[lines.index(r"\toprule") + 1], lines.index(r"\midrule") + 1
    assert head == r"Method & Runs & $D_s$ $\downarrow$ & D\_scene $\downarrow$ \\"
    found = [line.split(" & ")[0] for line in lines[start : start + len(names)]]
    assert found == [
        "{[}Net",
        "{*}Net",
        r"FIELD\_scene.tif D\_s",
        r"a\textless{}b\textgreater{} ''c'' \textbar{}d\textbar{} 5 $\mu$m ($-$3)",
        "",
        r"D\_$\lambda$",
    ]
    assert r"\caption{Of D\_s.tif}" in lines


def test_markdown_shows_any_name_as_it_is():
    rows = [Row((name, "1"), {"d_s": Spread((0.5,))}) for name in ("<img src=x>", "[x](y)", "a`*b*`", "a|b")]
    text = SpreadTable(("Method", "Runs"), [Column("d_s", "D_s ↓")], rows).markdown()
    found = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines()[2:]]
    assert found == [r"\<img src=x>", r"\[x\](y)", r"a\`\*b\*\`", "a/b"]


def test_csv_holds_every_digit_and_all_tables(tmp_path):
    write_run(tmp_path / "1", everywhere(49.0), seed=1)
    write_run(tmp_path / "2", everywhere(50.123456789), seed=2)
    table = main_table(section(tmp_path))
    other = SpreadTable(
        ("Method", "Runs"), [Column("qnr", "QNR")], [Row(("x", "1"), {"qnr": Spread((0.5,))})]
    )
    text = tables_csv([({"dataset": "cave"}, table), ({"dataset": "mine"}, other)])
    found = {(row["dataset"], row["Method"]): row for row in csv.DictReader(io.StringIO(text))}
    ours = found["cave", "CoFusion"]
    assert float(ours["psnr"]) == pytest.approx(49.5617283945, abs=1e-12) and ours["psnr_n"] == "2"
    assert float(ours["psnr_max_paper"]) == 49.1382 and ours["psnr_max_paper_mark"] == ""
    assert float(ours["psnr_max_paper_difference"]) == pytest.approx(49.5617283945 - 49.1382)
    assert (ours["qnr"], found["cave", "HSRnet"]["psnr"], found["cave", "HSRnet"]["psnr_n"]) == ("", "", "0")
    assert (found["mine", "x"]["qnr"], found["mine", "x"]["psnr"]) == ("0.5", "")


def test_what_prints_alike_is_marked_alike():
    rows = [
        Row((str(value), "1"), {"psnr": Spread((value,))}) for value in (30.001, 30.004, 29.0, 29.001, 28.0)
    ]
    table = SpreadTable(("Method", "Runs"), [Column("psnr", "PSNR", 2, True)], rows)
    marked = [row["PSNR"] for row in cells(table).values()]
    assert marked == ["**30.00**", "**30.00**", "<u>29.00</u>", "<u>29.00</u>", "28.00"]
