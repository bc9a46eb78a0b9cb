"""Symbols as activations of the integer networks."""

from __future__ import annotations

import torch
from torch import Tensor

from nicodec.exact.layers import ACTIVATION_MAX, FRACTION_BITS

SIGNED_MAX = 7
"""Hyper symbols are clamped to ±7 before the integer network sees them."""


def _log_magnitude(n: int) -> int:
    """About 32·log2(1 + n), linear between powers of two, in integers: 0, 32, 48, 64, … up to 255."""
    exponent = (n + 1).bit_length() - 1
    return min(ACTIVATION_MAX, ((exponent * 2**exponent + n + 1 - 2**exponent) * 32) >> exponent)


MAGNITUDES = [_log_magnitude(n) for n in range(256)]


def magnitude_features(symbols: Tensor, training: bool) -> Tensor:
    """Activations that tell how large symbols are, compressed: 2·log2(1 + |q|) in sixteenths, 0..255.

    In training the result is in real units (0..15.94) and has a gradient.
    """
    table = torch.tensor(MAGNITUDES, dtype=torch.float32, device=symbols.device)
    exact = table[symbols.detach().abs().round().clamp(max=255).to(torch.int64)]
    if not training:
        return exact
    exact = exact / 2**FRACTION_BITS
    smooth = 2 * torch.log2(1 + symbols.abs())
    return smooth + (exact - smooth).detach()


def signed_features(symbols: Tensor, training: bool) -> Tensor:
    """Activations −112..112 (±7 in sixteenths) of hyper symbols; in real units in training."""
    clamped = symbols.clamp(-SIGNED_MAX, SIGNED_MAX)
    return clamped if training else clamped * 2**FRACTION_BITS
