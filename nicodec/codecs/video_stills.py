"""Blocks that stand still, in an encoder of clips: whether to copy them is cheaper than what their symbols do."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nicodec.codecs.video_network import Coded, without_motion
from nicodec.codecs.video_planes import CHROMA, CHROMA_GAIN, LUMA, PIXEL_GAIN, Planes, to_grid
from nicodec.entropy.coder import Coder
from nicodec.entropy.priors import Prior
from nicodec.motion.field import over_blocks

LUMA_CHANNELS = 64

SYMBOLS_COUNT, LEAST_GAIN = 0.5, 0.01
"""What the bits of a block's symbols count against the error of a copy, which later frames see as well; and the share
of a frame's bits that copies should save at least, or nothing is tried."""


class BlockBits(Coder):
    """Hands symbols on to another coder and adds up what they cost.

    Attributes:
        total: bits of all of them.
        of_blocks: of those that have a place in the grid of blocks alone, (rows, columns).

    """

    def __init__(self, inner: Coder, grid: tuple[int, int]) -> None:
        self._inner = inner
        self.total = 0.0
        self.of_blocks = torch.zeros(grid)

    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        """See `Coder.code`; value is needed."""
        symbols = self._inner.code(value, prior)
        bits, coded = prior.bits(symbols), prior.coded()
        if coded is not None:
            bits = bits * coded
        self.total += float(bits.sum())
        if bits.dim() == 4 and bits.shape[2:] == self.of_blocks.shape:
            self.of_blocks = self.of_blocks.to(bits.device) + bits.sum((0, 1))
        return symbols


@dataclass(frozen=True)
class Still:
    """What an encoder weighs of a frame that is coded.

    Attributes:
        cost: λ·255²·squared error of all pixels that count, + bits.
        kept: 1 but 0 in the blocks without motion whose symbols cost more than they mend, (1, 1, H/16, W/16); None
            where that would save next to nothing.

    """

    cost: float
    kept: Tensor | None


def weighed(x: Planes, coded: Coded, bits: BlockBits, weight: float, cells: Tensor | None) -> Still:
    """Weigh a coded frame.

    Args:
        x: the frame, of a batch of one.
        coded: what became of it.
        bits: what coded it.
        weight: λ·255².
        cells: see `Counts.cells`; None: all count.

    """
    wanted = to_grid(x)
    error = _of_cells(wanted - to_grid(coded.reference.planes), cells)
    copied = _of_cells(wanted - coded.moved, cells)
    motion = coded.reference.motion
    assert motion is not None
    more = weight * (over_blocks(copied) - over_blocks(error))
    spent = bits.of_blocks[None, None]
    dear = without_motion(motion) & (coded.reference.magnitudes.amax(1, keepdim=True) > 0)
    dear = dear & (more < SYMBOLS_COUNT * spent)
    pays = float(((spent - more) * dear).sum()) > LEAST_GAIN * bits.total
    return Still(weight * float(error.sum()) + bits.total, (~dear).to(error.dtype) if pays else None)


def _of_cells(difference: Tensor, cells: Tensor | None) -> Tensor:
    """Squares of a difference in the grid, summed over cells of 8 pixels, (B, 1, H/8, W/8); see `weighted_error`."""
    squares = (difference / PIXEL_GAIN).square()
    luma, chroma = squares[:, :LUMA_CHANNELS], squares[:, LUMA_CHANNELS:]
    error = LUMA * luma.sum(1, keepdim=True) + 4 * CHROMA / CHROMA_GAIN**2 * chroma.sum(1, keepdim=True)
    return error if cells is None else error * cells
