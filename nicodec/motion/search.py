"""The encoder's search for motion: a start by dense optical flow, then blocks by difference and rate.

All blocks of all pictures of a batch are tried at once, candidate by candidate. A vector costs what it differs from
the nearest of its neighbours', about as its coding will (vectors.py).
Sources: DIS flow, Kroeger et al. 2016; predictive zonal search, Tourapis 2002.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nicodec.motion.compensation import Phases, pixel_places, place_of, within_reach_of
from nicodec.motion.field import BLOCK, CELL, UNIT, VECTOR_MAX, Motion, cells_of

SAME_BITS, NEW_BITS, SPLIT_BITS = 0.7, 4.0, 2.0
"""About what it costs to take a neighbour's vector, to tell a new one beside its difference, and to split a block."""

AROUND = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
CROSS = [(-1, 0), (1, 0), (0, -1), (0, 1)]


def price_of(rate_weight: Tensor) -> Tensor:
    """What a bit is worth in sums of absolute differences (pixels 0..1), (B, 1, 1), by λ (B,) of λ·255²·MSE + bpp.

    The root of what it is worth in sums of squares, 1/λ, as encoders of blocks take it.
    """
    return rate_weight.rsqrt()[:, None, None] / 255


def flow_of_codes(current: NDArray[np.uint8], reference: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Dense flow from one picture (H, W) to another: (H, W, 2) in pixels, columns first."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return search.calc(current, reference, np.zeros((*current.shape, 2), dtype=np.float32)).astype(
        np.float32, copy=False
    )


def flow(current: Tensor, reference: Tensor) -> Tensor:
    """Dense flow from current to reference pictures (B, 1, H, W) in [0, 1]: float32 (B, 2, H, W) in pixels."""

    def codes(plane: Tensor) -> NDArray[np.uint8]:
        found: NDArray[np.uint8] = (plane[:, 0].detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        return found

    flows = [flow_of_codes(*pair)[..., ::-1] for pair in zip(codes(current), codes(reference), strict=True)]
    return torch.from_numpy(np.stack(flows).copy()).permute(0, 3, 1, 2).to(current.device)


class Search:
    """Looks for one reference's vectors of a batch of pictures."""

    def __init__(self, current: Tensor, reference: Phases, price: Tensor) -> None:
        """Begin.

        Args:
            current: luma (B, 1, H, W), 0..1.
            reference: of luma.
            price: sum of absolute differences that a bit is worth, (B, 1, 1) or (B, H/16, W/16).

        """
        batch, _, height, width = current.shape
        self.rows, self.columns = height // CELL, width // CELL
        self.source, self.price = reference, price
        shape = (batch, self.rows, CELL, self.columns, CELL)
        self.places = pixel_places(reference, height, width).view(shape)
        self.current = current.reshape(shape)

    def predicted(self, cells: Tensor) -> Tensor:
        """What vectors (B, 2, H/8, W/8) give without overlap: (B, H/8, 8, W/8, 8)."""
        steps = place_of(within_reach_of(cells, CELL), self.source.values.shape)
        return self.source.values.take(self.places + steps[:, :, None, :, None])

    def differences(self, cells: Tensor) -> Tensor:
        """Sums of absolute differences of cells, (B, H/8, W/8), that vectors (B, 2, H/8, W/8) give."""
        return (self.predicted(cells) - self.current).abs_().sum((2, 4))

    def blocks(self, candidates: Sequence[Tensor]) -> Tensor:
        """Find a vector for each block, (B, 2, H/16, W/16), from candidates of that shape on."""
        best, cost = candidates[0], None
        for candidate in candidates:
            own = _over_blocks(self.differences(cells_of(candidate))) + self.price * SAME_BITS
            best, cost = (candidate, own) if cost is None else _better(best, cost, candidate, own)
        others = list(candidates[2:])
        for size, steps in ((UNIT, CROSS), (UNIT // 2, AROUND), (UNIT // 4, AROUND)):
            near = [*_neighbours(best), *others]
            cost = self._cost(best, near)
            for candidate in near[:4]:
                best, cost = _better(best, cost, candidate, self._cost(candidate, near))
            middle = best
            for row, column in steps:
                moved = _moved(middle, size * row, size * column)
                best, cost = _better(best, cost, moved, self._cost(moved, near))
        return best

    def _cost(self, vectors: Tensor, near: Sequence[Tensor]) -> Tensor:
        return _over_blocks(self.differences(cells_of(vectors))) + self.price * bits_beside(vectors, near)

    def cells(self, blocks: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Find vectors of cells, of blocks (B, 2, H/16, W/16) and of further vectors (B, 2, H/8, W/8) to try.

        Returns:
            The best vectors of cells (B, 2, H/8, W/8), and which blocks should be split, (B, H/16, W/16).

        """
        whole = cells_of(blocks)
        price = self.price if self.price.shape[1] == 1 else cells_of(self.price)
        near = [whole, *_across(blocks)]
        best, together = whole, self.differences(whole)
        cost = together + price * SAME_BITS
        for candidate in (*near[1:], start):
            own = self.differences(candidate) + price * bits_beside(candidate, near)
            best, cost = _better(best, cost, candidate, own)
        for size in (UNIT // 2, UNIT // 4):
            middle = best
            for row, column in CROSS if size > 1 else AROUND:
                moved = _moved(middle, size * row, size * column)
                own = self.differences(moved) + price * bits_beside(moved, near)
                best, cost = _better(best, cost, moved, own)
        split = _over_blocks(cost) + self.price * SPLIT_BITS < _over_blocks(together)
        return best, split


def bits_beside(vectors: Tensor, near: Sequence[Tensor]) -> Tensor:
    """About what vectors (B, 2, rows, columns) cost beside others of that shape: (B, rows, columns)."""
    least = torch.stack([torch.log2(1 + (vectors - other).abs().float()).sum(1) for other in near]).amin(0)
    return torch.where(least == 0, SAME_BITS, NEW_BITS + 2 * least)


def _better(best: Tensor, cost: Tensor, other: Tensor, its_cost: Tensor) -> tuple[Tensor, Tensor]:
    less = its_cost < cost
    return torch.where(less[:, None], other, best), torch.where(less, its_cost, cost)


def _over_blocks(cells: Tensor) -> Tensor:
    return cells[:, ::2, ::2] + cells[:, 1::2, ::2] + cells[:, ::2, 1::2] + cells[:, 1::2, 1::2]


def _moved(vectors: Tensor, rows: int, columns: int) -> Tensor:
    step = torch.tensor([rows, columns], device=vectors.device)[:, None, None]
    return (vectors + step).clamp(-VECTOR_MAX, VECTOR_MAX)


def _shifted(vectors: Tensor, rows: int, columns: int) -> Tensor:
    """The vectors of so many blocks further down and right; of the border where there are none."""
    height, width = vectors.shape[-2:]
    row = (torch.arange(height, device=vectors.device) + rows).clamp(0, height - 1)
    column = (torch.arange(width, device=vectors.device) + columns).clamp(0, width - 1)
    return vectors[..., row, :][..., column]


def _neighbours(blocks: Tensor) -> list[Tensor]:
    return [_shifted(blocks, *step) for step in CROSS]


def _across(blocks: Tensor) -> list[Tensor]:
    """For each cell the vectors of the blocks above or below, and left or right, that it touches."""
    cells = cells_of(blocks)
    up, down, left, right = (cells_of(_shifted(blocks, *step)) for step in CROSS)
    row = torch.arange(cells.shape[-2], device=cells.device)[:, None] % 2 == 0
    column = torch.arange(cells.shape[-1], device=cells.device) % 2 == 0
    return [torch.where(row, up, down), torch.where(column, left, right)]


def _in_units(flow_of_pixels: Tensor, side: int) -> Tensor:
    """Means of a flow over squares, as vectors."""
    mean = F.avg_pool2d(flow_of_pixels, side)
    return (mean * UNIT).round().clamp(-VECTOR_MAX, VECTOR_MAX).to(torch.int64)


@dataclass(frozen=True)
class Found:
    """What a search has found.

    Attributes:
        blocks: by reference, (B, 2, H/16, W/16).
        cells: by reference, the best of each cell, (B, 2, H/8, W/8).
        split: by reference, which blocks are better split, (B, H/16, W/16).
        costs: of two references, what blocks cost with weights 0, 1, 2: (B, 3, H/16, W/16).
        searches: by reference.

    """

    blocks: list[Tensor]
    cells: list[Tensor]
    split: list[Tensor]
    costs: Tensor | None
    searches: list[Search]

    def motion(self) -> Motion:
        """The motion, as it would be if vectors cost what the search thinks."""
        fields = [
            torch.where(cells_of(split)[:, None], cells, cells_of(blocks))
            for blocks, cells, split in zip(self.blocks, self.cells, self.split, strict=True)
        ]
        if self.costs is None:
            return Motion(torch.stack(fields * 2, 1), torch.ones_like(fields[0][:, :1]))
        return Motion(torch.stack(fields, 1), cells_of(self.costs.argmin(1)[:, None]))


@torch.no_grad()
def find_motion(
    current: Tensor,
    references: Sequence[tuple[Tensor, Phases]],
    price: Tensor,
    continued: Tensor | None = None,
) -> Found:
    """Search the motion of a batch of pictures.

    Args:
        current: luma (B, 1, H, W), 0..1, sides multiples of 16.
        references: luma and its phases, of one or two.
        price: see `Search`.
        continued: further vectors to begin from, (B, references, 2, H/16, W/16).

    """
    found = Found([], [], [], None, [])
    predicted = []
    for number, (plane, reference) in enumerate(references):
        search = Search(current, reference, price)
        dense = flow(current, plane)
        start = _in_units(dense, BLOCK)
        further = [] if continued is None else [continued[:, number]]
        blocks = search.blocks([torch.zeros_like(start), start, *further])
        cells, split = search.cells(blocks, _in_units(dense, CELL))
        found.blocks.append(blocks)
        found.cells.append(cells)
        found.split.append(split)
        found.searches.append(search)
        predicted.append(search.predicted(torch.where(cells_of(split)[:, None], cells, cells_of(blocks))))
    if len(references) == 1:
        return found
    wanted = current.reshape(predicted[0].shape)
    rates = [_rate_of(blocks, split) for blocks, split in zip(found.blocks, found.split, strict=True)]
    costs = []
    for share, rate in ((0, rates[1]), (1, rates[0] + rates[1]), (2, rates[0])):
        mixed = predicted[1] + (predicted[0] - predicted[1]) * (share / 2)
        costs.append(_over_blocks((mixed - wanted).abs_().sum((2, 4))) + price * rate)
    return replace(found, costs=torch.stack(costs, 1))


def _rate_of(blocks: Tensor, split: Tensor) -> Tensor:
    """About what the vectors of each block cost, (B, H/16, W/16)."""
    return bits_beside(blocks, _neighbours(blocks)) + 12 * split
