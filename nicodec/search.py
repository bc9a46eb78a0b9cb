"""Searches of the quality that meets a goal."""

from __future__ import annotations

from collections.abc import Callable

QUALITY_STEPS = 200
"""Largest quality, in half steps."""

Attempt = Callable[[int], tuple[bytes, float]]
"""A file of a quality in half steps, and by how much it meets the goal (negative: it does not).

The margin falls as the quality grows.
"""


def search_all(attempt: Attempt) -> bytes | None:
    """Bisect 0..200 for the last quality that meets the goal; None if none does."""
    low, high, best = 0, QUALITY_STEPS, None
    while low <= high:
        middle = (low + high + 1) // 2
        data, margin = attempt(middle)
        if margin >= 0:
            best, low = data, middle + 1
        else:
            high = middle - 1
    return best


def search_few(attempt: Attempt, enough: float, slope: float, tries: int = 6) -> bytes | None:
    """A quality that meets the goal by less than `enough`, or the best of a few tries, taking lines for curves.

    Args:
        attempt: see `Attempt`.
        enough: the margin that is small enough.
        slope: by how much a half step lowers the margin, about.
        tries: most attempts.

    """
    met: tuple[int, float] | None = None
    missed: tuple[int, float] | None = None
    best, q = None, QUALITY_STEPS // 2
    for _ in range(tries):
        data, margin = attempt(q)
        if margin >= 0:
            best, met = data, (q, margin)
        else:
            missed = (q, margin)
        if 0 <= margin <= enough:
            break
        if met and missed:
            slope = (met[1] - missed[1]) / (missed[0] - met[0])
        step = round((margin - enough / 2) / slope)
        low, high = met[0] + 1 if met else 0, missed[0] - 1 if missed else QUALITY_STEPS
        if low > high:
            break
        q = min(max(q + step, low), high)
    return best
