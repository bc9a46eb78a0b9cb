"""OptVQ: in training features go to codes by optimal transport, which gives every code its share; in use, nearest.

    e = c·W + b;  plan = Sinkhorn of standardised ‖x − e‖², 10 times sharpened, 5 rounds;  code: the plan's largest

Loss: ‖x − sg(e)‖²·β + ‖sg(x) − e‖² for the code that the plan chose, squares averaged over channels; with
`cross_entropy`, as the published code has it, −log softmax(−‖x − e‖²) of that code.
Assumes: batches in which every code has something to do: a batch of fewer rows than codes spreads over as many
codes as it has rows. Memory for N·K costs.

Source: Zhang et al. 2024, "Preventing Local Pitfalls in Vector Quantization via Optimal Transport".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec.quantize.base import Quantiser, Rows, straight_through
from nicodec.quantize.codebooks import k_means, nearest, squared_distances
from nicodec.quantize.table import TableQuantiser, TableSettings
from nicodec.quantize.transport import sinkhorn

SHARPENED, ROUNDS = 10.0, 5


@dataclass(frozen=True)
class TransportSettings(TableSettings):
    """Of `TransportQuantiser`.

    Attributes:
        commitment: β.
        cross_entropy: whether the loss is that of a classification.

    """

    commitment: float = 1.0
    cross_entropy: bool = False

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        return TransportQuantiser(channels, self)


class TransportQuantiser(TableQuantiser):
    """See the module's docstring."""

    def __init__(self, channels: int, settings: TransportSettings) -> None:
        super().__init__(channels, settings.codes)
        self.settings = settings
        self.codebook = nn.Parameter(torch.randn(settings.codes, channels) * channels**-0.5)
        self.layer = nn.Linear(channels, channels)
        nn.init.eye_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def codes(self) -> Tensor:
        """See `TableQuantiser.codes`."""
        codes: Tensor = self.layer(self.codebook)
        return codes

    def quantise(self, rows: Tensor) -> Rows:
        """See `Quantiser.quantise`."""
        table = self.codes()
        if self.settings.cross_entropy:
            distances = squared_distances(rows, table) + rows.square().sum(1, keepdim=True)
            chosen = self._assign(rows, distances.detach())
            loss = F.cross_entropy(-distances, chosen)
            return Rows(straight_through(rows, table[chosen]), chosen[:, None], loss)
        with torch.no_grad():
            chosen = self._assign(rows, squared_distances(rows, table)) if self.training else nearest(rows, table)
        codes = table[chosen]
        loss = self.settings.commitment * F.mse_loss(rows, codes.detach()) + F.mse_loss(codes, rows.detach())
        return Rows(straight_through(rows, codes), chosen[:, None], loss)

    def _assign(self, rows: Tensor, distances: Tensor) -> Tensor:
        if not self.training:
            return distances.argmin(1)
        costs = distances + rows.detach().square().sum(1, keepdim=True)
        costs = (costs - costs.mean()) / costs.std().clamp(min=1e-8)
        even = costs.new_full((self.sizes[0],), 1 / self.sizes[0])
        return sinkhorn(costs, even, 1 / SHARPENED, ROUNDS).shares.argmax(1)

    @torch.no_grad()
    def start(self, features: Tensor) -> None:
        """K-means."""
        nn.init.eye_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)
        self.codebook.copy_(k_means(features, self.sizes[0]))
