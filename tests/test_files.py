import os
from pathlib import Path

import pytest

from cofusion.files import whole_file, whole_folder


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


def test_a_power_cut_finds_the_old_file_or_the_new_one(tmp_path, monkeypatch):
    path, old = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    path.write_text("first")
    done = []
    sync, move = os.fsync, Path.replace

    def synced(handle):
        done.append(("sync", Path(f"/proc/self/fd/{handle}").readlink(), path.exists()))
        sync(handle)

    def moved(part, target):
        done.append(("move", part, target))
        return move(part, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", moved)
    with whole_file(path, old) as part:
        part.write_text("second")
    # The new content is on the disk while the old is still in its place, and the new name at the end.
    assert done == [
        ("sync", part, True),
        ("move", path, old),
        ("move", part, path),
        ("sync", tmp_path, True),
    ]
    assert (old.read_text(), path.read_text()) == ("first", "second")


def test_a_folder_appears_whole_in_the_place_of_an_old_one(tmp_path):
    target = tmp_path / "new" / "report"
    for text in ("first", "second"):
        with whole_folder(target) as part:
            (part / "deep").mkdir()
            (part / "deep" / text).write_text(text)
            assert not target.exists() or text == "second"
    assert [path.name for path in (target / "deep").iterdir()] == ["second"]
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_fails_half_way_leaves_the_old_one_and_nothing_else(tmp_path):
    target = tmp_path / "report"
    target.mkdir()
    (target / "old").write_text("old")

    def fail():
        with whole_folder(target) as part:
            (part / "half").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == [target] and [path.name for path in target.iterdir()] == ["old"]


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "report").symlink_to(tmp_path / "disk")
    with whole_folder(tmp_path / "report") as part:
        (part / "new").write_text("new")
    assert (tmp_path / "report").is_symlink() and (tmp_path / "disk" / "new").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"disk", "report"}
