"""Chikusei: farmland and town from an airborne Headwall sensor."""

from pathlib import Path

import torch

from cofusion.scenes.base import SceneSet
from cofusion.scenes.formats.mat import open_mat
from cofusion.scenes.scene import Scene


class Chikusei(SceneSet):
    """Chikusei (Headwall Hyperspec-VNIR-C, 2014): one scene of 2517 x 2335 pixels and 128 bands.

    The scene takes 3 GB of memory, as float32. The band centres are those of an even grid from 363 to 1018
    nm; the file holds none.

    Args:
        root: Folder that holds HyperspecVNIR_Chikusei_20140729.mat, directly or in a folder named chikusei.
        scaling: Divisor of the file's values; 10000 when left out: a constant, so that a single glint does
            not decide the scale, and with it the PSNR, of every other pixel, as it would under max. Brighter
            values are clipped and counted.
    """

    stem = "chikusei"
    title = "Chikusei"
    bands = 128
    full_size = (2517, 2335)
    wavelengths = torch.linspace(363, 1018, 128, dtype=torch.float64)
    scaling = 10000.0
    homepage = "https://naotoyokoya.com/Download.html"
    expected = (
        "HyperspecVNIR_Chikusei_20140729.mat (MATLAB 7.3, variable chikusei) of 2517 x 2335 pixels "
        "and 128 bands"
    )
    licence = "CC BY 3.0"
    citation = (
        "N. Yokoya, A. Iwasaki, Airborne hyperspectral data over Chikusei, Space Application Laboratory, "
        "University of Tokyo, SAL-2016-05-27, 2016"
    )

    def names(self) -> tuple[str, ...]:
        """Return the name of the only scene."""
        return ("chikusei",)

    def path(self, name: str) -> list[Path]:
        """Return the places of the scene's MATLAB file."""
        return self._under_root("HyperspecVNIR_Chikusei_20140729.mat")

    def read(self, name: str) -> Scene:
        """Read the scene."""
        path = self.find(name)
        return self.scene_in(name, open_mat(path, "chikusei"), path)
