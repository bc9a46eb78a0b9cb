"""What transforms start from: factors that level the energy of principal components."""

from __future__ import annotations

from torch import Tensor


def levelling(deviation: Tensor, least: float) -> Tensor:
    """Factors that bring channels half the way to equal deviations, and the mean square of all to one.

    Args:
        deviation: of each channel.
        least: what smaller ones count as.

    """
    factor = deviation.clamp(min=least).rsqrt()
    return factor / (factor * deviation).square().mean().sqrt()
