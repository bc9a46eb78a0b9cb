"""Symbols as activations of the integer networks."""

from __future__ import annotations

import torch
from torch import Tensor

from nicodec.exact.layers import ACTIVATION_MAX, FRACTION_BITS

SIGNED_MAX = 7
"""Hyper symbols are clamped to ±7 before the integer network sees them."""


def magnitude_features(symbols: Tensor, training: bool) -> Tensor:
    """Activations that tell how large symbols are, compressed: 2·log2(1 + |q|) in sixteenths, 0..255.

    About 32·log2(1 + n), linear between powers of two: the exponent of the float32 1 + n, and five bits of its
    mantissa. In training the result is in real units (0..15.94) and has a gradient.
    """
    bits = symbols.detach().abs().round().float().add_(1).view(torch.int32)
    exact = (bits >> 18).sub_(127 * 32).clamp_(max=ACTIVATION_MAX).float()
    if not training:
        return exact
    exact = exact / 2**FRACTION_BITS
    smooth = 2 * torch.log2(1 + symbols.abs())
    return smooth + (exact - smooth).detach()


def signed_features(symbols: Tensor, training: bool) -> Tensor:
    """Activations −112..112 (±7 in sixteenths) of hyper symbols; in real units in training."""
    clamped = symbols.clamp(-SIGNED_MAX, SIGNED_MAX)
    return clamped if training else clamped * 2**FRACTION_BITS
