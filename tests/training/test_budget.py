from __future__ import annotations

import pytest

from nicodec.training.budget import Budget


def test_steps_are_counted() -> None:
    budget = Budget(steps=4, spent_steps=1)
    assert list(budget) == [0.25, 0.5, 0.75]
    assert budget.share() == 1
    assert list(Budget(steps=3).part(0.01)) == [0]
    assert len(list(Budget(steps=100).part(0.05))) == 5
    assert Budget(steps=10).seconds_left(2.0) == 5


class Clock:
    """Stands for `time`: it goes on when it is told to."""

    seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


def test_minutes_run_from_its_making(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("nicodec.training.budget.time", clock)
    budget = Budget(minutes=2, spent_minutes=1)
    assert budget.share() == 0.5
    part = budget.part(0.25)
    shares = []
    for share in part:
        shares.append(share)
        clock.seconds += 10
    assert shares == pytest.approx([0, 1 / 3, 2 / 3])
    assert part.share() == 1
    assert budget.rest().share() == 0
    assert budget.seconds_left(1.0) == pytest.approx(30)
    clock.seconds += 60
    assert budget.share() > 1
    assert len(list(budget.rest())) == 1  # one step is always done
    assert budget.seconds_left(1.0) == 0


def test_parts_of_parts() -> None:
    assert Budget(minutes=10).part(0.5).part(0.5).seconds_left(1) == pytest.approx(150, abs=1)
