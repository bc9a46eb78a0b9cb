"""SimVQ: the codes are one linear layer of fixed random vectors, so that every step moves all of them.

    e = c·W + b, c (K, C) fixed, Gaussian of deviation C^−½;   features = nearest e, straight through

Loss: commitment·‖x − sg(e)‖² + pull·‖sg(x) − e‖², squares averaged over channels (published 1 and 0.25).
Assumes: features whose spread a linear image of a Gaussian covers; then all codes are used, at any K. c is a part
of the weights, since no generator of random numbers is portable.

Source: Zhu et al. 2024, "Addressing Representation Collapse in Vector Quantized Models with One Linear Layer". The
start is ours: W and b give the codes the mean and the covariance of features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec.quantize.base import Quantiser, Rows, straight_through
from nicodec.quantize.codebooks import nearest
from nicodec.quantize.table import TableQuantiser, TableSettings


@dataclass(frozen=True)
class SimSettings(TableSettings):
    """Of `SimQuantiser`.

    Attributes:
        commitment: weight of what draws features to codes.
        pull: weight of what draws codes to features.

    """

    commitment: float = 1.0
    pull: float = 0.25

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        return SimQuantiser(channels, self)


class SimQuantiser(TableQuantiser):
    """See the module's docstring."""

    fixed: Tensor

    def __init__(self, channels: int, settings: SimSettings) -> None:
        super().__init__(channels, settings.codes)
        self.settings = settings
        self.register_buffer("fixed", torch.randn(settings.codes, channels) * channels**-0.5)
        self.layer = nn.Linear(channels, channels)

    def codes(self) -> Tensor:
        """See `TableQuantiser.codes`."""
        codes: Tensor = self.layer(self.fixed)
        return codes

    def quantise(self, rows: Tensor) -> Rows:
        """See `Quantiser.quantise`."""
        table = self.codes()
        chosen = nearest(rows, table)
        codes = table[chosen]
        loss = self.settings.commitment * F.mse_loss(rows, codes.detach())
        loss = loss + self.settings.pull * F.mse_loss(codes, rows.detach())
        return Rows(straight_through(rows, codes), chosen[:, None], loss)

    @torch.no_grad()
    def start(self, features: Tensor) -> None:
        """Codes get the mean and the covariance of features."""
        rows = features.double()
        mean = rows.mean(0)
        cov = torch.cov((rows - mean).t(), correction=0).reshape(self.channels, self.channels)
        values, vectors = torch.linalg.eigh(cov)
        root = vectors * (self.channels * values.clamp(min=0)).sqrt()
        self.layer.weight.copy_(root)
        self.layer.bias.copy_(mean)
