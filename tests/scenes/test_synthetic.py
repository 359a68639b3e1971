import pytest
import torch

from cofusion.errors import UserError
from cofusion.scenes import Synthetic


def test_scenes_are_a_function_of_the_arguments():
    again = [Synthetic(bands=12, size=32).read("synthetic_1").cube for _ in range(2)]
    assert torch.equal(*again)
    torch.manual_seed(5)
    assert torch.equal(again[0], Synthetic(bands=12, size=32, count=2).read("synthetic_1").cube)
    assert not torch.equal(again[0], Synthetic(bands=12, size=32).read("synthetic_0").cube)
    assert not torch.equal(again[0], Synthetic(bands=12, size=32, seed=1).read("synthetic_1").cube)


def test_the_global_random_state_is_left_alone():
    state = torch.get_rng_state()
    Synthetic(size=16).read("synthetic_0")
    assert torch.equal(state, torch.get_rng_state())


def test_shape_wavelengths_and_names():
    scenes = Synthetic(bands=20, size=48, count=3)
    scene = scenes.read("synthetic_2")
    assert scenes.names() == ("synthetic_0", "synthetic_1", "synthetic_2")
    assert scene.cube.shape == (20, 48, 48)
    assert len(scene.wavelengths) == scenes.bands == 20
    scenes.require(scenes.names())
    with pytest.raises(UserError, match="no scene synthetic_3"):
        scenes.require(["synthetic_3"])


def test_there_is_something_to_learn():
    cube = Synthetic(bands=31).read("synthetic_0").cube
    steps = cube.diff(dim=2).abs()
    assert cube.std() > 0.1
    # Edges stand out from texture, and there is texture everywhere.
    assert steps.max() > 20 * steps.median() > 0
    # Neighbouring bands are alike; several materials are mixed.
    assert cube.diff(dim=0).abs().mean() < 0.05
    values = torch.linalg.svdvals(cube.flatten(1))
    assert (values > 1e-3 * values[0]).sum() >= 6


@pytest.mark.parametrize("wrong", [{"bands": 1}, {"size": 8}, {"count": 0}, {"seed": -1}])
def test_senseless_arguments_are_refused(wrong):
    with pytest.raises(UserError, match="synthetic scenes need"):
        Synthetic(**wrong)
