"""Finite scalar quantisation: each dimension is bounded and rounded to its levels; there is no codebook.

    z = tanh(x + shift)·(L − 1)(1 + 1e-3)/2 − offset;  features = round(z)/⌊L/2⌋, straight through
    offset ½ for even L, else 0; shift so that x = 0 gives z = 0

Loss: none.
Assumes: features of about unit size in as many channels as there are levels (`projected.py` brings others there).

Source: Mentzer et al. 2023, "Finite Scalar Quantization: VQ-VAE Made Simple".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nicodec.errors import InputError
from nicodec.quantize.base import Quantiser, Rows, Settings, no_loss
from nicodec.quantize.radix import check_levels, digits_of, index_of

SLACK = 1e-3


@dataclass(frozen=True)
class FiniteSettings(Settings):
    """Of `FiniteQuantiser`.

    Attributes:
        levels: L of each channel.

    """

    levels: tuple[int, ...] = (8, 5, 5, 5)

    def __post_init__(self) -> None:
        check_levels(self.levels)

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        if channels != len(self.levels):
            raise InputError(f"{len(self.levels)} levels for {channels} channels: give one each, or project first")
        return FiniteQuantiser(channels, self)


class FiniteQuantiser(Quantiser):
    """See the module's docstring."""

    reach: Tensor
    offset: Tensor
    middle: Tensor

    def __init__(self, channels: int, settings: FiniteSettings) -> None:
        super().__init__(channels, (math.prod(settings.levels),))
        self.settings = settings
        levels = torch.tensor(settings.levels, dtype=torch.float32)
        self.register_buffer("middle", levels.div(2).floor(), persistent=False)
        self.register_buffer("reach", (levels - 1) * (1 + SLACK) / 2, persistent=False)
        self.register_buffer("offset", torch.where(levels % 2 == 0, 0.5, 0.0), persistent=False)

    def _bounded(self, rows: Tensor) -> Tensor:
        shift = torch.atanh(self.offset / self.reach)
        return torch.tanh(rows + shift) * self.reach - self.offset

    def quantise(self, rows: Tensor) -> Rows:
        """See `Quantiser.quantise`."""
        bounded = self._bounded(rows)
        rounded = bounded.detach().round()
        features = rounded / self.middle
        slope = bounded / self.middle
        return Rows(
            features + (slope - slope.detach()), index_of(rounded + self.middle, self.settings.levels), no_loss(rows)
        )

    def search(self, rows: Tensor) -> Tensor:
        """See `Quantiser.search`."""
        return index_of(self._bounded(rows).round() + self.middle, self.settings.levels)

    def lookup(self, indices: Tensor) -> Tensor:
        """See `Quantiser.lookup`."""
        return (digits_of(indices, self.settings.levels) - self.middle) / self.middle

    @property
    def stored_bytes(self) -> int:
        """Nothing."""
        return 0
