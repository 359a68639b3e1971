"""Finding the files that ship with the project: configs, spectral responses, splits and weights.

They lie at the top of a checkout (`configs/`, `data/srf/`, `data/splits/`, `weights/`) and inside the package
when it was installed from a wheel.
"""

from pathlib import Path

from cofusion.errors import UserError

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent.parent
_INSTALLED = {
    "configs": "configs",
    "srf": "data_files/srf",
    "splits": "data_files/splits",
    "weights": "weights",
}
_IN_CHECKOUT = {"configs": "configs", "srf": "data/srf", "splits": "data/splits", "weights": "weights"}


def resource_dir(kind: str) -> Path:
    """Return the folder of shipped files of one kind.

    Args:
        kind: `configs`, `srf`, `splits` or `weights`.
    """
    installed = _PACKAGE / _INSTALLED[kind]
    return installed if installed.is_dir() else _CHECKOUT / _IN_CHECKOUT[kind]


def find_resource(kind: str, name: str, suffix: str) -> Path:
    """Find a file by path or, where no such file exists, by the name of a shipped one.

    Args:
        kind: `configs`, `srf` or `splits`.
        name: A path, or the shipped file's path below its folder with or without the suffix.
        suffix: The file's suffix with its dot, for example `.csv`.

    Raises:
        UserError: Neither exists; the message lists what ships.
    """
    given = Path(name).expanduser()
    if given.is_file():
        return given
    shipped = resource_dir(kind)
    for candidate in (shipped / name, shipped / f"{name}{suffix}"):
        if candidate.is_file():
            return candidate
    known = ", ".join(
        sorted(str(p.relative_to(shipped).with_suffix("")) for p in shipped.rglob(f"*{suffix}"))
    )
    raise UserError(f"{name!r} is neither a file nor one of the shipped {kind}: {known}")
