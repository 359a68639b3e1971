"""The networks that can be timed are those that are configured."""

import shutil

import pytest
import yaml

from cofusion.errors import UserError
from cofusion.models.deep import PSRT
from cofusion.resources import resource_dir
from cofusion.speed import methods
from cofusion.speed.case import Case
from cofusion.speed.comparison import compare
from cofusion.speed.methods import ablations, make, names

CONFIGS = resource_dir("configs")


def config(file):
    return yaml.safe_load((CONFIGS / file).read_text())["model"]["net"]


def test_every_deep_config_is_a_method():
    assert names() == ("cofusion", *sorted(path.stem for path in (CONFIGS / "deep").glob("*.yaml")))


@pytest.mark.parametrize("name", ["psrt", "u2net", "mhf_net"])
def test_a_method_is_what_its_config_says(name):
    given = config(f"deep/{name}.yaml")
    net = make(name, 6, 3, 4)
    assert f"cofusion.models.deep.{type(net).__name__}" == given["class_path"]
    assert (net.hsi_bands, net.msi_bands, net.scale) == (6, 3, 4)
    for key, value in given.get("init_args", {}).items():
        assert getattr(net, key) == value


def test_ablations_are_variants_of_the_full_network():
    full = make("cofusion", 6, 3, 4)
    assert (full.variant, full.dim) == ("full", 64)
    assert ablations() == ("no_spacam", "no_specam", "no_sscfm")
    for name in ablations():
        net = make(name, 6, 3, 4)
        assert (net.variant, net.dim) == (name, full.dim)
        assert methods.title(name) == f"CoFusion {name}"


def test_a_new_config_is_timed_without_any_edit(tmp_path, monkeypatch):
    shutil.copytree(CONFIGS, tmp_path / "configs")
    net = {"class_path": "cofusion.models.deep.PSRT", "init_args": {"dim": 8}}
    (tmp_path / "configs" / "deep" / "mine.yaml").write_text(yaml.safe_dump({"model": {"net": net}}))
    monkeypatch.setattr(methods, "resource_dir", lambda kind: tmp_path / kind)
    assert "mine" in names()
    made = make("mine", 6, 3, 4)
    assert isinstance(made, PSRT)
    assert made.dim == 8


@pytest.mark.parametrize("name", ["nonsense", "full", "../base/model"])
def test_an_unknown_method_is_refused_before_anything_is_measured(name):
    with pytest.raises(UserError, match=r"there is no method .* choose among: cofusion, bugpan, .*no_sscfm"):
        next(compare(["cofusion", name], [Case(16, (5, 3))]))


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        ({"class_path": "torch.nn.ReLU"}, "no subclass"),
        ({"class_path": "cofusion.models.Bicubic"}, "no subclass"),
        ({}, "class_path"),
    ],
)
def test_a_config_of_something_else_is_refused(net, reason, tmp_path, monkeypatch):
    shutil.copytree(CONFIGS, tmp_path / "configs")
    (tmp_path / "configs" / "deep" / "mine.yaml").write_text(yaml.safe_dump({"model": {"net": net}}))
    monkeypatch.setattr(methods, "resource_dir", lambda kind: tmp_path / kind)
    with pytest.raises(UserError, match=reason):
        make("mine", 6, 3, 4)
