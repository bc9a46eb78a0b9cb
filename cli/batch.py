"""Run tasks in this process or in several, write what comes out, and report.

Child processes only compute; this one writes. So a child may be ended at any moment, and nothing half-written
is ever left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nicodec import Info, VideoInfo, jobs
from nicodec.errors import LimitError, NicodecError
from nicodec_cli import console
from nicodec_cli.tasks import Task, problem_with, refuse_terminal, write_output


@dataclass(frozen=True)
class Done:
    """What came out of a task.

    Attributes:
        data: the bytes of the output; None once they are written.
        bytes_in, bytes_out: sizes of the input and of the output.
        nic_bytes: size of that one of the two which is the .nic file.
        width, height: of the picture, in pixels.
        quality: of the .nic file, 0..100.
        seconds: that reading, coding and decoding took; loading the model is not counted.
        frames: of a clip; 1 for a picture.

    """

    data: bytes | None
    bytes_in: int
    bytes_out: int
    nic_bytes: int
    width: int
    height: int
    quality: float
    seconds: float
    frames: int = 1

    @classmethod
    def of_clip(cls, data: bytes, about: Info | VideoInfo, *, bytes_in: int, seconds: float) -> Done:
        """What came out of a clip, of whose .nic file this is told."""
        assert isinstance(about, VideoInfo)
        return cls(
            data=data,
            bytes_in=bytes_in,
            bytes_out=len(data),
            nic_bytes=about.file_bytes,
            width=about.width,
            height=about.height,
            quality=about.quality,
            seconds=seconds,
            frames=about.frames,
        )

    @property
    def pixels(self) -> int:
        """Of all frames."""
        return self.width * self.height * max(1, self.frames)

    @property
    def bpp(self) -> float:
        """Bits of the .nic file over pixels."""
        return 8 * self.nic_bytes / self.pixels

    @property
    def ratio(self) -> str:
        """How many times smaller the .nic file is than the other file, in words."""
        return console.ratio_text(self.bytes_in + self.bytes_out - self.nic_bytes, self.nic_bytes)


@dataclass(frozen=True)
class Failed:
    """Why a task gave nothing: the message, and the exit code of its cause."""

    message: str
    exit_code: int


@dataclass(frozen=True)
class _Outcome:
    result: Done | Failed
    warnings: tuple[str, ...] = ()


Work = Callable[[Task], Done]
"""Does one task; it must be a function of a module, or a `partial` of one, to run in another process."""


def run_tasks(
    tasks: list[Task],
    work: Work,
    *,
    processes: int,
    overwrite: bool,
    quiet: bool,
    make_folders: bool = False,
    cluster: str | None = None,
) -> int:
    """Do every task, write the outputs, and report on standard error.

    Args:
        tasks: what to do.
        work: how.
        processes: how many tasks at once; 1 stays in this process, 0 takes one for each processor.
        overwrite: whether existing files may be replaced.
        quiet: whether errors and warnings are all that is said.
        make_folders: whether missing folders of outputs are created.
        cluster: where tasks are done instead, as `nicodec.jobs.run` takes it; files are written here.

    Returns:
        The exit code: 0, that of the cause where every task failed for the same one, else 1.

    """
    refuse_terminal(tasks)
    start = time.perf_counter()
    results: dict[Task, Done | Failed] = {}
    ready = []
    for task in tasks:
        problem = problem_with(task, overwrite=overwrite, make_folders=make_folders)
        if problem is None:
            ready.append(task)
        else:
            failed = results[task] = _failed(problem, task, task.target_name)
            console.error(failed.message)
    with (
        _progress(len(ready), shown=len(tasks) > 1 and not quiet) as advance,
        contextlib.closing(_outcomes(ready, work, processes, cluster)) as outcomes,
    ):
        for task, outcome in outcomes:
            result = outcome.result
            for text in outcome.warnings:
                console.warning(text)
            if isinstance(result, Done):
                result = _write(task, result, overwrite=overwrite, make_folders=make_folders)
            if isinstance(result, Failed):
                console.error(result.message)
            results[task] = result
            advance()
    if not quiet:
        _report({task: results[task] for task in tasks}, time.perf_counter() - start)
    return _exit_code(list(results.values()))


def _write(task: Task, done: Done, *, overwrite: bool, make_folders: bool) -> Done | Failed:
    try:
        assert done.data is not None
        write_output(task, done.data, overwrite=overwrite, make_folders=make_folders)
    except (NicodecError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            console.silence_stdout()
            error = OSError("standard output was closed before everything was written")
        return _failed(error, task, task.target_name)
    return dataclasses.replace(done, data=None)  # else a large batch would keep them all


def _exit_code(results: list[Done | Failed]) -> int:
    codes = {result.exit_code if isinstance(result, Failed) else 0 for result in results}
    return codes.pop() if len(codes) == 1 else 1


def _failed(error: BaseException, task: Task, name: str | None = None) -> Failed:
    return Failed(console.message_of(error, name or task.source_name), getattr(error, "exit_code", 1))


# --- doing --------------------------------------------------------------------------------------------------


def _outcomes(
    tasks: list[Task], work: Work, processes: int, cluster: str | None
) -> Generator[tuple[Task, _Outcome], None, None]:
    """Do the tasks and give each outcome as soon as it is there."""
    sent = tasks
    if any(task.source is None for task in tasks):
        cluster = None  # no other machine reads this one's standard input
    elif cluster is not None:
        sent = [dataclasses.replace(task, folder=Path.cwd()) for task in tasks]
    with contextlib.closing(jobs.run(partial(_attempt, work), sent, processes=processes, cluster=cluster)) as results:
        for number, outcome in results:
            yield tasks[number], _died(tasks[number], outcome) if isinstance(outcome, jobs.Died) else outcome


def _died(task: Task, died: jobs.Died) -> _Outcome:
    text = f"its process was ended twice, perhaps for want of memory ({died.reason}); try again with fewer jobs (-j)"
    return _Outcome(Failed(f"{task.source_name}: {text}", 1))


def _attempt(work: Work, task: Task) -> _Outcome:
    """Do one task; errors that are no bugs become a `Failed`."""
    with warnings.catch_warnings(record=True) as caught:
        _keep_every_warning()
        try:
            result: Done | Failed = work(task)
        except (NicodecError, OSError) as error:
            result = _failed(error, task)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            text = "not enough memory for this picture; close other programs, or make it smaller first"
            result = _failed(LimitError(text), task)
    texts = (str(warning.message) for warning in caught)
    name = task.source_name
    return _Outcome(result, tuple(text if name in text else f"{name}: {text}" for text in texts))


def _keep_every_warning() -> None:
    from nicodec.alternatives import PoorFitWarning
    from nicodec.media import LossyConversionWarning

    warnings.simplefilter("always", LossyConversionWarning)
    warnings.simplefilter("always", PoorFitWarning)


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether this is what torch, numpy or Python raise when memory is short."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text


# --- reporting ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _progress(total: int, *, shown: bool) -> Iterator[Callable[[], None]]:
    """Show a progress bar where standard error is a terminal; give what moves it on by one."""
    if not shown or not total or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
    )
    with bar:
        job = bar.add_task("", total=total)
        yield lambda: bar.advance(job)


def _report(results: dict[Task, Done | Failed], seconds: float) -> None:
    """Print one line for one task, a table for several."""
    done = {task: result for task, result in results.items() if isinstance(result, Done)}
    if len(results) == 1:
        for task, result in done.items():
            console.say(_line(task, result))
        return
    if done:
        rows = [_row(task, result) for task, result in done.items()]
        if len(done) > 1:
            rows.append(_total(list(done.values()), seconds))
        for line in console.table(["", "in", "out", "bpp", "ratio", "time"], rows):
            console.say(line)
    if len(done) < len(results):
        console.say(f"{len(done)} of {len(results)} done, {len(results) - len(done)} failed (see above)")


def _line(task: Task, done: Done) -> str:
    return (
        f"{task.source_name} -> {task.target_name}: {done.width}x{done.height}{_frames(done)}, "
        f"{console.bytes_text(done.bytes_in)} -> {console.bytes_text(done.bytes_out)} ({done.ratio}), "
        f"{done.bpp:.3f} bpp, quality {done.quality:g}, {done.seconds:.2f} s"
    )


def _frames(done: Done) -> str:
    return f", {done.frames} frames" if done.frames != 1 else ""


def _row(task: Task, done: Done) -> list[str]:
    return [
        task.source_name,
        console.bytes_text(done.bytes_in),
        console.bytes_text(done.bytes_out),
        f"{done.bpp:.3f}",
        done.ratio,
        f"{done.seconds:.2f} s",
    ]


def _total(done: list[Done], seconds: float) -> list[str]:
    """Give the last row: sums, the bits of all files over all pixels, and the time that passed."""
    bytes_in, bytes_out = sum(d.bytes_in for d in done), sum(d.bytes_out for d in done)
    nic_bytes, pixels = sum(d.nic_bytes for d in done), sum(d.pixels for d in done)
    return [
        f"{len(done)} files",
        console.bytes_text(bytes_in),
        console.bytes_text(bytes_out),
        f"{8 * nic_bytes / pixels:.3f}",
        console.ratio_text(bytes_in + bytes_out - nic_bytes, nic_bytes),
        f"{seconds:.2f} s",
    ]
