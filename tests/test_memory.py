"""The allocator's setting, seen in the page faults of a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")

# Page faults of the network's pass over an image of medium size once the first ones are done, and of one
# tensor of 200 MiB. The least of several passes: on a busy machine the threads' order differs.
SCRIPT = """
import resource, sys
from cofusion.memory import keep_pages
if "keep" in sys.argv:
    keep_pages()
import torch
from cofusion import CoFusion

def faults(job):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    job()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

net = CoFusion(31, 3, 4).eval()
pair = torch.rand(1, 31, 32, 32), torch.rand(1, 3, 128, 128)
with torch.inference_mode():
    passes = [faults(lambda: net(*pair)) for _ in range(10)]
print(min(passes[3:]), faults(lambda: torch.ones(200 << 18)))
"""


def faults(*args: str, **env: str) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *args],
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=True,
    )
    network, tensor = map(int, done.stdout.split())
    return network, tensor


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_memory_is_kept():
    assert faults()[0] > 1000
    assert faults("keep")[0] < 100


@pytest.mark.skipif(
    not HUGE_PAGES.exists() or "[never]" in HUGE_PAGES.read_text(),
    reason="this kernel has no transparent huge pages",
)
def test_large_tensors_come_in_huge_pages_unless_the_user_forbids_it():
    assert faults("keep")[1] < 1000
    assert faults("keep", THP_MEM_ALLOC_ENABLE="0")[1] > 200 * 256 * 0.9
