"""Affine, alternating vector quantisation: a straighter straight-through estimator.

    e = a·c + b, where a and b (a channel) are averages of the features' deviation and mean;
    features = e_k + ν·(e_k − sg(e_k)) + straight through to x

Loss: ‖sg(x) − e_k‖² and β·‖x − sg(e_k)‖², by turns: one step moves the codes to the features, the next the features
to the codes, so that neither chases the other. With ν the codes follow the distortion's own gradient, too.
Assumes: features whose mean and spread drift, which is what sparse codes cannot follow.

Source: Huh et al. 2023, "Straightening Out the Straight-Through Estimator: Overcoming Optimization Challenges in
Vector Quantized Networks".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec.errors import InputError
from nicodec.quantize.base import Quantiser, Rows, straight_through, summed_over_workers
from nicodec.quantize.codebooks import k_means, nearest
from nicodec.quantize.table import TableQuantiser, TableSettings

LEAST_DEVIATION = 1e-4


@dataclass(frozen=True)
class AffineSettings(TableSettings):
    """Of `AffineQuantiser`.

    Attributes:
        commitment: β.
        synchronous: ν, how far codes follow the gradient of the features, from 0 to 1.
        decay: of the averages of the features' mean and deviation.

    """

    commitment: float = 0.25
    synchronous: float = 0.2
    decay: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 <= self.synchronous <= 1 and 0 <= self.decay < 1):
            raise InputError(f"synchronous {self.synchronous:g}, decay {self.decay:g}: give shares from 0 to 1")

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        return AffineQuantiser(channels, self)


class AffineQuantiser(TableQuantiser):
    """See the module's docstring."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int, settings: AffineSettings) -> None:
        super().__init__(channels, settings.codes)
        self.settings = settings
        self.codebook = nn.Parameter(torch.randn(settings.codes, channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))
        self._codes_turn = True
        self._seen: Tensor | None = None

    def codes(self) -> Tensor:
        """See `TableQuantiser.codes`."""
        return self.codebook * self.deviation + self.mean

    def quantise(self, rows: Tensor) -> Rows:
        """See `Quantiser.quantise`."""
        table = self.codes()
        chosen = nearest(rows, table)
        codes = table[chosen]
        to_features = F.mse_loss(codes, rows.detach())
        to_codes = self.settings.commitment * F.mse_loss(rows, codes.detach())
        if self.training:
            self._seen = rows.detach()
            loss = to_features if self._codes_turn else to_codes
        else:
            loss = to_features + to_codes
        features = straight_through(rows, codes) + self.settings.synchronous * (codes - codes.detach())
        return Rows(features, chosen[:, None], loss)

    @torch.no_grad()
    def start(self, features: Tensor) -> None:
        """K-means of features of mean 0 and deviation 1."""
        rows = features.float()
        self.mean.copy_(rows.mean(0))
        self.deviation.copy_(rows.std(0, correction=0).clamp(min=LEAST_DEVIATION))
        self.codebook.copy_((k_means(rows, self.sizes[0]) - self.mean) / self.deviation)

    @torch.no_grad()
    def after_step(self) -> None:
        """The averages, and the next turn."""
        if self._seen is None:
            return
        rows, self._seen = self._seen, None
        self._codes_turn = not self._codes_turn
        moments = torch.stack([torch.ones_like(rows), rows, rows.square()]).sum(1)
        count, total, squares = summed_over_workers(moments)
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=LEAST_DEVIATION**2).sqrt()
        self.mean.lerp_(mean, 1 - self.settings.decay)
        self.deviation.lerp_(deviation, 1 - self.settings.decay)
