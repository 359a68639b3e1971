"""Indian Pines: farmland from AVIRIS, shipped with a package, so that it needs no download."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cofusion.errors import UserError
from cofusion.scenes.base import SceneSet
from cofusion.scenes.scene import Scene

# AVIRIS is four spectrometers whose ranges overlap at 690 and 1275 nm. Channel k of each lies at a + b k + c
# k^2
# nm: (channels, a, b, c), fitted to the instrument's calibration of 1992 to within 0.007 nm.
_SPECTROMETERS = (
    (31, 400.0204, 9.795127, 0.002916),
    (63, 686.9105, 9.641913, -0.000561),
    (63, 1272.997, 9.966234, -0.000681),
    (63, 1883.2369, 10.012785, -0.001319),
)
# Water vapour leaves no light in these channels (counted from 1): 104-108, 150-163 and 220 are left out.
_REMOVED = (*range(104, 109), *range(150, 164), 220)


def _wavelengths() -> Tensor:
    channels = [a + b * k + c * k * k for count, a, b, c in _SPECTROMETERS for k in range(count)]
    kept = [nm for channel, nm in enumerate(channels, start=1) if channel not in _REMOVED]
    return torch.tensor(kept, dtype=torch.float64)


class IndianPines(SceneSet):
    """Indian Pines (AVIRIS, 1992): one scene of 145 x 145 pixels and 200 bands, from the package tensorly.

    The wavelengths are not monotonic: the first two spectrometers overlap at 690 nm, the next two at 1275 nm.

    Args:
        root: Not used; the scene comes with the package.
        scaling: Divisor of the values; 10000 (the largest value is 9604) when left out.
    """

    stem = "indian_pines"
    title = "Indian Pines"
    bands = 200
    full_size = (145, 145)
    wavelengths = _wavelengths()
    scaling = 10000.0
    homepage = "https://doi.org/10.4231/R7RX991C"
    expected = "the scene of 145 x 145 pixels and 200 bands that the package tensorly ships"
    licence = "CC BY 3.0"
    citation = (
        "M. F. Baumgardner, L. L. Biehl, D. A. Landgrebe, 220 band AVIRIS hyperspectral image data set: June "
        "12, 1992 Indian Pine test site 3, Purdue University Research Repository, 2015"
    )

    def names(self) -> tuple[str, ...]:
        """Return the name of the only scene."""
        return ("indian_pines",)

    def path(self, name: str) -> list[Path]:
        """Return no path: the scene comes with a package."""
        return []

    def require(self, names: Sequence[str]) -> None:
        """Check that the package is installed.

        Raises:
            UserError: Another scene name, or tensorly is not installed.
        """
        self.check_names(names)
        if find_spec("tensorly") is None:
            raise UserError(
                "Indian Pines comes with the package tensorly, which is not installed: pip install tensorly"
            )

    def read(self, name: str) -> Scene:
        """Read the scene from the package."""
        self.require([name])
        from tensorly.datasets import load_indian_pines

        raw = np.asarray(load_indian_pines()["tensor"]).transpose(2, 0, 1)
        return self.scene(name, raw, "tensorly.datasets.load_indian_pines")
