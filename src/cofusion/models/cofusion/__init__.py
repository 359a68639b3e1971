"""The CoFusion network (arXiv 2604.10584), one file per module of the paper."""

from cofusion.models.cofusion.network import CoFusion, Variant

__all__ = ["CoFusion", "Variant"]
