"""Parameters that depend on the quality: learned at a few anchors, interpolated between them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nicodec.exact.anchors import ANCHORS, between_anchors
from nicodec.layers.module import Layer


class QualityTable(Layer):
    """A vector of `channels` numbers for every quality, linear between learned anchors (float path only)."""

    def __init__(self, channels: int, initial: Tensor | float = 0.0) -> None:
        """`initial`: a number, or (channels,), or (ANCHORS, channels)."""
        super().__init__()
        start = torch.as_tensor(initial, dtype=torch.float32)
        self.anchors = nn.Parameter(start.expand(ANCHORS, channels).clone())

    def forward(self, quality: Tensor) -> Tensor:
        """Return (B, channels, 1, 1) float32 for quality (B,) in half steps."""
        return between_anchors(self.anchors, quality)
