"""The report as one web page that needs no network."""

from cofusion.reports.page.build import Cell, PageTable, build_page, figure_uri
from cofusion.reports.page.scenes import SAMPLES_BUDGET, page_scene, sample_step

__all__ = [
    "SAMPLES_BUDGET",
    "Cell",
    "PageTable",
    "build_page",
    "figure_uri",
    "page_scene",
    "sample_step",
]
