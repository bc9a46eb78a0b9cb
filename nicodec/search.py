"""The search of the quality that meets a goal, in at most four encodes.

Logarithms of sizes, and decibels, fall over the qualities nearly in lines: a guess from the goal and two or three
steps along such lines end at the best half step in most pictures, and next to it in the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

QUALITY_STEPS = 200
"""Largest quality, in half steps."""

SAFETY, SAFETY_LAST = 0.5, 1.5
"""How many half steps above zero the next margin should be; the last try must not miss."""

LEAP = 8
"""Half steps to the second try beyond those that should do, if none met the goal; to each further one four times."""

PIECES, PIECE = 4, 128
"""Of a large picture so many pieces a side, squares of so many pixels, are searched first: they cost little."""

PIECES_FROM = 2**21
"""Pixels beyond which a picture is large."""

Attempt = Callable[[int], tuple[bytes, float]]
"""A file of a q, and its margin, by which it meets the goal (negative: it does not); the margin falls with q."""


@dataclass(frozen=True)
class Goal:
    """How to search.

    Attributes:
        start: q to try first, guessed from the goal.
        slope: by how much a step of q lowers the margin, about.
        tries: most encodes; there are more, one mostly, only as long as none met the goal.
        close: a file is good enough that is so many steps from the goal.

    """

    start: int
    slope: float
    tries: int
    close: int = 1


def size_goal(max_bytes: int, pixels: int) -> Goal:
    """A goal whose q is the quality in half steps, and whose margin is the logarithm of allowed over actual bytes."""
    guess = 100 + 40 * math.log(max(max_bytes, 1) / pixels / 0.062)
    return Goal(_inside(guess), 0.019, 4)


def psnr_goal(psnr: float) -> Goal:
    """A goal whose q is how many half steps of quality are given up, and whose margin is in dB."""
    return Goal(_inside(100 - (psnr - 32.5) / 0.08), 0.08, 3, close=2)  # each try is decoded, too


class Search:
    """A search, try by try.

    Attributes:
        tries: q and margin of each.
        best: the file that meets the goal with the largest q; None: none does.

    """

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self.tries: list[tuple[int, float]] = []
        self.best: bytes | None = None

    @property
    def best_q(self) -> int:
        """The largest q that met the goal; 0: none did."""
        return max((q for q, margin in self.tries if margin >= 0), default=0)

    def run(self, attempt: Attempt) -> bytes | None:
        """Give the best file of a few tries; None where even q = 0, which is then the last try, misses the goal."""
        q, low, high = self.goal.start, 0, QUALITY_STEPS
        while True:
            data, margin = attempt(q)
            self.tries.append((q, margin))
            if margin >= 0:
                self.best, low = data, q + 1
            else:
                high = q - 1
            full = self.best is not None and len(self.tries) >= self.goal.tries
            if low > high or full or 0 <= margin < self.goal.close * self._slope():
                return self.best
            q = min(max(q + self._step(), low), high)

    def _step(self) -> int:
        """From the last try to where the margin is a little above zero."""
        last = len(self.tries) == self.goal.tries - 1
        careful = last and (self.best is None or self.goal.close > 1)  # what counts as close may be met from farther
        step = self.tries[-1][1] / self._slope() - (SAFETY_LAST if careful else SAFETY)
        more = len(self.tries) - self.goal.tries
        if self.best is None and more > 0:
            step = min(step, -LEAP * 4 ** (more - 1))
        return round(min(max(step, -QUALITY_STEPS), QUALITY_STEPS))

    def _slope(self) -> float:
        """By how much a step lowers the margin, between the last try and the one nearest to it."""
        (q, margin), others = self.tries[-1], self.tries[:-1]
        if not others:
            return self.goal.slope
        near = min(others, key=lambda other: abs(other[0] - q))
        return min(max((near[1] - margin) / (q - near[0]), self.goal.slope / 4), self.goal.slope * 4)


def pieces_of(pixels: NDArray[np.generic]) -> NDArray[np.generic] | None:
    """Pieces of a large picture (H, W, channels), spread evenly and laid side by side; None: it is not large."""
    height, width = pixels.shape[:2]
    if height * width <= PIECES_FROM or min(height, width) < PIECES * PIECE:
        return None
    starts = [[(2 * n + 1) * side // (2 * PIECES) - PIECE // 2 for n in range(PIECES)] for side in (height, width)]
    rows = [[pixels[y : y + PIECE, x : x + PIECE] for x in starts[1]] for y in starts[0]]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def _inside(q: float) -> int:
    return round(min(max(q, 0), QUALITY_STEPS))
