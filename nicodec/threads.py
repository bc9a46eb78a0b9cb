"""How many threads compute, how they wait, and what becomes of them in a child process.

Nothing here loads torch.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from contextvars import ContextVar

PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
"""Environment variables by which threads of OpenMP sleep while they wait: every runtime's, Intel's and LLVM's."""

HOW_TO_WAIT = frozenset({*PASSIVE, "GOMP_SPINCOUNT", "KMP_LIBRARY"})
"""Environment variables that say how threads of OpenMP wait; with one of them set, the user has chosen."""

COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Environment variables that numeric libraries read at their import."""


TILES_AT_ONCE = 4
"""Tiles of a large picture that are coded at once unless more are asked for: each takes about 100 MB."""

_tiles_asked: ContextVar[int] = ContextVar("tiles_asked", default=0)


@contextlib.contextmanager
def tiles_at_once(count: int) -> Iterator[None]:
    """Code so many tiles of a large picture at once within this; files and pixels do not depend on it.

    Args:
        count: a thread for each; 0: a core each, `TILES_AT_ONCE` at most, as without this.

    """
    before = _tiles_asked.set(count)
    try:
        yield
    finally:
        _tiles_asked.reset(before)


def tiles_asked() -> int:
    """What `tiles_at_once` was given; 0 without it."""
    return _tiles_asked.get()


def wait_passively() -> None:
    """Let threads of OpenMP, torch's among them, sleep while they wait for each other, instead of spinning.

    Between two layers of a network, threads wait for the slowest one. A thread that spins meanwhile keeps a core
    busy that another process needs, and the slowest thread may be waiting for that very core: with one other busy
    process on two cores, a picture takes twenty times as long.

    The runtime reads its variables when torch is loaded, so this must run before `import torch`. The `nicodec`
    command does it, and so do its child processes, which inherit the environment. A Python program that uses the
    library on a machine that is busy with other things does it first of all:

        from nicodec.threads import wait_passively
        wait_passively()
        import torch

    or is started with OMP_WAIT_POLICY=PASSIVE in its environment, which is the same. Where the user has set a
    variable that says how threads wait (`HOW_TO_WAIT`), nothing is changed.
    """
    if not HOW_TO_WAIT & os.environ.keys():
        os.environ.update(PASSIVE)


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def use_threads(count: int) -> None:
    """Give torch and the numeric libraries of this process, and of its children, `count` threads each."""
    os.environ.update(dict.fromkeys(COUNTS, str(count)))
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)


@functools.cache
def guard_forks() -> None:
    """Let children that are forked from this process compute, each in one thread.

    A fork copies the thread that calls it and no other, but not the knowledge of that: OpenMP in the child hands
    work to threads that are gone, and waits for ever. A child of one thread hands out nothing; it must leave
    `torch.set_num_threads` alone. Children that are spawned are not concerned.

    Called when a model is loaded and when a training starts.
    """
    if sys.platform != "win32":
        os.register_at_fork(after_in_child=_use_one_thread)


def _use_one_thread() -> None:
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
