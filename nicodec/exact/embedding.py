"""Indices as activations of the integer networks: a learned table of integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nicodec.exact.layers import ACTIVATION_MAX, FRACTION_BITS
from nicodec.exact.module import ExactModule


class _ToSixteenths(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        top = ACTIVATION_MAX / 2**FRACTION_BITS
        return x.clamp(-top, top).mul(2**FRACTION_BITS).round_().div_(2**FRACTION_BITS)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class ExactEmbedding(ExactModule):
    """A row of activations −255..255 (in 1/16) for every index."""

    table_int: Tensor

    if TYPE_CHECKING:

        def __call__(self, *args: Any) -> Tensor:
            """What `forward` returns."""

    def __init__(self, count: int, channels: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(count, channels))
        self.register_buffer("table_int", torch.zeros(count, channels, dtype=torch.int16))

    @torch.no_grad()
    def to_integers(self) -> None:
        """See `ExactModule.to_integers`."""
        rounded = torch.round(self.table.double() * 2**FRACTION_BITS)
        self.table_int.copy_(rounded.clamp(-ACTIVATION_MAX, ACTIVATION_MAX).to(torch.int16))

    @torch.no_grad()
    def from_integers(self) -> None:
        """See `ExactModule.from_integers`."""
        self.table.copy_(self.table_int.double() / 2**FRACTION_BITS)

    def forward(self, indices: Tensor) -> Tensor:
        """(B, channels, H, W) of indices (B, H, W), int64: multiples of 1/16 in training, integers in evaluation."""
        if self.training:
            table: Tensor = _ToSixteenths.apply(self.table)
            return table[indices].movedim(-1, 1)
        return self.table_int[indices].to(torch.float32).movedim(-1, 1)
