"""The rate-distortion loss."""

from __future__ import annotations

from torch import Tensor


def rate_distortion(
    x: Tensor, x_hat: Tensor, bits: Tensor, rate_weight: Tensor, power: float
) -> tuple[Tensor, Tensor, Tensor]:
    """L = mean over samples of w·(λ·255²·MSE + bpp), with w = λ^power over its geometric middle.

    Args:
        x: originals (B, 3, H, W) in [0, 1].
        x_hat: reconstructions, likewise.
        bits: (B,).
        rate_weight: λ of each sample, (B,).
        power: −0.5 balances low and high rates (0: the highest qualities drown the others).

    Returns:
        The loss (scalar), bpp (B,) and MSE (B,) in [0, 1]² units.

    """
    bpp = bits / (x.shape[2] * x.shape[3])
    mse = (x - x_hat).square().mean((1, 2, 3))
    weight = (rate_weight / 0.015) ** power
    return (weight * (rate_weight * 255**2 * mse + bpp)).mean(), bpp, mse
