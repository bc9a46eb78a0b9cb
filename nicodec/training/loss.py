"""The rate-distortion loss, and the qualities that it is taken at."""

from __future__ import annotations

import torch
from torch import Tensor

from nicodec.exact.anchors import QUALITY_STEPS

MIDDLE_RATE_WEIGHT = 0.015
"""A λ in the middle: a sample of it is weighted by one."""

USUAL_LOSS, LEAST_LOSS = 0.7, 0.1
"""Where sequences are weighted by their losses: the loss of weight one, and the least that a weight is made of."""

LARGE_LOSS = 4.0
"""Of a sample; photographs stay below. What is beyond counts by its logarithm, or noise would drown the others."""


def drawn_qualities(count: int) -> Tensor:
    """Random half steps (count,), one of each equal part of the range: less noise."""
    strata = (torch.arange(count) + torch.rand(count)) / count
    return (strata * (QUALITY_STEPS + 1)).to(torch.int64)


def sample_weight(rate_weight: Tensor, power: float) -> Tensor:
    """What samples of λ (B,) count in the loss, (B,): λ^power over that of a middle one.

    A power of −0.5 balances low and high rates (0: the highest qualities drown the others).
    """
    return (rate_weight / MIDDLE_RATE_WEIGHT) ** power


def cost_weight(losses: Tensor, power: float) -> Tensor:
    """What samples count beside others because of their own losses (B,): loss^power over that of a usual one, (B,).

    A power of −1 makes percents of what a sample costs count the same everywhere, as the mean of BD-rates over clips
    does; with 0, those that move fast drown those that hardly move. No gradient passes.
    """
    return (losses.detach().clamp(min=LEAST_LOSS) / USUAL_LOSS) ** power


def rate_distortion(
    x: Tensor, x_hat: Tensor, bits: Tensor, rate_weight: Tensor, power: float
) -> tuple[Tensor, Tensor, Tensor]:
    """L = mean over samples of w·(λ·255²·MSE + bpp), w as `sample_weight` says, large ones dampened.

    Args:
        x: originals (B, 3, H, W) in [0, 1].
        x_hat: reconstructions, likewise.
        bits: (B,).
        rate_weight: λ of each sample, (B,).
        power: of the weights.

    Returns:
        The loss (scalar), bpp (B,) and MSE (B,) in [0, 1]² units.

    """
    bpp = bits / (x.shape[2] * x.shape[3])
    mse = (x - x_hat).square().mean((1, 2, 3))
    weight = sample_weight(rate_weight, power)
    loss = weight * (rate_weight * 255**2 * mse + bpp)
    beyond = LARGE_LOSS * torch.log(loss.clamp(min=LARGE_LOSS) / LARGE_LOSS)
    return (loss.clamp(max=LARGE_LOSS) + beyond).mean(), bpp, mse
