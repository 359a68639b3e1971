import pytest
import torch

from cofusion.data import Region, Window, allowed_corners, load_split
from cofusion.errors import UserError
from cofusion.resources import resource_dir
from cofusion.scenes import CAVE, Chikusei, Houston2018, IndianPines, PaviaC, PaviaU, Synthetic
from cofusion.sensors import Sensors, SpectralResponse
from scene_files import write_split

SIZES = {
    "cave": (512, 512),
    "pavia_c": (1096, 715),
    "pavia_u": (610, 340),
    "chikusei": (2517, 2335),
    "houston_2018": (1202, 4172),
    "indian_pines": (145, 145),
}
SETS = {
    scenes.stem: scenes for scenes in (CAVE, Chikusei, Houston2018, IndianPines, PaviaC, PaviaU, Synthetic)
}
SHIPPED = sorted(path.stem for path in resource_dir("splits").glob("*.yaml"))


def pixels(window):
    return {(row, col) for row in range(*window.rows) for col in range(*window.cols)}


def disjoint(a, b):
    return any(
        getattr(a, axis)[1] <= getattr(b, axis)[0] or getattr(b, axis)[1] <= getattr(a, axis)[0]
        for axis in ("rows", "cols")
    )


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_shipped_splits_fit_their_scenes_and_keep_the_parts_apart(name, scale):
    split = load_split(name)
    scenes = SETS[split.dataset]()
    rows, cols = SIZES.get(split.dataset, (128, 128))
    windows = {
        part: [(region.scene, region.within(rows, cols, scale)) for region in getattr(split, part)]
        for part in ("train", "validation", "test")
    }
    scenes.check_names([scene for part in windows.values() for scene, _ in part])
    watched = windows["validation"] + windows["test"]
    for i, (scene, window) in enumerate(watched):
        for other_scene, other in watched[:i]:
            assert scene != other_scene or disjoint(window, other)
    # Validation is held out of the training data, testing is on what training never names.
    trained = {scene for scene, _ in windows["train"]}
    if name != "synthetic":
        assert {scene for scene, _ in windows["validation"]} <= trained
    assert split.source


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("preset", ["paper", "hiftool"])
def test_no_shipped_split_shows_a_test_pixel_to_a_training_crop(name, scale, preset):
    """Test and validation windows and training crops, both widened by the reach of the blur, never meet."""
    split = load_split(name)
    rows, cols = SIZES.get(split.dataset, (128, 128))
    reach = Sensors.preset(preset, scale, SpectralResponse.pick([0], 1)).support
    patch = 32
    for region in split.train:
        held_out = [
            other.within(rows, cols, 1)
            for other in (*split.validation, *split.test)
            if other.scene == region.scene
        ]
        corners = allowed_corners(region.within(rows, cols, scale), held_out, patch, scale, reach)
        assert len(corners)
        seen = torch.zeros(rows, cols, dtype=torch.bool)
        for window in held_out:
            seen[_widened(window.rows, reach), _widened(window.cols, reach)] = True
        # How many of those pixels a widened crop holds, from sums over all rectangles from the origin.
        sums = torch.nn.functional.pad(seen.int().cumsum(0).cumsum(1), (1, 0, 1, 0))
        top, left = (corners * scale - reach).clamp(min=0).unbind(1)
        bottom = (corners[:, 0] * scale + patch + reach).clamp(max=rows)
        right = (corners[:, 1] * scale + patch + reach).clamp(max=cols)
        inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        assert not inside.any()


def _widened(span, reach):
    return slice(max(0, span[0] - reach), span[1] + reach)


def test_cave_in_the_order_of_names_is_20_and_12():
    split, names = load_split("cave_20_12"), sorted(CAVE().names())
    train, test = ([region.scene for region in part] for part in (split.train, split.test))
    assert (train, test) == (names[:20], names[20:])


def test_cave_is_the_usual_20_and_11():
    split = load_split("cave_20_11")
    train, test = ([region.scene for region in part] for part in (split.train, split.test))
    assert (len(set(train)), len(set(test)), set(train) & set(test)) == (20, 11, set())
    assert set(CAVE().names()) - set(train) - set(test) == {"watercolors"}
    assert len({region.scene for region in split.validation}) == 4
    assert all(region.within(512, 512, 8).rows[1] for region in split.validation)


def test_pavia_tests_the_same_central_pixels_at_every_scale():
    (test,) = load_split("pavia_u_centre_128").test
    windows = {test.within(610, 340, scale) for scale in (1, 2, 4, 8)}
    (window,) = windows
    for (first, last), size in ((window.rows, 610), (window.cols, 340)):
        assert last - first == 128
        assert abs((first + last) / 2 - size / 2) <= 2


def test_regions_shrink_to_the_grid():
    region = Region("x", (97, 145), (0, None))
    assert region.within(145, 146, 4) == Window((100, 144), (0, 144))
    assert region.within(145, 146, 1) == Window((97, 145), (0, 146))
    assert str(region.within(145, 146, 4)) == "[100:144, 0:144]"


def test_a_region_beyond_the_scene_is_refused():
    with pytest.raises(UserError, match="asks for cols 97 to 145 of scene 'x', which has 140"):
        Region("x", (0, None), (97, 145)).within(140, 140, 4)


def test_a_region_without_a_whole_block_is_refused():
    with pytest.raises(UserError, match="rows 3 to 9 of scene 'x' hold no whole block of scale 8"):
        Region("x", (3, 9)).within(64, 64, 8)


def test_a_split_is_read_from_a_path(tmp_path):
    path = write_split(
        tmp_path / "mine.yaml",
        "cave",
        train=[{"scene": "beads", "rows": [0, 32], "cols": [32, None]}],
        validation=[{"scene": "face", "rows": None}],
        test=[{"scene": "balloons"}],
    )
    split = load_split(str(path))
    assert (split.name, split.dataset) == ("mine", "cave")
    assert split.train == (Region("beads", (0, 32), (32, None)),)
    assert split.validation == (Region("face"),)


def test_an_unknown_split_lists_the_shipped_ones():
    with pytest.raises(
        UserError, match=r"'cave_21' is neither .+ shipped splits: cave_20_11, cave_20_12, chikusei_1000x2000"
    ):
        load_split("cave_21")


GOOD = {"train": [{"scene": "a"}], "validation": [{"scene": "b"}], "test": [{"scene": "c"}]}


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ({"train": []}, "part without regions"),
        ({"train": None}, "NoneType"),
        ({"test": [{"scene": "c", "row": [0, 4]}]}, "unknown key row"),
        ({"test": [{"rows": [0, 4]}]}, "scene"),
        ({"test": [{"scene": "c", "rows": [4, 4]}]}, "4 does not end a range that begins at 4"),
        ({"test": [{"scene": "c", "rows": [-1, 4]}]}, "-1 is not a first pixel"),
        ({"test": [{"scene": "c", "rows": [0, 4.5]}]}, "4.5 does not end"),
        ({"test": [{"scene": "c", "rows": [0, 4, 8]}]}, "too many values"),
        ({"test": ["c"]}, "unknown key"),
    ],
)
def test_a_malformed_split_is_refused(tmp_path, part, reason):
    path = write_split(tmp_path / "broken.yaml", "cave", **(GOOD | part))
    with pytest.raises(
        UserError, match=rf"broken.yaml is not a split \(.*{reason}.*expected the keys"
    ) as error:
        load_split(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"just text", b"a: [", b"\xff\xfe\x00"])
def test_a_foreign_file_is_no_split(tmp_path, content):
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken.yaml is not a split"):
        load_split(str(path))


@pytest.mark.parametrize(
    ("test_rows", "overlaps"), [([0, 40], True), ([0, None], True), ([40, None], False), ([0, 8], False)]
)
def test_validation_may_not_overlap_the_test(tmp_path, test_rows, overlaps):
    path = write_split(
        tmp_path / "leaky.yaml",
        "cave",
        train=[{"scene": "a"}],
        validation=[{"scene": "a", "rows": [8, 40]}],
        test=[{"scene": "a", "rows": test_rows}],
    )
    if overlaps:
        with pytest.raises(UserError, match="validation region of scene 'a' overlaps a test region"):
            load_split(str(path))
    else:
        assert load_split(str(path)).name == "leaky"
