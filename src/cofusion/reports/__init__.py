"""Figures and tables, drawn from plain arrays and recorded results."""

from cofusion.reports.figures.fusion_figure import fusion_figure
from cofusion.reports.figures.style import save_figure
from cofusion.reports.tables.terminal import metric_table

__all__ = ["fusion_figure", "metric_table", "save_figure"]
