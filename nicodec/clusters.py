"""joblib on a cluster of Dask or Ray, which the user has; extras of nicodec bring what speaks to it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import joblib
from joblib.parallel import BACKENDS, get_active_backend

from nicodec.errors import NicodecError

CONNECT_SECONDS = 10

RESTART_SECONDS = 120
"""How long a cluster that lost all its workers is waited for."""


class ClusterError(NicodecError):
    """A cluster cannot be reached, or the package that speaks to it is not installed."""


def check(cluster: str) -> None:
    """Raise ClusterError where this is no cluster that could be meant."""
    if not re.fullmatch(r"dask://.+|ray|ray://.+", cluster):
        raise ClusterError(f"{cluster!r}: no cluster; give dask://HOST:PORT, ray, or ray://HOST:PORT")


@contextlib.contextmanager
def connected(cluster: str | None) -> Iterator[None]:
    """Let joblib run on a cluster.

    Args:
        cluster: as `nicodec.jobs.run` takes it; None for the backend of the caller's `joblib.parallel_config`.

    Raises:
        ClusterError: no such cluster.

    """
    with contextlib.ExitStack() as stack:
        if cluster is not None:
            check(cluster)
            kind, _, address = cluster.partition("://")
            stack.enter_context(_dask(address) if kind == "dask" else _ray(address))
        backend = get_active_backend()[0]
        is_dask = "dask" in BACKENDS and isinstance(backend, BACKENDS["dask"])
        if is_dask:
            stack.enter_context(_told_of_killed_workers(backend))
        if is_dask or cluster is not None:
            stack.enter_context(_never_here(backend))
        yield


@contextlib.contextmanager
def _dask(address: str) -> Iterator[None]:
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise ClusterError('distributed is not installed; run: pip install "nicodec[cluster]"') from error
    if "://" not in address:
        address = f"tcp://{address}"
    try:
        client = Client(address, set_as_default=False, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise ClusterError(f"no Dask scheduler answers at {address}; start one with: dask scheduler") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError as error:
            raise ClusterError(
                f"the Dask scheduler at {address} has no workers; start one with: dask worker"
            ) from error
        with joblib.parallel_config("dask", client=client, wait_for_workers_timeout=RESTART_SECONDS):
            yield


@contextlib.contextmanager
def _ray(address: str) -> Iterator[None]:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ModuleNotFoundError as error:
        raise ClusterError('ray is not installed; run: pip install "nicodec[ray]"') from error
    ours = not ray.is_initialized()
    if ours:
        try:
            ray.init(f"ray://{address}" if address else "auto", log_to_driver=False)
        except (ConnectionError, OSError, RuntimeError) as error:
            raise ClusterError(f"no Ray cluster is reached ({error}); start one with: ray start --head") from error
    try:
        register_ray()
        with joblib.parallel_config("ray"):
            yield
    finally:
        if ours:
            ray.shutdown()


@contextlib.contextmanager
def _never_here(backend: Any) -> Iterator[None]:
    """Keep joblib from doing the tasks in this process, as it does where a cluster has one core for the moment."""
    effective_n_jobs = backend.effective_n_jobs
    backend.effective_n_jobs = lambda n_jobs: max(2, effective_n_jobs(n_jobs))
    try:
        yield
    finally:
        del backend.effective_n_jobs


@contextlib.contextmanager
def _told_of_killed_workers(backend: Any) -> Iterator[None]:
    """Mend joblib's backend of Dask: of a task that Dask gave up on, it never tells, and all wait for ever.

    Dask gives up on a task (KilledWorker) when several workers died with it. joblib 1.6 puts that into the task's
    future but calls nothing back.
    """
    submit = backend.submit

    def submit_and_tell(call: object, callback: Callable[[object], object] | None = None) -> Future[object]:
        future: Future[object] = submit(call, callback)

        def tell(done: Future[object]) -> None:
            error = done.exception()
            if error is not None and callback is not None:
                callback(error)

        future.add_done_callback(tell)
        return future

    backend.submit = submit_and_tell
    try:
        yield
    finally:
        del backend.submit
