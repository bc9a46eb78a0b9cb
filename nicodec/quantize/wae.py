"""VQ-WAE: the nearest code, and a loss that draws the codes' whole distribution to that of the features.

    features = nearest e, straight through;  loss = λ·W(features of the batch, Σ π_k δ(e_k)) + λ_π·KL(π ‖ even)

W is the transport cost of ‖x − e‖² (a mean over channels) with a little entropy, by Sinkhorn's iteration; its
gradients are those at the plan (to features and codes) and the codes' potentials (to π, learned). It draws both
ways, so that there is no commitment beside it.
Assumes: batches that look like the whole; memory for N·K costs.

Source: Vuong et al. 2023, "Vector Quantized Wasserstein Auto-Encoder".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nicodec.quantize.base import Quantiser, Rows, straight_through
from nicodec.quantize.codebooks import k_means, squared_distances
from nicodec.quantize.table import TableQuantiser, TableSettings
from nicodec.quantize.transport import sinkhorn


@dataclass(frozen=True)
class WassersteinSettings(TableSettings):
    """Of `WassersteinQuantiser`.

    Attributes:
        weight: λ.
        evenness: λ_π.
        epsilon: of the entropy, in mean costs.
        rounds: of Sinkhorn's iteration.

    """

    weight: float = 1.0
    evenness: float = 1.0
    epsilon: float = 0.05
    rounds: int = 5

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        return WassersteinQuantiser(channels, self)


class WassersteinQuantiser(TableQuantiser):
    """See the module's docstring."""

    def __init__(self, channels: int, settings: WassersteinSettings) -> None:
        super().__init__(channels, settings.codes)
        self.settings = settings
        self.codebook = nn.Parameter(torch.randn(settings.codes, channels) * channels**-0.5)
        self.logits = nn.Parameter(torch.zeros(settings.codes))

    def codes(self) -> Tensor:
        """See `TableQuantiser.codes`."""
        return self.codebook

    def quantise(self, rows: Tensor) -> Rows:
        """See `Quantiser.quantise`."""
        costs = (squared_distances(rows, self.codebook) + rows.square().sum(1, keepdim=True)) / self.channels
        chosen = costs.detach().argmin(1)
        log_weights = self.logits.log_softmax(0)
        weights = log_weights.exp()
        detached = costs.detach()
        plan = sinkhorn(
            detached,
            weights.detach(),
            self.settings.epsilon * float(detached.mean().clamp(min=1e-8)),
            self.settings.rounds,
        )
        moved = (plan.shares * costs).sum(1).mean() + ((weights - weights.detach()) * plan.potentials).sum()
        uneven = (weights * log_weights).sum() + math.log(self.sizes[0])
        loss = self.settings.weight * moved + self.settings.evenness * uneven
        return Rows(straight_through(rows, self.codebook[chosen]), chosen[:, None], loss)

    @torch.no_grad()
    def start(self, features: Tensor) -> None:
        """K-means, even weights."""
        self.codebook.copy_(k_means(features, self.sizes[0]))
        self.logits.zero_()
