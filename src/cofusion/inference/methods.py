"""What fuses: a trained network or a classical method, and what each asks of its inputs."""

import statistics
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from cofusion.errors import UserError
from cofusion.inference.classical import BICUBIC, Known, Told, check_memory, make
from cofusion.inference.images import Image
from cofusion.inference.placement import Pair
from cofusion.models import Bicubic, Provenance
from cofusion.sensors import centre_phase

# Beyond this, a trained network's answer no longer depends on what it sees (docs/paper-notes.md).
_NETWORK_MARGIN = 32
# Interpolation reads two LR samples to either side of a pixel's own block.
_INTERPOLATION_REACH = 3
# Names of MSI bands tell their colour, not their exact centre: filters of a name differ by this, in nm.
_MSI_TOLERANCE = 40.0


@dataclass(frozen=True, eq=False)
class Method:
    """A way to fuse that is set up for one pair.

    Attributes:
        name: For people.
        net: Maps `(lr_hsi (1, C, h, w), hr_msi (1, c, H, W))` to `(1, C, H, W)`.
        step: Tiles begin at multiples of this many pixels.
        margin: Pixels around a tile that the method should see.
        phase: Where it expects an LR sample in its block.
        provenance: Where its weights come from; empty where unknown.
        sha256: Of the file with the weights, or None.
        whole: Whether it has to see the whole image at once.
    """

    name: str
    net: nn.Module
    step: int
    margin: int
    phase: float
    provenance: Provenance
    sha256: str | None = None
    whole: bool = False


def network_method(net: nn.Module, scale: int, sha256: str | None = None) -> Method:
    """Take a network; its attributes say what it asks for, where it has them.

    Args:
        net: The network. Of `phase`, `multiple`, `pool_extent` and `provenance`, any may be missing.
        scale: Ratio of the two resolutions.
        sha256: Of the file with its weights.
    """
    extent = getattr(net, "pool_extent", None)
    # Windows of pooled statistics lie half an extent apart.
    step = getattr(net, "multiple", 1) if extent is None else extent // 2
    return Method(
        name=type(net).__name__,
        net=net,
        step=step,
        margin=_NETWORK_MARGIN,
        phase=getattr(net, "phase", centre_phase(scale)),
        provenance=getattr(net, "provenance", None) or Provenance(),
        sha256=sha256,
    )


def bicubic_method(scale: int, phase: float | None = None) -> Method:
    """Take bicubic interpolation, which asks for nothing but the phase.

    Args:
        scale: Ratio of the two resolutions.
        phase: Where an LR sample sits in its block; the centre where left out.
    """
    phase = centre_phase(scale) if phase is None else phase
    net = Bicubic(scale, phase)
    return Method(BICUBIC, net, 1, _INTERPOLATION_REACH * scale, phase, Provenance())


def classical_method(name: str, pair: Pair, known: Known) -> Method:
    """Take a method that sees the whole image.

    Args:
        name: One of `cofusion.inference.classical.names()` other than `bicubic`.
        pair: The pair.
        known: Its sensors.

    Raises:
        UserError: The image needs more memory than there is.
    """
    check_memory(pair, name)
    sensors = known.sensors
    return Method(name, Told(make(name), sensors), 1, 0, sensors.phase, Provenance(), whole=True)


def check_bands(net: nn.Module, lr_hsi: Image, hr_msi: Image) -> None:
    """Check that a network was made, and its weights trained, for the bands of two images.

    Raises:
        UserError: Another number of bands, other wavelengths or another order; the message says which.
    """
    for image, what, name in ((lr_hsi, "HSI", "hsi_bands"), (hr_msi, "MSI", "msi_bands")):
        wanted = getattr(net, name, None)
        if wanted is not None and image.shape[0] != wanted:
            raise UserError(
                f"the weights are for {wanted} {what} bands, {image.name} has {image.shape[0]}; give weights "
                f"trained on this sensor's bands, or a file with those bands"
            )
    provenance = getattr(net, "provenance", None) or Provenance()
    trained = provenance.wavelengths or ()
    if lr_hsi.wavelengths and len(trained) == lr_hsi.shape[0]:
        _check_centres(lr_hsi, trained, max(0.5, _spacing(trained) / 2))
    centres = msi_centres(provenance)
    if hr_msi.wavelengths and len(centres) == hr_msi.shape[0]:
        _check_centres(hr_msi, centres, _MSI_TOLERANCE)


def msi_centres(provenance: Provenance) -> tuple[float, ...]:
    """Return the centre of each MSI band in nm as the weights' response has it; empty where unknown."""
    weights, nm = provenance.response_weights, provenance.wavelengths
    if not weights or not nm:
        return ()
    return tuple(
        sum(w * c for w, c in zip(row, nm, strict=True)) / sum(row) if sum(row) else nm[0] for row in weights
    )


def _check_centres(image: Image, wanted: tuple[float, ...], tolerance: float) -> None:
    assert image.wavelengths is not None
    found = image.wavelengths
    off = [band for band, (a, b) in enumerate(zip(found, wanted, strict=True)) if abs(a - b) > tolerance]
    if not off:
        return
    # Sorted alike, the bands are the same ones in another order.
    shuffled = all(abs(a - b) <= tolerance for a, b in zip(sorted(found), sorted(wanted), strict=True))
    first = off[0]
    raise UserError(
        f"{image.name} has "
        f"{'the bands of the weights in another order' if shuffled else 'other bands than the weights'}: "
        f"band {first + 1} is at {found[first]:.1f} nm, the weights' at {wanted[first]:.1f} nm ({len(off)} "
        f"of {len(found)} bands differ by more than {tolerance:.1f} nm); "
        f"{'reorder its bands' if shuffled else 'give weights trained on these bands'}"
    )


def _spacing(nm: tuple[float, ...]) -> float:
    return statistics.median(abs(b - a) for a, b in pairwise(nm)) if len(nm) > 1 else 0.0
