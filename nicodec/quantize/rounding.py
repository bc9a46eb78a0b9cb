"""Rounding: as training sees it, and as an encoder does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

ERROR_WEIGHT = 40.0
"""Bits that the square of a symbol's error is worth to an encoder.

At high rates, of symbols that nothing else depends on, it would be 6/ln 2 = 8.7 (λ·255²·MSE in steps of the best
size); but later symbols are predicted from what is left of earlier ones, and lose by it (models/hyperprior/CARD.md).
"""


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def round_straight_through(x: Tensor) -> Tensor:
    """Round to integers; the gradient passes unchanged (Bengio et al. 2013)."""
    rounded: Tensor = _Round.apply(x)
    return rounded


@torch.no_grad()
def round_to_least_cost(x: Tensor, bits: Callable[[Tensor], Tensor]) -> Tensor:
    """Round each number up or down, whichever has less of bits + ERROR_WEIGHT·error²; whole numbers stay.

    Source: rate-distortion-optimised quantisation, Sullivan and Wiegand 1998, with one step to choose from.

    Args:
        x: real numbers, finite.
        bits: what symbols of x's shape cost, in its shape.

    """
    below = torch.floor(x)
    dearer = bits(below + 1) - bits(below)
    up = x - below > 0.5 + dearer / (2 * ERROR_WEIGHT)
    return torch.where(up & (x != below), below + 1, below)
