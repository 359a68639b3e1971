"""Archives from elsewhere: what comes out, and what must not."""

import io
import random
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from cofusion.errors import UserError
from cofusion.scenes.fetch.archives import is_archive, unpack
from cofusion.scenes.space import FolderError

LIMIT = 1_000_000
FILES = {"a_ms/a_ms_01.png": b"first" * 1000, "a_ms/deep/empty": b"", "readme.txt": b"read me"}
TAR_MODES = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}


def write_zip(path: Path, members: dict[str, bytes], attributes: int = stat.S_IFREG | 0o644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = attributes << 16
            packed.writestr(info, content)
    return path


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w", **fields) -> Path:
    with tarfile.open(path, mode) as packed:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in fields.items():
                setattr(info, field, value)
            packed.addfile(info, io.BytesIO(content))
    return path


def write(path: Path, members: dict[str, bytes]) -> Path:
    """Write the kind of archive that the file's name says."""
    if path.suffix == ".zip":
        return write_zip(path, members)
    return write_tar(path, members, TAR_MODES[path.name.partition(".")[2]])


def held(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def refused(archive: Path, says: str, limit: int = LIMIT) -> None:
    """Check that an archive is refused and that nothing came out, there or elsewhere."""
    before = held(archive.parent)
    with pytest.raises(UserError, match=says) as caught:
        unpack(archive, archive.parent / "out" / "inner", limit=limit)
    assert str(archive) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert held(archive.parent) == before
    assert not (archive.parent / "out" / "inner").exists()


@pytest.mark.parametrize("kind", ["zip", *TAR_MODES])
def test_files_come_out_as_they_went_in(kind, tmp_path):
    archive = write(tmp_path / f"packed.{kind}", FILES)
    assert is_archive(archive)
    unpack(archive, tmp_path / "out", limit=LIMIT)
    assert held(tmp_path / "out") == FILES


def test_empty_folders_and_rights(tmp_path):
    with tarfile.open(tmp_path / "packed.tar", "w") as packed:
        folder = tarfile.TarInfo("folder")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o777
        packed.addfile(folder)
        script = tarfile.TarInfo("folder/script")
        script.mode = 0o4777
        packed.addfile(script)
    unpack(tmp_path / "packed.tar", tmp_path / "out", limit=LIMIT)
    # Neither executable nor with the owner's rights.
    assert (tmp_path / "out/folder/script").stat().st_mode & 0o7111 == 0


def test_an_existing_folder_is_not_touched(tmp_path):
    archive = write(tmp_path / "packed.zip", FILES)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(FileExistsError):
        unpack(archive, tmp_path / "out", limit=LIMIT)
    assert held(tmp_path / "out") == {"mine": b"mine"}


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "a/../b", "/tmp/evil_of_a_test", "//evil", ".."])
def test_paths_that_leave_the_folder(kind, name, tmp_path):
    refused(write(tmp_path / f"packed.{kind}", {"good": b"good", name: b"evil"}), "leaves the folder")
    assert not Path("/tmp/evil_of_a_test").exists()


@pytest.mark.parametrize("target", ["/etc/passwd", "good", "../outside"])
def test_links_in_a_zip(target, tmp_path):
    refused(
        write_zip(tmp_path / "packed.zip", {"link": target.encode()}, stat.S_IFLNK | 0o777), "symbolic link"
    )


def test_devices_in_a_zip(tmp_path):
    refused(write_zip(tmp_path / "packed.zip", {"device": b""}, stat.S_IFBLK | 0o666), "a device")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "device"),
    ],
)
@pytest.mark.parametrize("target", ["/etc/passwd", "good", "../outside"])
def test_links_and_devices_in_a_tar(kind, says, target, tmp_path):
    archive = tmp_path / "packed.tar"
    with tarfile.open(archive, "w") as packed:
        packed.addfile(tarfile.TarInfo("good"))
        special = tarfile.TarInfo("special")
        special.type, special.linkname = kind, target
        packed.addfile(special)
    refused(archive, says)


def test_a_file_behind_a_link_is_not_written(tmp_path):
    """The classic: a link to a folder elsewhere, then a file through it."""
    archive, outside = tmp_path / "packed.tar", tmp_path / "outside"
    outside.mkdir()
    with tarfile.open(archive, "w") as packed:
        link = tarfile.TarInfo("way")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        packed.addfile(link)
        packed.addfile(tarfile.TarInfo("way/evil"))
    refused(archive, "symbolic link")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz"])
def test_bombs(kind, tmp_path):
    archive = write(tmp_path / f"packed.{kind}", {"bomb": bytes(20 * LIMIT)})
    assert archive.stat().st_size < LIMIT / 10
    refused(archive, "more than 1.0 MB")


def test_many_small_files(tmp_path, monkeypatch):
    monkeypatch.setattr("cofusion.scenes.fetch.archives._MOST_MEMBERS", 20)
    refused(write(tmp_path / "packed.zip", {str(i): b"" for i in range(21)}), "or 20 files")


def test_a_bomb_that_lies_about_its_size(tmp_path):
    """20 MB that say they are 10 bytes."""
    archive = write(tmp_path / "packed.zip", {"bomb": bytes(20 * LIMIT)})
    content, true, false = archive.read_bytes(), struct.pack("<I", 20 * LIMIT), struct.pack("<I", 10)
    assert content.count(true) == 2
    archive.write_bytes(content.replace(true, false))
    refused(archive, "CRC")


def test_a_name_that_comes_twice(tmp_path):
    archive = tmp_path / "packed.tar"
    with tarfile.open(archive, "w") as packed:
        for _ in range(2):
            packed.addfile(tarfile.TarInfo("same"))
    refused(archive, "same")


def test_a_file_as_a_folder(tmp_path):
    refused(write(tmp_path / "packed.zip", {"a": b"file", "a/b": b"in it"}), "a")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_name_that_is_too_long(kind, tmp_path):
    refused(write(tmp_path / f"packed.{kind}", {"x" * 300: b"long"}), "too long")


def test_an_encrypted_zip(tmp_path):
    archive = write(tmp_path / "packed.zip", {"secret": b"secret"})
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    archive.write_bytes(content)
    refused(archive, "encrypted")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_damaged_archives_are_refused_or_whole(kind, tmp_path):
    """Cut or changed anywhere: one line and nothing left; a zip has checksums, so it is right or refused."""
    content = {name: random.Random(name).randbytes(3000) for name in FILES}
    whole = write(tmp_path / f"whole.{kind}", content).read_bytes()
    chance = random.Random(0)
    for i in range(40):
        damaged = bytearray(whole[: chance.randrange(len(whole))] if i % 2 else whole)
        for _ in range(3 * (1 - i % 2)):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        archive, out = tmp_path / f"damaged_{i}.{kind}", tmp_path / f"out_{i}"
        archive.write_bytes(damaged)
        try:
            unpack(archive, out, limit=LIMIT)
        except UserError as error:
            assert "\n" not in str(error)
            assert not out.exists()
        else:
            assert all(len(value) in (0, 3000) for value in held(out).values())
            if kind == "zip":
                assert sorted(held(out).values()) == sorted(content.values())


def test_other_files_are_no_archives(tmp_path):
    other = tmp_path / "other"
    for content in (b"", b"<html>", bytes(5000), b"MATLAB 5.0 MAT-file"):
        other.write_bytes(content)
        assert not is_archive(other)
    assert not is_archive(tmp_path)
    assert not is_archive(tmp_path / "missing")


def test_too_little_room_is_seen_before(tmp_path, monkeypatch):
    archive = write(tmp_path / "packed.zip", FILES)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 4000}))
    with pytest.raises(FolderError, match=r"4\.0 kB free and 5\.0 kB more"):
        unpack(archive, tmp_path / "out", limit=LIMIT)
    assert not (tmp_path / "out").exists()


def test_a_disk_that_fills_up_leaves_nothing(tmp_path, monkeypatch):
    archive = write(tmp_path / "packed.zip", FILES)

    def full(*_args) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        unpack(archive, tmp_path / "out", limit=LIMIT)
    assert not (tmp_path / "out").exists()
