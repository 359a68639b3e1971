"""Reading what runs leave, and comparing it bit for bit."""

from pathlib import Path

import torch

# What a checkpoint holds of the training; the rest says where and when it was written.
TRAINED = ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers", "epoch", "global_step")


def load(run: Path, name: str = "last") -> dict:
    """Read a checkpoint of a run directory."""
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)


def check_same_training(run: Path, expected: Path) -> None:
    """Check that two runs ended with the same training state, and found the same best weights on the way."""
    ours, theirs = load(run), load(expected)
    for part in TRAINED:
        assert equal(ours.get(part), theirs.get(part)), part
    assert equal(load(run, "best")["state_dict"], load(expected, "best")["state_dict"])


def equal(a: object, b: object) -> bool:
    """Compare nested values; tensors bit for bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(equal, a, b))
    return a == b
