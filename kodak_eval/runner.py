"""Runs many jobs on several processes or a cluster; an interrupted run goes on from the cache."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from kodak_eval.cache import Cache
from kodak_eval.codecs.base import Codec
from kodak_eval.codecs.compressai_zoo import CompressaiModel
from kodak_eval.datasets import Dataset
from kodak_eval.measurement import Job, Measurement
from nicodec import jobs

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


def run(
    tasks: Sequence[Task[Result]],
    cache_folder: Path,
    *,
    processes: int = 0,
    cluster: str | None = None,
    done: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Run all tasks, each on one thread, and return their results in the tasks' order.

    Args:
        tasks: jobs from ``plan``, or others.
        cache_folder: of ``Cache``; what is in it is not measured again.
        processes: at a time; 0: one a core; 1 runs in this process.
        cluster: runs them instead, as ``nicodec.jobs.run`` says; it must see the pictures and the cache.
        done: called with each result.

    A process that dies (a crash in an encoder, no memory) costs its own task only: the tasks that
    were under way are tried again alone.

    """
    results: dict[int, Result] = {}
    work = partial(_perform, cache_folder.absolute())
    with contextlib.closing(jobs.run(work, tasks, processes=processes, cluster=cluster)) as outcomes:
        for number, outcome in outcomes:
            if isinstance(outcome, jobs.Died):
                reason = f"the process died (a crash of the encoder, or no memory left): {outcome.reason}"
                outcome = tasks[number].failed(reason)
            results[number] = outcome
            done(outcome)
    return [results[number] for number in range(len(tasks))]


def _perform(cache_folder: Path, task: Task[Result]) -> Result:
    return task.perform(Cache(cache_folder))


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
