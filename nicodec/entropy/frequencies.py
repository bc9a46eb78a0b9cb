"""How often the entries of a codebook are used, at each quality: the prior of indices that knows no neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

from nicodec.exact.anchors import ANCHOR_SPACING, ANCHORS
from nicodec.exact.module import ExactModule
from nicodec.quantize.base import summed_over_workers

AVERAGED = 20_000
"""Averages are over about so many choices."""

COST_MAX = 255
"""Costs count in 1/16 of e: 255 is 23 bits."""


class IndexFrequencies(ExactModule):
    """Shares of K indices at each anchor of the quality; a quality between anchors takes the nearest one's."""

    shares: Tensor
    costs: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("shares", torch.full((ANCHORS, count), 1 / count), persistent=False)
        self.register_buffer("costs", torch.zeros(ANCHORS, count, dtype=torch.uint8))

    @torch.no_grad()
    def to_integers(self) -> None:
        """See `ExactModule.to_integers`."""
        floor = 0.02 / self.shares.shape[1]
        costs = -16 * torch.log(self.shares.double() * 0.98 + floor)
        self.costs.copy_((costs - costs.amin(1, keepdim=True)).round().clamp(0, COST_MAX).to(torch.uint8))

    @torch.no_grad()
    def from_integers(self) -> None:
        """See `ExactModule.from_integers`."""
        self.shares.copy_(torch.softmax(-self.costs.float() / 16, 1))

    @torch.no_grad()
    def note(self, counts: Tensor) -> None:
        """Take a step's choices to the averages: how often each index was chosen near each anchor, (ANCHORS, K)."""
        counts = summed_over_workers(counts)
        totals = counts.sum(1, keepdim=True)
        follow = (totals / (totals + AVERAGED)).clamp(min=0)
        self.shares.lerp_(counts / totals.clamp(min=1), follow)

    def bits(self, quality: int) -> Tensor:
        """What each index costs, (K,), float32."""
        row = self.shares[nearest_anchor(quality)]
        return -torch.log2(row * 0.98 + 0.02 / len(row)).float()

    def logarithms(self, quality: int) -> Tensor:
        """Of the indices' probabilities, (K,) int32, in 1/16."""
        return -self.costs[nearest_anchor(quality)].to(torch.int32)


def nearest_anchor(quality: int) -> int:
    """Number of the anchor nearest to a quality in half steps."""
    return min(ANCHORS - 1, (quality + ANCHOR_SPACING // 2) // ANCHOR_SPACING)
