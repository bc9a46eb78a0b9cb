"""A bar on standard error for work that takes more than two seconds: percent, time left, the file's name."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from rich.progress import Progress

    from nicodec_cli.tasks import Task

DELAY = 2.0
"""Seconds of silence before the bar appears."""

NAME_LENGTH = 28
"""Characters of a file's name; longer ones lose their beginning."""


class Tell(Protocol):
    """Is told how far a task is, within the process that shows it."""

    def __call__(self, share: float, text: str = "") -> None:
        """Show that a share of the task is done, 0..1, with a few words."""


class Bar:
    """A bar for several tasks, weighed by their pixels. It appears late, or never where it is not shown.

    Use it as a context manager. What is printed on standard error meanwhile stands above it.
    """

    def __init__(self, tasks: Sequence[Task], pixels: Callable[[Task], int | None], *, shown: bool) -> None:
        """Prepare a bar.

        Args:
            tasks: that will be done.
            pixels: of a task's picture, read from its head; None where that is not known.
            shown: whether there is a bar at all; one is shown on terminals only.

        """
        self._tasks, self._pixels = list(tasks), pixels
        self._weights: dict[Task, int] = {}
        self._done: list[Task] = []
        self._now: tuple[Task, float, str] | None = None
        self._lock = threading.Lock()
        self._start = time.monotonic()
        self._bar: Progress | None = None
        self._timer: threading.Timer | None = None
        if shown and tasks and sys.stderr.isatty():
            self._timer = threading.Timer(DELAY, self._appear)
            self._timer.daemon = True

    def __enter__(self) -> Self:
        """Begin to wait."""
        if self._timer is not None:
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._timer = None
            if self._bar is not None:
                self._bar.stop()

    def teller(self, task: Task) -> Tell:
        """What is told how far a task is; from now on the bar bears its name."""

        def tell(share: float, text: str = "") -> None:
            self._now = (task, min(max(share, 0.0), 1.0), text)
            self._update()

        self._now = (task, 0.0, "")
        self._update()
        return tell

    def finish(self, task: Task) -> None:
        """Count a task as done."""
        self._done.append(task)
        if self._now is not None and self._now[0] is task:
            self._now = None
        self._update()

    def _appear(self) -> None:
        """Weigh the tasks and start the bar, in the timer's thread: the work goes on meanwhile."""
        if len(self._tasks) > 1:
            known = {task: pixels for task in self._tasks if (pixels := self._pixels(task))}
            mean = sum(known.values()) // len(known) if known else 1
            self._weights = {task: known.get(task, mean) for task in self._tasks}
        else:
            self._weights = dict.fromkeys(self._tasks, 1)
        with self._lock:
            if self._timer is None:
                return
            self._bar = _rich_bar(self._start)
            self._bar.add_task("", total=None, text="", named=self._name())
            self._bar.start()
        self._update()

    def _update(self) -> None:
        with self._lock:
            if self._bar is None or self._timer is None:
                return
            done = float(sum(self._weights[task] for task in self._done))
            text = f"{len(self._done)} of {len(self._tasks)}" if len(self._tasks) > 1 else ""
            if self._now is not None:
                done += self._now[1] * self._weights[self._now[0]]
                text = " ".join(filter(None, [text, self._now[2]]))
            total = float(sum(self._weights.values())) if done else None  # None: it only moves
            (job,) = self._bar.task_ids
            self._bar.update(job, total=total, completed=done, text=text, named=self._name())

    def _name(self) -> str:
        task = self._now[0] if self._now is not None else self._tasks[0]
        if self._now is None and len(self._tasks) > 1:
            return f"{len(self._tasks)} files"
        name = task.source_name
        return name if len(name) <= NAME_LENGTH else "…" + name[1 - NAME_LENGTH :]


def _rich_bar(start: float) -> Progress:
    """A bar for work that began at `start` on the monotonic clock."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn
    from rich.table import Column
    from rich.text import Text

    class Words(ProgressColumn):
        """A field of the task as it is: no markup, one line."""

        def __init__(self, name: str) -> None:
            self._field = name
            super().__init__(Column(no_wrap=True, overflow="ellipsis"))

        def render(self, task: Any) -> Text:
            """Give the field."""
            return Text(task.fields[self._field])

    class Left(ProgressColumn):
        """Time left, by what was done when it was last told; how long it has taken where that is not known."""

        def __init__(self) -> None:
            self._share, self._told = 0.0, start
            super().__init__()

        def render(self, task: Any) -> Text:
            """Give the time in minutes and seconds."""
            now, share = time.monotonic(), task.completed / task.total if task.total else 0
            if share != self._share:
                self._share, self._told = share, now
            whole = (self._told - start) / share if share else 0.0
            return Text(
                f"{_clock(max(0.0, start + whole - now))} left" if share else _clock(now - start), no_wrap=True
            )

    columns = (Words("named"), BarColumn(bar_width=None), TaskProgressColumn(), Left(), Words("text"))
    return Progress(*columns, console=Console(stderr=True), transient=True, expand=True, redirect_stdout=False)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
