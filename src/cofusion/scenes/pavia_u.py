"""Pavia University: an urban scene from the airborne ROSIS sensor."""

from pathlib import Path

import torch

from cofusion.scenes.base import SceneSet
from cofusion.scenes.formats.mat import open_mat
from cofusion.scenes.scene import Scene


class PaviaU(SceneSet):
    """Pavia University (ROSIS, 2002): one scene of 610 x 340 pixels and 103 bands.

    The band centres are those of an even grid from 430 to 860 nm; the file holds none.

    Args:
        root: Folder that holds PaviaU.mat, directly or in a folder named pavia_u.
        scaling: Divisor of the file's values; 8000, the largest value of the public file, when left out.
    """

    stem = "pavia_u"
    title = "Pavia University"
    bands = 103
    full_size = (610, 340)
    wavelengths = torch.linspace(430, 860, 103, dtype=torch.float64)
    scaling = 8000.0
    homepage = "https://www.ehu.eus/ccwintco/index.php/Hyperspectral_Remote_Sensing_Scenes"
    expected = "PaviaU.mat (MATLAB, variable paviaU) of 610 x 340 pixels and 103 bands"
    licence = "free for research; see the source's page"
    citation = (
        "Pavia University scene, provided by P. Gamba, Telecommunications and Remote Sensing Laboratory, "
        "University of Pavia"
    )

    def names(self) -> tuple[str, ...]:
        """Return the name of the only scene."""
        return ("pavia_u",)

    def path(self, name: str) -> list[Path]:
        """Return the places of PaviaU.mat."""
        return self._under_root("PaviaU.mat")

    def read(self, name: str) -> Scene:
        """Read the scene."""
        path = self.find(name)
        return self.scene_in(name, open_mat(path, "paviaU"), path)
