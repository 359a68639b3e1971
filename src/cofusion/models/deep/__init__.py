"""Deep networks of other authors, rewritten from their descriptions for comparison."""

from cofusion.models.deep.bugpan import BUGPan
from cofusion.models.deep.fmpm_dnet_style import FMPMDNetStyle
from cofusion.models.deep.fusformer import Fusformer
from cofusion.models.deep.hsrnet import HSRnet
from cofusion.models.deep.mhf_net import MHFNet
from cofusion.models.deep.pif_net import PIFNet
from cofusion.models.deep.psrt import PSRT
from cofusion.models.deep.smgu_net_style import SMGUNetStyle
from cofusion.models.deep.three_dt_net import ThreeDTNet
from cofusion.models.deep.u2net import U2Net

__all__ = [
    "PSRT",
    "BUGPan",
    "FMPMDNetStyle",
    "Fusformer",
    "HSRnet",
    "MHFNet",
    "PIFNet",
    "SMGUNetStyle",
    "ThreeDTNet",
    "U2Net",
]
