"""Methods that need no training."""

from cofusion.models.classical.bdsd import BDSD, BDSDPC
from cofusion.models.classical.component_substitution import GS, GSA, IHS, PCA, Brovey
from cofusion.models.classical.mtf_glp import GLPHS, MTFGLP
from cofusion.models.classical.sfim import SFIM, SFIMHS
from cofusion.models.classical.wavelets import AWLP, DWT

__all__ = [
    "AWLP",
    "BDSD",
    "BDSDPC",
    "DWT",
    "GLPHS",
    "GS",
    "GSA",
    "IHS",
    "MTFGLP",
    "PCA",
    "SFIM",
    "SFIMHS",
    "Brovey",
]
