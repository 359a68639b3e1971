"""MHF-net, an unfolded model of how both images arise (Xie et al., CVPR 2019; IEEE TPAMI 2022)."""

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn

from cofusion.models.base import FusionNetwork
from cofusion.models.deep.mhf_levels import Level, Levels
from cofusion.models.deep.mhf_sampling import Down, Up, factors

# The HRMSI enters the levels that look at a residual a tenth as bright.
GUIDE = 0.1
FINAL_LEVELS = 4
STD = 0.1


class MHFNet(FusionNetwork):
    """Unfold the proximal gradient steps for `Z = Y A + Yhat B`, whose blurred and decimated image is X.

    Y A is the part of the result that is linear in the HRMSI, Yhat B what it leaves, of low rank; A and B act
    on bands. With D the learned blur and decimation, U_k the way back up of stage k and P_k its learned
    proximal operator, `Yhat` starts at 0 and every stage but the last does

        E = D (Y A + Yhat B) - X
        Yhat = P_k (Yhat - U_k(E) B^T)

    and the last one refines `Z = Y A + Yhat B` by four residual levels.

    A decides how far the stages have to go, and is found by least squares. The authors solve for it on all
    training images: `fit_response` does. A fresh network, whose A is 0, does it by itself on its first
    training batch, so that `D(Y) A` comes as near to X as it can; trained further, A is a weight like others.

    Levels normalise by the statistics of the batch in training. In evaluation every image has its own, which
    equals the authors' testing, one image at a time; the result of a tile then depends on the tile.

    The code's scales 4, 16 and 32 are sequences of steps of 4 and 2. Other scales are such sequences as well,
    8 as 4 and 2, with a last step for an odd rest. Biases before a normalisation, which have no effect, are
    left out. Any number of rows and columns is accepted.

    Args:
        hsi_bands: Number of HSI bands C.
        msi_bands: Number of MSI bands c.
        scale: Ratio of the two resolutions, an integer of at least 2.
        rank: Number of bands of Yhat.
        stages: Number of stages, at least 2.

    Raises:
        ValueError: An argument lies outside its range.
    """

    multiple = 1

    def __init__(self, hsi_bands: int, msi_bands: int, scale: int, rank: int = 12, stages: int = 20) -> None:
        super().__init__(hsi_bands, msi_bands, scale)
        if rank < 1 or stages < 2:
            raise ValueError(f"rank must be at least 1 and stages at least 2, got {rank} and {stages}")
        self.rank = rank
        self.stages = stages
        steps = factors(scale)
        self.response = nn.Parameter(torch.zeros(msi_bands, hsi_bands))
        self.basis = nn.Parameter(torch.empty(rank, hsi_bands))
        nn.init.trunc_normal_(self.basis, std=STD, a=-2 * STD, b=2 * STD)
        self.down = nn.ModuleList(Down(step) for step in steps)
        self.up = nn.ModuleList(BackUp(hsi_bands, msi_bands, steps) for _ in range(stages - 1))
        self.proximal = nn.ModuleList(Level(rank) for _ in range(stages - 1))
        self.refine = Levels(hsi_bands, FINAL_LEVELS)

    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Fuse images of any H and W."""
        # The HRMSI at full resolution, and after every step down.
        pyramid = [hr_msi]
        for down in self.down:
            pyramid.append(down(pyramid[-1]))
        if self.training and not self.response.any():
            self._fit(pyramid[-1], lr_hsi)
        guides = [GUIDE * level for level in pyramid[-2::-1]]
        linear = _mix(hr_msi, self.response)
        result, rest = linear, hr_msi.new_zeros(1)
        for up, proximal in zip(self.up, self.proximal, strict=True):
            error = result
            for down in self.down:
                error = down(error)
            rest = proximal(rest - _mix(up(error - lr_hsi, guides), self.basis.T))
            result = linear + _mix(rest, self.basis)
        refined: Tensor = self.refine(result)
        return refined

    def fit_response(self, hr_msi: Tensor, hr_hsi: Tensor) -> None:
        """Set A, by which `hr_msi A` comes as near to `hr_hsi` as it can, as the authors begin training.

        Args:
            hr_msi: `(B, c, H, W)`: as much of the training images as there is memory for.
            hr_hsi: `(B, C, H, W)`: their references.
        """
        self._fit(hr_msi, hr_hsi)

    @torch.no_grad()
    def _fit(self, msi: Tensor, hsi: Tensor) -> None:
        y, z = (image.detach().double().transpose(0, 1).flatten(1) for image in (msi, hsi))
        sums = torch.cat((y @ y.T, y @ z.T), 1)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            # Every process has to begin with the same A.
            torch.distributed.all_reduce(sums)
        gram, cross = torch.split(sums, [len(y), len(z)], 1)
        self.response.copy_(torch.linalg.pinv(gram, hermitian=True) @ cross)


class BackUp(nn.Module):
    """Bring a residual to full resolution: steps of learned interpolation, each refined under the HRMSI.

    Args:
        hsi_bands: Number of HSI bands C.
        msi_bands: Number of MSI bands c.
        steps: The factors of the way down, in its order.
    """

    def __init__(self, hsi_bands: int, msi_bands: int, steps: list[int]) -> None:
        super().__init__()
        self.up = nn.ModuleList(Up(hsi_bands, step) for step in reversed(steps))
        self.guided = nn.ModuleList(Level(hsi_bands, msi_bands) for _ in steps)
        self.blur = nn.Conv2d(hsi_bands, hsi_bands, 4, groups=hsi_bands, bias=False)
        nn.init.constant_(self.blur.weight, 1 / 16)

    def forward(self, x: Tensor, guides: list[Tensor]) -> Tensor:
        """Map `(B, C, h, w)` to `(B, C, H, W)`; `guides` are the HRMSI after each step, coarse to fine."""
        for up, level, guide in zip(self.up, self.guided, guides, strict=True):
            x = level(up(x), guide)
        blurred: Tensor = self.blur(F.pad(x, (1, 2, 1, 2)))
        return blurred


def _mix(image: Tensor, weight: Tensor) -> Tensor:
    """Multiply every pixel's bands, as a row, by a matrix `(from, to)`."""
    return F.conv2d(image, weight.T[:, :, None, None])
