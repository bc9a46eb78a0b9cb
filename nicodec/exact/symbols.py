"""Symbols as activations of the integer networks."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from nicodec.exact.layers import ACTIVATION_MAX, FRACTION_BITS

SIGNED_MAX = 7
"""Hyper symbols are clamped to ±7 before the integer network sees them."""


def _magnitudes(symbols: Tensor) -> Tensor:
    bits = symbols.abs().round_().float().add_(1).view(torch.int32)
    return (bits >> 18).sub_(127 * 32).clamp_(max=ACTIVATION_MAX).float()


class _Magnitudes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, symbols: Tensor) -> Tensor:
        ctx.save_for_backward(symbols)
        return _magnitudes(symbols).div_(2**FRACTION_BITS)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        symbols: Tensor = ctx.saved_tensors[0]
        return (gradient * symbols.sign()).div_(symbols.abs().add_(1)).mul_(2 / math.log(2))


def magnitude_features(symbols: Tensor, training: bool) -> Tensor:
    """Activations that tell how large symbols are, compressed: 2·log2(1 + |q|) in sixteenths, 0..255.

    About 32·log2(1 + n), linear between powers of two: the exponent of the float32 1 + n, and five bits of its
    mantissa. In training the result is in real units (0..15.94) and has the gradient of 2·log2(1 + |q|).
    """
    features: Tensor = _Magnitudes.apply(symbols) if training else _magnitudes(symbols)
    return features


def signed_features(symbols: Tensor, training: bool) -> Tensor:
    """Activations −112..112 (±7 in sixteenths) of hyper symbols; in real units in training."""
    clamped = symbols.clamp(-SIGNED_MAX, SIGNED_MAX)
    return clamped if training else clamped * 2**FRACTION_BITS
