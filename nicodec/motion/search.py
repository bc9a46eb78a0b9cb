"""The encoder's search for motion: it starts by dense optical flow and small pictures, then goes on by blocks.

All blocks of all pictures of a batch are tried at once, with several candidates each. Difference and rate decide: a
vector costs what it differs from the nearest of its neighbours', about as its coding will (vectors.py).
Sources: DIS flow, Kroeger et al. 2016; predictive zonal search, Tourapis 2002; hierarchical search, Bierling 1988.
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

from nicodec.motion.compensation import Phases, place_of, run_places, runs_at, within_reach_of
from nicodec.motion.field import (
    BLOCK,
    CELL,
    REACH,
    UNIT,
    VECTOR_MAX,
    Motion,
    cells_of,
    over_blocks,
    shifted,
    within_reach,
)

SAME_BITS, NEW_BITS, SPLIT_BITS = 0.7, 4.0, 2.0
"""About what it costs to take a neighbour's vector, to tell a new one beside its difference, and to split a block."""

AROUND = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
CROSS = [(-1, 0), (1, 0), (0, -1), (0, 1)]

BLOCK_STEPS = (2 * UNIT, UNIT, UNIT // 2, UNIT // 4)
"""By so much the vectors of blocks are changed, one size after the other."""

BEGINNINGS = 2
"""So often it is chosen what to begin from, each time beside what the neighbours have chosen."""

SMALLER, SHIFTS, SHIFT_PRICE = 4, 12, 5e-4
"""Small pictures are smaller so many times; by so many of their pixels they are shifted; and what a pixel of a shift
counts as a mean absolute difference, 0..1: where nothing tells shifts apart, the least is taken."""


def price_of(rate_weight: Tensor) -> Tensor:
    """What a bit is worth in sums of absolute differences (pixels 0..1), (B, 1, 1), by λ (B,) of λ·255²·MSE + bpp.

    The root of what it is worth in sums of squares, 1/λ, as encoders of blocks take it.
    """
    return rate_weight.rsqrt()[:, None, None] / 255


def _flow_of_codes(current: NDArray[np.uint8], reference: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Dense flow from one picture (H, W) to another: (H, W, 2) in pixels, columns first."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    start = np.zeros((*current.shape, 2), dtype=np.float32)
    return search.calc(current, reference, start).astype(np.float32, copy=False)


def flow(current: Tensor, reference: Tensor) -> Tensor:
    """Dense flow from current to reference pictures (B, 1, H, W) in [0, 1]: float32 (B, 2, H, W) in pixels."""

    def codes(plane: Tensor) -> NDArray[np.uint8]:
        found: NDArray[np.uint8] = (plane[:, 0].detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        return found

    flows = [_flow_of_codes(*pair)[..., ::-1] for pair in zip(codes(current), codes(reference), strict=True)]
    return torch.from_numpy(np.stack(flows).copy()).permute(0, 3, 1, 2).to(current.device)


def at_a_quarter(current: Tensor, reference: Tensor) -> Tensor:
    """Vectors of blocks, (B, 2, H/16, W/16), by all shifts of a picture at a quarter of its size.

    Each block is taken together with those around it: alone it may look like what is far away, and what is predicted
    from that is not worth the vectors.

    Args:
        current: (B, 1, H, W), sides multiples of 16.
        reference: likewise.

    """
    small = F.avg_pool2d(current, SMALLER)
    wide = F.pad(F.avg_pool2d(reference, SMALLER), (SHIFTS,) * 4, mode="replicate")
    height, width = small.shape[2:]
    count = 2 * SHIFTS + 1
    shift = torch.arange(count, device=current.device) - SHIFTS
    best = cost = None
    for row in range(count):
        shifted = wide[:, 0, row : row + height].unfold(2, width, 1).movedim(2, 1)  # (B, count, H/4, W/4)
        difference = F.avg_pool2d((shifted - small).abs_(), BLOCK // SMALLER)
        difference = difference + SHIFT_PRICE * (abs(row - SHIFTS) + shift.abs())[:, None, None]
        least, column = F.avg_pool2d(difference, 3, 1, 1, count_include_pad=False).min(1)
        vectors = torch.stack([torch.full_like(column, row - SHIFTS), column - SHIFTS], 1) * (SMALLER * UNIT)
        best, cost = (vectors, least) if best is None or cost is None else _better(best, cost, vectors, least)
    assert best is not None
    return best


class Search:
    """Looks for one reference's vectors of a batch of pictures.

    Candidates are tried together: (K, B, 2, rows, columns), rows and columns of blocks or of cells.
    """

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
        self.places = run_places(reference, height, width, CELL).view(batch, self.rows, CELL, self.columns)
        self.current = current.reshape(batch, self.rows, CELL, self.columns, CELL)

    def predicted(self, cells: Tensor) -> Tensor:
        """What vectors (..., B, 2, H/8, W/8) give without overlap: (..., B, H/8, 8, W/8, 8)."""
        steps = place_of(within_reach_of(cells.flatten(0, -4), CELL), self.source.values.shape)
        return runs_at(self.source, self.places + steps.view(*cells.shape[:-3], self.rows, 1, self.columns), CELL)

    def differences(self, cells: Tensor) -> Tensor:
        """Sums of absolute differences of cells, (..., B, H/8, W/8), that vectors (..., B, 2, H/8, W/8) give."""
        return _sums(self.predicted(cells) - self.current)

    def of_blocks(self, vectors: Tensor, *, thin: bool) -> Tensor:
        """The same of blocks, (K, B, H/16, W/16), of vectors (K, B, 2, H/16, W/16); `thin`: by half of the rows."""
        count, batch, _, rows, columns = vectors.shape
        every = 2 if thin else 1
        places = self.places.view(batch, rows, BLOCK, columns, 2)[:, :, ::every, :, 0]
        current = self.current.view(batch, rows, BLOCK, columns, BLOCK)[:, :, ::every]
        steps = place_of(within_reach(vectors.flatten(0, 1), BLOCK, REACH), self.source.values.shape)
        found = runs_at(self.source, places + steps.view(count, batch, rows, 1, columns), BLOCK)
        return every * _sums(found - current)

    def blocks(self, candidates: Sequence[Tensor], rough: Tensor, known: Sequence[Tensor]) -> Tensor:
        """Find a vector for each block, (B, 2, H/16, W/16).

        Args:
            candidates: vectors of that shape to begin from.
            rough: further ones, off by some pixels.
            known: further ones, which cost as little as a neighbour's.

        """
        tried = torch.stack([*candidates, self._nearest(_around(rough, BLOCK_STEPS[0])), *known])
        best = self._nearest(tried)
        for _ in range(BEGINNINGS):
            near = torch.stack([*_neighbours(best), *known])
            best = self._better_block(torch.cat([tried, near]), near, thin=True)
        for size in BLOCK_STEPS:
            near, thin = torch.stack([*_neighbours(best), *known]), size >= UNIT
            best = self._better_block(torch.cat([best[None], near]), near, thin=thin)
            best = self._better_block(_around(best, size), near, thin=thin)
        return best

    def _nearest(self, tried: Tensor) -> Tensor:
        return _least(tried, self.of_blocks(tried, thin=True))

    def _better_block(self, tried: Tensor, near: Tensor, *, thin: bool) -> Tensor:
        return _least(tried, self.of_blocks(tried, thin=thin) + self.price * bits_beside(tried, near))

    def cells(self, blocks: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Find vectors of cells, of blocks (B, 2, H/16, W/16) and of further vectors (B, 2, H/8, W/8) to try.

        Returns:
            The best vectors of cells (B, 2, H/8, W/8), and which blocks should be split, (B, H/16, W/16).

        """
        near = torch.stack([cells_of(blocks), *_across(blocks)])
        price = self.price if self.price.shape[1] == 1 else cells_of(self.price)
        tried = torch.cat([near, start[None]])
        for size in (UNIT // 2, UNIT // 4):
            costs = self.differences(tried) + price * bits_beside(tried, near)
            tried = _around(_least(tried, costs), size)
        costs = self.differences(tried) + price * bits_beside(tried, near)
        whole = self.of_blocks(blocks[None], thin=False)[0]
        split = over_blocks(costs.amin(0)) + self.price * SPLIT_BITS < whole
        return _least(tried, costs), split


def bits_beside(vectors: Tensor, near: Tensor) -> Tensor:
    """About what vectors (K, B, 2, rows, columns) cost beside M others of that shape: (K, B, rows, columns)."""
    apart = torch.log2(1 + (vectors[:, None] - near).abs().float()).sum(3).amin(1)
    return torch.where(apart == 0, SAME_BITS, NEW_BITS + 2 * apart)


def _sums(differences: Tensor) -> Tensor:
    """Of absolute values, (..., rows, columns), of (..., rows, n, columns, n); the argument is changed."""
    return differences.abs_().sum(-3).sum(-1)


def _least(tried: Tensor, costs: Tensor) -> Tensor:
    """Of candidates (K, B, 2, rows, columns) those of least cost (K, B, rows, columns): (B, 2, rows, columns)."""
    place = costs.argmin(0)[None, :, None].expand(1, -1, 2, -1, -1)
    return tried.gather(0, place)[0]


def _around(vectors: Tensor, size: int) -> Tensor:
    """Vectors (B, 2, rows, columns) and their eight neighbours so many units away: (9, B, 2, rows, columns)."""
    steps = torch.tensor([(0, 0), *AROUND], device=vectors.device) * size
    return (vectors + steps[:, None, :, None, None]).clamp(-VECTOR_MAX, VECTOR_MAX)


def _better(best: Tensor, cost: Tensor, other: Tensor, its_cost: Tensor) -> tuple[Tensor, Tensor]:
    less = its_cost < cost
    return torch.where(less[:, None], other, best), torch.where(less, its_cost, cost)


def _neighbours(blocks: Tensor) -> list[Tensor]:
    return [shifted(blocks, *step) for step in CROSS]


def _across(blocks: Tensor) -> list[Tensor]:
    """For each cell the vectors of the blocks above or below, and left or right, that it touches."""
    cells = cells_of(blocks)
    up, down, left, right = (cells_of(shifted(blocks, *step)) for step in CROSS)
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
        known = [] if continued is None else [continued[:, number]]
        blocks = search.blocks([torch.zeros_like(start), start], at_a_quarter(current, plane), known)
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
        costs.append(over_blocks(_sums(mixed - wanted)) + price * rate)
    return replace(found, costs=torch.stack(costs, 1))


def _rate_of(blocks: Tensor, split: Tensor) -> Tensor:
    """About what the vectors of each block cost, (B, H/16, W/16)."""
    return bits_beside(blocks[None], torch.stack(_neighbours(blocks)))[0] + 12 * split
