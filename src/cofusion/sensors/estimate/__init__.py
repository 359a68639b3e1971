"""The two sensors of a pair, told from the pair itself."""

from cofusion.sensors.estimate.estimate import Estimate, PSFChoice, estimate_sensors, find_scale
from cofusion.sensors.estimate.gaussian import GaussianFit

__all__ = ["Estimate", "GaussianFit", "PSFChoice", "estimate_sensors", "find_scale"]
