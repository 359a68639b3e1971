"""What the configs of the deep comparison methods make of the quick start."""

import inspect

import pytest
import yaml

import cofusion.models.deep
from cofusion.cli import main
from cofusion.resources import resource_dir

CONFIGS = sorted((resource_dir("configs") / "deep").glob("*.yaml"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def resolved(path, capsys, *args):
    configs = ["--config=quickstart.yaml", f"--config=deep/{path.name}", *args]
    assert main(["fit", *configs, "--print_config"]) == 0
    return yaml.safe_load(capsys.readouterr().out)["model"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_network_keeps_its_own_width_and_takes_the_common_recipe(path, capsys):
    model = resolved(path, capsys)
    module, _, name = model["net"]["class_path"].rpartition(".")
    network = getattr(cofusion.models.deep, name)
    assert module == "cofusion.models.deep"
    # Not the width, let alone the variant, of the CoFusion that the quick start has.
    defaults = {key: value.default for key, value in inspect.signature(network).parameters.items()}
    for key, value in model["net"].get("init_args", {}).items():
        assert value == defaults[key], key
    quickstart = yaml.safe_load((resource_dir("configs") / "quickstart.yaml").read_text())
    assert model["optimizer"]["init_args"]["lr"] == quickstart["model"]["optimizer"]["init_args"]["lr"]
    assert model["loss"]["init_args"] == {"ssim_weight": 0.1}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_authors_recipe_replaces_what_it_names(path, capsys):
    recipe = resource_dir("configs") / "recipe" / path.name
    if path.stem.endswith("_style"):
        # Whose authors' code is not known has no authors' recipe.
        assert not recipe.exists()
        return
    model = resolved(path, capsys, f"--config=recipe/{path.name}")
    given = yaml.safe_load(recipe.read_text())["model"]
    for part in ("loss", "optimizer", "lr_scheduler"):
        if given[part] is None:
            assert model[part] is None
            continue
        assert model[part]["class_path"] == given[part]["class_path"]
        for key, value in given[part].get("init_args", {}).items():
            assert model[part]["init_args"][key] == value
