"""3DT-Net, deep unfolding with a 3D and transformer prior (Ma et al., Information Fusion 2023)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from cofusion.models.base import FusionNetwork
from cofusion.models.deep.swin import SwinLayer, shift_mask
from cofusion.sensors.decimation import upsample

ROUNDS = 3
WIDTH = 64
MEMORY = 128
SWIN_WIDTH = 180
SWIN_HEADS = 6
SWIN_LAYERS = 6
WINDOW = 8
# Filters of the spatial half of the separable 3D convolution.
VOLUME_FILTERS = 64
# Side of the learned blur; scales above it take the odd side that covers a block.
BLUR = 13


class ThreeDTNet(FusionNetwork):
    """Unfold three rounds of an optimisation with learned operators and one prior network for all steps.

    With D the learned blur and decimation, U its counterpart upwards, R the learned spectral response and T
    its counterpart, `x` starting as the interpolated LRHSI, every round does

        v = x + prior(x, memories of the earlier rounds)
        z = (1 - d e) x + d T(Y - R x) - d e v
        o = z + prior(z, memory of this round)
        x = (1 - d' e') x + d' T(Y - R x) + d' U(D x - X) + d' e' o

    with four learned numbers: d and e are `step_z` and `weight_v`, d' and e' are `step_x` and `weight_o`. The
    last round's `o` is the answer.

    The code's fixed scale 8 is generalised by the stride of D and U, whose 13 x 13 filters cover the block of
    any scale up to 13; larger scales get larger filters. Any number of rows and columns is accepted. Numbers
    that the published code declares and never uses are left out.

    Args:
        hsi_bands: Number of HSI bands C.
        msi_bands: Number of MSI bands c.
        scale: Ratio of the two resolutions, an integer of at least 2.
        phase: Where an LR sample sits in its `scale` x `scale` block, in full-resolution pixels.
        drop_path: Probability of leaving out a residual branch of the last transformer layer in training; it
            grows linearly from 0 at the first.
        subtract_v: Whether z subtracts `d e v`, as in the published code. Descending on
            `|Y - R z|^2 + |z - x|^2 + e |z - v|^2`, the step that is unfolded, adds it: False.

    Raises:
        ValueError: An argument lies outside its range.
    """

    multiple = WINDOW

    def __init__(
        self,
        hsi_bands: int,
        msi_bands: int,
        scale: int,
        phase: float = 0.0,
        drop_path: float = 0.1,
        subtract_v: bool = True,
    ) -> None:
        super().__init__(hsi_bands, msi_bands, scale, phase)
        if not 0 <= drop_path < 1:
            raise ValueError(f"drop_path must lie in [0, 1), got {drop_path}")
        self.drop_path = drop_path
        self.subtract_v = subtract_v
        blur = max(BLUR, scale | 1)
        self.down = nn.Conv2d(hsi_bands, hsi_bands, blur, stride=scale, padding=blur // 2)
        self.up = nn.ConvTranspose2d(
            hsi_bands, hsi_bands, blur, stride=scale, padding=blur // 2, output_padding=scale - 1
        )
        self.response = _conv(hsi_bands, msi_bands)
        self.unresponse = _conv(msi_bands, hsi_bands)
        self.embed = _conv(hsi_bands, WIDTH)
        # The first round has no memories and nothing to mix.
        self.mix_v = nn.ModuleList(_conv(WIDTH + n * MEMORY, WIDTH) for n in range(1, ROUNDS))
        self.mix_o = nn.ModuleList(_conv(WIDTH + MEMORY, WIDTH) for _ in range(ROUNDS))
        self.prior = Prior(hsi_bands, drop_path)
        self.step_z = nn.Parameter(torch.tensor(0.1))
        self.weight_v = nn.Parameter(torch.tensor(0.9))
        self.step_x = nn.Parameter(torch.tensor(0.1))
        self.weight_o = nn.Parameter(torch.tensor(0.9))
        self.apply(_initialise)

    def fuse(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Fuse images whose H and W are divisible by 8."""
        x = upsample(lr_hsi, self.scale, self.phase)
        memories: list[Tensor] = []
        for mix_o in self.mix_o[:-1]:
            gain = self._spectral_gain(x, hr_msi)
            o = self._split(x, gain, memories, mix_o)
            x = self._update(x, gain, o, lr_hsi)
        return self._split(x, self._spectral_gain(x, hr_msi), memories, self.mix_o[-1])

    def _spectral_gain(self, x: Tensor, hr_msi: Tensor) -> Tensor:
        """Return `T(Y - R x)`, which both steps of a round need."""
        gain: Tensor = self.unresponse(hr_msi - self.response(x))
        return gain

    def _split(self, x: Tensor, gain: Tensor, memories: list[Tensor], mix_o: nn.Module) -> Tensor:
        """Do the first half of a round, from `x` to `o`; its memory joins the list."""
        features = self.embed(x)
        if memories:
            features = self.mix_v[len(memories) - 1](torch.cat((features, *memories), 1))
        change, memory = self.prior(features)
        memories.append(memory)
        weight = self.step_z * self.weight_v
        z = (1 - weight) * x + self.step_z * gain + (-weight if self.subtract_v else weight) * (x + change)
        change, _ = self.prior(mix_o(torch.cat((self.embed(z), memory), 1)))
        o: Tensor = z + change
        return o

    def _update(self, x: Tensor, gain: Tensor, o: Tensor, lr_hsi: Tensor) -> Tensor:
        """Do the second half of a round, from `x` and `o` to the next `x`."""
        gain = gain + self.up(self.down(x) - lr_hsi)
        weight = self.step_x * self.weight_o
        return (1 - weight) * x + self.step_x * gain + weight * o


class Prior(nn.Module):
    """What the network knows about images: from features, the change to a cube, and a memory for later calls.

    Args:
        hsi_bands: Number of HSI bands C.
        drop_path: Probability of leaving out a residual branch of the last transformer layer in training.
    """

    def __init__(self, hsi_bands: int, drop_path: float) -> None:
        super().__init__()
        self.memorise = _conv(WIDTH, MEMORY)
        self.widen = _conv(MEMORY, SWIN_WIDTH)
        self.body = SwinBody(drop_path)
        self.narrow = _conv(SWIN_WIDTH, hsi_bands)
        self.volume = SeparableConv3d(VOLUME_FILTERS)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map `(B, 64, H, W)` to the change `(B, C, H, W)` and the memory `(B, 128, H, W)`."""
        memory = self.memorise(features)
        cube = F.relu(self.narrow(self.body(self.widen(memory))), inplace=True)
        return self.volume(cube), memory


class SwinBody(nn.Module):
    """Six Swin layers, alternately shifted, inside two residual connections.

    Args:
        drop_path: Probability of leaving out a residual branch of the last layer in training.
    """

    def __init__(self, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(SWIN_WIDTH)
        self.layers = nn.ModuleList(
            SwinLayer(
                SWIN_WIDTH,
                SWIN_HEADS,
                WINDOW,
                shift=WINDOW // 2 * (index % 2),
                drop_path=drop_path * index / (SWIN_LAYERS - 1),
            )
            for index in range(SWIN_LAYERS)
        )
        self.conv1 = _conv(SWIN_WIDTH, SWIN_WIDTH)
        self.norm2 = nn.LayerNorm(SWIN_WIDTH)
        self.conv2 = _conv(SWIN_WIDTH, SWIN_WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, 180, H, W)` to the same shape; H and W divisible by 8."""
        start = self.norm1(x.permute(0, 2, 3, 1))
        mask = shift_mask(start, WINDOW, WINDOW // 2)
        tokens = start
        for layer in self.layers:
            tokens = layer(tokens, mask)
        tokens = start + self.conv1(tokens.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        refined: Tensor = x + self.conv2(self.norm2(tokens).permute(0, 3, 1, 2))
        return refined


class SeparableConv3d(nn.Module):
    """Weight-normalised 3D convolutions of a cube as a volume: 3x3 over space, ReLU, 3 over bands.

    Equal to `Conv3d(1, filters, (1, 3, 3))`, ReLU and `Conv3d(filters, 1, (3, 1, 1))`, both zero-padded, and
    computed by 2D convolutions, which take a third of the time on a CPU.

    Args:
        filters: Number of spatial filters.
    """

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.spatial = weight_norm(nn.Conv2d(1, filters, 3, padding=1))
        self.spectral = weight_norm(nn.Conv1d(filters, 1, 3))

    def forward(self, cube: Tensor) -> Tensor:
        """Map `(B, C, H, W)` to the same shape."""
        bands = cube.shape[:2]
        features = F.relu(self.spatial(cube.reshape(-1, 1, *cube.shape[2:])), inplace=True)
        # What every band gives to the one after it, to itself and to the one before it.
        taps = F.conv2d(features, self.spectral.weight.transpose(0, 2).unsqueeze(3))
        to_next, here, to_previous = taps.reshape(*bands, *taps.shape[1:]).unbind(2)
        out: Tensor = here + self.spectral.bias
        out[:, 1:] += to_next[:, :-1]
        out[:, :-1] += to_previous[:, 1:]
        return out


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _initialise(module: nn.Module) -> None:
    # Weight-normalised layers keep their own start, as their weight is computed.
    if isinstance(module, nn.Conv2d) and isinstance(module.weight, nn.Parameter):
        nn.init.xavier_normal_(module.weight)
