"""Runs many jobs on several processes; an interrupted run goes on from the cache."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Protocol, TypeVar

from kodak_eval.cache import Cache
from kodak_eval.codecs.base import Codec
from kodak_eval.codecs.compressai_zoo import CompressaiModel
from kodak_eval.datasets import Dataset
from kodak_eval.measurement import Job, Measurement

Result = TypeVar("Result")
Made = TypeVar("Made", covariant=True)


class Task(Protocol[Made]):
    """Something to run in a worker process; small to pickle."""

    def perform(self, cache: Cache) -> Made:
        """Do it; never raises for what is wrong with the picture or the encoder."""

    def failed(self, reason: str) -> Made:
        """Return the result that says that the process died."""


def plan(dataset: Dataset, codecs: Sequence[Codec], metrics: Sequence[str]) -> list[Job]:
    """Return all jobs, picture by picture, so that metrics keep what they computed of the original.

    CompressAI's models come last and setting by setting: each setting is a network of its own.

    Raises:
        CodecUnavailableError: a codec cannot run here.

    """
    jobs = [
        Job(picture, codec, setting, version, tuple(metrics))
        for codec, version in [(codec, codec.version()) for codec in codecs]
        for setting in codec.settings
        for picture in dataset.pictures
    ]
    place = {picture.name: k for k, picture in enumerate(dataset.pictures)}

    def order(job: Job) -> tuple[bool, int]:
        own_networks = isinstance(job.codec, CompressaiModel)
        return own_networks, 0 if own_networks else place[job.picture.name]

    return sorted(jobs, key=order)


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(
    tasks: Sequence[Task[Result]],
    cache_folder: Path,
    *,
    processes: int | None = None,
    done: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Run all tasks, each on one thread, and return their results in the tasks' order.

    Args:
        tasks: jobs from ``plan``, or others.
        cache_folder: of ``Cache``; what is in it is not measured again.
        processes: at a time; the usable cores by default; 1 runs in this process.
        done: called with each result.

    A process that dies (a crash in an encoder, no memory) costs its own task only: the tasks that
    were under way are tried again alone.

    """
    processes = processes or usable_cores()
    results: dict[int, Result] = {}

    def finish(k: int, result: Result) -> None:
        results[k] = result
        done(result)

    if processes == 1:
        cache = Cache(cache_folder)
        for k, task in enumerate(tasks):
            finish(k, task.perform(cache))
    else:
        _run_pools(tasks, cache_folder, processes, finish)
    return [results[k] for k in range(len(tasks))]


def _run_pools(
    tasks: Sequence[Task[Result]],
    cache_folder: Path,
    processes: int,
    finish: Callable[[int, Result], None],
) -> None:
    waiting = iter(range(len(tasks)))
    while True:
        suspects = _run_pool(tasks, waiting, cache_folder, processes, finish)
        if suspects is None:
            return
        for k in suspects:
            if _run_pool(tasks, iter([k]), cache_folder, 1, finish) is not None:
                finish(k, tasks[k].failed("the process died (a crash of the encoder, or no memory left)"))


def _run_pool(
    tasks: Sequence[Task[Result]],
    waiting: Iterator[int],
    cache_folder: Path,
    processes: int,
    finish: Callable[[int, Result], None],
) -> list[int] | None:
    """Run tasks from ``waiting`` until it is empty (None), or a process died (those under way)."""
    context = multiprocessing.get_context("spawn")
    under_way: dict[Future[Result], int] = {}
    pool = ProcessPoolExecutor(processes, context, _start_worker, (str(cache_folder),))
    with _one_thread_a_library(), pool:
        try:
            _submit(pool, tasks, waiting, under_way, 2 * processes)
            while under_way:
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    finish(under_way.pop(future), result)
                    _submit(pool, tasks, waiting, under_way, 1)
        except BrokenProcessPool:
            return sorted(under_way.values())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return None


def _submit(
    pool: ProcessPoolExecutor,
    tasks: Sequence[Task[Result]],
    waiting: Iterator[int],
    under_way: dict[Future[Result], int],
    count: int,
) -> None:
    for _, k in zip(range(count), waiting, strict=False):
        try:
            future = pool.submit(_work, tasks[k])
        except BrokenProcessPool:
            under_way[Future()] = k  # taken from ``waiting``: it must not be lost
            raise
        under_way[future] = k


THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What numeric libraries read at their import, which in a worker comes before any code of ours."""


@contextlib.contextmanager
def _one_thread_a_library() -> Iterator[None]:
    """Let processes that start meanwhile inherit one thread for each numeric library."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_worker_cache: Cache | None = None


def _start_worker(cache_folder: str) -> None:
    global _worker_cache
    _worker_cache = Cache(Path(cache_folder))
    limit_threads(1)


def _work(task: Task[Result]) -> Result:
    assert _worker_cache is not None
    return task.perform(_worker_cache)


def limit_threads(threads: int) -> None:
    """Give torch and the numeric libraries of this process ``threads`` threads."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    import torch

    torch.set_num_threads(threads)


def failures_of(dataset: Dataset, measurements: Iterable[Measurement]) -> list[dict[str, str]]:
    """Return one row for each thing that failed: unreadable files, encodes, metrics."""
    rows = [{"picture": name, "codec": "", "what": "read", "reason": r} for name, r in dataset.failures.items()]
    seen: set[tuple[str, str, str]] = set()
    for m in measurements:
        problems = {"encode or decode": m.error} if m.error else m.failures
        for what, reason in problems.items():
            # A picture too small for a metric fails for every codec: say it once.
            codec = m.codec if m.error else ""
            if (m.picture, codec, what) not in seen:
                seen.add((m.picture, codec, what))
                rows.append({"picture": m.picture, "codec": codec, "what": what, "reason": reason})
    return rows
