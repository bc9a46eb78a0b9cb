"""Gaussian Quant: a Gaussian variational autoencoder, whose codes are fixed draws of its prior.

    x ─ linear ─ μ, log σ² (d each)      training: z = μ + σ·noise
                                         use: the code of largest log N(c; μ, σ) − β·log N(c; 0, 1)
    z or c ─ linear ─ features

Loss: a weight times KL(N(μ, σ) ‖ N(0, 1)) in bits, which is held at log2 K ± ½: rows above and below that are
weighted up and down, and the weights go up or down by 1 % at each step. No code is learned: from the autoencoder to
the quantiser nothing is trained again.
Assumes: d and K such that log2 K bits describe a row well; the number of codes within reach of μ grows as
2^(log2 K − KL). Codes are Sobol's scrambled points through the normal quantile function and a part of the weights,
since neither is portable.

Source: Xu et al. 2025, "Vector Quantization using Gaussian Variational Autoencoder". The two layers and their start
from principal components are ours, so that any features can be quantised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nicodec.errors import InputError
from nicodec.quantize.base import Quantiser, Rows, parts_of
from nicodec.quantize.codebooks import DISTANCES
from nicodec.quantize.table import TableSettings

TOLERANCE, FACTOR = 0.5, 1.01
"""Bits that a row may be off, and the change of the weights at a step."""

LOG_VARIANCES = (-30.0, 20.0)

SEED = 42


@dataclass(frozen=True)
class GaussianSettings(TableSettings):
    """Of `GaussianQuantiser`.

    Attributes:
        dimensions: d; published 4, 8 or 16 at 16 bits.
        tilt: β.
        weight: of the KL at the start.

    """

    dimensions: int = 4
    tilt: float = 1.0
    weight: float = 1e-3

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        if not 1 <= self.dimensions <= channels:
            raise InputError(f"{self.dimensions} dimensions of {channels} channels: give from 1 to the channels")
        return GaussianQuantiser(channels, self)


class GaussianQuantiser(Quantiser):
    """See the module's docstring."""

    table: Tensor

    def __init__(self, channels: int, settings: GaussianSettings) -> None:
        super().__init__(channels, (settings.codes,))
        self.settings = settings
        d = settings.dimensions
        self.into = nn.Linear(channels, 2 * d)
        self.out = nn.Linear(d, channels)
        self.register_buffer("table", normal_points(settings.codes, d))
        self.weight, self.above, self.below = settings.weight, 1.0, 1.0
        self._seen: Tensor | None = None

    def _moments(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.into(rows).chunk(2, 1)
        return mean, log_variance.clamp(*LOG_VARIANCES)

    def quantise(self, rows: Tensor) -> Rows:
        """See `Quantiser.quantise`: a draw in training, a code else."""
        mean, log_variance = self._moments(rows)
        kl = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / (2 * math.log(2))
        target = self.bits
        too_few = torch.where(kl < target - TOLERANCE, self.below, 1.0)
        row_weight = torch.where(kl > target + TOLERANCE, self.above, too_few)
        loss = self.weight * (row_weight * kl).mean()
        chosen = self.search(rows.detach())
        if self.training:
            self._seen = kl.detach()
            z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        else:
            z = self.table[chosen[:, 0]] + (mean - mean.detach())
        return Rows(self.out(z), chosen, loss)

    @torch.no_grad()
    def search(self, rows: Tensor) -> Tensor:
        """See `Quantiser.search`."""
        return self.candidates(rows, 1)[:, 0]

    @torch.no_grad()
    def candidates(self, rows: Tensor, count: int) -> Tensor:
        """The likeliest codes."""
        count = min(count, self.sizes[0])
        found = []
        for part in parts_of(rows, max(1, DISTANCES // self.sizes[0])):
            mean, log_variance = self._moments(part)
            sharp = (-log_variance).exp()
            # twice the logarithm, but for what is the same for all codes
            scores = (2 * mean * sharp) @ self.table.t() + (self.settings.tilt - sharp) @ self.table.square().t()
            found.append(scores.topk(count).indices)
        return torch.cat(found)[..., None]

    def lookup(self, indices: Tensor) -> Tensor:
        """See `Quantiser.lookup`."""
        features: Tensor = self.out(self.table[indices[:, 0]])
        return features

    @torch.no_grad()
    def start(self, features: Tensor) -> None:
        """Principal components, with variances at which the KL is log2 K bits, by reverse water-filling."""
        rows, d = features.double(), self.settings.dimensions
        mean = rows.mean(0)
        cov = torch.cov((rows - mean).t(), correction=0).reshape(self.channels, self.channels)
        values, vectors = torch.linalg.eigh(cov)
        energy, basis = values.flip(0)[:d].clamp(min=1e-8), vectors.flip(1)[:, :d]
        noise = torch.minimum(water_level(energy, self.bits), energy * 0.99)
        share = noise / energy  # σ² of each dimension
        self.into.weight.zero_()
        self.into.weight[:d] = ((1 - share) / energy.sqrt() / (1 - share).sqrt())[:, None] * basis.t()
        self.into.bias[:d] = -self.into.weight[:d] @ mean.float()
        self.into.bias[d:] = share.log()
        self.out.weight.copy_(basis * (energy * (1 - share)).sqrt())
        self.out.bias.copy_(mean)

    def after_step(self) -> None:
        """The weights that hold the KL."""
        if self._seen is None:
            return
        kl, self._seen = self._seen, None
        target = self.bits
        self.weight *= FACTOR if float(kl.mean()) > target else 1 / FACTOR
        self.above = _held(self.above * (FACTOR if float(kl.max()) > target + TOLERANCE else 1 / FACTOR), 1, 1e3)
        self.below = _held(self.below * (1 / FACTOR if float(kl.min()) < target - TOLERANCE else FACTOR), 1e-3, 1)

    @property
    def stored_bytes(self) -> int:
        """The codes and the second layer."""
        d = self.settings.dimensions
        return 4 * (self.sizes[0] * d + self.channels * (d + 1))


def normal_points(count: int, dimensions: int) -> Tensor:
    """Points (count, dimensions) of low discrepancy, distributed as N(0, 1)."""
    engine = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=SEED)  # type: ignore[no-untyped-call]
    uniform = engine.draw(count, dtype=torch.float64)
    return (math.sqrt(2) * torch.erfinv((2 * uniform - 1).clamp(-1 + 1e-9, 1 - 1e-9))).float()


def water_level(energy: Tensor, bits: float) -> Tensor:
    """The distortion of each component of a Gaussian source at so many bits in all, by reverse water-filling.

    Args:
        energy: (d,), variances, positive.
        bits: at least 0.

    Returns:
        (d,), at most the variances.

    """
    sorted_energy = energy.sort(descending=True).values
    for kept in range(len(energy), 0, -1):
        log_level = (sorted_energy[:kept].log().sum() - 2 * bits * math.log(2)) / kept
        if log_level.exp() <= sorted_energy[kept - 1]:
            break
    return torch.minimum(energy, log_level.exp())


def _held(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
