"""McQuic's quantiser: a code drawn by Gumbel-softmax in training, the nearest code in use.

    logits = −‖x − c‖²/√K · max(τ, 1e-4), τ learned;   one-hot sample forward, its softmax backward;   one-hot · c

Loss: none; the codebook learns from the distortion alone.
Assumes: logits of a scale at which the draws are neither deterministic nor arbitrary; τ finds it. Codes that
nothing chooses are revived as in `codebooks.revived`, where McQuic copies used ones every ten epochs.

Source: Zhu et al. 2022, "Unified Multivariate Gaussian Mixture for Efficient Neural Image Compression". Groups of
channels are `product.py`'s, the cascade over resolutions is the codec's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nicodec.quantize.base import Quantiser, Rows, no_loss, summed_over_workers
from nicodec.quantize.codebooks import FIRST_USE, k_means, revived, squared_distances
from nicodec.quantize.table import TableQuantiser, TableSettings

LEAST_TEMPERATURE = 1e-4


@dataclass(frozen=True)
class GumbelSettings(TableSettings):
    """Of `GumbelQuantiser`.

    Attributes:
        temperature: of the softmax; published 1.
        revive: whether dead codes move.

    """

    temperature: float = 1.0
    revive: bool = True

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        return GumbelQuantiser(channels, self)


class GumbelQuantiser(TableQuantiser):
    """See the module's docstring."""

    use: Tensor

    def __init__(self, channels: int, settings: GumbelSettings) -> None:
        super().__init__(channels, settings.codes)
        self.settings = settings
        self.codebook = nn.Parameter(torch.randn(settings.codes, channels) * (2 / (5 * channels)) ** 0.5)
        self.sharpness = nn.Parameter(torch.ones(()))
        self.register_buffer("use", torch.full((settings.codes,), FIRST_USE / settings.codes), persistent=False)
        self._seen: tuple[Tensor, Tensor] | None = None

    def codes(self) -> Tensor:
        """See `TableQuantiser.codes`."""
        return self.codebook

    def quantise(self, rows: Tensor) -> Rows:
        """See `Quantiser.quantise`."""
        distances = squared_distances(rows, self.codebook) + rows.square().sum(1, keepdim=True)
        logits = -distances * (self.sharpness.clamp(min=LEAST_TEMPERATURE) / len(self.codebook) ** 0.5)
        if self.training:
            noise = -torch.empty_like(logits).exponential_().clamp_(min=1e-30).log()
            logits = (logits + noise) / self.settings.temperature
        shares = logits.softmax(1)
        chosen = logits.argmax(1)
        if self.training:
            self._seen = rows.detach(), chosen
        # one-hot · codebook: the codebook's gradient is the one-hot's, the features' is the softmax's
        soft = shares @ self.codebook.detach()
        return Rows(self.codebook[chosen] + (soft - soft.detach()), chosen[:, None], no_loss(rows))

    @torch.no_grad()
    def start(self, features: Tensor) -> None:
        """K-means; τ so that the nearest code is usually the one that is drawn."""
        self.codebook.copy_(k_means(features, self.sizes[0]))
        self.use.fill_(FIRST_USE / self.sizes[0])
        some = features[: 2**12].float()
        near = squared_distances(some, self.codebook) + some.square().sum(1, keepdim=True)
        two = near.topk(2, largest=False).values
        gap = (two[:, 1] - two[:, 0]).mean().clamp(min=1e-8)
        self.sharpness.copy_(4 * len(self.codebook) ** 0.5 / gap)

    @torch.no_grad()
    def after_step(self) -> None:
        """Dead codes."""
        if self._seen is None:
            return
        (rows, chosen), self._seen = self._seen, None
        if self.settings.revive:
            counts = summed_over_workers(torch.bincount(chosen, minlength=self.sizes[0]).float())
            moved, values = revived(self.use, counts, self.codebook, rows)
            self.codebook[moved] = values
