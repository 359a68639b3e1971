"""Networks and classical methods: plain `torch.nn.Module`s without data sets or Lightning.

Every method maps `(lr_hsi (B, C, h, w), hr_msi (B, c, H, W))` to `hr_hsi (B, C, H, W)`.
"""

from cofusion.models.classical.bicubic import Bicubic
from cofusion.models.cofusion.network import CoFusion
from cofusion.models.pretrained import Pretrained
from cofusion.models.provenance import Provenance

__all__ = ["Bicubic", "CoFusion", "Pretrained", "Provenance"]
