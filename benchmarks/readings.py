"""Other readings of the paper's open points, as changes to a built network.

`cofusion.CoFusion` has one reading of each point. The others live here, so that `decisions.py` can train them
under the same seed and budget. Each entry of `READINGS` names the question, the reading, and what turns a
fresh network into it.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cofusion import CoFusion
from cofusion.models.cofusion.msg import MSG, embed, resize
from cofusion.models.cofusion.spacam import SpaCAM, by_dilation
from cofusion.models.cofusion.specam import SCM, SpeCAM
from cofusion.models.cofusion.sscfm import CrossStream
from cofusion.sensors import centre_phase, upsample

Change = Callable[[CoFusion], None]


def replace(net: nn.Module, kind: type[nn.Module], make: Callable[[], nn.Module]) -> None:
    """Put `make()` in the place of every module of a kind."""
    for name, module in list(net.named_modules()):
        if isinstance(module, kind):
            parent, _, child = name.rpartition(".")
            setattr(net.get_submodule(parent), child, make())


# --- SpaCAM: over what the gate's softmax runs --------------------------------------------------------------
class SpaceGate(SpaCAM):
    """Softmax over the pixels; `gain` multiplies it."""

    by_pixels = False

    def gate(self, d: Tensor) -> Tensor:
        maps = by_dilation(d)
        gate = maps.flatten(1, 2).softmax(1).view_as(maps)
        return gate * (d.shape[2] * d.shape[3]) if self.by_pixels else gate


class SpaceGateScaled(SpaceGate):
    """Softmax over the pixels, times their number, so that its mean is 1."""

    by_pixels = True


class ChannelGate(SpaCAM):
    """Softmax over the D channels of each dilation, times D."""

    def gate(self, d: Tensor) -> Tensor:
        maps = by_dilation(d)
        return maps.softmax(4) * maps.shape[4]


def gate(kind: type[SpaCAM]) -> Change:
    return lambda net: replace(net, SpaCAM, lambda: kind(net.dim))


# --- MSG: how the HRMSI guides its flows --------------------------------------------------------------------
class Unguided(MSG):
    """Equation 1 alone: the HRMSI starts the local flow, the LRHSI the proxy flow."""

    def __init__(
        self, hsi_bands: int, msi_bands: int, scale: int, phase: float, dim: int, *depths: Sequence[int]
    ) -> None:
        super().__init__(hsi_bands, msi_bands, scale, phase, dim, *depths)
        del self.guide
        self.embed_msi = nn.Conv2d(msi_bands, dim, 3, padding=1)
        self.embed_hsi = nn.Conv2d(hsi_bands, dim, 3, padding=1)

    def forward(self, lr_hsi: Tensor, hr_msi: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        local = self._local_flow(hr_msi)
        return local, self._proxy_flow(lr_hsi, local)


class AddedGuidance(Unguided):
    """The local feature of the same level is added to the proxy feature before its encoder."""

    def _proxy_flow(self, lr_images: Tensor, local: list[Tensor]) -> list[Tensor]:
        x, features = embed(self.embed_hsi, lr_images), []
        for level in reversed(range(len(local))):
            x = self.proxy_encoders[level](self.guided(resize(x, local[level]), local[level], level))
            features.insert(0, x)
        return features

    def guided(self, x: Tensor, local: Tensor, level: int) -> Tensor:
        return x + local


class ConcatenatedGuidance(AddedGuidance):
    """The local feature is concatenated and mixed in by a 1x1 convolution."""

    def __init__(
        self, hsi_bands: int, msi_bands: int, scale: int, phase: float, dim: int, *depths: Sequence[int]
    ) -> None:
        super().__init__(hsi_bands, msi_bands, scale, phase, dim, *depths)
        self.guides = nn.ModuleList(nn.Conv2d(2 * dim, dim, 1) for _ in self.local_encoders)

    def guided(self, x: Tensor, local: Tensor, level: int) -> Tensor:
        return self.guides[level](torch.cat((x, local), 1))


class BlockBesideLRHSI(Unguided):
    """Every pixel of a block is a channel beside the LRHSI's pixel."""

    def __init__(
        self, hsi_bands: int, msi_bands: int, scale: int, phase: float, dim: int, *depths: Sequence[int]
    ) -> None:
        super().__init__(hsi_bands, msi_bands, scale, phase, dim, *depths)
        self.scale = scale
        self.embed_hsi = nn.Conv2d(hsi_bands + msi_bands * scale**2, dim, 3, padding=1)

    def forward(self, lr_hsi: Tensor, hr_msi: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        return super().forward(torch.cat((lr_hsi, F.pixel_unshuffle(hr_msi, self.scale)), 1), hr_msi)


class ViewAlone(MSG):
    """The HRMSI at the LRHSI's resolution guides the proxy flow, nothing the local one."""

    def forward(self, lr_hsi: Tensor, hr_msi: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        lr_msi, detail = self.guide(hr_msi)
        local = self._local_flow(torch.cat((hr_msi, torch.zeros_like(detail)), 1))
        return local, self._proxy_flow(torch.cat((lr_hsi, lr_msi), 1), local)


class DetailAlone(MSG):
    """What that view lacks guides the local flow, nothing the proxy one."""

    def forward(self, lr_hsi: Tensor, hr_msi: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        lr_msi, detail = self.guide(hr_msi)
        local = self._local_flow(torch.cat((hr_msi, detail), 1))
        return local, self._proxy_flow(torch.cat((lr_hsi, torch.zeros_like(lr_msi)), 1), local)


def guidance(kind: type[MSG]) -> Change:
    return lambda net: replace(
        net,
        MSG,
        lambda: kind(
            *(net.hsi_bands, net.msi_bands, net.scale, net.phase, net.dim),
            net.local_depths,
            net.proxy_depths,
        ),
    )


# Asked of the shipped network.
GUIDES: dict[str, Change] = {
    "view beside the LRHSI, detail beside the HRMSI": lambda net: None,
    "the view alone": guidance(ViewAlone),
    "the detail alone": guidance(DetailAlone),
    "a block's pixels beside the LRHSI": guidance(BlockBesideLRHSI),
    "none": guidance(Unguided),
}


# --- SCM: how many coordinates, how sparse, and whether at all ----------------------------------------------
class SqueezeExcitation(nn.Module):
    """Plain squeeze-and-excitation (Hu et al., 2018) on the two saliency vectors, reduction 4."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(2 * dim, dim // 4), nn.ReLU(), nn.Linear(dim // 4, dim), nn.Sigmoid()
        )

    def forward(self, v: Tensor) -> Tensor:
        return self.net(v)


class NoWeights(nn.Module):
    """Every channel is weighed by one half, whatever the image."""

    def forward(self, v: Tensor) -> Tensor:
        return v.new_full((len(v), v.shape[1] // 2), 0.5)


def coordinates(k: Callable[[int], int]) -> Change:
    return lambda net: replace(net, SCM, lambda: SCM(net.dim, k(net.dim)))


def dense_map(net: CoFusion) -> None:
    """Start with half of the map's entries above zero."""
    for module in net.modules():
        if isinstance(module, SCM):
            nn.init.zeros_(module.expansion.bias)


def plain_g(net: CoFusion) -> None:
    """G without normalisation, expansion with torch's initial bias."""
    for module in net.modules():
        if isinstance(module, SCM):
            module.g_theta = nn.Sequential(
                *(layer for layer in module.g_theta if not isinstance(layer, nn.LayerNorm))
            )
            module.expansion.reset_parameters()


# --- SpeCAM: what the DWT's two parts are -------------------------------------------------------------------
class Unsplit(nn.Module):
    """No wavelet: both parts are the whole feature map."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class SubbandSpeCAM(SpeCAM):
    """The two parts are the Haar coefficients at half size: LL, and the three details mixed to D channels."""

    def __init__(self, dim: int, coordinates: int) -> None:
        super().__init__(dim, coordinates)
        self.details = nn.Conv2d(3 * dim, dim, 1)

    def forward(self, f_spe: Tensor) -> Tensor:
        rows, cols = f_spe.shape[-2:]
        x = F.pad(f_spe, (0, cols % 2, 0, rows % 2), mode="replicate")
        a, b, c, d = (x[..., i::2, j::2] for i in (0, 1) for j in (0, 1))
        details = torch.cat(((a - b + c - d) / 2, (a + b - c - d) / 2, (a - b - c + d) / 2), 1)
        f_low = F.gelu(self.low((a + b + c + d) / 2))
        f_high = F.gelu(self.high(self.details(details)))
        weights = self.scm(torch.cat((f_low.amax((2, 3)), f_high.amax((2, 3))), 1))[:, :, None, None]
        mixed = weights * (self.alpha * f_low + (1 - self.alpha) * f_high)
        return F.gelu(self.mid(resize(mixed, x)))[..., :rows, :cols] + f_spe


def wavelet(name: str) -> Change:
    return lambda net: replace(net, SpeCAM, lambda: SpeCAM(net.dim, net.dim // 4, wavelet=name))


def subbands(net: CoFusion) -> None:
    replace(net, SpeCAM, lambda: SubbandSpeCAM(net.dim, net.dim // 4))


def unsplit(net: CoFusion) -> None:
    for module in net.modules():
        if isinstance(module, SpeCAM):
            module.dwt = Unsplit()


# --- The base image that the residual is added to -----------------------------------------------------------
class Residual(nn.Module):
    """The network's residual on another base image."""

    def __init__(self, net: CoFusion, base: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net = net
        self.base = base

    def forward(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        residual = self.net(lr_hsi, hr_msi) - upsample(lr_hsi, self.net.scale, self.net.phase)
        return self.base(lr_hsi) + residual


# --- SSCFM: dropout, excitation, crossing -------------------------------------------------------------------
class DropNothing(CrossStream):
    def masks(self, f: Tensor) -> Tensor:
        was, self.training = self.training, False
        masks = super().masks(f)
        self.training = was
        return masks


class DropBoth(DropNothing):
    """Dropout on the masks of both granularities."""

    def masks(self, f: Tensor) -> Tensor:
        return F.dropout(super().masks(f), 0.1, self.training)


class Uncrossed(CrossStream):
    """Each stream is weighed by its own masks."""

    def forward(self, f: Tensor, other_masks: Tensor) -> Tensor:
        return super().forward(f, self.masks(f))


def stream(kind: type[CrossStream]) -> Change:
    return lambda net: replace(net, CrossStream, lambda: kind(net.dim))


def unbounded_excitation(net: CoFusion) -> None:
    """V as the paper writes it: linear, ReLU, linear, without a sigmoid."""
    for module in net.modules():
        if isinstance(module, CrossStream):
            module.sse = module.sse[:-1]


START = "start"

# These questions are asked of the same start: the shipped network with other depths, its proxy flow guided by
# the concatenated local features instead.
START_DEPTHS = {"spacam_depths": (1, 2, 17), "local_depths": (1, 1, 1), "proxy_depths": (1, 1, 1)}
READINGS: dict[str, dict[str, Change]] = {
    START: {START: lambda net: None},
    "gate's softmax": {
        "over pixels": gate(SpaceGate),
        "over pixels, times HW": gate(SpaceGateScaled),
        "over channels, times D": gate(ChannelGate),
    },
    "guidance in MSG": {"added": guidance(AddedGuidance), "none": guidance(Unguided)},
    "SCM": {
        "K = 1": coordinates(lambda dim: 1),
        "K = D/16": coordinates(lambda dim: dim // 16),
        "K = D": coordinates(lambda dim: dim),
        "dense map (bias 0)": dense_map,
        "G without normalisation": plain_g,
        "squeeze-and-excitation": lambda net: replace(net, SCM, lambda: SqueezeExcitation(net.dim)),
        "no weights": lambda net: replace(net, SCM, NoWeights),
    },
    "DWT": {
        "db2": wavelet("db2"),
        "sym4": wavelet("sym4"),
        "bior2.2": wavelet("bior2.2"),
        "Haar coefficients at half size": subbands,
        "no split": unsplit,
    },
    "SSCFM": {
        "no dropout": stream(DropNothing),
        "dropout on both masks": stream(DropBoth),
        "V without sigmoid": unbounded_excitation,
        "own masks, not the other's": stream(Uncrossed),
    },
}

# Base images need a wrapper around the network instead of a change inside it.
BASES: dict[str, Callable[[Tensor, int, float], Tensor]] = {
    "bicubic, block centres assumed": lambda lr, scale, phase: upsample(lr, scale, centre_phase(scale)),
    "bilinear, aligned": lambda lr, scale, phase: upsample(lr, scale, phase, mode="bilinear"),
    "none": lambda lr, scale, phase: lr.new_zeros((*lr.shape[:2], lr.shape[2] * scale, lr.shape[3] * scale)),
}


def build(
    question: str, reading: str, hsi_bands: int, msi_bands: int, scale: int, phase: float, **kwargs: object
) -> nn.Module:
    """Build the network under one reading, from torch's current random state."""
    net = CoFusion(hsi_bands, msi_bands, scale, phase=phase, **START_DEPTHS | kwargs)
    if question != "guidance in MSG":
        guidance(ConcatenatedGuidance)(net)
    if question == "base image":
        base = BASES[reading]
        return Residual(net, lambda lr: base(lr, scale, phase))
    READINGS[question][reading](net)
    return net


def all_readings() -> list[tuple[str, str]]:
    """Every (question, reading), the start first."""
    pairs = [(question, reading) for question, changes in READINGS.items() for reading in changes]
    return pairs + [("base image", reading) for reading in BASES]
