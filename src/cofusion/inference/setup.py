"""From two images and a method to a fusion that can start: what every entry point shares."""

from dataclasses import dataclass, replace

import torch
from torch import nn

from cofusion.errors import UserError
from cofusion.inference.align import align
from cofusion.inference.classical import BICUBIC, calibrated, check_name, look_at
from cofusion.inference.engine import Job
from cofusion.inference.images import Image
from cofusion.inference.methods import (
    Method,
    bicubic_method,
    check_bands,
    classical_method,
    network_method,
)
from cofusion.inference.placement import Pair, pair_up
from cofusion.inference.ranges import Range, look_through
from cofusion.inference.tiles import plan
from cofusion.models import Provenance
from cofusion.sensors import Sensors

TILE, OVERLAP = 192, 16


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to fuse; the defaults suit most pairs.

    Attributes:
        align: Warp the HRMSI onto the LRHSI's grid.
        phase: Where the LRHSI's samples sit in their blocks, in HR pixels; left out, where the weights say,
            or at the centre.
        hsi_scaling: What the LRHSI's values are divided by; left out, what the weights were trained with, or
            its maximum.
        msi_scaling: The same for the HRMSI.
        tile: Side of the tiles in HR pixels, about: the image is divided evenly.
        overlap: Width of the blended seams.
        margin: Width of what is computed around tiles and discarded; left out, what the method needs.
        sensors: Those that took the pair, for a classical method; left out, it estimates them.
        device: `auto`, `cpu`, `cuda` or another name of a torch device.
        check_values: Refuse images whose values are all alike or look like another unit's than the scaling's.
    """

    align: bool = False
    phase: float | None = None
    hsi_scaling: float | None = None
    msi_scaling: float | None = None
    tile: int = TILE
    overlap: int = OVERLAP
    margin: int | None = None
    sensors: Sensors | None = None
    device: str = "auto"
    check_values: bool = True

    def __post_init__(self) -> None:
        if self.tile < 1 or self.overlap < 0 or (self.margin or 0) < 0:
            raise UserError(
                f"a tile is at least 1 pixel wide, overlap and margin at least 0; got {self.tile}, "
                f"{self.overlap} and {self.margin}"
            )


@dataclass(frozen=True, eq=False)
class Setup:
    """A fusion that can start.

    Attributes:
        pair: The two images, cropped to what both cover.
        method: What fuses.
        hsi_range: What the LRHSI's values are.
        msi_range: What the HRMSI's values are.
        job: What is to be done.
        sensors: What took the pair, where it is known apart from the weights.
    """

    pair: Pair
    method: Method
    hsi_range: Range
    msi_range: Range
    job: Job
    sensors: Sensors | None = None


def set_up(
    lr_hsi: Image, hr_msi: Image, method: nn.Module | str, options: Options, sha256: str | None = None
) -> Setup:
    """Check everything that can be checked before the work begins.

    Args:
        lr_hsi: The LRHSI.
        hr_msi: The HRMSI.
        method: A network, or the name of a classical method.
        options: How to fuse.
        sha256: Of the file with the network's weights.

    Raises:
        UserError: The images do not belong together or to the method.
    """
    device = find_device(options.device)
    scale, phase = None, options.phase
    if isinstance(method, str):
        check_name(method)
        scale, phase = _of_sensors(options.sensors, phase)
    else:
        scale, phase = getattr(method, "scale", None), _phase(method, phase)
    if options.align:
        hr_msi = align(lr_hsi, hr_msi, scale, phase)
    pair, sensors = pair_up(lr_hsi, hr_msi, scale, phase), options.sensors
    if not isinstance(method, str):
        check_bands(method, lr_hsi, hr_msi)
        chosen = network_method(method, pair.scale, sha256=sha256)
        pair, hsi, msi = _as_trained(pair, chosen.provenance, options)
    else:
        hsi, msi = (
            look_through(image, scaling, options.check_values)
            for image, scaling in ((pair.lr_hsi, options.hsi_scaling), (pair.hr_msi, options.msi_scaling))
        )
        if method == BICUBIC:
            chosen = bicubic_method(pair.scale, phase)
        else:
            known = look_at(pair, hsi.scaling, msi.scaling, options.sensors)
            sensors = known.sensors
            gain, offset = (msi.scaling * part for part in (known.radiometry.gain, known.radiometry.offset))
            image = calibrated(pair.hr_msi, gain, offset)
            chosen = classical_method(method, pair, known)
            pair = replace(pair, hr_msi=image, notes=(*pair.notes, *known.notes))
            msi = look_through(image, 1.0, options.check_values)
    _, rows, cols = pair.hr_msi.shape
    margin = chosen.margin if options.margin is None else options.margin
    tile = max(rows, cols) if chosen.whole else options.tile
    overlap = 0 if chosen.whole else options.overlap
    tiling = plan(rows, cols, pair.scale, chosen.step, tile, overlap, margin)
    job = Job(pair.lr_hsi, pair.hr_msi, pair.scale, hsi.scaling, msi.scaling, chosen.net, tiling, device)
    return Setup(pair, chosen, hsi, msi, job, sensors)


def _as_trained(pair: Pair, trained: Provenance, options: Options) -> tuple[Pair, Range, Range]:
    """Bring the values of a pair to what the weights were trained on; give the pair and both ranges."""
    check = options.check_values
    hsi = look_through(pair.lr_hsi, options.hsi_scaling or trained.scaling, check)
    if trained.msi_gain is None or trained.msi_offset is None or options.msi_scaling is not None:
        # The multispectral image of a simulated pair has the scene's own scaling.
        return pair, hsi, look_through(pair.hr_msi, options.msi_scaling or trained.scaling, check)
    image = calibrated(pair.hr_msi, trained.msi_gain, trained.msi_offset)
    return replace(pair, hr_msi=image), hsi, look_through(image, 1.0, check)


def _of_sensors(sensors: Sensors | None, phase: float | None) -> tuple[int | None, float | None]:
    if sensors is None:
        return None, phase
    if phase is not None and phase != sensors.phase:
        raise UserError(f"the sensors are of phase {sensors.phase:g}, not {phase:g}; leave the phase out")
    return sensors.scale, sensors.phase


def find_device(name: str) -> torch.device:
    """Return the device of a name; `auto` is the first GPU where there is one.

    Raises:
        UserError: No such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"there is no device {name!r} here ({str(error).splitlines()[0]}); try --device cpu"
        ) from None
    return device


def _phase(net: nn.Module, given: float | None) -> float | None:
    own: float | None = getattr(net, "phase", None)
    if given is not None and own is not None and given != own:
        raise UserError(f"the weights are for phase {own:g}, not {given:g}; leave the phase out")
    return given if own is None else own
