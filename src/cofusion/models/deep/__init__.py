"""Deep networks of other authors, rewritten from their descriptions for comparison."""

from cofusion.models.deep.bugpan import BUGPan
from cofusion.models.deep.fmpm_dnet_style import FMPMDNetStyle
from cofusion.models.deep.psrt import PSRT
from cofusion.models.deep.smgu_net_style import SMGUNetStyle
from cofusion.models.deep.three_dt_net import ThreeDTNet
from cofusion.models.deep.u2net import U2Net

__all__ = ["PSRT", "BUGPan", "FMPMDNetStyle", "SMGUNetStyle", "ThreeDTNet", "U2Net"]
