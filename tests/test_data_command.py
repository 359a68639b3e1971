"""`cofusion data` from outside, on files with the shapes of the real ones and a server on this machine."""

import hashlib
import io
import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

import cofusion.scenes
from cofusion.cli import main
from cofusion.configs import find_config
from cofusion.scenes import CAVE, Chikusei, PaviaU
from cofusion.scenes.catalogue import CATALOGUE
from cofusion.scenes.fetch import download as download_module
from file_server import FileServer, serve

CHIKUSEI_FILE = "HyperspecVNIR_Chikusei_20140729.mat"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder; do not wait between tries, and read pieces that a cut falls between."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COFUSION_TRACEBACK", raising=False)
    monkeypatch.setattr(download_module, "_PAUSE", 0.001)
    monkeypatch.setattr(download_module, "_CHUNK", 1000)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path


@pytest.fixture(scope="module")
def pavia_u() -> bytes:
    """PaviaU.mat in its full shape, zeros."""
    file = io.BytesIO()
    savemat(file, {"paviaU": np.zeros((610, 340, 103), np.uint16)}, do_compression=True)
    return file.getvalue()


@pytest.fixture(scope="module")
def chikusei() -> bytes:
    """The Chikusei file in its full shape, without values."""
    file = io.BytesIO()
    with h5py.File(file, "w") as packed:
        packed.create_dataset("chikusei", (128, 2335, 2517), np.float64, chunks=(1, 100, 100))
    return file.getvalue()


def png(size: int = 512) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((size, size), np.uint16)).save(file, "png")
    return file.getvalue()


def cave_members(names: tuple[str, ...], bands: int = 31, above: str = "") -> dict[str, bytes]:
    """Return the members of CAVE's archive."""
    image, members = png(), {f"{above}readme.txt": b"read me", "__MACOSX/._x": b"x"}
    for name in names:
        for band in range(1, bands + 1):
            members[f"{above}{name}_ms/{name}_ms/{name}_ms_{band:02d}.png"] = image
        members[f"{above}{name}_ms/{name}_ms/{name}_RGB.bmp"] = b"picture"
    return members


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return file.getvalue()


@pytest.fixture
def cave(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """CAVE's archive as if the set had four scenes, black: a thousand files take a second to write."""
    names = ("beads", "cd", "hairs", "watercolors")
    monkeypatch.setattr(CAVE, "names", lambda self: names)
    return zipped(cave_members(names))


@pytest.fixture
def server(pavia_u):
    with serve(pavia_u) as files:
        yield files


@pytest.fixture
def out(capsys: pytest.CaptureFixture[str]):
    """Run `cofusion data ARGS`, check its exit status, and return what it printed, of errors the one line."""

    def run(*args: str, status: int = 0) -> str:
        capsys.readouterr()
        assert main(["data", *args]) == status
        printed = capsys.readouterr()
        if not status:
            assert printed.err == ""
            return printed.out
        assert len(printed.err.splitlines()) == 1
        assert printed.err.startswith("cofusion: error: ")
        return printed.err

    return run


def files(folder: Path) -> list[str]:
    """Return every file below a folder, without the empty lock."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return sorted(str(path.relative_to(folder)) for path in found)


# ---- list and describe


def test_list_has_one_line_for_each_set(out, cave_root):
    head, *rows = out("list", "--root", str(cave_root)).splitlines()
    assert head.split()[:4] == ["name", "scenes", "size", "bands"]
    names = ["cave", "pavia_u", "pavia_c", "chikusei", "houston_2018", "indian_pines", "synthetic"]
    assert [row.split()[0] for row in rows] == names
    cave_row, pavia_row, _, chikusei_row, _, pines_row, _ = rows
    assert cave_row.split()[1:7] == ["32", "512", "x", "512", "31", "400-700"]
    assert cave_row.endswith("4 of 32")
    assert pavia_row.endswith(" no")
    assert "2517 x 2335  128    363-1018 nm  CC BY 3.0 " in chikusei_row
    assert pines_row.endswith(" yes")


def test_every_configured_set_is_known():
    configs = find_config("data/cave.yaml").parent
    assert {path.stem for path in configs.glob("*.yaml")} == {known.stem for known in CATALOGUE}


@pytest.mark.parametrize("known", CATALOGUE, ids=lambda known: known.stem)
def test_describe_says_what_is_known(known, out):
    text = " ".join(out("describe", known.stem).split())
    for fact in (known.title, known.licence, known.homepage, known.expected, known.citation):
        assert " ".join(fact.split()) in text
    assert text == " ".join(out("describe", known.__name__).split())


def test_describe_says_how_files_are_checked(out):
    text = " ".join(out("describe", "pavia_u").split())
    assert "https://www.ehu.eus/ccwintco/uploads/e/ee/PaviaU.mat" in text
    assert "SHA-256 not known" in text
    assert "variable 'paviaU' has the shape (610, 340, 103)" in text
    assert "no public direct address" in out("describe", "chikusei")


def test_describe_says_what_a_file_holds(out):
    savemat("mine.mat", {"cube": np.arange(5 * 6 * 7.0).reshape(5, 6, 7), "other": np.ones((5, 6, 2))})
    assert "name one as key (--key NAME)" in out("describe", "mine.mat", status=1)
    text = out("describe", "mine.mat", "--key", "cube")
    assert re.search(r"bands +7\n +rows x cols +5 x 6\n", text)


def test_describe_can_be_told_the_band_axis(out):
    np.save("mine.npy", np.arange(5 * 6 * 7.0).reshape(5, 6, 7))
    assert "give band_axis 0" in out("describe", "mine.npy", status=1)
    assert re.search(r"bands +5\n", out("describe", "mine.npy", "--band_axis", "0"))
    assert re.search(r"bands +7\n", out("describe", "mine.npy", "--band_axis", "2"))


def test_unknown_names(out):
    line = out("describe", "nope", status=1)
    assert "'nope' is neither a file nor a known data set; known are cave, pavia_u" in line
    assert "no data set 'nope'; known are cave, pavia_u" in out("prepare", "nope", status=1)


@pytest.mark.parametrize(
    "args", [[], ["fetch"], ["prepare"], ["describe"], ["list", "cave"], ["prepare", "cave", "--rot", "x"]]
)
def test_arguments_that_cannot_be_understood(args, out):
    assert "cofusion data" in out(*args, status=2)


def test_help(out, capsys):
    assert "prepare" in out("--help")
    assert "--url" in out("prepare", "--help")


# ---- prepare: one file


def test_prepare_fetches_checks_and_puts_in_place(out, server, pavia_u):
    text = out("prepare", "pavia_u", "--root", "scenes", "--url", server.url)
    assert f"SHA-256 {hashlib.sha256(pavia_u).hexdigest()}" in text
    assert f"1 of 1 scenes in {Path('scenes/pavia_u').absolute()}" in text
    assert files(Path("scenes")) == ["pavia_u/PaviaU.mat"]
    assert Path("scenes/pavia_u/PaviaU.mat").read_bytes() == pavia_u
    assert PaviaU("scenes").find("pavia_u").is_file()


def test_the_catalogues_address_is_used(out, server, monkeypatch):
    """And its checksum, which does not hold for another address."""
    source = CATALOGUE[PaviaU]
    known = {**vars(source), "url": server.url, "sha256": "0" * 64}
    monkeypatch.setitem(CATALOGUE, PaviaU, type(source)(**known))
    assert "SHA-256" in out("prepare", "pavia_u", status=1)
    out("prepare", "pavia_u", "--url", server.url)


def test_prepare_again_does_nothing(out, server):
    out("prepare", "pavia_u", "--url", server.url)
    assert "nothing to do" in out("prepare", "pavia_u", "--url", server.url)
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", ["indian_pines", "synthetic"])
def test_sets_without_files_need_nothing(name, out, elsewhere):
    assert "nothing to fetch" in out("prepare", name)
    assert list(elsewhere.iterdir()) == []


def test_a_set_from_a_package_names_the_package(out, monkeypatch):
    monkeypatch.setattr("cofusion.scenes.indian_pines.find_spec", lambda _: None)
    assert "pip install tensorly" in out("prepare", "indian_pines", status=1)
    assert out("list").splitlines()[4].endswith(" no")


def test_an_interrupted_run_is_completed_by_the_next(out, server, pavia_u, monkeypatch):
    server.cut_after = len(pavia_u) // 3

    def die(_seconds: float) -> None:
        server.statuses = [500] * 10

    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", die)
        line = out("prepare", "pavia_u", "--url", server.url, status=1)
    kept = Path("data/pavia_u/download.part").stat().st_size
    assert 0 < kept <= server.cut_after
    assert f"{kept} bytes are kept" in line
    assert files(Path("data")) == ["pavia_u/download.part", "pavia_u/download.part.json"]
    server.statuses, server.cut_after = [], None
    server.requests.clear()
    out("prepare", "pavia_u", "--url", server.url)
    assert server.requests[0]["Range"] == f"bytes={kept}-"
    assert Path("data/pavia_u/PaviaU.mat").read_bytes() == pavia_u
    assert files(Path("data")) == ["pavia_u/PaviaU.mat"]


def test_control_c_keeps_what_was_fetched(out, server, monkeypatch):
    def stop(_seconds: float) -> None:
        raise KeyboardInterrupt

    server.cut_after = 1000
    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", stop)
        assert "interrupted" in out("prepare", "pavia_u", "--url", server.url, status=130)
    assert Path("data/pavia_u/download.part").stat().st_size == 1000
    server.cut_after = None
    out("prepare", "pavia_u", "--url", server.url)


@pytest.mark.parametrize(
    ("serving", "args", "says"),
    [
        ({"statuses": [404]}, [], "answered 404"),
        ({"statuses": [500] * 10}, [], "answered 500"),
        ({}, ["--sha256", "0" * 64], "expected 0000"),
        ({"headers": {"Content-Type": "text/html"}}, [], "web page"),
        ({"body": b"something else"}, [], "is not a MATLAB file whose variable 'paviaU'"),
        ({"body": b""}, [], "is not a MATLAB file"),
        ({"headers": {"Content-Length": str(10**12)}}, [], "expected at most"),
    ],
)
def test_what_cannot_be_used_leaves_nothing(serving, args, says, out, server):
    for name, value in serving.items():
        setattr(server, name, value)
    line = out("prepare", "pavia_u", "--url", server.url, *args, status=1)
    assert says in line
    assert PaviaU.homepage in line
    assert files(Path("data")) == []


def test_another_shape_is_not_the_scene(out, server):
    file = io.BytesIO()
    savemat(file, {"paviaU": np.zeros((340, 610, 103), np.uint8), "map": np.zeros(3)}, do_compression=True)
    server.body = file.getvalue()
    line = out("prepare", "pavia_u", "--url", server.url, status=1)
    assert "it holds: map (1, 3), paviaU (340, 610, 103)" in line
    assert files(Path("data")) == []


def test_a_refused_connection(out):
    assert "Connection refused" in out("prepare", "pavia_u", "--url", "http://127.0.0.1:9/x", status=1)


def test_a_file_that_is_there_but_another_is_named(out, server):
    Path("data").mkdir()
    Path("data/PaviaU.mat").write_bytes(b"something else")
    line = out("prepare", "pavia_u", "--url", server.url, status=1)
    assert "data/PaviaU.mat" in line
    assert "move it away" in line
    assert Path("data/PaviaU.mat").read_bytes() == b"something else"


def test_a_folder_that_cannot_be_written(out, server):
    Path("data").write_text("a file")
    assert "data" in out("prepare", "pavia_u", "--url", server.url, status=1)


# ---- prepare: archives


def test_cave_is_unpacked_whole(out, server):
    server.body = zipped(cave_members(CAVE().names()))
    assert "32 of 32 scenes" in out("prepare", "cave", "--url", server.url)
    CAVE("data").require(CAVE().names())
    assert len(files(Path("data/cave"))) == 32 * 32
    assert len(list(CAVE("data").find("watercolors").parent.glob("*.png"))) == 31
    assert out("list").splitlines()[1].endswith(" yes")


@pytest.mark.parametrize("above", ["complete_ms_data/", "a/b/", "cave/"])
def test_an_archive_may_be_nested(above, out, server, cave):
    server.body = zipped(cave_members(CAVE().names(), above=above))
    out("prepare", "cave", "--url", server.url)
    assert {path.partition("/")[0] for path in files(Path("data/cave"))} == {
        f"{n}_ms" for n in CAVE().names()
    }


def test_an_archive_that_the_person_put_there_is_unpacked(out, cave):
    Path("data").mkdir()
    Path("data/complete_ms_data.zip").write_bytes(cave)
    out("prepare", "cave")
    CAVE("data").require(CAVE().names())
    assert Path("data/complete_ms_data.zip").read_bytes() == cave


def test_single_archives_are_used_before_the_rest_is_fetched(out, server, cave):
    server.body = cave
    Path("data/cave").mkdir(parents=True)
    Path("data/cave/beads_ms.zip").write_bytes(zipped(cave_members(("beads",))))
    text = out("prepare", "cave", "--url", server.url)
    assert "unpacking data/cave/beads_ms.zip" in text
    assert len(server.requests) == 1
    CAVE("data").require(CAVE().names())


def test_chikusei_is_a_manual_step_and_then_unpacked(out, chikusei):
    line = out("prepare", "chikusei", status=1)
    for part in (Chikusei.homepage, "Hyperspec_Chikusei_MATLAB.zip", str(Path("data").absolute())):
        assert part in line
    nested = {f"Chikusei_MATLAB/{CHIKUSEI_FILE}": chikusei, "Chikusei_MATLAB/readme.txt": b"read me"}
    Path("data/Hyperspec_Chikusei_MATLAB.zip").write_bytes(zipped(nested))
    out("prepare", "chikusei")
    assert Path("data/chikusei", CHIKUSEI_FILE).read_bytes() == chikusei


def test_a_cut_archive_that_the_person_put_there(out, chikusei):
    whole = zipped({CHIKUSEI_FILE: chikusei})
    Path("data").mkdir()
    Path("data/Hyperspec_Chikusei_MATLAB.zip").write_bytes(whole[:-30])
    line = out("prepare", "chikusei", status=1)
    assert f"Hyperspec_Chikusei_MATLAB.zip ({len(whole) - 30} bytes) is not a whole zip" in line


@pytest.mark.parametrize("packed", [True, False])
def test_another_address_gives_an_archive_or_the_file(packed, out, server, chikusei):
    server.body = zipped({f"a/{CHIKUSEI_FILE}": chikusei}) if packed else chikusei
    out("prepare", "chikusei", "--url", server.url)
    assert files(Path("data")) == [f"chikusei/{CHIKUSEI_FILE}"]


def test_an_archive_without_a_scene(out, server, cave):
    names = tuple(name for name in CAVE().names() if name != "beads")
    server.body = zipped(cave_members(names))
    line = out("prepare", "cave", "--url", server.url, status=1)
    assert "does not hold beads" in line
    CAVE("data").require(names)


def test_a_bad_scene_does_not_keep_the_others_out(out, server, cave):
    others = cave_members(tuple(name for name in CAVE().names() if name != "beads"))
    server.body = zipped({**others, **cave_members(("beads",), bands=30)})
    line = out("prepare", "cave", "--url", server.url, status=1)
    assert "it lacks beads_ms_31.png" in line
    assert out("list").splitlines()[1].endswith(" 3 of 4")


def test_a_scene_in_the_way_is_not_replaced(out, server, cave):
    server.body = cave
    mine = Path("data/cave/beads_ms/mine.txt")
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    line = out("prepare", "cave", "--url", server.url, status=1)
    assert "beads_ms is there but does not hold a whole scene; move it away" in line
    assert files(mine.parent) == ["mine.txt"]
    # The download is of use once the folder is moved away.
    mine.parent.rename("mine")
    server.requests.clear()
    out("prepare", "cave", "--url", server.url)
    assert server.requests == []


@pytest.mark.parametrize("name", ["../../../evil.png", "/tmp/evil_of_a_test.png"])
def test_an_archive_that_reaches_elsewhere(name, out, server, elsewhere):
    server.body = zipped({**cave_members(("beads",)), name: b"evil"})
    line = out("prepare", "cave", "--url", server.url, status=1)
    assert name in line
    assert files(elsewhere) == []
    assert not list(elsewhere.parent.glob("evil*"))
    assert not Path(name).exists()


def test_a_cut_archive_of_unknown_length(out, server, cave):
    server.body, server.cut_after, server.headers = cave, len(cave) // 2, {"Content-Length": ""}
    line = out("prepare", "cave", "--url", server.url, status=1)
    assert "neither a zip nor a tar archive" in line
    assert files(Path("data")) == []


def test_a_full_disk_keeps_the_download(out, server, cave, monkeypatch):
    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    server.body = cave
    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfileobj", full)
        line = out("prepare", "cave", "--url", server.url, status=1)
    assert "no space left on the disk" in line
    assert str(Path("data/cave").absolute()) in line
    assert files(Path("data")) == ["cave/download.part", "cave/download.part.json"]
    server.requests.clear()
    out("prepare", "cave", "--url", server.url)
    assert server.requests == []


def test_what_a_killed_run_left_is_cleared_away(out, server):
    left = Path("data/pavia_u/.unpacked/half.mat")
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    server.body = zipped({"PaviaU.mat": server.body})
    out("prepare", "pavia_u", "--url", server.url)
    assert files(Path("data")) == ["pavia_u/PaviaU.mat"]


# ---- two at once


def start(server: FileServer, log: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "cofusion", "data", "prepare", "pavia_u", "--url", server.url]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("w") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)


def test_two_processes_share_one_download(server, pavia_u):
    server.answer.clear()
    logs = [Path("first.txt"), Path("second.txt")]
    processes = [start(server, log) for log in logs]
    try:
        deadline = time.monotonic() + 60
        while not any("waiting for it" in log.read_text() for log in logs) and time.monotonic() < deadline:
            time.sleep(0.01)
        server.answer.set()
        assert [process.wait(60) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    texts = [log.read_text() for log in logs]
    assert sum("waiting for it" in text for text in texts) == 1
    assert len(server.requests) == 1
    assert Path("data/pavia_u/PaviaU.mat").read_bytes() == pavia_u
    assert files(Path("data")) == ["pavia_u/PaviaU.mat"]


def test_public_sets_are_in_the_catalogue():
    public = {getattr(cofusion.scenes, name) for name in cofusion.scenes.__all__}
    assert set(CATALOGUE) <= public
