"""Fixtures shared by the rooms: data sets as tiny files in their real containers."""

import http.server
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

# Test modules are imported by path, so this folder has to be named for `import scene_files` to work in them.
sys.path.append(str(Path(__file__).parent))
scene_files = importlib.import_module("scene_files")

# The tests' tensors are tiny: on a busy machine, waiting for a second thread takes longer than the work.
torch.set_num_threads(1)
# A suite that runs in the background of a shell would hand on to its commands that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def cave_root(tmp_path: Path) -> Path:
    """Four CAVE scenes of 64 x 64 pixels (beads and face train, balloons and feathers test), split.yaml."""
    scene_files.write_cave(tmp_path / "cave")
    return tmp_path / "cave"


@pytest.fixture
def pavia_u_root(tmp_path: Path) -> Path:
    """PaviaU.mat of 90 x 70 pixels and split.yaml."""
    scene_files.write_pavia_u(tmp_path / "pavia_u")
    return tmp_path / "pavia_u"


@pytest.fixture
def chikusei_root(tmp_path: Path) -> Path:
    """The Chikusei file with 90 x 70 pixels and split.yaml."""
    scene_files.write_chikusei(tmp_path / "chikusei")
    return tmp_path / "chikusei"


@pytest.fixture
def wandb_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No key, no settings and no proxy of this machine; W&B's process ends with each test."""
    import wandb

    for name in [*os.environ]:
        if name.startswith("WANDB_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "settings"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    # What an earlier test used of W&B keeps that test's settings.
    wandb.teardown()
    yield
    wandb.finish()
    wandb.teardown()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., http.server.HTTPServer]]:
    """Start a server that `WANDB_BASE_URL` points to and that answers with what `answer(request)` returns."""
    servers = []

    def start(answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, content = answer(body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments): ...

        for method in ("GET", "PUT"):
            setattr(Handler, f"do_{method}", Handler.do_POST)

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
