"""Scenes: the known data sets and the cubes read from them."""

from cofusion.scenes.base import DatasetNotFoundError, SceneSet
from cofusion.scenes.cave import CAVE
from cofusion.scenes.chikusei import Chikusei
from cofusion.scenes.files import Files, read_file
from cofusion.scenes.georeference import Georeference
from cofusion.scenes.indian_pines import IndianPines
from cofusion.scenes.pavia_c import PaviaC
from cofusion.scenes.pavia_u import PaviaU
from cofusion.scenes.scene import Scene
from cofusion.scenes.synthetic import Synthetic

__all__ = [
    "CAVE",
    "Chikusei",
    "DatasetNotFoundError",
    "Files",
    "Georeference",
    "IndianPines",
    "PaviaC",
    "PaviaU",
    "Scene",
    "SceneSet",
    "Synthetic",
    "read_file",
]
