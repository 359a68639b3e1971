"""CAVE: 32 indoor scenes of materials and objects under a tunable filter."""

from pathlib import Path

import torch

from cofusion.scenes.base import SceneSet
from cofusion.scenes.formats.png import read_png_stack
from cofusion.scenes.scene import Scene

_NAMES = (
    "balloons beads cd chart_and_stuffed_toy clay cloth egyptian_statue face fake_and_real_beers "
    "fake_and_real_food fake_and_real_lemon_slices fake_and_real_lemons fake_and_real_peppers "
    "fake_and_real_strawberries fake_and_real_sushi fake_and_real_tomatoes feathers flowers glass_tiles "
    "hairs jelly_beans oil_painting paints photo_and_face pompoms real_and_fake_apples real_and_fake_peppers "
    "sponges stuffed_toys superballs thread_spools watercolors"
)


class CAVE(SceneSet):
    """The CAVE multispectral image database (Columbia University).

    Every scene is a folder of 31 16-bit PNGs, 512 x 512 pixels, 400 to 700 nm in steps of 10 nm. The archive
    nests the folder in one of the same name; both layouts are found. `watercolors` is 8-bit RGBA in the
    public archive and is refused.

    Args:
        root: Folder that holds the `<scene>_ms` folders, directly or in a folder named cave.
        scaling: Divisor of the files' values; the full 16-bit range, 65535, when left out.
    """

    stem = "cave"
    title = "CAVE"
    bands = 31
    full_size = (512, 512)
    wavelengths = torch.arange(400, 701, 10, dtype=torch.float64)
    scaling = 65535.0
    homepage = "https://www.cs.columbia.edu/CAVE/databases/multispectral/"
    expected = "31 16-bit grey PNGs of 512 x 512 pixels per scene, <scene>_ms_01.png to <scene>_ms_31.png"
    licence = "free for research; see the database's page"
    citation = (
        "F. Yasuma, T. Mitsunaga, D. Iso, S. K. Nayar, Generalized assorted pixel camera: postcapture "
        "control of resolution, dynamic range, and spectrum, IEEE Transactions on Image Processing 19(9), "
        "2010"
    )

    def names(self) -> tuple[str, ...]:
        """Return the names of the 32 scenes."""
        return tuple(_NAMES.split())

    def path(self, name: str) -> list[Path]:
        """Return the places of a scene's first band."""
        folder, first = f"{name}_ms", f"{name}_ms_01.png"
        return self._under_root(f"{folder}/{folder}/{first}", f"{folder}/{first}")

    def read(self, name: str) -> Scene:
        """Read one scene; the bands are decoded in parallel."""
        folder = self.find(name).parent
        raw = read_png_stack([folder / f"{name}_ms_{band:02d}.png" for band in range(1, self.bands + 1)])
        return self.scene(name, raw, str(folder))
