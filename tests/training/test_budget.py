from __future__ import annotations

import time

import pytest

from nicodec.training.budget import Budget


def test_steps_are_counted() -> None:
    budget = Budget(steps=4, spent_steps=1)
    assert list(budget) == [0.25, 0.5, 0.75]
    assert budget.share() == 1
    assert list(Budget(steps=3).part(0.01)) == [0]
    assert len(list(Budget(steps=100).part(0.05))) == 5
    assert Budget(steps=10).seconds_left(2.0) == 5


def test_minutes_run_from_its_making() -> None:
    budget = Budget(minutes=0.002, spent_minutes=0.001)
    assert 0.5 <= budget.share() < 0.9
    part = budget.part(0.25)
    for share in part:
        assert 0 <= share < 1
        time.sleep(0.002)
    assert part.share() >= 1
    assert budget.rest().share() < 1
    time.sleep(0.1)
    assert budget.share() > 1
    assert len(list(budget.rest())) == 1  # one step is always done
    assert budget.seconds_left(1.0) == 0


def test_parts_of_parts() -> None:
    assert Budget(minutes=10).part(0.5).part(0.5).seconds_left(1) == pytest.approx(150, abs=1)
