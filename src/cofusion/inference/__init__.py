"""Whole-scene fusion: tiles, blending, and products that are written as they are fused."""

from cofusion.inference.files import Result, fuse_files
from cofusion.inference.fuse import fuse

__all__ = ["Result", "fuse", "fuse_files"]
