"""The training loop: budgeted in minutes or steps, resumable, on CPU, one GPU, or several under torchrun.

It knows budget, checkpoints, logs and workers; all else is the objective's.
"""

from __future__ import annotations

import csv
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from nicodec.errors import InputError
from nicodec.media import open_atomically
from nicodec.training.budget import Budget
from nicodec.training.objective import Objective
from nicodec.training.workers import Workers

CHECKPOINT_NAME, LOG_NAME, PREVIEW_NAME = "checkpoint.pt", "log.csv", "preview.csv"
SAVE_SECONDS, REPORT_SECONDS = 120.0, 15.0

PREVIEW_SHARE = 0.02
"""Of the budget, kept for the last look at held-out data."""


@dataclass(frozen=True)
class Progress:
    """Means since the last report.

    Attributes:
        step: steps done, in all runs.
        minutes: minutes spent, in all runs.
        share: share of the training that is done.
        numbers: the objective's, by name.
        steps_a_second: of this process.
        seconds_left: until the training's budget is spent, its end included.

    """

    step: int
    minutes: float
    share: float
    numbers: Mapping[str, float]
    steps_a_second: float
    seconds_left: float

    def line(self) -> str:
        """All of it in one line."""
        minutes, seconds = divmod(int(self.seconds_left), 60)
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in self.numbers.items())
        return f"step {self.step}  {numbers}  {self.steps_a_second:.2f} steps/s  {minutes}:{seconds:02d} left"


class Stopped(KeyboardInterrupt):
    """A signal asked the training to stop; its checkpoint is written."""


class _Signals:
    """Notes an interrupt, so that the step in progress is done first; the second one interrupts it."""

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = number

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class Loop:
    """Runs an objective's steps until the budget is spent.

    Under torchrun every process trains on data of its own and gradients are averaged; the first one alone reports
    and saves.

    Attributes:
        budget: the whole one, all runs of this checkpoint included.
        end_share: the share of it that is left for the end.

    """

    def __init__(
        self,
        objective: Objective[Any, Any],
        budget: Budget,
        workers: Workers,
        folder: Path,
        identity: str,
        preview_minutes: float,
    ) -> None:
        """`identity`: of the recipe; `folder`: of checkpoint and logs."""
        self.objective, self.budget, self.workers, self.folder = objective, budget, workers, folder
        self.end_share = objective.end_share() + PREVIEW_SHARE
        self._identity, self._preview_minutes = identity, preview_minutes

    def share(self) -> float:
        """The share of the training that is done, what is kept for the end apart."""
        share = self.budget.share()
        return share if self.budget.counts_steps else share / (1 - self.end_share)

    def save(self, *, finished: bool = False) -> None:
        """Write the checkpoint; an interrupted write leaves the former one."""
        state = {
            "identity": self._identity,
            "objective": self.objective.state_dict(),
            "step": self.budget.steps,
            "minutes": self.budget.minutes,
            "finished": finished,
        }
        with open_atomically(self.folder / CHECKPOINT_NAME, overwrite=True) as file:
            torch.save(state, file)

    def preview(self, finished: Any = None) -> None:
        """Measure on held-out data, log it and say it."""
        budget = self.budget
        rows = self.objective.preview(finished)
        if not rows:
            return
        head = {"step": float(budget.steps), "minutes": budget.minutes}
        append_rows(self.folder / PREVIEW_NAME, [{**head, **row} for row in rows])
        points = (" ".join(f"{name} {value:.4g}" for name, value in row.items()) for row in rows)
        self.workers.say("held out: " + ",  ".join(points))

    def train(self, report: Callable[[Progress], None]) -> None:
        """Do steps until the training's share of the budget is spent.

        Raises:
            Stopped: a signal asked for it; the checkpoint is written.

        """
        with _Signals() as signals:
            self._train(report, signals)

    def _train(self, report: Callable[[Progress], None], signals: _Signals) -> None:
        budget, workers = self.budget, self.workers
        saved = previewed = reported = time.monotonic()
        sums: dict[str, float | Tensor] = {}
        count = 0

        def tell(now: float) -> None:
            nonlocal count
            pace = count / max(now - reported, 1e-9)
            numbers = {name: float(total) / count for name, total in sums.items()}
            left = budget.seconds_left(pace)
            progress = Progress(budget.steps, budget.minutes, min(self.share(), 1.0), numbers, pace, left)
            head = {"step": float(progress.step), "minutes": progress.minutes, "share": progress.share}
            append_rows(self.folder / LOG_NAME, [{**head, **numbers, "steps_a_second": pace}])
            report(progress)
            sums.clear()
            count = 0

        while True:
            share, stop = workers.agree(self.share(), float(signals.received))
            if share >= 1 or stop:
                break
            for name, value in self.objective.step(share).items():
                sums[name] = sums.get(name, 0.0) + value
            budget.steps += 1
            count += 1
            now = time.monotonic()
            if not workers.leads or now - reported < REPORT_SECONDS:
                continue
            tell(now)
            if now - saved > SAVE_SECONDS:
                self.save()
                saved = time.monotonic()
            if now - previewed > 60 * self._preview_minutes:
                self.preview()
                previewed = time.monotonic()
            reported = time.monotonic()
        if workers.leads:
            if count:
                tell(time.monotonic())
            self.save()
        if stop:
            raise Stopped


def read_checkpoint(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """What `Loop.save` wrote to a folder, if it did.

    Raises:
        InputError: it cannot be read.

    """
    path = folder / CHECKPOINT_NAME
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        if set(state) != {"identity", "objective", "step", "minutes", "finished"}:
            raise ValueError("it has other keys")
    except Exception as error:  # torch.load raises a dozen kinds for a broken file
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{path}: is no checkpoint that can be read ({reason}); name another --out, or remove it to start anew"
        ) from error
    return state


def append_rows(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Append rows of the same names to a CSV file, which has them in its first line."""
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(rows[0])
        writer.writerows([round(value, 5) for value in row.values()] for row in rows)
