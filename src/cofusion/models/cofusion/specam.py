"""SpeCAM, the spectral branch (section 3.3, Algorithm 1) and its SCM operator (equation 4)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cofusion.models.cofusion.layers import DWConv
from cofusion.models.cofusion.pooling import per_position, pool_max, spread
from cofusion.models.cofusion.wavelet import WaveletSplit

# A normalised z_in and torch's initial weights give interactions of standard deviation 3**-0.5: this bias
# leaves one in seven above zero.
EXPANSION_BIAS = -0.6


class SpeCAM(nn.Module):
    """Refine spectral features by frequency decomposition and spectral coordinate mixing (Algorithm 1).

    Args:
        dim: Width, C in Algorithm 1.
        coordinates: K, how many spectral coordinates are mixed.
        wavelet: Name of a wavelet of PyWavelets.

    Attributes:
        extent: Side of the windows in which saliency is pooled, in pixels; None pools the whole image.
    """

    extent: int | None = None

    def __init__(self, dim: int, coordinates: int, wavelet: str = "haar") -> None:
        super().__init__()
        self.dwt = WaveletSplit(wavelet)
        self.low = DWConv(dim)
        self.high = DWConv(dim)
        self.scm = SCM(dim, coordinates)
        self.alpha_logit = nn.Parameter(torch.zeros(()))
        self.mid = DWConv(dim)

    @property
    def alpha(self) -> Tensor:
        """The learned balance of low against high frequencies, in (0, 1)."""
        return torch.sigmoid(self.alpha_logit)

    def forward(self, f_spe: Tensor) -> Tensor:
        """Map `F_spe (B, C, H, W)` to its refinement of the same shape."""
        # Stage 1: frequency decomposition and saliency extraction.
        f_low, f_high = self.dwt(f_spe)
        f_low = F.gelu(self.low(f_low))
        f_high = F.gelu(self.high(f_high))
        v = torch.cat((pool_max(f_low, self.extent), pool_max(f_high, self.extent)), 1)
        # Stage 2: spectral coordinate mixing.
        a = spread(per_position(self.scm, v), self.extent, f_spe)
        # Stage 3: weighted fusion and residual learning.
        a_low = a * self.alpha
        f_mid = (f_high * (a - a_low)).addcmul_(f_low, a_low)
        return F.gelu(self.mid(f_mid)).add_(f_spe)


class SCM(nn.Module):
    """Spectral coordinate mixing: expansion, ranking and mixing of channel saliencies.

    Expansion makes a sparse C x C interaction map of every image (ReLU sets its zeros). Ranking keeps the K
    columns with the largest sums, in their original order. Mixing walks over those columns: a non-zero
    entry replaces the channel's state, a zero keeps it (equation 4).

    G normalises the saliencies and its result. Without that, z_in and with it the map hardly change from
    image to image, and no row of M is ever empty, so that z0 is never used.

    Args:
        dim: Number of channels C.
        coordinates: K, `1 <= K <= C`.

    Raises:
        ValueError: K lies outside that range.
    """

    def __init__(self, dim: int, coordinates: int) -> None:
        super().__init__()
        if not 1 <= coordinates <= dim:
            raise ValueError(f"coordinates must lie in 1..{dim} (the width), got {coordinates}")
        self.k = coordinates
        self.g_theta = nn.Sequential(
            nn.LayerNorm(2 * dim),
            nn.Linear(2 * dim, 2 * dim),
            nn.ReLU(),
            nn.Linear(2 * dim, dim),
            nn.LayerNorm(dim),
        )
        self.expansion = nn.Linear(dim, dim * dim)
        nn.init.constant_(self.expansion.bias, EXPANSION_BIAS)
        self.z0 = nn.Parameter(torch.zeros(dim))
        self.map = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))

    def forward(self, v: Tensor) -> Tensor:
        """Map saliencies `concat(v_low, v_high) (B, 2C)` to channel weights `a (B, C)` in (0, 1)."""
        z_in = self.g_theta(v)
        z = mix_coordinates(self.coordinates(z_in), self.z0)
        a: Tensor = torch.sigmoid(self.map(z))
        return a

    def coordinates(self, z_in: Tensor) -> Tensor:
        """Expand and rank: map `z_in (B, C)` to the coordinate matrix `M (B, C, K)`, non-negative."""
        dim = self.z0.numel()
        interaction = torch.unflatten(F.relu(self.expansion(z_in)), 1, (dim, dim))
        return top_columns(interaction, self.k)


def top_columns(interaction: Tensor, k: int) -> Tensor:
    """Keep the `k` most salient columns, in their original order.

    Args:
        interaction: Non-negative maps `(B, C, C)`.
        k: How many columns stay.

    Returns:
        `M (B, C, k)`.
    """
    columns = interaction.sum(1).topk(k, dim=1).indices.sort(dim=1).values
    return interaction.gather(2, columns[:, None, :].expand(-1, interaction.shape[1], -1))


def mix_coordinates(m: Tensor, z0: Tensor) -> Tensor:
    """Apply equation 4 to the columns of `m`, one after another.

    The walk is a forward fill: a channel ends with the last non-zero entry of its row, or with its initial
    state where the row is all zero. So it is computed as one gather.

    Args:
        m: Coordinate matrix `(B, C, K)`.
        z0: Initial state `(C,)`.

    Returns:
        Final state `z (B, C)`.
    """
    steps = torch.arange(1, m.shape[2] + 1, device=m.device)
    last = ((m != 0) * steps).amax(2, keepdim=True)
    candidates = torch.cat((z0[None, :, None].expand(m.shape[0], -1, 1), m), 2)
    return candidates.gather(2, last).squeeze(2)
