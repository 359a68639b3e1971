"""Networks as directories: what comes back is what was saved, and nothing else comes in."""

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cofusion import CoFusion
from cofusion.models import Pretrained, Provenance, pretrained

PROVENANCE = Provenance(
    dataset="cave",
    scenes="cofusion.scenes.cave.CAVE",
    split="cave_20_11",
    train_scenes=("beads", "face"),
    hsi_bands=5,
    msi_bands=3,
    wavelengths=(400.0, 410.1, 420.2, 430.3, 1 / 3),
    scaling=65535.0,
    scale=4,
    phase=1.5,
    preset="paper",
    psf=((0.25, 0.25), (0.25, 0.25)),
    border="reflect",
    response="nikon_d700",
    response_names=("red", "grün", "blue"),
    response_weights=((1.0, 0.0, 0.0, 0.0, 0.0),) * 3,
    version="0.1.0",
    commit="0123abc-dirty",
    seed=3407,
    steps=12,
    test_scenes=("balloons",),
    metrics={"psnr": 41.5, "sam": 3},
)


class Net(Pretrained):
    """A network with an argument of every kind that a directory can hold."""

    def __init__(
        self,
        width: int,
        kind: Literal["wide", "deep"] = "wide",
        shares: tuple[float, ...] = (0.5,),
        name: str | None = None,
        fixed: bool = False,
        untyped=3,
    ) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        self.width, self.kind, self.shares = width, kind, shares
        self.name, self.fixed, self.untyped = name, fixed, untyped
        self.body = nn.Linear(width, 2)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.body(x))


class Other(Net):
    """Another class with the same arguments and tensors."""


@pytest.fixture
def cofusion() -> CoFusion:
    torch.manual_seed(1)
    return CoFusion(
        5,
        3,
        4,
        dim=8,
        variant="no_specam",
        phase=1.5,
        spacam_depths=(1, 1, 2),
        local_depths=[1, 2, 1],
        proxy_depths=(1, 1, 1),
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    Net(3, "deep", (0.25, 1.0)).save_pretrained(tmp_path / "net", Provenance(dataset="cave"))
    return tmp_path / "net"


def refused(directory: Path, *says: str, cls: type[Pretrained] = Net) -> str:
    """Reading the directory fails with one line that says all this."""
    with pytest.raises(ValueError) as error:
        cls.from_pretrained(directory)
    text = str(error.value)
    assert "\n" not in text
    for part in says:
        assert part in text
    return text


def edit(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what `model.json` holds."""
    path = directory / "model.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def put_weights(directory: Path, content: bytes) -> None:
    """Put other bytes in the place of the weights, with the checksum that belongs to them."""
    (directory / "model.safetensors").write_bytes(content)
    edit(directory, lambda record: record.update(sha256=hashlib.sha256(content).hexdigest()))


def edit_weights(directory: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "changed")
    put_weights(directory, (directory / "changed").read_bytes())


# ---- what is saved comes back


def test_cofusion_comes_back_bit_for_bit(cofusion, tmp_path):
    cofusion.save_pretrained(tmp_path / "a" / "b", PROVENANCE)
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == [
        "model.json",
        "model.safetensors",
    ]
    net = CoFusion.from_pretrained(str(tmp_path / "a" / "b"))
    assert type(net) is CoFusion
    assert not net.training
    assert net.provenance == PROVENANCE
    assert (net.scale, net.phase, net.variant) == (4, 1.5, "no_specam")
    assert (net.spacam_depths, net.local_depths) == ((1, 1, 2), (1, 2, 1))
    ours, theirs = cofusion.state_dict(), net.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    pair = torch.rand(1, 5, 4, 4), torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(cofusion.eval()(*pair), net(*pair))


def test_a_new_network_has_no_provenance(cofusion):
    assert cofusion.provenance is None


def test_arguments_and_integer_buffers_come_back(tmp_path):
    net = Net(3, "deep", (0.25, 1.0), name="ü", fixed=True, untyped=[1, [2]])
    net(torch.rand(4, 3))
    assert net.norm.num_batches_tracked == 1
    net.save_pretrained(tmp_path, Provenance())
    again = Net.from_pretrained(tmp_path)
    assert (again.width, again.kind, again.name, again.fixed, again.untyped) == (
        3,
        "deep",
        "ü",
        True,
        [1, [2]],
    )
    assert tuple(again.shares) == (0.25, 1.0)
    assert again.norm.num_batches_tracked == 1
    assert again.provenance == Provenance()


def test_unusual_values_and_memory_come_back(tmp_path):
    net = Net(3)
    with torch.no_grad():
        net.body.weight.copy_(torch.tensor([[float("nan"), float("-inf"), -0.0], [1e-45, 3.4e38, 1 / 3]]))
    net.body.weight.data = net.body.weight.data.T.contiguous().T
    net.norm.bias = net.norm.weight
    assert not net.body.weight.is_contiguous()
    net.save_pretrained(tmp_path, Provenance())
    again = Net.from_pretrained(tmp_path).state_dict()
    for name, value in net.state_dict().items():
        assert torch.equal(again[name].reshape(-1).view(torch.uint8), value.reshape(-1).view(torch.uint8))


def test_state_dicts_are_plain_tensors(cofusion, tmp_path):
    assert all(type(value) is Tensor for value in cofusion.state_dict().values())
    cofusion.save_pretrained(tmp_path, PROVENANCE)
    # Another reader of the format finds the same, and nothing about this package in it.
    with safe_open(tmp_path / "model.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt"}
        assert set(file.keys()) == set(cofusion.state_dict())
        for name, value in cofusion.state_dict().items():
            assert (file.get_tensor(name) == value.numpy()).all()


def test_the_json_says_what_was_saved(cofusion, tmp_path):
    cofusion.save_pretrained(tmp_path, PROVENANCE)
    record = json.loads((tmp_path / "model.json").read_text("utf-8"))
    assert set(record) == {"format", "class_path", "sha256", "init_args", "provenance", "half"}
    assert (record["format"], record["half"]) == (1, False)
    assert record["class_path"] == "cofusion.models.cofusion.network.CoFusion"
    assert record["sha256"] == hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    assert record["init_args"]["spacam_depths"] == [1, 1, 2]
    assert record["provenance"]["wavelengths"] == list(PROVENANCE.wavelengths)
    assert record["provenance"]["metrics"] == {"psnr": 41.5, "sam": 3}


def test_half_precision_halves_the_file_and_rounds(cofusion, tmp_path):
    cofusion.save_pretrained(tmp_path / "whole", PROVENANCE)
    cofusion.save_pretrained(tmp_path / "half", PROVENANCE, half=True)
    whole, half = (tmp_path / name / "model.safetensors" for name in ("whole", "half"))
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    net = CoFusion.from_pretrained(tmp_path / "half")
    for name, value in cofusion.state_dict().items():
        found = net.state_dict()[name]
        assert found.dtype == value.dtype
        assert torch.equal(found, value.half().float() if value.is_floating_point() else value)


def test_weights_too_large_for_half_precision_are_refused(tmp_path):
    net = Net(3)
    with torch.no_grad():
        net.body.bias[0] = 1e5
    with pytest.raises(ValueError, match=r"too large for half precision: body\.bias"):
        net.save_pretrained(tmp_path / "new", Provenance(), half=True)
    assert not (tmp_path / "new").exists()


def test_shipped_weights_are_found_by_name_and_a_directory_comes_first(cofusion, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "resource_dir", lambda kind: tmp_path / kind)
    cofusion.save_pretrained(tmp_path / "weights" / "cave_x4", replace(PROVENANCE, seed=1))
    assert pretrained.shipped() == ["cave_x4"]
    monkeypatch.chdir(tmp_path)
    assert CoFusion.from_pretrained("cave_x4").provenance.seed == 1
    with pytest.raises(ValueError, match="no file cave_x2"):
        CoFusion.from_pretrained("cave_x2")
    cofusion.save_pretrained(tmp_path / "cave_x4", replace(PROVENANCE, seed=2))
    assert CoFusion.from_pretrained("cave_x4").provenance.seed == 2


def test_saving_again_replaces_and_repeats(cofusion, tmp_path):
    cofusion.save_pretrained(tmp_path, PROVENANCE)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    cofusion.save_pretrained(tmp_path, replace(PROVENANCE, seed=1))
    assert CoFusion.from_pretrained(tmp_path).provenance.seed == 1
    cofusion.save_pretrained(tmp_path, PROVENANCE)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


def test_the_callers_random_numbers_stay(tmp_path):
    net = Net(3)
    before = torch.get_rng_state()
    net.save_pretrained(tmp_path, Provenance())
    Net.from_pretrained(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


# ---- what cannot come back is not saved


class Forgetful(Net):
    """Does not keep its argument."""

    def __init__(self, size: int) -> None:
        super().__init__(size)


class Keeper(Net):
    """Puts more than tensors into its state dict."""

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": 1}


def _resized() -> Net:
    net = Net(3)
    net.body = nn.Linear(4, 2)
    return net


@pytest.mark.parametrize(
    ("net", "provenance", "says"),
    [
        (Forgetful(3), Provenance(), "Forgetful's size is missing"),
        (Keeper(3), Provenance(), "_extra_state"),
        (Net(3).half(), Provenance(), "(2, 3) of torch.float32 here, (2, 3) of torch.float16"),
        (_resized(), Provenance(), "(2, 3) of torch.float32 here, (2, 4) of"),
        (Net(3), Provenance(scale=4.5), "provenance.scale is 4.5"),
        (Net(3), Provenance(scale=True), "provenance.scale is True"),
        (Net(3), Provenance(wavelengths=(400.0, "blue")), "provenance.wavelengths.1 is 'blue'"),
        (Net(3), Provenance(metrics={"psnr": float("nan")}), "JSON does not have"),
        (Net(3), Provenance(metrics={"psnr": torch.tensor(1.0)}), "JSON does not have"),
        (
            CoFusion(5, 3, 4, dim=8),
            replace(PROVENANCE, scale=8, phase=0.0),
            "scale is 4 in init_args and 8 in",
        ),
        (CoFusion(5, 3, 4, dim=8), PROVENANCE, "phase is 0.0 in init_args and 1.5 in the provenance"),
    ],
)
def test_what_could_not_be_read_is_not_written(net, provenance, says, tmp_path):
    with pytest.raises(ValueError, match="cannot be saved") as error:
        net.save_pretrained(tmp_path / "new", provenance)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "new").exists()


def test_a_write_that_fails_leaves_the_old_weights(saved):
    before = (saved / "model.safetensors").read_bytes()
    (saved / "model.json").unlink()
    (saved / "model.json").mkdir()
    with pytest.raises(OSError):
        Net(3).save_pretrained(saved, Provenance())
    assert (saved / "model.safetensors").read_bytes() == before
    assert sorted(path.name for path in saved.iterdir()) == ["model.json", "model.safetensors"]


# ---- nothing else comes in


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_missing_file_is_named(name, saved):
    (saved / name).unlink()
    refused(saved, str(saved / name), "expected a directory with model.json and model.safetensors")


def test_no_directory_and_a_file_in_its_place(tmp_path):
    refused(tmp_path / "nowhere", "nowhere/model.json")
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", "file/model.json")


def test_truncated_json_is_refused_wherever_it_ends(saved):
    path = saved / "model.json"
    text = path.read_bytes().rstrip()
    for length in range(0, len(text), 5):
        path.write_bytes(text[:length])
        refused(saved, str(path), "truncated or not JSON")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[1, 2]", "holds a JSON list"),
        (b"\xff\xfe\xfa", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"{}", "has format None, expected 1"),
        (b'{"format": 2}', "has format 2, expected 1"),
    ],
)
def test_another_json_is_refused(content, says, saved):
    (saved / "model.json").write_bytes(content)
    refused(saved, str(saved / "model.json"), says)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: r.update(format=True), "format"),
        (lambda r: r.update(class_path="evil.Net"), "has class_path 'evil.Net', expected"),
        (lambda r: r.update(more=1), "Record has no more"),
        (lambda r: r.pop("sha256"), "Record's sha256 is missing"),
        (lambda r: r.update(init_args=[1]), "init_args is [1]"),
        (lambda r: r["init_args"].pop("width"), "Net's width is missing"),
        (lambda r: r["init_args"].pop("fixed"), "Net's fixed is missing"),
        (lambda r: r["init_args"].update(depth=1), "Net has no depth"),
        (lambda r: r["init_args"].update(width="3"), "width is '3'"),
        (lambda r: r["init_args"].update(width=3.0), "width is 3.0"),
        (lambda r: r["init_args"].update(width=True), "width is True"),
        (lambda r: r["init_args"].update(fixed=0), "fixed is 0"),
        (lambda r: r["init_args"].update(kind="flat"), "kind is 'flat'"),
        (lambda r: r["init_args"].update(shares=[0.5, "a"]), "shares.1 is 'a'"),
        (lambda r: r["init_args"].update(shares=[float("inf")]), "shares.0 is inf"),
        (lambda r: r["init_args"].update(width=0), "width must be at least 1, got 0"),
        (lambda r: r["init_args"].update(width=10**15), "Net refuses its init_args"),
        (lambda r: r["init_args"].update(width=4), "(2, 4) of torch.float32 here, (2, 3) of"),
        (lambda r: r["provenance"].update(mood="good"), "Record has no provenance.mood"),
        (lambda r: r.pop("provenance"), "Record's provenance is missing"),
        (lambda r: r["provenance"].update(scale="4"), "provenance.scale is '4'"),
        (lambda r: r["provenance"].update(wavelengths=[400, None]), "provenance.wavelengths.1 is None"),
        (lambda r: r["provenance"].update(scaling=float("nan")), "provenance.scaling is nan"),
        (lambda r: r.update(provenance={str(i): i for i in range(9)}), "and 6 more"),
    ],
)
def test_a_json_that_says_something_else_is_refused(change, says, saved):
    edit(saved, change)
    refused(saved, str(saved), says)


def test_a_field_of_the_provenance_that_is_not_there_is_unknown(saved):
    edit(saved, lambda record: record["provenance"].pop("scale"))
    assert Net.from_pretrained(saved).provenance == Provenance(dataset="cave")


def test_a_directory_of_another_class_is_refused(saved, cofusion, tmp_path):
    refused(saved, f"{__name__}.Net", f"expected '{__name__}.Other'", cls=Other)
    refused(saved, "expected 'cofusion.models.cofusion.network.CoFusion'", cls=CoFusion)
    cofusion.save_pretrained(tmp_path / "cofusion", PROVENANCE)
    refused(tmp_path / "cofusion", "network.CoFusion", f"expected '{__name__}.Net'")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.pop("body.bias"), "body.bias is not in the file"),
        (lambda t: t.update(extra=torch.zeros(1)), "extra is only in the file"),
        (
            lambda t: t.update({"body.bias": torch.zeros(3)}),
            "(2,) of torch.float32 here, (3,) of torch.float32",
        ),
        (lambda t: t.update({"body.bias": torch.zeros(2).double()}), "(2,) of torch.float64 in the file"),
        (lambda t: t.clear(), "and 4 more"),
    ],
)
def test_other_tensors_are_named(change, says, saved):
    edit_weights(saved, change)
    refused(saved, str(saved / "model.safetensors"), "does not fit Net", says)


def test_unchanged_tensors_under_a_new_checksum_are_read(saved):
    """The helper of the test above changes nothing else."""
    before = Net.from_pretrained(saved).state_dict()
    edit_weights(saved, lambda tensors: None)
    after = Net.from_pretrained(saved).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_weights_of_another_save_are_refused(saved, tmp_path):
    Net(3).save_pretrained(tmp_path / "other", Provenance())
    shutil.copy(tmp_path / "other" / "model.safetensors", saved)
    digest = hashlib.sha256((saved / "model.safetensors").read_bytes()).hexdigest()
    expected = json.loads((saved / "model.json").read_text())["sha256"]
    refused(saved, str(saved / "model.safetensors"), f"SHA-256 {digest}, expected {expected}")


def test_truncated_and_changed_weights_are_refused_wherever_it_is(saved):
    path = saved / "model.safetensors"
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place])
        refused(saved, str(path), "truncated")
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refused(saved, str(path), "truncated, changed")


class Payload:
    """An object whose unpickling runs a command."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
@pytest.mark.parametrize("container", ["torch", "pickle"])
def test_a_pickle_is_never_opened(name, container, saved, tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "evil"
    if container == "torch":
        torch.save({"body.weight": Payload(marker)}, path)
    else:
        path.write_bytes(pickle.dumps(Payload(marker)))
    if name == "model.json":
        (saved / name).write_bytes(path.read_bytes())
        refused(saved, str(saved / name), "not JSON")
    else:
        put_weights(saved, path.read_bytes())
        refused(saved, str(saved / name), "not in the safetensors format")
    assert not marker.exists()
    # The payload is real: whoever unpickles it runs the command.
    pickle.loads(pickle.dumps(Payload(marker)))
    assert marker.exists()
