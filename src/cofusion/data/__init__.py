"""Data: splits, crops that never leak, and the Lightning data modules."""

from cofusion.data.base import PairDataModule
from cofusion.data.crops import Batch, TrainingCrops, WholeRegions
from cofusion.data.module import FusionDataModule
from cofusion.data.pairs import Pair
from cofusion.data.real_pair import RealPairDataModule
from cofusion.data.sampling import EpochSampler, ShardSampler, allowed_corners
from cofusion.data.splits import Region, Split, Window, load_split

__all__ = [
    "Batch",
    "EpochSampler",
    "FusionDataModule",
    "Pair",
    "PairDataModule",
    "RealPairDataModule",
    "Region",
    "ShardSampler",
    "Split",
    "TrainingCrops",
    "WholeRegions",
    "Window",
    "allowed_corners",
    "load_split",
]
