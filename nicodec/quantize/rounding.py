"""Rounding as training sees it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def round_straight_through(x: Tensor) -> Tensor:
    """Round to integers; the gradient passes unchanged (Bengio et al. 2013)."""
    return _Round.apply(x)
