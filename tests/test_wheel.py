"""The wheel carries what the package needs to run without a checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent

PROGRAM = """
from pathlib import Path
import cofusion
from cofusion import CoFusion
from cofusion.configs import expand_configs
from cofusion.data import load_split
from cofusion.scenes import CAVE
from cofusion.reports.page import build_page
from cofusion.sensors import CsvResponse

assert Path(cofusion.__file__).parent.parent == Path.cwd() / "site", cofusion.__file__
args, _ = expand_configs(["--config", "cave_x4.yaml", "--config", "ablation/no_spacam.yaml"])
assert len(args) == 10, args
assert CoFusion.from_pretrained("cave_x4").provenance.split == "cave_20_11"
assert "<style>" in build_page("A report")
print(load_split("cave_20_11").name, CsvResponse("nikon_d700")(CAVE().wavelengths).msi_bands)
"""


def test_configs_splits_responses_and_weights_travel_in_the_wheel(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(REPOSITORY)], check=True, timeout=120)
    (wheel,) = tmp_path.glob("cofusion-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["cave_20_11", "3"]
    assert (tmp_path / "site" / "cofusion" / "py.typed").is_file()
    assert (tmp_path / "site" / "cofusion" / "configs" / "slurm" / "one_node.sh").is_file()
