import pytest

from cofusion.files import whole_file


def test_new_file_appears_with_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "results.json"
    with whole_file(path) as part:
        assert part.parent == path.parent and part.suffix == ".json"
        part.write_text("new")
        assert not path.exists()
    assert [file.name for file in path.parent.iterdir()] == ["results.json"]
    assert path.read_text() == "new"


def test_failure_half_way_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "results.json"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="killed"), whole_file(path) as part:
        part.write_text("ha")
        raise RuntimeError("killed")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]
