"""How the C library's allocator is told to keep what networks free.

Networks allocate and free the same megabytes at every layer. glibc gives large blocks back to the system, and
gets them again as new pages that must be mapped and zeroed: on two cores, about half the time in which a
12-megapixel picture was decoded. Large pictures are coded tile by tile, and after each tile what it freed goes back:
it is a small part of a tile's time, holes do not add up from tile to tile, and nothing stays after the last one.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Numbers of glibc's mallopt(3)."""

KEEP_BYTES = 2**30


@functools.cache
def keep_freed_memory() -> bool:
    """Let the process keep up to 1 GiB that it freed, instead of asking the system for it again and again.

    Called when a model is loaded and when a training starts. The environment variables of glibc's allocator
    (MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_, GLIBC_TUNABLES) come first: with one of them set, or with
    another C library, nothing is done.

    Returns:
        Whether anything was done.

    """
    if any(name in os.environ for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    # One arena: threads' own ones are of heaps of 64 MB, which go back to the system one by one whatever was asked.
    return bool(
        mallopt(M_MMAP_THRESHOLD, KEEP_BYTES) and mallopt(M_TRIM_THRESHOLD, KEEP_BYTES) and mallopt(M_ARENA_MAX, 1)
    )


def release_freed_memory() -> None:
    """Give the system back what was freed and is kept, at once; with another C library, nothing is done."""
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.cache
def _trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # as above
        return None
