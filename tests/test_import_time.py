"""What is asked for quickly is answered quickly: heavy packages are imported where they are used."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "lightning", "rasterio", "wandb", "matplotlib", "scipy", "h5py", "kornia")


def _imported_by(code: str) -> list[str]:
    """Run code in a fresh interpreter and return the heavy packages that it imported."""
    report = f"import sys; print('HEAVY', *(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--help"],
        ["--version"],
        ["unknown"],
        ["data", "--help"],
        ["benchmark", "speed", "--help"],
        ["sweep", "--help"],
        ["sensors", "--help"],
        ["report", "--help"],
        ["fuse", "--help"],
    ],
)
def test_help_and_version_import_nothing_heavy(args):
    assert _imported_by(f"from cofusion.cli import main; main({args!r})") == []


def test_a_report_needs_no_torch(tmp_path):
    runs = Path(__file__).parents[1] / "docs" / "results"
    command = ["report", str(runs), "-o", str(tmp_path / "report")]
    found = _imported_by(f"from cofusion.cli import main; assert main({command!r}) == 0")
    assert not {"torch", "lightning", "rasterio", "wandb"} & set(found)


def test_the_package_alone_imports_nothing_heavy():
    assert _imported_by("import cofusion; dir(cofusion); cofusion.__version__") == []


def test_the_report_above_sees_what_is_imported():
    assert _imported_by("import cofusion; cofusion.CoFusion") == ["torch"]


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("CoFusion", "cofusion.models"),
        ("FusionModule", "cofusion.training"),
        ("FusionDataModule", "cofusion.data"),
        ("degrade", "cofusion.sensors"),
        ("fuse", "cofusion.inference"),
        ("Sensors", "cofusion.sensors"),
        ("metrics", "cofusion"),
    ],
)
def test_public_names_are_those_of_their_rooms(name, home):
    import importlib

    import cofusion

    assert getattr(cofusion, name) is getattr(importlib.import_module(home), name)
    assert name in dir(cofusion)


def test_an_unknown_name_is_an_attribute_error():
    import cofusion

    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = cofusion.nonsense
