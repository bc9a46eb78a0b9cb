"""Sets what goes into residual branches and what they add at most, from what training crops show."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nicodec.codecs.base import Codec
from nicodec.exact.anchors import QUALITY_STEPS
from nicodec.layers.blocks import ResidualBlock
from nicodec.training.budget import Budget
from nicodec.training.data import Pictures

SHARE = 1e-4
"""Of a channel's values, those that are larger than what its bound is taken from."""

CROPS_LEAST, CROPS = 24, 400

INPUT_MARGIN, OUTPUT_MARGIN = 2.0, 4.0
"""Bounds over the size that only `SHARE` of the values exceed."""


def are_bounded(codec: Codec) -> bool:
    """Whether all residual blocks have bounds."""
    blocks = [module for module in codec.modules() if isinstance(module, ResidualBlock)]
    return all(bool(torch.isfinite(block.input_bound).all()) for block in blocks)


@torch.no_grad()
def set_bounds(
    codec: Codec, code: Callable[[Tensor, Tensor], object], pictures: Pictures, budget: Budget, crop: int
) -> None:
    """Set `input_bound` and `output_bound` of every residual block of `codec`.

    Args:
        codec: trained, in evaluation mode; it is watched with the bounds that it has: one that was trained with some
            may grow without end when they are lifted.
        code: runs its blocks on pictures (B, 3, H, W) at qualities (B,).
        pictures: that the branches are to serve as they are.
        budget: what it may take, though `CROPS_LEAST` crops are seen; each is coded at a random quality.
        crop: their side in pixels.

    """
    blocks = [module for module in codec.modules() if isinstance(module, ResidualBlock)]
    inputs, outputs = ({block: _Largest() for block in blocks} for _ in range(2))

    def watch(block: ResidualBlock, args: tuple[Tensor, Tensor], result: Tensor) -> None:
        inputs[block].see(block.branch_input(*args))
        outputs[block].see(result - args[0])

    handles = [block.register_forward_hook(watch) for block in blocks]
    device = next(codec.parameters()).device
    for number in range(CROPS):
        if number >= CROPS_LEAST and budget.share() >= 1:
            break
        budget.steps += 1
        code(pictures.batch(1, crop), torch.randint(QUALITY_STEPS + 1, (1,), device=device))
    for handle in handles:
        handle.remove()
    for block in blocks:
        block.input_bound.copy_(INPUT_MARGIN * inputs[block].bound()[:, None, None])
        block.output_bound.copy_(OUTPUT_MARGIN * outputs[block].bound()[:, None, None])


class _Largest:
    """The largest values of each channel, and of how many."""

    KEPT = 64

    def __init__(self) -> None:
        self._values: Tensor | None = None
        self._seen = 0

    def see(self, x: Tensor) -> None:
        """x: (B, C, H, W)."""
        values = x.float().abs().transpose(0, 1).flatten(1)
        self._seen += values.shape[1]
        if self._values is not None:
            values = torch.cat([self._values, values], 1)
        self._values = values.topk(min(self.KEPT, values.shape[1])).values

    def bound(self) -> Tensor:
        """What `SHARE` of the values exceed, (C,)."""
        assert self._values is not None
        place = min(int(SHARE * self._seen), self._values.shape[1] - 1)
        return self._values[:, place]
