"""Checkpoint files: what is kept, found, compared and refused."""

from pathlib import Path

import pytest
import torch
from torch import nn

from cofusion import CoFusion
from cofusion.errors import UserError
from cofusion.models import Bicubic
from cofusion.models.describe import describe
from cofusion.training.checkpoints import (
    AtomicCheckpointIO,
    check_fits,
    checkpoint_callbacks,
    differences,
    find_checkpoint,
    read_checkpoint,
)


class Net(nn.Module):
    """A network that keeps its constructor's arguments, but for one that is no plain value."""

    def __init__(
        self, width: int, names: tuple[str, ...] = ("a",), layer: type = nn.Linear, bias: bool = True
    ):
        super().__init__()
        self.width, self.names, self.layer = width, names, layer
        self.body = layer(width, width, bias=bias)


def checkpoint_of(net: nn.Module, **extra: object) -> dict:
    weights = {f"net.{name}": value for name, value in net.state_dict().items()}
    return {"state_dict": weights, "cofusion": {"net": describe(net)}, **extra}


def test_describe_names_the_class_and_plain_arguments():
    assert describe(Net(3)) == {"class_path": f"{__name__}.Net", "init_args": {"width": 3, "names": ("a",)}}


def test_weights_that_fit_pass():
    check_fits(checkpoint_of(Net(3)), Net(3), Path("x.ckpt"))


@pytest.mark.parametrize(
    ("here", "there", "says"),
    [
        (Net(3), Net(4), "width 3 here, 4 in the checkpoint"),
        (Net(3), Net(3, bias=False), "body.bias is not in the checkpoint"),
        (Net(3, bias=False), Net(3), "body.bias is only in the checkpoint"),
        (Bicubic(4), Net(3), "Bicubic here, Net in the checkpoint"),
        (CoFusion(6, 4, 4, dim=8), CoFusion(5, 4, 4, dim=8), "hsi_bands 6 here, 5 in the checkpoint"),
    ],
)
def test_weights_of_another_network_are_refused_with_the_difference(here, there, says):
    with pytest.raises(UserError, match="another architecture") as error:
        check_fits(checkpoint_of(there), here, Path("x.ckpt"))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_without_a_record_the_first_differing_shapes_are_named():
    stored = {"state_dict": checkpoint_of(CoFusion(6, 4, 4, dim=12))["state_dict"]}
    with pytest.raises(UserError, match=r"has shape \(8, .* here, \(12, .*; and \d+ more$"):
        check_fits(stored, CoFusion(6, 4, 4, dim=8), Path("x.ckpt"))


def test_a_difference_that_the_weights_do_not_show_is_still_found():
    stored = checkpoint_of(CoFusion(6, 4, 4, dim=8, phase=0.0))
    net = CoFusion(6, 4, 4, dim=8, phase=1.5)
    check_fits(stored, net, Path("x.ckpt"))
    assert differences(stored, net) == ["phase 1.5 here, 0.0 in the checkpoint"]


def test_read_checkpoint_keeps_values(tmp_path):
    torch.save(checkpoint_of(Net(3), global_step=7), tmp_path / "a.ckpt")
    read = read_checkpoint(tmp_path / "a.ckpt")
    assert read["global_step"] == 7
    assert read["state_dict"]["net.body.weight"].shape == (3, 3)


def test_find_checkpoint_prefers_what_is_asked_for_and_takes_what_is_there(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    torch.save(checkpoint_of(Net(3)), folder / "last.ckpt")
    assert find_checkpoint(tmp_path) == folder / "last.ckpt"
    (folder / "best.ckpt").touch()
    assert find_checkpoint(tmp_path) == folder / "best.ckpt"
    assert find_checkpoint(tmp_path, prefer="last.ckpt") == folder / "last.ckpt"
    assert find_checkpoint(folder / "last.ckpt") == folder / "last.ckpt"
    with pytest.raises(UserError, match="no checkpoint"):
        find_checkpoint(folder)


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path):
    writer, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    writer.save_checkpoint({"epoch": 1}, path)
    with pytest.raises(Exception, match="pickle"):
        writer.save_checkpoint({"epoch": 2, "bad": lambda: None}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_the_last_checkpoint_becomes_the_previous_one_unless_it_is_damaged(tmp_path):
    writer, last, previous = AtomicCheckpointIO(), tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    for epoch in (1, 2):
        writer.save_checkpoint({"epoch": epoch}, last)
    assert [torch.load(path, weights_only=True)["epoch"] for path in (last, previous)] == [2, 1]
    last.write_bytes(last.read_bytes()[:100])
    writer.save_checkpoint({"epoch": 3}, last)
    assert [torch.load(path, weights_only=True)["epoch"] for path in (last, previous)] == [3, 1]


def test_only_the_last_checkpoint_has_a_previous_one(tmp_path):
    for epoch in (1, 2):
        AtomicCheckpointIO().save_checkpoint({"epoch": epoch}, tmp_path / "best.ckpt")
    assert [file.name for file in tmp_path.iterdir()] == ["best.ckpt"]


def test_a_moved_run_directory_keeps_its_best(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    there.mkdir()
    (there / "best.ckpt").touch()
    best = checkpoint_callbacks()[0]
    best.dirpath = str(here)
    best.best_model_path = best.kth_best_model_path = str(here / "best.ckpt")
    best.best_model_score = torch.tensor(40.0)
    best.best_k_models = {best.best_model_path: best.best_model_score}
    moved = checkpoint_callbacks()[0]
    moved.dirpath = str(there)
    moved.load_state_dict(best.state_dict())
    assert moved.best_model_path == moved.kth_best_model_path == str(there / "best.ckpt")
    assert moved.best_k_models == {str(there / "best.ckpt"): torch.tensor(40.0)}


def test_another_directory_without_the_best_starts_its_own(tmp_path):
    best, other = checkpoint_callbacks()[0], checkpoint_callbacks()[0]
    best.dirpath, other.dirpath = str(tmp_path / "here"), str(tmp_path / "there")
    best.best_model_path = str(tmp_path / "here" / "best.ckpt")
    best.best_model_score = torch.tensor(40.0)
    best.best_k_models = {best.best_model_path: best.best_model_score}
    with pytest.warns(UserWarning, match="dirpath has changed"):
        other.load_state_dict(best.state_dict())
    assert other.best_k_models == {}
