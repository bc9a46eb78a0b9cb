"""Principal components of blocks of pictures: what transforms start as."""

from __future__ import annotations

import torch
from torch import Tensor

DEVIATION_MIN = 0.15
"""Components are normalised by no less than this, or coarse quantisation would blow up the faint ones."""


def principal_components(samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Basis (n, n) by falling energy, mean (n,) and deviations (n,) of samples (N, n)."""
    _, vectors = torch.linalg.eigh(torch.cov(samples.double().T))
    basis, mean = vectors.flip(1).float(), samples.mean(0)
    return basis, mean, ((samples - mean) @ basis).std(0)


def levelling(deviation: Tensor) -> Tensor:
    """Factors that bring channels half the way to equal deviations, and the mean square of all to one."""
    factor = deviation.clamp(min=DEVIATION_MIN).rsqrt()
    return factor / (factor * deviation).square().mean().sqrt()
