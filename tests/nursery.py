"""Runs of `cofusion` that are really killed, without waiting each time for what they import.

As a program, it imports everything once and then answers requests, a line of JSON each, by running the
command in a child of its own: what SIGKILL does to a process is the same however the process was born.
"""

import faulthandler
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Nursery:
    """Start runs, one after another, in processes of their own.

    Use it as a context manager.
    """

    def __enter__(self) -> "Nursery":
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *failure: object) -> None:
        self._process.stdin.close()
        self._process.wait(30)

    def run(
        self, *args: str, during: tuple[str, int] | None = None, after: float | None = None
    ) -> tuple[int, str]:
        """Run `cofusion ARGS`; returns its exit status, minus the signal that ended it, and what it said.

        Args:
            args: Arguments of the command.
            during: (what, call): let it meet a key of `ACCIDENTS`, at this call of it, counted from 1.
            after: Send SIGKILL so many seconds after its run directory was made.
        """
        request = {"args": args, "during": during, "after": after}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        status, said = json.loads(self._process.stdout.readline())
        return status, said


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_checkpoint(call: int) -> None:
    import torch

    save = torch.save

    def save_half(content: Any, path: Path) -> None:
        save(content, path)
        os.truncate(path, path.stat().st_size // 2)
        die()

    torch.save = at_call(call, save, save_half)


def between_checkpoints(call: int) -> None:
    """When `last.ckpt` has become `previous.ckpt`, and the new one is not in its place yet."""
    move = Path.replace

    def move_and_die(path: Path, target: Path) -> None:
        move(path, target)
        die()

    counted = at_call(call, move, move_and_die)
    Path.replace = lambda path, target: (counted if target.stem == "previous" else move)(path, target)


def on_a_full_disk(call: int) -> None:
    """From this checkpoint on, no file takes more than its first 100 kB."""
    import torch

    save = torch.save

    def save_little(content: Any, path: Path) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        save(content, path)

    torch.save = at_call(call, save, save_little)


def in_results(call: int) -> None:
    write = Path.write_text

    def write_half(path: Path, text: str, **options: Any) -> None:
        write(path, text[: len(text) // 2], **options)
        die()

    counted = at_call(call, write, write_half)
    Path.write_text = lambda path, *rest, **options: (counted if path.suffix == ".json" else write)(
        path, *rest, **options
    )


def in_step(name: str) -> Callable[[int], None]:
    def patch(call: int) -> None:
        from cofusion.training import FusionModule

        setattr(FusionModule, name, at_call(call, getattr(FusionModule, name), die))

    return patch


def on_sigterm(call: int) -> None:
    from cofusion.training import FusionModule

    step = FusionModule.training_step

    def signal_and_step(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return step(*arguments)

    FusionModule.training_step = at_call(call, step, signal_and_step)


ACCIDENTS: dict[str, Callable[[int], None]] = {
    "checkpoint": in_checkpoint,
    "rotation": between_checkpoints,
    "full disk": on_a_full_disk,
    "results": in_results,
    "training": in_step("training_step"),
    "validation": in_step("validation_step"),
    "test": in_step("test_step"),
    "sigterm": on_sigterm,
}


def at_call(which: int, function: Callable[..., Any], instead: Callable[..., Any]) -> Callable[..., Any]:
    """Replace one call of a function."""
    calls = 0

    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        return (instead if calls == which else function)(*arguments, **options)

    return call


def child(args: list[str], during: tuple[str, int] | None, said: Path) -> int:
    """Be the process of a run."""
    os.setsid()
    with said.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    # What hangs is a failure too: it ends, and says where it was.
    faulthandler.dump_traceback_later(300, exit=True)
    if during:
        ACCIDENTS[during[0]](during[1])
    import cofusion.__main__
    from cofusion.cli import main

    # Lightning starts the other processes of a distributed run by it.
    sys.argv = [cofusion.__main__.__file__, *args]
    return main(args)


def answer(request: dict[str, Any], said: Path) -> tuple[int, str]:
    said.write_text("")
    pid = os.fork()
    if not pid:
        status = 70
        try:
            status = child(request["args"], request["during"], said)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    ended = 0, 0
    if request["after"] is not None:
        while not ended[0] and "run directory" not in said.read_text():
            time.sleep(0.01)
            ended = os.waitpid(pid, os.WNOHANG)
        time.sleep(request["after"])
        ended = ended if ended[0] else os.waitpid(pid, os.WNOHANG)
        if not ended[0]:
            os.killpg(pid, signal.SIGKILL)
    if not ended[0]:
        ended = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(ended[1]), said.read_text()


if __name__ == "__main__":
    import tempfile

    import torch

    importlib.import_module("cofusion.lightning_cli")  # so that no child has to
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line), Path(folder) / "said")), flush=True)
