"""The order of methods in a report, and what data sets are called."""

from collections.abc import Mapping
from typing import Any

from cofusion.reports.tables.paper import METHODS

_CLASSICAL = (
    "PCA", "IHS", "Brovey", "GS", "GSA", "BDSD", "BDSDPC", "SFIM", "SFIMHS", "MTFGLP", "GLPHS", "AWLP", "DWT",
    "TV", "HySure", "CNMF", "SupResPALM", "LTMR", "FUSE",
)  # fmt: skip
# The paper's, then other networks, then CoFusion, which ends the paper's tables, then what needs no training.
_ORDER = (*(name for name in METHODS if name != "CoFusion"), None, "CoFusion", *_CLASSICAL)

_DATASETS = {
    "chikusei": "Chikusei",
    "cave": "CAVE",
    "pavia_u": "PaviaU",
    "pavia_c": "Pavia Centre",
    "houston_2018": "Houston 2018",
    "indian_pines": "Indian Pines",
    "synthetic": "synthetic",
}


def method_rank(name: str) -> int:
    """Return a method's place among others."""
    return _ORDER.index(name if name in _ORDER else None)


def dataset_title(protocol: Mapping[str, Any]) -> str:
    """Return what the data of a protocol are called; a pair of one's own is called by its file."""
    dataset = str(protocol.get("dataset"))
    return str(protocol["lr_hsi"]) if "lr_hsi" in protocol else _DATASETS.get(dataset, dataset)
