"""BUGPan, the bidomain uncertainty gated recursive network (Hou et al., Information Fusion 2025)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cofusion.models.base import FusionNetwork
from cofusion.models.deep.masksembles import THINNING, Masksembles
from cofusion.sensors.decimation import upsample

# The pyramid doubles the resolution at most this often.
DOUBLINGS = 2
KERNELS = (1, 3, 5)
# Side of the grid that a gate pools to at the coarsest level; doubled at each finer one.
POOL = 2
# A gate's width times the side of its grid.
GATE_WIDTH = 64


class BUGPan(FusionNetwork):
    """Fuse at low, middle and full resolution in turn; at each, refine features over and over by one block.

    A level's features come from the LRHSI enlarged to its size, the HRMSI shrunk to it, and the result and
    features of the level below. Five times, three RIJAK modules add to them. An ensemble of twelve masked
    heads predicts the residual that is added to the interpolated LRHSI.

    With gates, each image decides before each of the later four rounds, by where the ensemble disagrees in
    space and frequency, whether the round changes it. The published configuration has them off.

    Departures. The published gates ignore their input in training, where noise overwrites their logits; here
    they are straight-through Gumbel-softmax (Jang et al., ICLR 2017). The ensemble's masks are this project's
    fixed ones, and its spread in frequency is bounded (`Masksembles.uncertainty`). A closed gate saves no
    time here. The fixed scale 4 is generalised: a scale that 4 divides has three levels, another even one
    two, an odd one one; what these do not enlarge is interpolated first, as the authors do for scale 8. Any
    number of rows and columns is accepted.

    Args:
        hsi_bands: Number of HSI bands C.
        msi_bands: Number of MSI bands c.
        scale: Ratio of the two resolutions, an integer of at least 2.
        phase: Where an LR sample sits in its `scale` x `scale` block, in full-resolution pixels.
        dim: Width of the features, a multiple of 4.
        recursions: Rounds of a level, at least 1.
        gated: Whether later rounds have gates.
        gate_offset: Taken from the logit of skipping a round. The authors lower it in the course of training
            to this 0.1.

    Raises:
        ValueError: An argument lies outside its range.
    """

    multiple = 1

    def __init__(
        self,
        hsi_bands: int,
        msi_bands: int,
        scale: int,
        phase: float = 0.0,
        dim: int = 32,
        recursions: int = 5,
        gated: bool = False,
        gate_offset: float = 0.1,
    ) -> None:
        super().__init__(hsi_bands, msi_bands, scale, phase)
        if dim < 1 or dim % THINNING:
            raise ValueError(f"dim must be a positive multiple of {THINNING}, got {dim}")
        if recursions < 1:
            raise ValueError(f"recursions must be at least 1, got {recursions}")
        self.dim = dim
        self.recursions = recursions
        self.gated = gated
        self.gate_offset = gate_offset
        doublings = max(n for n in range(DOUBLINGS + 1) if scale % 2**n == 0)
        self.enlarge = nn.ModuleList(_enlarge(hsi_bands) for _ in range(doublings))
        self.shrink = nn.ModuleList(
            nn.Conv2d(msi_bands, msi_bands, 5, stride=2, padding=2) for _ in range(doublings)
        )
        self.embed_hsi = nn.ModuleList(_conv(hsi_bands, dim) for _ in range(doublings + 1))
        self.embed_msi = nn.ModuleList(nn.Conv2d(msi_bands, dim, 5, padding=2) for _ in range(doublings + 1))
        self.rise = nn.ModuleList(Rise(hsi_bands, dim) for _ in range(doublings))
        self.blocks = nn.ModuleList(
            RecursiveBlock(
                hsi_bands, dim, recursions, Gate(hsi_bands, dim, level, gate_offset) if gated else None
            )
            for level in range(doublings + 1)
        )

    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Return the result of the finest level."""
        return self.fuse_levels(lr_hsi, hr_msi)[-1]

    def fuse_levels(self, lr_hsi: Tensor, hr_msi: Tensor) -> list[Tensor]:
        """Return the results of all levels, which the authors' loss compares with the shrunk reference.

        Args:
            lr_hsi: LRHSI X, `(B, C, h, w)`.
            hr_msi: HRMSI Y, `(B, c, scale * h, scale * w)`.

        Returns:
            HRHSI from the coarsest level, `(B, C, H/4, W/4)` at a scale that 4 divides, to the finest,
            `(B, C, H, W)`, each half the size of the next.
        """
        guides = [hr_msi]
        for shrink in self.shrink:
            guides.insert(0, shrink(guides[0]))
        base = upsample(lr_hsi, self.scale, self.phase)
        bases = [F.interpolate(base, guide.shape[-2:], mode="bicubic") for guide in guides[:-1]] + [base]
        hsi = lr_hsi if self.scale == 2 ** len(self.enlarge) else bases[0]
        x = self.embed_hsi[0](hsi)
        results: list[Tensor] = []
        for level, block in enumerate(self.blocks):
            features, residual = block(x, self.embed_msi[level](guides[level]))
            results.append(bases[level] + residual)
            if level < len(self.rise):
                hsi = self.enlarge[level](hsi)
                x = self.rise[level](self.embed_hsi[level + 1](hsi), results[-1], features)
        return results


class Rise(nn.Module):
    """Bring the result and the features of the level below up, and merge them into those of a level.

    Args:
        hsi_bands: Number of HSI bands C.
        dim: Width D.
    """

    def __init__(self, hsi_bands: int, dim: int) -> None:
        super().__init__()
        self.result = nn.Sequential(_enlarge(hsi_bands), _conv(hsi_bands, dim))
        self.features = nn.Sequential(*_separable(dim, 4 * dim), nn.PixelShuffle(2))
        self.merge = _separable(3 * dim, dim)

    def forward(self, x: Tensor, result: Tensor, features: Tensor) -> Tensor:
        """Map `x (B, D, 2H, 2W)`, `result (B, C, H, W)` and `features (B, D, H, W)` to the shape of `x`."""
        merged: Tensor = self.merge(torch.cat((self.result(result), x, self.features(features)), 1))
        return merged


class RecursiveBlock(nn.Module):
    """Join two streams, refine them over and over by the same modules, and predict.

    Args:
        hsi_bands: Number of HSI bands C.
        dim: Width D.
        recursions: How often to refine.
        gate: Decides about each round after the first; None takes them all.
    """

    def __init__(self, hsi_bands: int, dim: int, recursions: int, gate: "Gate | None") -> None:
        super().__init__()
        self.recursions = recursions
        self.join = _conv(2 * dim, dim)
        self.refine = nn.ModuleList(RIJAK(dim, kernel) for kernel in KERNELS)
        self.head = Masksembles(dim, hsi_bands)
        self.gate = gate

    def forward(self, hsi: Tensor, msi: Tensor) -> tuple[Tensor, Tensor]:
        """Map two streams `(B, D, H, W)` to features of that shape and the residual `(B, C, H, W)`."""
        x: Tensor = self.join(torch.cat((hsi, msi), 1))
        for round_ in range(self.recursions):
            change = sum(refine(x) for refine in self.refine) / len(self.refine)
            if round_ and self.gate is not None:
                change = change * self.gate(x, self.head.uncertainty(x))
            x = x + change
        return x, self.head(x)


class RIJAK(nn.Module):
    """Two convolutions whose result is joined with the input, each weighed by a map of its own.

    Args:
        dim: Width D.
        kernel: Side of the filters, odd.
    """

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        padding = kernel // 2
        self.body = nn.Sequential(
            nn.Conv2d(dim, dim, kernel, padding=padding),
            nn.ReLU(inplace=True),
            nn.Conv2d(dim, dim, kernel, padding=padding),
        )
        self.weigh = nn.Sequential(
            nn.Conv2d(2 * dim, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(2, 2, kernel, padding=padding),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, D, H, W)` to the same shape."""
        deep = self.body(x)
        of_input, of_deep = self.weigh(torch.cat((x, deep), 1)).split(1, 1)
        joined: Tensor = x * of_input + deep * of_deep
        return joined


class Gate(nn.Module):
    """Decide for each image whether another round is worth it.

    Args:
        hsi_bands: Number of HSI bands C.
        dim: Width D.
        level: 0 at the coarsest level.
        offset: Taken from the logit of skipping.
    """

    def __init__(self, hsi_bands: int, dim: int, level: int, offset: float) -> None:
        super().__init__()
        side = POOL * 2**level
        width = GATE_WIDTH // side
        self.offset = offset
        self.logits = nn.Sequential(
            nn.Conv2d(3 * hsi_bands + dim, width, 1),
            nn.LeakyReLU(0.2),
            nn.AdaptiveAvgPool2d(side),
            nn.Flatten(),
            nn.Linear(width * side**2, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, 2),
        )

    def forward(self, x: Tensor, uncertainty: Tensor) -> Tensor:
        """Map features `(B, D, H, W)` and uncertainty `(B, 3 C, H, W)` to `(B, 1, 1, 1)` of 0, skip, or 1.

        In training the choice is drawn with the probabilities of the logits, whose gradient it passes on.
        """
        skip, go = self.logits(torch.cat((x, uncertainty), 1)).unbind(1)
        logits = torch.stack((skip - self.offset, go), 1)
        if self.training:
            choice = F.gumbel_softmax(logits.float(), hard=True)[:, 1]
        else:
            choice = (logits[:, 1] > logits[:, 0]).to(x.dtype)
        return choice[:, None, None, None]


def _enlarge(bands: int) -> nn.Sequential:
    return nn.Sequential(_conv(bands, 4 * bands), nn.PixelShuffle(2))


def _separable(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs), nn.Conv2d(inputs, outputs, 1)
    )


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)
