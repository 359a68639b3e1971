"""Figures, drawn from plain arrays and from what runs have recorded."""
