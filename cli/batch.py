"""Run tasks in this process or in several, and write what comes out.

Child processes only compute; this one writes. So a child may be ended at any moment, and nothing half-written
is ever left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nicodec import jobs
from nicodec.errors import LimitError, NicodecError
from nicodec_cli import console
from nicodec_cli.progress import Bar, Tell
from nicodec_cli.reports import Done, Failed, Result, Skipped, grown, report
from nicodec_cli.tasks import Plan, Task, problem_with, refuse_terminal, write_output


@dataclass(frozen=True)
class _Outcome:
    result: Done | Failed
    warnings: tuple[str, ...] = ()


Work = Callable[[Task, Tell | None], Done]
"""Does one task; it must be a function of a module, or a `partial` of one, to run in another process.

It may tell how far it is; there is nobody to be told in another process.
"""


def run_tasks(
    plan: Plan,
    work: Work,
    *,
    processes: int,
    overwrite: bool,
    skip_existing: bool = False,
    quiet: bool,
    cluster: str | None = None,
    pixels: Callable[[Task], int | None],
    bar: bool = True,
    remedies: dict[str, str] | None = None,
) -> int:
    """Do every task of a plan, write the outputs, and report on standard error.

    Args:
        plan: what to do.
        work: how.
        processes: how many tasks at once; 1 stays in this process, 0 takes one for each processor.
        overwrite: whether existing files may be replaced.
        skip_existing: whether tasks whose output exists are left undone, which is no error.
        quiet: whether errors and warnings are all that is said.
        cluster: where tasks are done instead, as `nicodec.jobs.run` takes it; files are written here.
        pixels: of a task's picture, as far as that can be told at once; by them progress is measured.
        bar: whether progress is shown here; clips show their own.
        remedies: what can be done with files that a folder's run leaves out, by kind.

    Returns:
        The exit code: 0, that of the cause where every task failed for the same one, else 1.

    """
    tasks, make_folders = plan.tasks, plan.make_folders
    refuse_terminal(tasks)
    start = time.perf_counter()
    for message in plan.found.unreadable:
        console.error(message)
    results: dict[Task, Result] = {}
    ready = []
    for task in tasks:
        if skip_existing and task.target is not None and task.target.is_file():
            results[task] = Skipped()
            continue
        problem = problem_with(task, overwrite=overwrite, make_folders=make_folders)
        if problem is None:
            ready.append(task)
        else:
            failed = results[task] = _failed(problem, task, task.target_name)
            console.error(failed.message)
    with (
        Bar(ready, pixels, shown=bar and not quiet) as shown,
        contextlib.closing(_outcomes(ready, work, processes, cluster, shown)) as outcomes,
    ):
        for task, outcome in outcomes:
            result = outcome.result
            for text in outcome.warnings:
                console.warning(text)
            if isinstance(result, Done):
                result = _write(task, result, overwrite=overwrite, make_folders=make_folders)
            if isinstance(result, Failed):
                console.error(result.message)
            elif result.grew:
                console.warning(grown(task, result))
            results[task] = result
            shown.finish(task)
    report(plan, {task: results[task] for task in tasks}, time.perf_counter() - start, quiet, remedies or {})
    return _exit_code(list(results.values())) or int(bool(plan.found.unreadable))


def _write(task: Task, done: Done, *, overwrite: bool, make_folders: bool) -> Done | Failed:
    if done.data is None:  # a clip, which was written as it came
        return done
    try:
        write_output(task, done.data, overwrite=overwrite, make_folders=make_folders)
    except (NicodecError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            console.silence_stdout()
            error = OSError("standard output was closed before everything was written")
        return _failed(error, task, task.target_name)
    return dataclasses.replace(done, data=None)  # else a large batch would keep them all


def _exit_code(results: list[Result]) -> int:
    codes = {result.exit_code if isinstance(result, Failed) else 0 for result in results}
    return codes.pop() if len(codes) == 1 else 1


def _failed(error: BaseException, task: Task, name: str | None = None) -> Failed:
    return Failed(console.message_of(error, name or task.source_name), getattr(error, "exit_code", 1))


# --- doing --------------------------------------------------------------------------------------------------


def _outcomes(
    tasks: list[Task], work: Work, processes: int, cluster: str | None, bar: Bar
) -> Generator[tuple[Task, _Outcome], None, None]:
    """Do the tasks and give each outcome as soon as it is there."""
    sent = tasks
    if any(task.source is None for task in tasks):
        cluster = None  # no other machine reads this one's standard input
    elif cluster is not None:
        sent = [dataclasses.replace(task, folder=Path.cwd()) for task in tasks]
    here = cluster is None and (processes == 1 or len(tasks) == 1)
    attempt = partial(_attempt, work, bar.teller if here else None)
    with contextlib.closing(jobs.run(attempt, sent, processes=processes, cluster=cluster)) as results:
        for number, outcome in results:
            yield tasks[number], _died(tasks[number], outcome) if isinstance(outcome, jobs.Died) else outcome


def _died(task: Task, died: jobs.Died) -> _Outcome:
    text = f"its process was ended twice, perhaps for want of memory ({died.reason}); try again with fewer jobs (-j)"
    return _Outcome(Failed(f"{task.source_name}: {text}", 1))


def _attempt(work: Work, teller: Callable[[Task], Tell] | None, task: Task) -> _Outcome:
    """Do one task; errors that are no bugs become a `Failed`."""
    with warnings.catch_warnings(record=True) as caught:
        _keep_every_warning()
        try:
            result: Done | Failed = work(task, None if teller is None else teller(task))
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
    from nicodec.alternatives import PoorFitWarning, RepairedWarning
    from nicodec.media import LossyConversionWarning

    warnings.simplefilter("always", LossyConversionWarning)
    warnings.simplefilter("always", PoorFitWarning)
    warnings.simplefilter("always", RepairedWarning)


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether this is what torch, numpy or Python raise when memory is short."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text
