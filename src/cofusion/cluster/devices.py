"""Which part of this machine each of several trials gets."""

import os
from collections.abc import Sequence


def shares(jobs: int, gpus: Sequence[str] | None = None) -> list[dict[str, str]]:
    """Share GPUs and processors among trials that run at a time.

    A trial that has the machine for itself is left alone. Several would each take the first GPU, and as many
    threads as there are processors. What the user's environment already decides stays.

    Args:
        jobs: How many trials run at a time.
        gpus: The GPUs to share; those of this machine where left out.

    Returns:
        Variables of the environment for each place. With fewer GPUs than trials, some share one.
    """
    if jobs == 1:
        return [{}]
    gpus = _gpus() if gpus is None else gpus
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    common = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(threads)}
    return [common | _gpu(gpus, place, jobs) for place in range(jobs)]


def _gpu(gpus: Sequence[str], place: int, jobs: int) -> dict[str, str]:
    if not gpus:
        return {}
    each = len(gpus) // jobs
    mine = gpus[place * each : (place + 1) * each] if each else [gpus[place % len(gpus)]]
    return {"CUDA_VISIBLE_DEVICES": ",".join(mine)}


def _gpus() -> list[str]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]
