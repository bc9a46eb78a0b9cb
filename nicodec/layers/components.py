"""Principal components of blocks of pictures: what transforms start as."""

from __future__ import annotations

import torch
from torch import Tensor


def principal_components(samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Basis (n, n) by falling energy, mean (n,) and deviations (n,) of samples (N, n)."""
    _, vectors = torch.linalg.eigh(torch.cov(samples.double().T))
    basis, mean = vectors.flip(1).float(), samples.mean(0)
    return basis, mean, ((samples - mean) @ basis).std(0)


def levelling(deviation: Tensor, least: float) -> Tensor:
    """Factors that bring channels half the way to equal deviations, and the mean square of all to one.

    Args:
        deviation: of each channel.
        least: what smaller ones count as.

    """
    factor = deviation.clamp(min=least).rsqrt()
    return factor / (factor * deviation).square().mean().sqrt()
