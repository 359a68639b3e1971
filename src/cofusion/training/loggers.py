"""Weights & Biases next to the CSV log, without ever standing in the way of a run."""

import contextlib
import functools
import logging
import netrc
import os
import shlex
import socket
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only


def _never_fatal(method: Callable[..., None]) -> Callable[..., None]:
    """Turn an exception of a logger's method into one warning line."""

    @functools.wraps(method)
    def call(self: "OfflineSafeWandbLogger", *args: Any, **kwargs: Any) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:
            self._warn_once(error)

    return call


class OfflineSafeWandbLogger(WandbLogger):
    """Lightning's `WandbLogger` that goes offline by itself instead of asking, hanging or failing.

    The connection is decided when the run first logs. Without an API key (`WANDB_API_KEY`, `.netrc` or W&B's
    settings), without a server that answers, or when the server refuses the run, it records offline and says
    so in one line with the `wandb sync` command that uploads the record later. `WANDB_MODE` and the other
    variables of W&B count as always. W&B's own messages are silenced; a call that fails later is reported
    once and training goes on: the CSV log and `results.json` are the record, W&B mirrors them.

    Args:
        project: Project on the server; None takes `WANDB_PROJECT`, or "cofusion" without it.
        name: Name of the run; None lets W&B invent one.
        save_dir: The run directory; the record lies in its folder `wandb`.
        entity: Team or user that owns the project; None is the key's own.
        group: Groups runs, for example the seeds of one experiment or the parts of a resumed run.
        job_type: For example "fit" or "test".
        tags: Labels to filter by.
        notes: Free text.
        id: Continue the run with this id.
        offline: Do not try to connect.
        log_model: Upload `best.ckpt` as an artifact, each time it is written ("all") or at the end (True).
            Ignored when offline.
        connect_timeout: Seconds the server has to answer a connection.
        init_timeout: Seconds the server has to accept the run.
        finish_timeout: Seconds to wait at the end for what is not yet uploaded, should the server have gone
            away meanwhile. What is then missing can still be uploaded with `wandb sync`.
    """

    def __init__(
        self,
        project: str | None = None,
        name: str | None = None,
        save_dir: str | Path = ".",
        entity: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        tags: list[str] | None = None,
        notes: str | None = None,
        id: str | None = None,
        offline: bool = False,
        log_model: Literal["all"] | bool = False,
        connect_timeout: float = 3.0,
        init_timeout: float = 30.0,
        finish_timeout: float = 120.0,
    ) -> None:
        super().__init__(
            name=name,
            save_dir=save_dir,
            id=id,
            # `offline` is not handed on: together with log_model the base class would refuse it.
            log_model=log_model,
            project=project or os.environ.get("WANDB_PROJECT", "cofusion"),
            entity=entity,
            group=group,
            job_type=job_type,
            tags=tags,
            notes=notes,
        )
        self._offline_wanted = offline
        self._connect_timeout = connect_timeout
        self._init_timeout = init_timeout
        self._finish_timeout = finish_timeout
        self._warned = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run, made when it is first needed."""
        if self._experiment is None:
            self._start()
        return self._experiment

    log_hyperparams = _never_fatal(WandbLogger.log_hyperparams)
    log_metrics = _never_fatal(WandbLogger.log_metrics)
    log_table = _never_fatal(WandbLogger.log_table)
    log_image = _never_fatal(WandbLogger.log_image)
    watch = _never_fatal(WandbLogger.watch)
    finalize = _never_fatal(WandbLogger.finalize)

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Note the best checkpoint for upload; `last.ckpt` is for going on, here."""
        if checkpoint_callback.monitor is not None:
            self._note_checkpoint(checkpoint_callback)

    _note_checkpoint = _never_fatal(WandbLogger.after_save_checkpoint)

    def _start(self) -> None:
        """Begin a run online, offline where that is not possible, and switched off as the last resort."""
        with contextlib.suppress(OSError):  # W&B takes a temporary folder where it cannot write
            Path(str(self._save_dir)).mkdir(parents=True, exist_ok=True)
        mode, reason, key = self._connection()
        for attempt in dict.fromkeys((mode, "offline", "disabled")):
            try:
                self._begin(attempt, key)
            except Exception as error:
                if attempt == "disabled":
                    raise
                reason = f"{attempt} failed: {_one_line(error)}"
            else:
                self._announce(attempt, reason)
                return

    def _connection(self) -> tuple[str, str, str | None]:
        """Decide on W&B's mode: (mode, why, API key)."""
        # Set before the first use of wandb: its login speaks before it has seen the settings of the run.
        os.environ.setdefault("WANDB_SILENT", "true")
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # W&B's own usage statistics
        import wandb

        settings = wandb.setup().settings
        if self._offline_wanted:
            return "offline", "as configured", None
        if settings.mode == "disabled":
            return "disabled", "", None
        if settings.mode in ("offline", "dryrun"):
            return "offline", f"WANDB_MODE={settings.mode}", None
        key = settings.api_key or _netrc_key(settings.base_url)
        if not key and not os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
            return "offline", "no API key", None
        if not _reachable(settings.base_url, self._connect_timeout):
            return "offline", f"{settings.base_url} does not answer", None
        return "online", "", key

    def _begin(self, mode: str, key: str | None) -> None:
        import wandb

        settings: dict[str, Any] = {"silent": True}
        if "WANDB_INIT_TIMEOUT" not in os.environ:
            settings["init_timeout"] = self._init_timeout
        # Newer than the oldest wandb we support; without it a server that vanished holds the process forever.
        if "finish_timeout" in wandb.Settings.model_fields and "WANDB_FINISH_TIMEOUT" not in os.environ:
            settings["finish_timeout"] = self._finish_timeout
        if key is not None and mode == "online":
            settings["api_key"] = key  # given explicitly, wandb does not look further and never asks
        self._wandb_init.update(mode=mode, settings=wandb.Settings(**settings))
        if mode != "online":
            self._log_model = False
        self._experiment = super().experiment

    def _announce(self, mode: str, reason: str) -> None:
        run: Any = self._experiment
        if mode == "online":
            _say(f"W&B records this run at {run.url}")
        elif mode == "offline":
            _say(f"W&B is offline ({reason}); upload later: wandb sync {shlex.quote(run.settings.sync_dir)}")
        elif reason:
            _say(f"W&B is off ({reason})")

    @rank_zero_only
    def _warn_once(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            _say(f"W&B failed and is ignored where it fails again; the run goes on: {_one_line(error)}")


def _say(line: str) -> None:
    """Print one line that no handler, wrapping or log level can swallow or break."""
    print(line, file=sys.stderr, flush=True)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _netrc_key(base_url: str) -> str | None:
    """Look the server's API key up in the user's .netrc."""
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    try:
        entry = netrc.netrc(path).authenticators(urlsplit(base_url).hostname or "")
    except (OSError, netrc.NetrcParseError):
        return None
    return entry[2] if entry else None


def _reachable(base_url: str, timeout: float) -> bool:
    """Tell whether the server, or the proxy on the way to it, accepts a TCP connection in time."""
    target = urlsplit(base_url)
    proxy = urllib.request.getproxies().get(target.scheme)
    if proxy and not urllib.request.proxy_bypass(target.hostname or ""):
        target = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    port = target.port or (443 if target.scheme == "https" else 80)
    answered = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((target.hostname or "", port), timeout).close()
        except OSError:
            return
        answered.set()

    # In a thread, because no timeout holds for the look-up of the name.
    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(timeout)
    return answered.is_set()
