"""Memory of the CPU: how much there is, and an allocator set for large images that come and go.

Networks allocate and free the same hundreds of megabytes at every pass. glibc gives freed memory back to the
kernel, which then hands it out again in pages of 4 KiB: on CPU, half the time of a pass over a large image.
"""

import contextlib
import ctypes
import os
import resource
from collections.abc import Callable
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_FROM_HEAP = 32 << 20  # the most that glibc allows
_NEVER = (1 << 31) - 1


def keep_pages() -> None:
    """Let this process keep freed memory, and use huge pages for large tensors.

    Call it before torch allocates its first tensor. Where the C library is not glibc, freed memory is not
    kept; where the kernel has no huge pages, or `THP_MEM_ALLOC_ENABLE` is already set to 0, none are used.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_FROM_HEAP)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)


def available() -> int:
    """Return how many bytes can be had without swapping, as the kernel estimates it."""
    # Where the kernel does not say: all that the machine has.
    return _stated("/proc/meminfo", "MemAvailable") or (
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    )


def peak() -> int:
    """Return the largest resident set of this process so far, in bytes."""
    # What the process that started it held counts in `ru_maxrss`, not here.
    return _stated("/proc/self/status", "VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def added(job: Callable[[], object]) -> int | None:
    """Return how many bytes a job adds at most to the resident set of this process while it runs.

    Memory that was freed and kept is given back first, so that it counts when it is used again. In a process
    that has done other work some of it may stay, and too little is found: measure in a process of its own.

    Returns:
        None where the kernel does not forget an earlier peak; only Linux does.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        job()
        return None
    before = _stated("/proc/self/status", "VmRSS")
    job()
    return peak() - before


def _stated(path: str, name: str) -> int:
    """Read a size from a file of the kernel's; 0 where it has none."""
    with contextlib.suppress(OSError):
        for line in Path(path).read_text().splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return int(value.split()[0]) * 1024
    return 0
