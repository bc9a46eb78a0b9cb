"""Many tasks at once: in processes of this machine, or on a cluster. joblib runs them; this says how.

The command line and the evaluation hand over picklable tasks and get results as they come. A process that dies
(no memory left, a crash in an encoder) costs its own task a second try and the others nothing.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import platform
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from nicodec.threads import tiles_at_once, usable_cores, use_threads, wait_passively

if TYPE_CHECKING:
    import joblib

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Died:
    """In place of a result: the process that ran the task died twice.

    Attributes:
        reason: what was seen of it.

    """

    reason: str


def run(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    processes: int = 0,
    cluster: str | None = None,
) -> Generator[tuple[int, Result | Died], None, None]:
    """Do every task and give each result as soon as it is there.

    Processes of this machine compute in one thread each, whose waiting is passive; they leave an interrupt (Ctrl-C)
    to this process, and end when it ends, however that may be. Those of a cluster must have nicodec installed and
    see the same files under the same absolute names.

    Within `with joblib.parallel_config(backend=...)` of the caller, that backend runs the tasks.

    Args:
        work: does one task; a function of a module or a `partial` of one. What it raises is raised here.
        tasks: picklable values.
        processes: how many at once on this machine; 1 does the tasks in this process, 0 takes a process a core. A
            single task is done in this process, so many tiles of a large picture at once.
        cluster: "dask://HOST:PORT", the scheduler of a Dask cluster; "ray", the Ray cluster that this machine
            belongs to, or "ray://HOST:PORT"; None for this machine.

    Yields:
        The number of a task in `tasks`, and its result.

    Raises:
        ClusterError: the cluster cannot be reached.

    """
    asked = processes or usable_cores()
    processes = min(asked, len(tasks))
    elsewhere = cluster is not None or _caller_has_chosen()
    if not tasks or (processes <= 1 and not elsewhere):
        for number, task in enumerate(tasks):
            with tiles_at_once(asked if asked > 1 else 0):
                result = work(task)
            yield number, result
        return
    from nicodec.clusters import ClusterError

    with _backend(cluster, processes) as parallel:
        there = _There(work, (platform.node(), os.getpid()))
        left = iter(range(len(tasks)))
        while True:
            under_way: dict[int, None] = {}
            try:
                yield from _results(parallel(), there, tasks, left, under_way)
                return
            except _BackendError as error:
                if not under_way:
                    raise ClusterError(f"no process takes a task: {error}") from error
            # Those under way are tried again, alone: one of them may be what kills.
            for number in list(under_way):
                try:
                    yield from _results(parallel(), there, tasks, iter([number]), {})
                except _BackendError as error:
                    yield number, Died(str(error))


# --- one run of joblib --------------------------------------------------------------------------------------


class _BackendError(Exception):
    """Not the task failed but what ran it."""


def _results(
    parallel: joblib.Parallel,
    there: _There[Task, Result],
    tasks: Sequence[Task],
    numbers: Iterator[int],
    under_way: dict[int, None],
) -> Generator[tuple[int, Result], None, None]:
    """Run the tasks of `numbers`; `under_way` holds those that were handed out and gave no result yet.

    Raises:
        _BackendError: a process died.

    """
    import joblib

    def calls() -> Iterator[Any]:
        for number in numbers:
            under_way[number] = None
            yield joblib.delayed(there)(number, tasks[number])

    outputs: Generator[tuple[int, Result | _Raised], None, None] | None = None
    with _silence_of_what_is_stopped():
        try:
            with _interrupts_for_this_process_only():
                outputs = parallel(calls())
            while True:
                try:
                    number, result = next(outputs)
                except StopIteration:
                    return
                except Exception as error:
                    raise _BackendError(f"{type(error).__name__}: {str(error).partition('. ')[0]}") from error
                del under_way[number]
                if isinstance(result, _Raised):
                    raise result.error
                yield number, result
        finally:
            if outputs is not None:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # that results are left, which is known
                    outputs.close()


MANAGER = "ExecutorManagerThread"
"""Name of the thread by which joblib's loky hands out tasks."""


@contextlib.contextmanager
def _silence_of_what_is_stopped() -> Iterator[None]:
    """Say nothing of joblib's thread if it fails while the work is broken off, as by Ctrl-C.

    It may look for a task that was just taken back, and be told of a KeyError; the workers end all the same. What it
    says while work goes on is told at the end.
    """
    before, said = threading.excepthook, list[threading.ExceptHookArgs]()

    def hook(args: threading.ExceptHookArgs) -> None:
        if args.thread is not None and args.thread.name == MANAGER:
            said.append(args)
        else:
            before(args)

    threading.excepthook = hook
    try:
        yield
    except BaseException:
        said.clear()
        raise
    finally:
        threading.excepthook = before
        for each in said:
            before(each)


@dataclass(frozen=True)
class _Raised:
    """What a task raised, as a value: joblib then raises only what happens to its processes."""

    error: BaseException


@dataclass(frozen=True)
class _There(Generic[Task, Result]):
    """The work, called in whatever process.

    Attributes:
        work: does one task.
        home: machine and process that handed the task out.

    """

    work: Callable[[Task], Result]
    home: tuple[str, int]

    def __call__(self, number: int, task: Task) -> tuple[int, Result | _Raised]:
        """Return the task's number, and what came out of it."""
        if (platform.node(), os.getpid()) != self.home:
            wait_passively()
            use_threads(1)
        try:
            return number, self.work(task)
        except Exception as error:
            return number, _Raised(_portable(error))


def _portable(error: Exception) -> Exception:
    """Return an exception that survives the way to another process, with the traceback as a note."""
    error.add_note(traceback.format_exc())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


@contextlib.contextmanager
def _interrupts_for_this_process_only() -> Iterator[None]:
    """Let threads and processes that start meanwhile never see Ctrl-C, which a terminal sends to all of them.

    They inherit that the signal is blocked. Here it waits until they have been started. The process by which
    multiprocessing keeps track of semaphores is started before: starting it unblocks the signal, whatever it was.
    """
    if sys.platform == "win32":
        yield  # `_start_worker` does what it can
        return
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(parent: int) -> None:
    """Prepare a process of this machine: no interrupts, and an end with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


# --- where ---------------------------------------------------------------------------------------------------


def _caller_has_chosen() -> bool:
    """Whether the caller runs this within joblib's own context, with a backend other than joblib's default."""
    if "joblib" not in sys.modules:
        return False
    from joblib.parallel import BACKENDS, DEFAULT_BACKEND, get_active_backend

    return not isinstance(get_active_backend()[0], BACKENDS[DEFAULT_BACKEND])


@contextlib.contextmanager
def _backend(cluster: str | None, processes: int) -> Iterator[Callable[[], joblib.Parallel]]:
    """Choose where tasks run; give what makes a `joblib.Parallel` of it."""
    import joblib

    # One task a process, and none in a queue: what was handed out is what a dying process can have taken along.
    options: dict[str, Any] = {
        "return_as": "generator_unordered",
        "batch_size": 1,
        "pre_dispatch": "n_jobs",
        "max_nbytes": None,
    }
    if cluster is not None or _caller_has_chosen():
        from nicodec.clusters import connected

        with connected(cluster):
            yield lambda: joblib.Parallel(n_jobs=-1, **options)
        return
    wait_passively()
    context = joblib.parallel_config(
        "loky", inner_max_num_threads=1, initializer=_start_worker, initargs=(os.getpid(),)
    )
    with context, warnings.catch_warnings():
        # A process whose memory grows is replaced between two tasks, which is no news to a user.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
        # Two at least: joblib would run the tasks of a single one in this process.
        yield lambda: joblib.Parallel(n_jobs=max(2, processes), **options)
