"""Any quantiser, between two linear layers: features of C channels are quantised in fewer, or rotated, dimensions.

    x (N, C) ─ linear ─ (N, d) ─ quantiser of d channels ─ linear ─ features (N, C)

Loss: the inner quantiser's. This is how quantisers of scalars (FSQ, LFQ, BSQ, lattices), whose dimensions follow
from their bits, meet features of any width, and the factorised codes of ViT-VQGAN.
It starts from the principal components of features, of unit variance with `whiten`; the second layer is
fitted to them by least squares, whatever scale the codes have.

Source: Yu et al. 2022, "Vector-quantized Image Modeling with Improved VQGAN" (factorised codes).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nicodec.errors import InputError
from nicodec.quantize.base import Quantiser, Rows, Settings
from nicodec.quantize.vector import VectorSettings

FITTED_ROWS = 2**14
"""The second layer is fitted to so many rows at most."""


@dataclass(frozen=True)
class ProjectedSettings(Settings):
    """Of `ProjectedQuantiser`.

    Attributes:
        inner: settings of the quantiser within.
        dimensions: d, at least 1.
        whiten: whether principal components start with unit variance.

    """

    inner: Settings = field(default_factory=VectorSettings)
    dimensions: int = 8
    whiten: bool = True

    def __post_init__(self) -> None:
        if self.dimensions < 1:
            raise InputError(f"{self.dimensions} dimensions: give at least 1")

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        return ProjectedQuantiser(channels, self)


class ProjectedQuantiser(Quantiser):
    """See the module's docstring."""

    def __init__(self, channels: int, settings: ProjectedSettings) -> None:
        inner = settings.inner.build(settings.dimensions)
        super().__init__(channels, inner.sizes)
        self.settings = settings
        self.inner = inner
        self.into = nn.Linear(channels, settings.dimensions)
        self.out = nn.Linear(settings.dimensions, channels)
        self.prefixes = inner.prefixes

    def quantise(self, rows: Tensor) -> Rows:
        """See `Quantiser.quantise`."""
        found = self.inner.quantise(self.into(rows))
        return Rows(self.out(found.features), found.indices, found.loss)

    def search(self, rows: Tensor) -> Tensor:
        """See `Quantiser.search`; nearest in the inner dimensions."""
        return self.inner.search(self.into(rows))

    def candidates(self, rows: Tensor, count: int) -> Tensor:
        """See `Quantiser.candidates`."""
        return self.inner.candidates(self.into(rows), count)

    def lookup(self, indices: Tensor) -> Tensor:
        """See `Quantiser.lookup`."""
        features: Tensor = self.out(self.inner.lookup(indices))
        return features

    @torch.no_grad()
    def start(self, features: Tensor) -> None:
        """Principal components; more dimensions than channels begin at random."""
        rows = features.float()
        mean = rows.mean(0)
        values, vectors = torch.linalg.eigh(
            torch.cov((rows - mean).double().t(), correction=0).reshape(self.channels, self.channels)
        )
        kept = min(self.channels, self.settings.dimensions)
        basis = vectors.flip(1)[:, :kept].float().t()  # (kept, C), the most energy first
        if self.settings.whiten:
            basis = basis / values.flip(0)[:kept, None].float().clamp(min=1e-8).sqrt()
        self.into.weight[:kept] = basis
        self.into.bias.zero_()
        self.into.bias[:kept] = -basis @ mean
        self.inner.start(self.into(rows))
        some = rows[torch.randperm(len(rows), device=rows.device)[:FITTED_ROWS]]
        codes = self.inner.lookup(self.inner.search(self.into(some)))
        design = torch.cat([codes, codes.new_ones(len(codes), 1)], 1).double()
        ridge = 1e-6 * len(some) * torch.eye(design.shape[1], dtype=torch.float64, device=rows.device)
        fitted = torch.linalg.solve(design.t() @ design + ridge, design.t() @ some.double()).float()
        self.out.weight.copy_(fitted[:-1].t())
        self.out.bias.copy_(fitted[-1])

    def after_step(self) -> None:
        """The inner quantiser's own."""
        self.inner.after_step()

    @property
    def stored_bytes(self) -> int:
        """The inner tables and the second layer."""
        return self.inner.stored_bytes + 4 * self.channels * (self.settings.dimensions + 1)
