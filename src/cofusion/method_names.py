"""What methods are called in tables and pictures; nothing heavy is imported."""

from collections.abc import Mapping
from typing import Any

# As in docs/methods.md; a class that is not here, one of your own say, is called by its name.
_TITLES = {
    "ThreeDTNet": "3DT-Net",
    "FMPMDNetStyle": "FMPM-DNet-style",
    "SMGUNetStyle": "SMGU-Net-style",
    "MHFNet": "MHF-net",
    "PIFNet": "PIF-Net",
    "BDSDPC": "BDSD-PC",
    "SFIMHS": "SFIM-HS",
    "MTFGLP": "MTF-GLP",
    "GLPHS": "GLP-HS",
}
# Configurations of a class that have names of their own.
_CONFIGURED = {
    ("MTFGLP", "injection", "modulation"): "MTF-GLP-HPM",
    ("FUSE", "prior", "none"): "FUSE-ML",
}


def method_title(name: str, arguments: Mapping[str, Any] | None = None) -> str:
    """Return what a method is called.

    Args:
        name: Its class.
        arguments: What the class is made with; some configurations have names of their own.
    """
    for key, value in (arguments or {}).items():
        if isinstance(value, str) and (name, key, value) in _CONFIGURED:
            return _CONFIGURED[name, key, value]
    return _TITLES.get(name, name)
