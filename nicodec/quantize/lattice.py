"""LL-VQ, a learnable lattice: each channel is rounded to multiples of a learned step.

    features = B·round(B⁻¹·x), B diagonal: C parameters in all, straight through

Loss: ‖sg(x) − features‖² + β·‖x − sg(features)‖² + size·mean(B²), squares averaged over channels; the last stops
B from growing. The published lattice is infinite; an index must end, so each channel has a number of levels, about
zero, and what lies beyond is taken to the last. Of an even number of levels, zero lies between two.
Assumes: centred features in as many channels as there are levels (`projected.py` brings others there).

Source: Khalil et al. 2023, "LL-VQ-VAE: Learnable Lattice Vector-Quantization For Efficient Representations". The
start is ours: the step of least squared error in each channel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec.errors import InputError
from nicodec.quantize.base import Quantiser, Rows, Settings, straight_through
from nicodec.quantize.radix import check_levels, digits_of, index_of

TRIED_STEPS = 64


@dataclass(frozen=True)
class LatticeSettings(Settings):
    """Of `LatticeQuantiser`.

    Attributes:
        levels: of each channel.
        commitment: β.
        size: weight of the steps' squares.

    """

    levels: tuple[int, ...] = (8, 5, 5, 5)
    commitment: float = 0.25
    size: float = 1e-3

    def __post_init__(self) -> None:
        check_levels(self.levels)

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        if channels != len(self.levels):
            raise InputError(f"{len(self.levels)} levels for {channels} channels: give one each, or project first")
        return LatticeQuantiser(channels, self)


class LatticeQuantiser(Quantiser):
    """See the module's docstring."""

    centre: Tensor

    def __init__(self, channels: int, settings: LatticeSettings) -> None:
        super().__init__(channels, (math.prod(settings.levels),))
        self.settings = settings
        levels = torch.tensor(settings.levels, dtype=torch.float32)
        self.register_buffer("centre", (levels - 1) / 2, persistent=False)
        self.log_step = nn.Parameter((4 / levels).log())

    def _digits(self, rows: Tensor, step: Tensor) -> Tensor:
        return torch.minimum((rows / step + self.centre).round().clamp(min=0), 2 * self.centre)

    def quantise(self, rows: Tensor) -> Rows:
        """See `Quantiser.quantise`."""
        step = self.log_step.exp()
        digits = self._digits(rows.detach(), step.detach())
        values = (digits - self.centre) * step
        loss = F.mse_loss(values, rows.detach()) + self.settings.commitment * F.mse_loss(rows, values.detach())
        loss = loss + self.settings.size * step.square().mean()
        return Rows(straight_through(rows, values), index_of(digits, self.settings.levels), loss)

    def search(self, rows: Tensor) -> Tensor:
        """See `Quantiser.search`."""
        return index_of(self._digits(rows, self.log_step.exp()), self.settings.levels)

    def lookup(self, indices: Tensor) -> Tensor:
        """See `Quantiser.lookup`."""
        return (digits_of(indices, self.settings.levels) - self.centre) * self.log_step.exp()

    @torch.no_grad()
    def start(self, features: Tensor) -> None:
        """The best of steps from a tenth to thrice what spans ±2 deviations, in each channel."""
        rows = features.float()
        usual = 2 * rows.std(0, correction=0).clamp(min=1e-6) / (self.centre + 0.5)
        least = torch.full_like(usual, math.inf)
        for factor in torch.logspace(-1, math.log10(3), TRIED_STEPS).tolist():
            step = factor * usual
            errors = ((self._digits(rows, step) - self.centre) * step - rows).square().mean(0)
            self.log_step.copy_(torch.where(errors < least, step.log(), self.log_step))
            least = torch.minimum(errors, least)

    @property
    def stored_bytes(self) -> int:
        """The steps."""
        return 4 * self.channels
