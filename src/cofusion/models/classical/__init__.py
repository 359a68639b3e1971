"""Methods that need no training."""

from cofusion.models.classical.base import ClassicalMethod
from cofusion.models.classical.bdsd import BDSD, BDSDPC
from cofusion.models.classical.cnmf import CNMF
from cofusion.models.classical.component_substitution import GS, GSA, IHS, PCA, Brovey
from cofusion.models.classical.fuse import FUSE
from cofusion.models.classical.hysure import HySure
from cofusion.models.classical.ltmr import LTMR
from cofusion.models.classical.mtf_glp import GLPHS, MTFGLP
from cofusion.models.classical.sfim import SFIM, SFIMHS
from cofusion.models.classical.sup_res_palm import SupResPALM
from cofusion.models.classical.tv import TV
from cofusion.models.classical.wavelets import AWLP, DWT

__all__ = [
    "AWLP",
    "BDSD",
    "BDSDPC",
    "CNMF",
    "DWT",
    "FUSE",
    "GLPHS",
    "GS",
    "GSA",
    "IHS",
    "LTMR",
    "MTFGLP",
    "PCA",
    "SFIM",
    "SFIMHS",
    "TV",
    "Brovey",
    "ClassicalMethod",
    "HySure",
    "SupResPALM",
]
