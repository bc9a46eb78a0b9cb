"""Optimal transport between features and codes, by Sinkhorn's iteration."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LEAST = 1e-30


@dataclass(frozen=True)
class Transport:
    """A plan between N rows of equal weight and K codes: plan = kernel · column scale, row by row to a sum of 1/N.

    Attributes:
        shares: (N, K), of each row's weight, sum 1 a row.
        potentials: (K,), of the codes, in the unit of the costs; their mean is zero.

    """

    shares: Tensor
    potentials: Tensor


@torch.no_grad()
def sinkhorn(costs: Tensor, weights: Tensor, epsilon: float, rounds: int) -> Transport:
    """The plan of least cost − epsilon·entropy that gives every row 1/N and code k weights[k], approximately.

    The smallest cost of each row and then of each column is taken out first, which changes no plan and
    keeps float32 from underflow.

    Args:
        costs: (N, K).
        weights: (K,), of sum 1.
        epsilon: in the unit of the costs.
        rounds: of the iteration.

    """
    n = len(costs)
    reduced = costs - costs.amin(1, keepdim=True)
    column = reduced.amin(0)
    kernel = reduced.sub_(column).div_(-epsilon).exp_()
    v = torch.ones_like(column)
    for _ in range(rounds):
        u = 1 / (n * (kernel @ v).clamp(min=LEAST))
        v = weights / (u @ kernel).clamp(min=LEAST)
    shares = kernel.mul_(v)
    shares /= shares.sum(1, keepdim=True).clamp(min=LEAST)
    potentials = column + epsilon * v.clamp(min=LEAST).log()
    return Transport(shares, potentials - potentials.mean())
