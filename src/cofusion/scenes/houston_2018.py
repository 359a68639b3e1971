"""Houston 2018: a campus and its surroundings from the airborne CASI 1500 sensor."""

from pathlib import Path

import torch

from cofusion.scenes.base import SceneSet
from cofusion.scenes.formats.raster import open_envi
from cofusion.scenes.scene import Scene

_FILE = "FullHSIDataset/20170218_UH_CASI_S4_NAD83.pix"


class Houston2018(SceneSet):
    """Houston 2018 (ITRES CASI 1500, 2017): one scene of 1202 x 4172 pixels of 1 m and 48 bands.

    The scene of the IEEE GRSS Data Fusion Contest 2018. The file holds 50 channels; the last two are no part
    of the spectrum and are left out. The band centres are those of an even grid from 374.4 to 1047.1 nm,
    within 0.2 nm of the list in the file's header.

    Args:
        root: Folder that holds FullHSIDataset with 20170218_UH_CASI_S4_NAD83.pix and its .hdr, directly, in
            2018IEEE_Contest/Phase2 as in the archive, or in a folder named houston_2018.
        scaling: Divisor of the file's values; 20000 when left out. Brighter values, if any, are clipped and
            counted.
    """

    stem = "houston_2018"
    title = "Houston 2018"
    bands = 48
    full_size = (1202, 4172)
    wavelengths = torch.linspace(374.4, 1047.1, 48, dtype=torch.float64)
    scaling = 20000.0
    homepage = (
        "https://machinelearning.ee.uh.edu/"
        "2018-ieee-grss-data-fusion-challenge-fusion-of-multispectral-lidar-and-hyperspectral-data/"
    )
    expected = (
        f"{_FILE} (ENVI, with {_FILE[:-4]}.hdr) of 1202 x 4172 pixels and 48 bands and 2 other channels"
    )
    licence = "free for research; see the source's page"
    citation = (
        "Y. Xu, B. Du, L. Zhang, D. Cerra, M. Pato, E. Carmona, S. Prasad, N. Yokoya, R. Haensch, "
        "B. Le Saux, Advanced multi-sensor optical remote sensing for urban land use and land cover "
        "classification: outcome of the 2018 IEEE GRSS Data Fusion Contest, IEEE Journal of Selected Topics "
        "in Applied Earth Observations and Remote Sensing 12(6), 2019"
    )

    def names(self) -> tuple[str, ...]:
        """Return the name of the only scene."""
        return ("houston_2018",)

    def path(self, name: str) -> list[Path]:
        """Return the places of the scene's ENVI data file."""
        return self._under_root(_FILE, f"2018IEEE_Contest/Phase2/{_FILE}")

    def read(self, name: str) -> Scene:
        """Read the scene, without the two channels that are no part of the spectrum."""
        path = self.find(name)
        return self.scene_in(name, open_envi(path, first=self.bands), path)
