"""Networks whose attention goes over all pixels never hold the map of all pairs of pixels."""

import subprocess
import sys

import pytest

# The attention of 256 x 256 pixels to each other alone is 17 GB in float32, for every head.
LIMIT = 2e9
FUSE = """
import torch
from cofusion import memory
from cofusion.models.deep import {network}

net = {network}(31, 3, 4).eval()
with torch.inference_mode():
    fused = net(torch.rand(1, 31, 64, 64), torch.rand(1, 3, 256, 256))
assert fused.shape == (1, 31, 256, 256) and fused.isfinite().all()
print(memory.peak())
"""


@pytest.mark.slow
@pytest.mark.parametrize("network", ["Fusformer", "U2Net"])
def test_a_large_image_is_fused_in_little_memory(network):
    code = FUSE.format(network=network)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < LIMIT
