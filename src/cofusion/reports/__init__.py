"""Figures and tables, drawn from plain arrays and recorded results."""

from cofusion.reports.figures import fusion_figure, save_figure
from cofusion.reports.tables import markdown_table, metric_table

__all__ = ["fusion_figure", "markdown_table", "metric_table", "save_figure"]
