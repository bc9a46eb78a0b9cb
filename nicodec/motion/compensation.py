"""What is predicted from a reference and a field of vectors: an 8-tap filter, and cells that overlap.

A plane is filtered to its sixteen phases of a quarter pixel once; a prediction is then a look-up. Each pixel is the
mean of what the vectors of the four nearest cells give it, weighted as in a bilinear interpolation between the cells'
middles: overlapped blocks (Orchard and Sullivan 1994).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nicodec.motion.field import CELL, REACH, UNIT, within_reach

TAPS = 8
PHASES = UNIT * UNIT


@cache
def _kernels() -> tuple[tuple[float, ...], ...]:
    """(UNIT, TAPS): a sinc in a cosine window, for each quarter of a pixel; of sum one."""
    rows = []
    for phase in range(UNIT):
        at = [tap - (TAPS // 2 - 1) - phase / UNIT for tap in range(TAPS)]
        values = [
            (1.0 if d == 0 else math.sin(math.pi * d) / (math.pi * d)) * math.cos(math.pi * d / TAPS) for d in at
        ]
        rows.append(tuple(v / sum(values) for v in values))
    return tuple(rows)


@dataclass(frozen=True)
class Phases:
    """A plane at its sixteen phases of a quarter pixel, with a margin.

    Attributes:
        values: (B, 16, H + 2·margin, W + 2·margin): phase row + 4·column.
        margin: pixels around the plane.

    """

    values: Tensor
    margin: int

    def detach(self) -> Phases:
        """The same without gradients."""
        return Phases(self.values.detach(), self.margin)


class _Filtered(torch.autograd.Function):
    """(N, H, W) at four phases along the last axis but one or the last: (N, 4, H, W), shorter by TAPS − 1 there."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, axis: int) -> Tensor:
        ctx.axis, ctx.length = axis, x.shape[axis]
        length = x.shape[axis] - TAPS + 1
        shape = list(x.shape)
        shape[axis] = length
        result = x.new_empty(shape[0], UNIT, *shape[1:])
        for phase, taps in enumerate(_kernels()):
            own = result[:, phase]
            own.copy_(x.narrow(axis, TAPS // 2 - 1, length))
            if phase:
                own.mul_(taps[TAPS // 2 - 1])
                for tap in range(TAPS):
                    if tap != TAPS // 2 - 1:
                        own.add_(x.narrow(axis, tap, length), alpha=taps[tap])
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        shape = [gradient.shape[0], *gradient.shape[2:]]
        length = shape[ctx.axis]
        shape[ctx.axis] = ctx.length
        total = gradient.new_zeros(shape)
        for phase, taps in enumerate(_kernels()):
            for tap in range(TAPS):
                if phase or tap == TAPS // 2 - 1:
                    total.narrow(ctx.axis, tap, length).add_(gradient[:, phase], alpha=taps[tap])
        return total, None


def phases(plane: Tensor, margin: int) -> Phases:
    """Filter planes (B, 1, H, W); what lies outside is the border's."""
    wide = F.pad(plane, (margin + TAPS // 2 - 1, margin + TAPS // 2) * 2, mode="replicate")
    across: Tensor = _Filtered.apply(wide[:, 0], 2)
    down: Tensor = _Filtered.apply(across.flatten(0, 1), 1)
    return Phases(down.view(len(plane), PHASES, *down.shape[2:]), margin)


@lru_cache(maxsize=4)
def _overlap(rows: int, columns: int, side: int, device: torch.device) -> tuple[tuple[Tensor, ...], ...]:
    """What the own cell and the nearer neighbour count, along the rows and along the columns: 2 by 2 of (H, W)."""
    with torch.inference_mode(False):
        distance = ((torch.arange(side, dtype=torch.float32, device=device) + 0.5) / side - 0.5).abs()
        shares = (1 - distance, distance)
        return tuple(
            tuple(down.repeat(rows)[:, None] * across.repeat(columns) for across in shares) for down in shares
        )


def _own_and_next(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """For each half of `count` cells along an axis: its cell, and the cell on its other side."""
    half = torch.arange(2 * count, device=device)
    own = half // 2
    return own, (own + 2 * (half % 2) - 1).clamp(0, count - 1)


def place_of(vectors: Tensor, shape: torch.Size) -> Tensor:
    """How far on in the flattened phases vectors lead, int64, in the shape of one of their components.

    Args:
        vectors: int64 (B, 2, ...), in quarters of a pixel of the plane.
        shape: of the phases' values.

    """
    row, column = vectors[:, 0], vectors[:, 1]
    phase = (row & (UNIT - 1)) + UNIT * (column & (UNIT - 1))
    return (phase * shape[2] + (row >> 2)) * shape[3] + (column >> 2)


def run_places(source: Phases, height: int, width: int, run: int) -> Tensor:
    """Where every `run`-th pixel of the rows lies in the flattened phases, unmoved: (batch, height, width / run)."""
    batch, count, tall, wide = source.values.shape
    device = source.values.device
    row = (torch.arange(height, device=device) + source.margin) * wide
    column = torch.arange(0, width, run, device=device) + source.margin
    first = torch.arange(batch, device=device) * (count * tall * wide)
    return first[:, None, None] + row[:, None] + column


class _Runs(torch.autograd.Function):
    """See `runs_at`; runs of neighbours are copied several times faster than pixels one by one."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, places: Tensor, run: int) -> Tensor:
        ctx.save_for_backward(places)
        ctx.run, ctx.shape = run, values.shape
        flat = values.view(-1)
        all_runs = flat.as_strided((flat.numel() - run + 1, run), (1, 1))
        return all_runs.index_select(0, places.flatten()).view(*places.shape, run)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        total = gradient.new_zeros(ctx.shape)
        each = places[..., None] + torch.arange(ctx.run, device=places.device)
        total.view(-1).index_add_(0, each.flatten(), gradient.flatten())
        return total, None, None


def runs_at(source: Phases, places: Tensor, run: int) -> Tensor:
    """So many pixels of the flattened phases from each place on: (..., run) of places (...)."""
    found: Tensor = _Runs.apply(source.values, places, run)
    return found


def compensate(source: Phases, vectors: Tensor, side: int) -> Tensor:
    """Predict planes (B, 1, H, W).

    Args:
        source: of the reference.
        vectors: int64 (B, 2, rows, columns), in quarters of a pixel of the plane.
        side: pixels of the plane along a side of a cell, even; the margin is at least REACH·side/8 + side.

    """
    batch, _, rows, columns = vectors.shape
    height, width, half = rows * side, columns * side, side // 2
    steps = place_of(within_reach_of(vectors, side), source.values.shape)
    places = run_places(source, height, width, half).view(batch, 2 * rows, half, 2 * columns)
    overlap = _overlap(rows, columns, side, vectors.device)
    own_row, next_row = _own_and_next(rows, vectors.device)
    own_column, next_column = _own_and_next(columns, vectors.device)
    total = None
    for row, shares in zip((own_row, next_row), overlap, strict=True):
        for column, share in zip((own_column, next_column), shares, strict=True):
            moved = steps[:, row][:, :, column]
            values = runs_at(source, places + moved[:, :, None], half).view(batch, height, width)
            total = values * share if total is None else torch.addcmul(total, values, share)
    assert total is not None
    return total[:, None]


def within_reach_of(vectors: Tensor, side: int) -> Tensor:
    """See `within_reach`; the reach is REACH pixels of luma, whatever the plane."""
    return within_reach(vectors, side, REACH * side // CELL)


def halved(vectors: Tensor) -> Tensor:
    """Vectors of luma in quarters of a pixel of chroma, rounded to the nearest."""
    return (vectors + 1) >> 1


def moved_smoothly(values: Tensor, vectors: Tensor) -> Tensor:
    """Features at 1/8 from where vectors lead, bilinear; those outside are of the border.

    Args:
        values: (B, C, H/8, W/8).
        vectors: int64 (B, 2, H/8, W/8).

    """
    _, _, rows, columns = values.shape
    step = vectors.to(values.dtype) / (UNIT * CELL)
    row = torch.arange(rows, device=values.device, dtype=values.dtype)[:, None] + step[:, 0]
    column = torch.arange(columns, device=values.device, dtype=values.dtype) + step[:, 1]
    grid = torch.stack([(2 * column + 1) / columns - 1, (2 * row + 1) / rows - 1], -1)
    return F.grid_sample(values, grid, mode="bilinear", padding_mode="border", align_corners=False)
