"""Pavia Centre: a city and its river from the airborne ROSIS sensor."""

from pathlib import Path

import torch

from cofusion.scenes.base import SceneSet
from cofusion.scenes.formats.mat import open_mat
from cofusion.scenes.scene import Scene


class PaviaC(SceneSet):
    """Pavia Centre (ROSIS, 2002): one scene of 1096 x 715 pixels and 102 bands.

    The band centres are those of an even grid from 430 to 860 nm; the file holds none. The
    only cube in the file is read, whatever its variable is called: public copies differ.

    Args:
        root: Folder that holds Pavia.mat, directly or in a folder named pavia_c.
        scaling: Divisor of the file's values; 8000, as for Pavia University, when left out.
    """

    stem = "pavia_c"
    title = "Pavia Centre"
    bands = 102
    full_size = (1096, 715)
    wavelengths = torch.linspace(430, 860, 102, dtype=torch.float64)
    scaling = 8000.0
    homepage = "https://www.ehu.eus/ccwintco/index.php/Hyperspectral_Remote_Sensing_Scenes"
    expected = "Pavia.mat (MATLAB, variable pavia) of 1096 x 715 pixels and 102 bands"
    licence = "free for research; see the source's page"
    citation = (
        "Pavia Centre scene, provided by P. Gamba, Telecommunications and Remote Sensing Laboratory, "
        "University of Pavia"
    )

    def names(self) -> tuple[str, ...]:
        """Return the name of the only scene."""
        return ("pavia_c",)

    def path(self, name: str) -> list[Path]:
        """Return the places of Pavia.mat."""
        return self._under_root("Pavia.mat")

    def read(self, name: str) -> Scene:
        """Read the scene."""
        path = self.find(name)
        return self.scene_in(name, open_mat(path), path)
