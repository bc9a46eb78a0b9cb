"""Choices that weigh error against bits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nicodec.errors import InputError
from nicodec.quantize.priced import PricedQuantiser, PricedSettings


def quantiser(codes: int = 16, channels: int = 4, price: float = 0.0) -> PricedQuantiser:
    torch.manual_seed(0)
    made = PricedSettings(codes=codes, start_price=price).build(channels)
    assert isinstance(made, PricedQuantiser)
    return made


@given(seed=st.integers(0, 10**6), scale=st.floats(0, 10))
def test_the_choice_costs_least(seed: int, scale: float) -> None:
    made = quantiser()
    generator = torch.Generator().manual_seed(seed)
    rows, price = torch.randn(30, 4, generator=generator), scale * torch.rand(16, generator=generator)
    cost = torch.cdist(rows, made.codebook).square() + price
    chosen = cost.gather(1, made.choose(rows, price)[:, None])[:, 0]
    assert torch.allclose(chosen, cost.amin(1), atol=1e-4)


def test_without_a_price_it_is_the_nearest() -> None:
    made = quantiser()
    rows = torch.randn(50, 4)
    assert torch.equal(made.choose(rows, torch.zeros(16)), made.search(rows)[:, 0])


def test_a_high_price_takes_the_cheapest() -> None:
    price = torch.full((16,), 1e6)
    price[5] = 0
    assert set(quantiser().choose(torch.randn(50, 4), price).tolist()) == {5}


def test_code_0_adds_nothing_and_stays_so() -> None:
    made = quantiser(price=0.5).train()
    made.start(torch.randn(500, 4))
    assert not made.codebook[0].any()
    for _ in range(3):
        rows = torch.randn(200, 4) + 1
        made.see(rows, made.choose(rows, torch.zeros(16)))
        before = made.codebook.clone()
        made.after_step()
        assert not made.codebook[0].any()
        assert not torch.equal(before, made.codebook)


def test_prices_at_the_start_save_bits() -> None:
    rows = torch.randn(4000, 4) * torch.rand(4000, 1) ** 3
    bits = []
    for price in (0.0, 1.0):
        made = quantiser(64, price=price)
        made.start(rows)
        cost = torch.zeros(64)
        for _ in range(3):
            share = torch.bincount(made.choose(rows, price * cost), minlength=64) / 4000
            cost = -share.clamp(min=1e-5).log2()
        bits.append(float((share * cost).sum()))
    assert bits[1] < bits[0]


def test_it_needs_averages() -> None:
    with pytest.raises(InputError, match="decay above 0"):
        PricedSettings(decay=0.0)
