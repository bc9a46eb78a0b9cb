"""Transforms of large pictures in horizontal bands, so that memory stays bounded.

A band takes along the rows that its result depends on (the receptive field), and what it computes for them is
dropped: the result is that of the whole picture at once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BAND_PIXELS = 3 * 2**20
"""A picture of more pixels is cut into bands of about so many."""

UNIT = 16
"""Bands are whole rows of latents, 16 pixels high."""


def in_bands(transform: Callable[[Tensor], Tensor], x: Tensor, *, unit: int, halo: int) -> Tensor:
    """Apply a transform that maps rows of pixels to rows of latents, or back.

    Args:
        transform: maps (B, C, H, W) to (B, C', H', W'), where H and H' are H_l or 16·H_l for H_l latent rows.
        x: its input.
        unit: rows of x that make one row of latents: 16 for pixels, 1 for latents.
        halo: latent rows on either side that a result depends on.
    """
    width = x.shape[3] * UNIT // unit
    units = x.shape[2] // unit
    band = max(4, BAND_PIXELS // (UNIT * width))
    if units <= band:
        return transform(x)
    result = x.new_empty(0)
    for start in range(0, units, band):
        stop = min(start + band, units)
        low, high = max(0, start - halo), min(units, stop + halo)
        part = transform(x[:, :, low * unit : high * unit])
        rows = part.shape[2] // (high - low)
        part = part[:, :, (start - low) * rows : (stop - low) * rows]
        if start == 0:
            result = torch.empty((*part.shape[:2], units * rows, part.shape[3]), dtype=part.dtype, device=part.device)
        result[:, :, start * rows : stop * rows] = part
    return result
