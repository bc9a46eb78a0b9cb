"""IBQ, index backpropagation: the one-hot choice has the softmax's gradient, so that every code learns at each step.

    logits = x·eᵀ;  features = (one-hot of the largest, softmax backward)·e

Loss: ‖features − x‖² + ‖sg(e_k) − x‖² + β·‖e_k − sg(x)‖² + 0.05·(H(choice of a row) − H(mean choice)), squares
averaged over channels, entropies in nats of softmax(logits/0.01).
Assumes: codes of about equal length, or the inner product prefers the long ones; memory for N·K shares.

Source: Shi et al. 2024, "Scalable Image Tokenization with Index Backpropagation Quantization". The start is ours:
k-means of the features' directions, at the features' mean length.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec.quantize.base import Quantiser, Rows, parts_of
from nicodec.quantize.codebooks import DISTANCES, k_means
from nicodec.quantize.table import TableQuantiser, TableSettings

TEMPERATURE = 0.01
"""Of the entropies."""


@dataclass(frozen=True)
class IndexSettings(TableSettings):
    """Of `IndexQuantiser`.

    Attributes:
        commitment: β.
        entropy: weight of the entropies.

    """

    commitment: float = 0.25
    entropy: float = 0.05

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        return IndexQuantiser(channels, self)


class IndexQuantiser(TableQuantiser):
    """See the module's docstring."""

    def __init__(self, channels: int, settings: IndexSettings) -> None:
        super().__init__(channels, settings.codes)
        self.settings = settings
        self.codebook = nn.Parameter(torch.randn(settings.codes, channels) * channels**-0.5)

    def codes(self) -> Tensor:
        """See `TableQuantiser.codes`."""
        return self.codebook

    def quantise(self, rows: Tensor) -> Rows:
        """See `Quantiser.quantise`."""
        logits = rows @ self.codebook.t()
        chosen = logits.argmax(1)
        codes = self.codebook[chosen]
        soft = logits.softmax(1) @ self.codebook.detach()
        features = codes + (soft - soft.detach())  # the codebook's gradient is the one-hot's
        loss = F.mse_loss(features, rows) + F.mse_loss(rows, codes.detach())
        loss = loss + self.settings.commitment * F.mse_loss(codes, rows.detach())
        if self.training and self.settings.entropy:
            log_shares = (logits / TEMPERATURE).log_softmax(1)
            shares = log_shares.exp()
            mean = shares.mean(0)
            spread = -(shares * log_shares).sum(1).mean() + (mean * mean.clamp(min=1e-12).log()).sum()
            loss = loss + self.settings.entropy * spread
        return Rows(features, chosen[:, None], loss)

    @torch.no_grad()
    def search(self, rows: Tensor) -> Tensor:
        """The largest inner product, as in training."""
        return self.candidates(rows, 1)[:, 0]

    @torch.no_grad()
    def candidates(self, rows: Tensor, count: int) -> Tensor:
        """The largest inner products."""
        at_once, count = max(1, DISTANCES // self.sizes[0]), min(count, self.sizes[0])
        found = [(part @ self.codebook.t()).topk(count).indices for part in parts_of(rows, at_once)]
        return torch.cat(found)[..., None]

    @torch.no_grad()
    def start(self, features: Tensor) -> None:
        """K-means of directions."""
        rows = features.float()
        length = torch.linalg.vector_norm(rows, dim=1).mean()
        directions = F.normalize(k_means(F.normalize(rows, dim=1), self.sizes[0]), dim=1)
        self.codebook.copy_(length * directions)
