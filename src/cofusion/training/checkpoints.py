"""Checkpoints: written whole, read without running what is in them, refused with a reason."""

import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

from cofusion.console import say
from cofusion.errors import UserError
from cofusion.files import whole_file
from cofusion.models.describe import describe, tensor_differences

BEST, LAST, PREVIOUS = "best.ckpt", "last.ckpt", "previous.ckpt"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write checkpoints beside their final place and move them there; `last.ckpt` becomes `previous.ckpt`.

    Lightning's own writing moves the file from the system's temporary folder. Where that is on another disk
    the move is a copy, of which a killed process leaves a half.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Save `checkpoint` to `path`; a process killed meanwhile leaves the old file as it was.

        Raises:
            UserError: The disk does not take the file.
        """
        path = Path(path)
        # A file that was cut short does not take the place of a good one.
        keep = path.name == LAST and zipfile.is_zipfile(path)
        try:
            with whole_file(path, path.with_name(PREVIOUS) if keep else None) as part:
                torch.save(checkpoint, part)
            return
        except OSError as error:
            reason = error.strerror
        except RuntimeError:
            reason = "PyTorch could not write it whole"  # its own words are about positions in the file
        # Raised out here, where the failed writer is gone: it holds the space of what it had written.
        free = shutil.disk_usage(path.parent).free / 1e6
        raise UserError(
            f"cannot write {path}: {reason}; {free:.1f} MB are free there, make room and go on with "
            f"--ckpt_path last"
        )


class RunCheckpoint(ModelCheckpoint):
    """A `ModelCheckpoint` that knows its run directory again after that was moved or copied."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what the best checkpoint is, at the place where it lies now."""
        there, here = str(state_dict["dirpath"]), str(self.dirpath)
        best = Path(state_dict["best_model_path"].replace(there, here, 1))
        if there != here and best.is_file():
            score = state_dict["best_model_score"]
            state_dict = state_dict | {
                "dirpath": self.dirpath,
                "best_model_path": str(best),
                "kth_best_model_path": str(best),
                "best_k_models": {} if score is None else {str(best): score},
            }
        super().load_state_dict(state_dict)


def checkpoint_callbacks() -> list[ModelCheckpoint]:
    """Return what keeps `checkpoints/best.ckpt` (validation PSNR) and, each epoch, `checkpoints/last.ckpt`.

    The best comes first: Lightning keeps the order, so the last one records what the best is.
    """
    # One callback with `save_last` would write the last checkpoint only in epochs that are also the best.
    best = RunCheckpoint(
        filename=Path(BEST).stem, monitor="val/psnr", mode="max", save_top_k=1, enable_version_counter=False
    )
    last = RunCheckpoint(
        filename=Path(LAST).stem, every_n_epochs=1, save_on_train_epoch_end=True, enable_version_counter=False
    )
    return [best, last]


def find_checkpoint(given: str | Path, prefer: str = BEST) -> Path:
    """Find a checkpoint.

    Args:
        given: A checkpoint file, or a run directory.
        prefer: Which checkpoint of a run directory: `best.ckpt` or `last.ckpt`, which `latest_checkpoint`
            looks for.

    Raises:
        UserError: There is none.
    """
    path = Path(given).expanduser()
    if path.is_file():
        return path
    latest = latest_checkpoint(path) if prefer == LAST else None
    if latest is not None:
        return latest
    candidates = [path / "checkpoints" / name for name in dict.fromkeys((prefer, BEST, LAST))]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise UserError(
        f"no checkpoint at {path.absolute()}: expected a file, or a run directory with {candidates[0]}"
    )


@rank_zero_only
def remove_leftovers(run_dir: Path) -> None:
    """Remove what a process that was killed had written of a checkpoint; only the first process does."""
    for part in (run_dir / "checkpoints").glob(".*.part.ckpt"):
        part.unlink(missing_ok=True)


def latest_checkpoint(run_dir: Path) -> Path | None:
    """Find what a run goes on from: `last.ckpt` or, where that is damaged, the one before; says so then.

    Args:
        run_dir: The run directory.

    Returns:
        The file; None where the run has not written any yet.

    Raises:
        UserError: There are checkpoints, but none can be read.
    """
    damage: list[str] = []
    for name in (LAST, PREVIOUS):
        path = run_dir / "checkpoints" / name
        if not path.is_file():
            continue
        try:
            read_checkpoint(path)
        except UserError as error:
            damage.append(str(error))
            continue
        if damage:
            say(f"note: {damage[0]}; this goes on from the one before it, {path.name}")
        return path
    if damage:
        raise UserError(f"{damage[0]}; no other can be gone on from, begin again in another --run_dir")
    return None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint that holds nothing but tensors and plain values.

    Args:
        path: The file; its tensors are mapped from disk, not copied.

    Raises:
        UserError: The file is truncated, is no checkpoint, or would run code if it were unpickled.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        reason = str(error).partition("WeightsUnpickler error:")[2] or str(error)
        raise UserError(
            f"{path} is refused: it holds more than weights and plain values, so opening it could run code "
            f"({reason.strip().splitlines()[0]})"
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise UserError(f"{path} is truncated or not a checkpoint ({str(error).splitlines()[0]})") from None
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise UserError(f"{path} is no checkpoint of a run: it has no 'state_dict'")
    return checkpoint


def differences(checkpoint: dict[str, Any], net: nn.Module) -> list[str]:
    """Say in what a checkpoint's network and `net` differ: `scale 4 here, 8 in the checkpoint`.

    Args:
        checkpoint: As returned by `read_checkpoint`.
        net: The network that its weights are meant for.
    """
    here = describe(net)
    there = checkpoint.get("cofusion", {}).get("net", {})
    if there and there["class_path"] != here["class_path"]:
        return [f"{_last(here['class_path'])} here, {_last(there['class_path'])} in the checkpoint"]
    ours, theirs = here["init_args"], there.get("init_args", {})
    return [
        f"{name} {ours[name]} here, {theirs[name]} in the checkpoint"
        for name in ours
        if name in theirs and ours[name] != theirs[name]
    ]


def check_fits(checkpoint: dict[str, Any], net: nn.Module, path: Path) -> None:
    """Check that a checkpoint's weights belong to `net`.

    Args:
        checkpoint: As returned by `read_checkpoint`.
        net: The network as the configs describe it.
        path: The checkpoint's file, for the message.

    Raises:
        UserError: They do not; the message says in what the two networks differ.
    """
    ours = {name: str(tuple(value.shape)) for name, value in net.state_dict().items()}
    theirs = {
        name.removeprefix("net."): str(tuple(value.shape))
        for name, value in checkpoint["state_dict"].items()
        if name.startswith("net.")
    }
    if ours == theirs:
        return
    what = differences(checkpoint, net) or tensor_differences(ours, theirs, "in the checkpoint")
    raise UserError(f"{path} is a checkpoint of another architecture: {'; '.join(what)}")


def _last(class_path: str) -> str:
    return class_path.rpartition(".")[2]
