"""A field of motion vectors, and where it leads: integers only, the same on every device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CELL = 8
"""Pixels along a side of the square that has a vector of its own."""

BLOCK = 16
"""Pixels along a side of a block: four cells, of one vector unless it is split."""

UNIT = 4
"""Vectors count in quarters of a pixel."""

REACH = 16
"""Pixels that a vector may lead out of the picture; further ones lead to there, where nothing is different."""

VECTOR_MAX = 2047
"""Largest component of a vector: half a thousand pixels."""


@dataclass(frozen=True)
class Motion:
    """How a batch of frames follows from two references each (a frame with one has it twice).

    Attributes:
        vectors: int64 (B, 2, 2, H/8, W/8): by reference, rows then columns, in quarters of a pixel; from where in the
            reference each cell comes.
        weight: int64 (B, 1, H/8, W/8): of the first reference, 0, 1 or 2 halves; the second has the rest.

    """

    vectors: Tensor
    weight: Tensor

    def of(self, reference: int) -> Tensor:
        """Vectors (B, 2, H/8, W/8) to one reference."""
        return self.vectors[:, reference]


def blocks_of(cells: Tensor) -> Tensor:
    """(..., H/16, W/16) of (..., H/8, W/8): the upper left cell of each block."""
    return cells[..., ::2, ::2]


def cells_of(blocks: Tensor) -> Tensor:
    """(..., H/8, W/8) of (..., H/16, W/16)."""
    return blocks.repeat_interleave(2, -2).repeat_interleave(2, -1)


def over_blocks(cells: Tensor) -> Tensor:
    """Sums (..., H/16, W/16) of what each block's four cells have, (..., H/8, W/8)."""
    rows = cells[..., ::2, :] + cells[..., 1::2, :]
    return rows[..., ::2] + rows[..., 1::2]


def shifted(blocks: Tensor, rows: int, columns: int) -> Tensor:
    """What the blocks (..., rows, columns) so many further down and right have; the border's where there are none."""
    height, width = blocks.shape[-2:]
    row = (torch.arange(height, device=blocks.device) + rows).clamp(0, height - 1)
    column = (torch.arange(width, device=blocks.device) + columns).clamp(0, width - 1)
    return blocks[..., row, :][..., column]


def within_reach(vectors: Tensor, side: int, reach: int) -> Tensor:
    """Vectors that lead at most so many pixels out of the picture.

    Args:
        vectors: int64 (B, 2, rows, columns).
        side: pixels along a side of what has a vector.
        reach: pixels.

    """
    rows, columns = vectors.shape[2:]
    limited = []
    for vector, count, axis in ((vectors[:, 0], rows, 1), (vectors[:, 1], columns, 2)):
        shape = [1, 1, 1]
        shape[axis] = count
        start = UNIT * side * torch.arange(count, device=vectors.device).view(shape)
        low = -UNIT * reach - start
        high = UNIT * (side * count + reach - side) - start
        limited.append(torch.minimum(torch.maximum(vector, low), high))
    return torch.stack(limited, 1)


def moved_to_nearest(values: Tensor, vectors: Tensor) -> Tensor:
    """Values at 1/16 from where the vectors of their blocks lead, to the nearest; those outside are of the border.

    Args:
        values: (B, C, H/16, W/16).
        vectors: int64 (B, 2, H/8, W/8): the means of each block's four count, rounded down.

    """
    batch, channels, rows, columns = values.shape
    mean = vectors[..., ::2, ::2] + vectors[..., 1::2, ::2] + vectors[..., ::2, 1::2] + vectors[..., 1::2, 1::2]
    unit = 4 * UNIT * BLOCK
    step = torch.div(mean + unit // 2, unit, rounding_mode="floor")
    row = (torch.arange(rows, device=values.device)[:, None] + step[:, 0]).clamp(0, rows - 1)
    column = (torch.arange(columns, device=values.device) + step[:, 1]).clamp(0, columns - 1)
    place = (row * columns + column).view(batch, 1, -1).expand(-1, channels, -1)
    return values.flatten(2).gather(2, place).view(values.shape)
