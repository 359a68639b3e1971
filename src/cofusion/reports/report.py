"""A report: the tables of the paper from recorded runs, with everything needed to judge them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

from cofusion.errors import UserError
from cofusion.files import whole_folder
from cofusion.reports.figures.efficiency import draw_speeds, find_speeds
from cofusion.reports.marker import mark
from cofusion.reports.names import dataset_title
from cofusion.reports.pictures import Pictures, draw_pictures
from cofusion.reports.protocol import protocol_statement
from cofusion.reports.records.runs import LeftOut, Run, read_runs
from cofusion.reports.report_page import report_page
from cofusion.reports.sections import Section, make_sections, section_title
from cofusion.reports.tables.paper import DATASETS, SCALES
from cofusion.reports.tables.result_tables import ablation_tables, main_table, no_reference_table
from cofusion.reports.tables.spread import SpreadTable, tables_csv
from cofusion.reports.tables.texts import markdown, markdown_code

_TITLES = {1: "against the reference", 2: "without a reference", 3: "ablation"}
_NONE = {
    1: "No run was tested against a reference.",
    2: "No run holds the indices without a reference.",
    3: "No run of an ablated CoFusion (`no_spacam`, `no_specam`, `no_sscfm`).",
}


@dataclass(frozen=True)
class Report:
    """What the runs below some folders amount to.

    Attributes:
        sections: A section per data set, scale and protocol.
        left_out: Runs that no table counts.
        speeds: Records of `cofusion benchmark speed`: what each is called, and its file.
    """

    sections: Sequence[Section]
    left_out: Sequence[LeftOut]
    speeds: Sequence[tuple[str, Path]] = ()

    @property
    def runs(self) -> list[Run]:
        """The runs that the tables count."""
        return [run for section in self.sections for run in section.runs]

    @cached_property
    def tables(self) -> dict[int, list[tuple[Section, SpreadTable]]]:
        """By their number in the paper, the tables that some run fills, each with its section."""
        made: dict[int, list[tuple[Section, SpreadTable]]] = {1: [], 2: [], 3: []}
        for section in self.sections:
            for number, table in ((1, main_table(section)), (2, no_reference_table(section))):
                made[number] += [(section, table)] if table else []
            made[3] += [(section, table) for table in ablation_tables(section)]
        return made

    @cached_property
    def statement(self) -> str:
        """What was measured and how, in Markdown."""
        return protocol_statement(self.sections)

    def check_strictly(self) -> None:
        """Refuse what a report otherwise separates or leaves out.

        Raises:
            UserError: A run is left out, or a data set was tested with several protocols at one scale.
        """
        if self.left_out:
            first, more = self.left_out[0], len(self.left_out) - 1
            also = f", and {more} more" if more else ""
            raise UserError(f"--strict: {first.name} would be left out: {first.reason}{also}")
        mixed = next((section for section in self.sections if section.apart), None)
        if mixed:
            raise UserError(
                f"--strict: {section_title(mixed)} is one of several protocols of this data set and scale; "
                f"report folders with one protocol each, or leave --strict out"
            )


def read_report(*folders: Path) -> Report:
    """Read the runs below some folders and put them together.

    Args:
        folders: Run directories, or folders of them at any depth.

    Raises:
        UserError: There is no such folder, or no run below them that can be used.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"no folder {folder}; expected one of run directories, for example runs")
    runs, unusable = read_runs(*folders)
    sections, rejected = make_sections(runs)
    left_out = [*unusable, *rejected]
    if not sections:
        raise UserError(
            f"no tested run below {', '.join(map(str, folders))}: "
            + ("; ".join(f"{one.name}: {one.reason}" for one in left_out[:3]) or "no results.json anywhere")
        )
    return Report(sections, left_out, find_speeds(folders))


def write_report(
    report: Report, target: Path, pixels: Mapping[str, Sequence[tuple[int, int]]] | None = None
) -> list[str]:
    """Write a report into a folder, whole or not at all; what is there is replaced.

    Args:
        report: The report.
        target: The folder.
        pixels: `(row, col)` by scene, up to three each, whose spectra are drawn; chosen where left out.

    Returns:
        Which recorded images could not be shown, and why.

    Raises:
        UserError: A pixel lies in no recorded scene.
        OSError: The folder cannot be written.
    """
    with whole_folder(target) as folder:
        titles = [section_title(section) for section in report.sections]
        pictures = draw_pictures(report.sections, titles, folder, pixels)
        draw_speeds(report.speeds, folder, pictures)
        for name, text in files(report, pictures).items():
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "index.html").write_text(_html(report, pictures, folder), encoding="utf-8")
        mark(folder)
    return pictures.notes


def files(report: Report, pictures: Pictures | None = None) -> dict[str, str]:
    """Return the text of every file of a report by name, but for its page."""
    found = {"protocol.md": report.statement}
    for number, tables in report.tables.items():
        if not tables:
            continue
        titles = [(section_title(section), table) for section, table in tables]
        found[f"table{number}.md"] = "\n".join(
            f"### {title}\n\n{table.markdown()}" for title, table in titles
        )
        found[f"table{number}.tex"] = "\n".join(table.latex() for _, table in titles)
        found[f"table{number}.csv"] = tables_csv([(_place(section), table) for section, table in tables])
    return {"report.md": _page(report, found, pictures or Pictures()), **found}


def _html(report: Report, pictures: Pictures, folder: Path) -> str:
    tables = [
        (f"Table {number}, {_TITLES[number]}: {section_title(section)}", table)
        for number, made in report.tables.items()
        for section, table in made
    ]
    return report_page(tables, report.statement, report.runs, report.left_out, pictures, folder)


def _place(section: Section) -> dict[str, str]:
    data = str(section.protocol.get("lr_hsi", section.dataset))
    return {"dataset": data, "scale": str(section.scale), "protocol": section.apart}


def _page(report: Report, found: Mapping[str, str], pictures: Pictures) -> str:
    """Put everything on one page."""
    count = len(report.runs)
    parts = [
        "# Results\n",
        f"Made by `cofusion report` from the `results.json` of {count} run{'s' * (count != 1)}; nothing "
        "was trained or tested for it. Bold is the best of a column, underlined the second, a dash an empty "
        "cell. Another heading is another protocol: never compare across headings. The paper states neither "
        "the width of its blur, nor its split, nor the peak of its PSNR, nor its recipe in full: where no "
        "mark stands beside its numbers, ours were measured with this project's reading of it.\n",
    ]
    for number, title in _TITLES.items():
        text = found.get(f"table{number}.md", f"{_NONE[number]}\n")
        parts.append(f"## Table {number}: {title}\n\n{text}")
        parts += [_without_runs(report)] if number == 1 else []
    parts += _pictures(pictures)
    parts += [found["protocol.md"].replace("\n#", "\n##").replace("# ", "## ", 1), _counted(report)]
    return "\n".join(parts)


def _pictures(pictures: Pictures) -> list[str]:
    """Show the figures; what could not be shown is named with them."""
    if not pictures.figures and not pictures.notes:
        return []
    shown = [f"![{markdown(caption)}]({path.as_posix()})\n" for path, caption in pictures.figures.items()]
    notes = [f"- {markdown(note)}" for note in pictures.notes]
    return ["## Pictures\n", *shown, *notes, *([""] if notes else [])]


def _without_runs(report: Report) -> str:
    """Name the data sets and scales of the paper's Table 1 that no run is of."""
    there = {(section.dataset, section.scale) for section in report.sections}
    missing = [
        f"{dataset_title({'dataset': dataset})} x{scale}"
        for dataset, scale in product(DATASETS, SCALES)
        if (dataset, scale) not in there
    ]
    return f"In the paper's Table 1 and without a run here: {', '.join(missing) or 'nothing'}.\n"


def _counted(report: Report) -> str:
    lines = [
        "## Runs\n",
        f"Counted, {len(report.runs)}: {', '.join(markdown_code(run.name) for run in report.runs)}.\n",
        f"Left out, {len(report.left_out)}:\n" if report.left_out else "Left out: none.",
        *(f"- {markdown_code(one.name)}: {markdown(one.reason)}" for one in report.left_out),
    ]
    return "\n".join(lines) + "\n"
