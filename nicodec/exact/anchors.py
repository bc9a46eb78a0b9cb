"""Where a quality lies among the anchors at which parameters are learned.

Quality is an integer number of half steps, 0..200, everywhere inside the library (0..100 for users).
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

QUALITY_STEPS = 200
"""Largest quality in half steps: what users call quality 100."""

ANCHOR_SPACING = 20
"""Half steps between two anchors."""

ANCHORS = QUALITY_STEPS // ANCHOR_SPACING + 1


def anchor_weights(quality: Tensor) -> tuple[Tensor, Tensor]:
    """Position of a quality among the anchors.

    Args:
        quality: int64 (B,), half steps 0..200.

    Returns:
        The index of the anchor below, 0..ANCHORS-2, and the half steps past it, 0..ANCHOR_SPACING.

    """
    below = torch.clamp(torch.div(quality, ANCHOR_SPACING, rounding_mode="floor"), max=ANCHORS - 2)
    return below, quality - below * ANCHOR_SPACING


def between_anchors(anchors: Tensor, quality: Tensor) -> Tensor:
    """Values of anchors (ANCHORS, C), linear between them, at quality (B,) in half steps: (B, C, 1, 1) float32."""
    return (_shares(quality.device)[quality][:, :, None] * anchors).sum(1)[:, :, None, None]


@cache
def _shares(device: torch.device) -> Tensor:
    """What each anchor counts at each quality, (QUALITY_STEPS + 1, ANCHORS)."""
    with torch.inference_mode(mode=False):  # for training, too, whoever asks first
        distance = (torch.arange(QUALITY_STEPS + 1)[:, None] - torch.arange(ANCHORS) * ANCHOR_SPACING).abs()
        return (1 - distance.to(torch.float32) / ANCHOR_SPACING).clamp(min=0).to(device)
