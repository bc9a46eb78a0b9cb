from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nicodec.quantize.rounding import ERROR_WEIGHT, round_straight_through, round_to_least_cost

numbers = st.lists(st.floats(-300, 300, width=32), min_size=1, max_size=40)


def test_it_rounds_and_the_gradient_passes_unchanged() -> None:
    x = torch.tensor([-1.6, -0.5, 0.2, 0.5, 1.5], requires_grad=True)
    rounded = round_straight_through(x)
    rounded.backward(torch.arange(5.0))
    assert rounded.tolist() == [-2.0, 0.0, 0.0, 0.0, 2.0]
    assert torch.equal(x.grad, torch.arange(5.0))


def laplacian_bits(symbols: Tensor) -> Tensor:
    return 1 + 3 * symbols.abs()


@given(numbers)
def test_least_cost_is_that_of_one_of_two_neighbours(values: list[float]) -> None:
    x = torch.tensor(values)

    def cost(symbols: Tensor) -> Tensor:
        return laplacian_bits(symbols) + ERROR_WEIGHT * (symbols - x).square()

    rounded = round_to_least_cost(x, laplacian_bits)
    assert torch.all((rounded == torch.floor(x)) | (rounded == torch.ceil(x)))
    assert torch.all(cost(rounded) <= torch.minimum(cost(torch.floor(x)), cost(torch.ceil(x))) + 1e-3)


@given(numbers)
def test_without_a_difference_of_bits_it_is_the_nearest(values: list[float]) -> None:
    x = torch.tensor(values)
    assert torch.all((round_to_least_cost(x, torch.zeros_like) - x).abs() <= 0.5)


def test_whole_numbers_stay_whatever_they_cost() -> None:
    x = torch.arange(-3.0, 4.0)
    assert torch.equal(round_to_least_cost(x, lambda symbols: 1000 * symbols.abs()), x)


def test_dear_symbols_are_avoided() -> None:
    x = torch.tensor([-1.55, -0.55, 0.52, 0.55, 0.9, 1.2])
    assert round_to_least_cost(x, laplacian_bits).tolist() == [-2.0, -1.0, 0.0, 1.0, 1.0, 1.0]
    assert round_to_least_cost(x, lambda s: 10 * s.abs()).tolist() == [-1.0, 0.0, 0.0, 0.0, 1.0, 1.0]
