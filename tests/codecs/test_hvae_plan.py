"""Where an encoder of `hvae` lets slices end."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nicodec.codecs.hvae_plan import (
    ALL_SECOND,
    LAST,
    POSITIONS,
    REFINED_FROM,
    REFINED_TO,
    SHARES,
    SMALL,
    Costs,
    corrected,
    plan,
)


def costs_of(seed: int, whole: float) -> Costs:
    """Of symbols as pictures have them: ever fewer of larger scales."""
    random = np.random.default_rng(seed)
    in_all = random.random(POSITIONS) * np.exp(-((np.arange(POSITIONS) / POSITIONS - 0.3) ** 2) * 20)
    in_all[:LAST] = 0
    in_all *= 0.98 * whole / in_all.sum()
    share = np.where(np.arange(POSITIONS) >= ALL_SECOND, random.uniform(0.3, 0.7, POSITIONS), 1.0)
    return Costs(in_all, in_all * share, whole)


def check_order(thresholds: list[int]) -> None:
    """As a decoder asks for."""
    split = next((n for n, each in enumerate(thresholds) if REFINED_FROM <= each <= REFINED_TO), None)
    assert thresholds[-1] == LAST
    if split is None:
        assert all(each < REFINED_FROM for each in thresholds)
        return
    end = thresholds.index(ALL_SECOND, split)
    firsts, seconds = thresholds[: split + 1], thresholds[split + 1 : end + 1]
    rest = [thresholds[split], *thresholds[end + 1 :]]
    for part in (firsts, seconds, rest):
        assert all(before > after for before, after in pairwise(part)), thresholds
    assert max(thresholds) < POSITIONS
    assert min(seconds) == ALL_SECOND


@given(seed=st.integers(0, 1000), bits=st.floats(100, 1e7), slices=st.none() | st.integers(1, 8))
@settings(deadline=None, max_examples=40)
def test_plans_are_what_decoders_take(seed: int, bits: float, slices: int | None) -> None:
    costs = costs_of(seed, bits)
    thresholds = plan(costs, slices)
    check_order(thresholds)
    if slices is not None:
        assert len(thresholds) <= slices
    sizes = np.random.default_rng(seed).integers(1, 1000, len(thresholds) + 2).tolist()
    check_order(corrected(costs, slices, thresholds, sizes))


@pytest.mark.parametrize("seed", range(5))
def test_levels_end_just_before_the_shares_once_corrected(seed: int) -> None:
    looked = costs_of(seed, 40 * SMALL)
    true = Costs(looked.in_all * 1.1, looked.in_first * 1.2, looked.whole * 1.12)
    thresholds = plan(looked, None)
    for _ in range(2):
        ends = true.ends_of(thresholds)
        sizes = [100, 100, *(np.diff([200 * 8, *ends]) / 8).astype(int).tolist()]
        thresholds = corrected(looked, None, thresholds, sizes)
    ends = np.asarray(true.ends_of(thresholds)) / true.ends_of(thresholds)[-1]
    for share in SHARES:
        below = ends[ends <= share].max()
        assert share - 0.03 < below, (share, ends)
