"""What a training, or a part of it, may spend."""

from __future__ import annotations

import time
from collections.abc import Iterator


class Budget:
    """Minutes or steps; minutes run from when it is made.

    Attributes:
        steps: the steps done in it.

    """

    def __init__(
        self, *, minutes: float = 0.0, steps: int = 0, spent_minutes: float = 0.0, spent_steps: int = 0
    ) -> None:
        """Give minutes, or steps, which then decide alone; and what was spent of them before."""
        self._minutes, self._steps = minutes, steps
        self._start = time.monotonic() - 60 * spent_minutes
        self.steps = spent_steps

    @property
    def minutes(self) -> float:
        """Minutes spent."""
        return (time.monotonic() - self._start) / 60

    @property
    def counts_steps(self) -> bool:
        """Whether it is one of steps."""
        return self._steps > 0

    def share(self) -> float:
        """The share that is spent: 0, or more than 0, and from 1 on nothing is left."""
        if self._steps:
            return self.steps / self._steps
        return self.minutes / self._minutes if self._minutes > 0 else 1.0

    def seconds_left(self, pace: float) -> float:
        """Until it is spent, with so many steps a second."""
        if self._steps:
            return max(0.0, (self._steps - self.steps) / max(pace, 1e-9))
        return max(0.0, 60 * (self._minutes - self.minutes))

    def part(self, share: float) -> Budget:
        """A share of the whole, from now on, as a budget of its own; of steps at least one."""
        if self._steps:
            return Budget(steps=max(1, round(share * self._steps)))
        return Budget(minutes=share * self._minutes)

    def rest(self) -> Budget:
        """What is left, as a budget of its own."""
        if self._steps:
            return Budget(steps=max(1, self._steps - self.steps))
        return Budget(minutes=max(0.0, self._minutes - self.minutes))

    def __iter__(self) -> Iterator[float]:
        """The share spent before each step, as long as there is something left; at least one step."""
        while True:
            yield self.share()
            self.steps += 1
            if self.share() >= 1:
                return
