"""What a launcher shows of its trials: a line for each event, and bars in a terminal."""

import time
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cofusion.cluster.process import RunningTrial
from cofusion.cluster.record import Outcome
from cofusion.cluster.state import State, look
from cofusion.cluster.trial import Trial

_TURN = 2.0  # seconds between two looks into the run directories
_MARKS = {"complete": "[green]complete[/green]", "cut": "[yellow]cut[/yellow]", "failed": "[red]failed[/red]"}


class Display:
    """Show trials as they run.

    Args:
        count: How many trials there are.
        console: Where; the terminal or whatever standard output is.
    """

    def __init__(self, count: int, console: Console | None = None) -> None:
        self.console = console or Console(soft_wrap=True)
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            console=self.console,
            # Without a terminal the lines are all there is: bars would be garbage in a file.
            disable=not self.console.is_terminal,
        )
        self.all = self.bars.add_task("trials", total=count, unit="")
        self.tasks: dict[str, TaskID] = {}
        self._next = 0.0

    def __enter__(self) -> "Display":
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def skipped(self, trial: Trial, why: str) -> None:
        """Say that a trial is not started, and why."""
        self._say(f"{escape(trial.name)}: {escape(why)}")
        self.bars.advance(self.all)

    def started(self, running: RunningTrial) -> None:
        """Say that a trial was started or goes on."""
        state = self._look(running)
        goes_on = f"goes on after epoch {state.epoch}" if state.epoch else "started"
        self._say(f"{escape(running.trial.name)}: {goes_on} (log: {escape(str(running.run_dir))}/log.txt)")
        self.tasks[running.trial.name] = self.bars.add_task(
            escape(running.trial.name), total=state.epochs, completed=state.epoch, unit="epochs"
        )

    def ended(self, running: RunningTrial, outcome: Outcome, again: bool) -> None:
        """Say how a trial ended."""
        state = self._look(running)
        psnr = state.test_psnr if state.test_psnr is not None else state.psnr
        detail = f", PSNR {psnr:.2f} dB" if outcome == "complete" and psnr is not None else ""
        if outcome == "failed":
            detail = f": {escape(running.why())}{'; it is tried again' if again else ''}"
        self._say(f"{escape(running.trial.name)}: {_MARKS[outcome]}{detail}")
        self.bars.remove_task(self.tasks.pop(running.trial.name))
        if not again:
            self.bars.advance(self.all)

    def update(self, running: Iterable[RunningTrial]) -> None:
        """Show how far the trials are."""
        if self.bars.disable or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _TURN
        for one in running:
            state = self._look(one)
            unit = "epochs" if state.psnr is None else f"epochs, best PSNR {state.psnr:.2f} dB"
            self.bars.update(self.tasks[one.trial.name], completed=state.epoch, total=state.epochs, unit=unit)

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False)

    @staticmethod
    def _look(running: RunningTrial) -> State:
        return look(running.run_dir, running.record, locked=True)
