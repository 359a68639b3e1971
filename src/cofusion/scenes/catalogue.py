"""The known data sets and where their files come from.

The addresses are those of the sets' own pages. No checksum of their files is known for certain, so none is
given: what was fetched is checked by its content instead.
"""

from dataclasses import dataclass

from cofusion.errors import UserError
from cofusion.scenes.base import SceneSet
from cofusion.scenes.cave import CAVE
from cofusion.scenes.chikusei import Chikusei
from cofusion.scenes.fetch.checks import EnviRaster, MatVariable, PngStack
from cofusion.scenes.houston_2018 import Houston2018
from cofusion.scenes.indian_pines import IndianPines
from cofusion.scenes.pavia_c import PaviaC
from cofusion.scenes.pavia_u import PaviaU
from cofusion.scenes.synthetic import Synthetic

_GB = 10**9


@dataclass(frozen=True)
class Source:
    """Where the files of a data set come from.

    Attributes:
        size: Rows and columns of a scene, for people.
        content: What a scene's file must hold; None where there are no files.
        url: Public direct address; None where there is none.
        file: Name of the only scene's file, where the set is one file.
        archives: Patterns for the names of archives that a person may have put beside the scenes.
        limit: The most bytes that an archive may unpack to, or a file may have; above the set's own size.
        manual: What the person has to do where there is no direct address, one clause.
        sha256: Checksum of what `url` gives, where one is known.
    """

    size: str
    content: EnviRaster | MatVariable | PngStack | None = None
    url: str | None = None
    file: str | None = None
    archives: tuple[str, ...] = ()
    limit: int = 0
    manual: str = ""
    sha256: str | None = None


CATALOGUE: dict[type[SceneSet], Source] = {
    CAVE: Source(
        size="512 x 512",
        content=PngStack(31, (512, 512)),
        url="https://www.cs.columbia.edu/CAVE/databases/multispectral/zip/complete_ms_data.zip",
        archives=("complete_ms_data.zip", "*_ms.zip"),
        limit=2 * _GB,
    ),
    PaviaU: Source(
        size="610 x 340",
        content=MatVariable("paviaU", (610, 340, 103)),
        url="https://www.ehu.eus/ccwintco/uploads/e/ee/PaviaU.mat",
        file="PaviaU.mat",
        archives=("[Pp]avia*.zip", "[Pp]avia*.tar*"),
        limit=_GB // 2,
    ),
    PaviaC: Source(
        size="1096 x 715",
        content=MatVariable("pavia", (1096, 715, 102)),
        url="https://www.ehu.eus/ccwintco/uploads/e/e3/Pavia.mat",
        file="Pavia.mat",
        archives=("[Pp]avia*.zip", "[Pp]avia*.tar*"),
        limit=_GB,
    ),
    Chikusei: Source(
        size="2517 x 2335",
        content=MatVariable("chikusei", (2517, 2335, 128)),
        file="HyperspecVNIR_Chikusei_20140729.mat",
        archives=("*[Cc]hikusei*.zip", "*[Cc]hikusei*.tar*"),
        limit=16 * _GB,
        manual="get the MATLAB archive (Hyperspec_Chikusei_MATLAB.zip) there",
    ),
    Houston2018: Source(
        size="1202 x 4172",
        content=EnviRaster(48, (1202, 4172)),
        archives=("[Pp]hase2*.zip", "2018*[Cc]ontest*.zip"),
        limit=64 * _GB,
        manual="get the archive of phase 2, or the folder FullHSIDataset in it, there",
    ),
    IndianPines: Source(size="145 x 145"),
    Synthetic: Source(size="any"),
}


def find_set(name: str) -> type[SceneSet] | None:
    """Return the data set of this name, `pavia_u` or `PaviaU`; None where there is none."""
    plain = name.lower().replace("-", "_")
    return next((known for known in CATALOGUE if plain in (known.stem, known.__name__.lower())), None)


def known_set(name: str) -> type[SceneSet]:
    """Return the data set of this name.

    Raises:
        UserError: There is none; the message lists the known ones.
    """
    found = find_set(name)
    if found is None:
        raise UserError(f"no data set {name!r}; known are {', '.join(known.stem for known in CATALOGUE)}")
    return found
