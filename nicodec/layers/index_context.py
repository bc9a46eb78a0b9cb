"""What decoded indices tell of others: an integer network that sees a masked grid of them, in four passes.

Passes over a grid of indices: the even rows' even columns, the odd rows' odd ones, and the two that are left. A
position that is not known is zero, and a flag says so; which ones are known is the caller's: the passes' order in a
decoder, anything where lost indices are filled. All is integers (rule 1 of the numbers contract).
Source: masked prediction in parallel passes, Chang et al. 2022, "MaskGIT"; four passes as in DCVC-FM.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nicodec.exact.embedding import ExactEmbedding
from nicodec.exact.layers import FRACTION_BITS, ExactDepthwise, ExactPointwise, split_at
from nicodec.layers.module import Layer

PASSES = ((0, 0), (1, 1), (0, 1), (1, 0))
"""Row and column of the positions of each pass, in squares of 2x2."""

PLACES = 4
"""Channels that say where in a square of 4x4 a position is."""


def pass_of(size: tuple[int, int], device: torch.device) -> Tensor:
    """(H, W) int64: the number of the pass that codes each position."""
    rows, columns = (torch.arange(n, device=device) % 2 for n in size)
    order = torch.zeros(2, 2, dtype=torch.int64, device=device)
    for number, (row, column) in enumerate(PASSES):
        order[row, column] = number
    return order[rows[:, None], columns[None]]


def enlarged(x: Tensor, factor: int) -> Tensor:
    """(..., H, W) to (..., factor·H, factor·W), each value repeated."""
    return x if factor == 1 else x.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


class IndexContext(Layer):
    """Log-probabilities of the indices of one grid, from those known of it and the features of grids before."""

    def __init__(self, codes: int, embedding: int, parents: int, width: int, bits: int = 16) -> None:
        """`parents`: channels of the features of what was decoded before this grid; `bits`: of a code's weights."""
        super().__init__()
        self.embedding = ExactEmbedding(codes, embedding)
        self.enter = ExactPointwise(embedding + 1 + PLACES + parents, width)
        self.near, self.mix = ExactDepthwise(width), ExactPointwise(width, width)
        self.further, self.refine = ExactDepthwise(width), ExactPointwise(width, width)
        self.leave = ExactPointwise(width, codes, activation=False, zero=True, bits=bits)

    @property
    def one(self) -> float:
        """What stands for 1."""
        return 1.0 if self.training else float(2**FRACTION_BITS)

    def embedded(self, indices: Tensor) -> Tensor:
        """Features (B, embedding, H, W) of indices (B, H, W), for this grid and those after it."""
        return self.embedding(indices)

    def at(self, quality: Tensor) -> ContextAt:
        """The network at a quality (B,), half steps: what is the same for all passes is computed once."""
        layers = (self.near, self.mix, self.further, self.refine, self.leave)
        (others, enter), (*hidden, refine, leave) = split_at(
            self.enter, self.embedding.table.shape[1] + 1, layers, quality
        )
        return ContextAt(self.one, others, enter, hidden, refine, leave)


@dataclass(frozen=True)
class ContextAt:
    """An `IndexContext` at a quality.

    Attributes:
        one: what stands for 1.
        surroundings: the sum of the first layer's inputs but those of the grid itself, of `places` and the features
            of what was decoded before, (B, PLACES + parents, H, W); the same for all passes.
        enter: the first layer, from the grid's inputs and that sum.
        hidden: layers that see neighbours, one after another.
        refine: a layer that sees its position alone.
        leave: the last one.

    """

    one: float
    surroundings: Callable[[Tensor], Tensor]
    enter: Callable[[Tensor | None, Tensor], Tensor]
    hidden: Sequence[Callable[[Tensor], Tensor]]
    refine: Callable[[Tensor], Tensor]
    leave: Callable[[Tensor], Tensor]

    def activations(self, features: Tensor | None, known: Tensor, surroundings: Tensor) -> Tensor:
        """What `logits` takes, (B, width, H, W).

        Args:
            features: what `embedded` gave, (B, embedding, H, W), of the grid; None where nothing of it is known.
            known: bool (B or 1, H, W), where its features count.
            surroundings: what `surroundings` gave.

        """
        own = None
        if features is not None:
            flag = known.to(features.dtype).unsqueeze(1).expand(len(features), -1, -1, -1)
            own = torch.cat([features * flag, flag * self.one], 1)
        h = self.enter(own, surroundings)
        for layer in self.hidden:
            h = layer(h)
        return h

    def logits(self, activations: Tensor) -> Tensor:
        """(B, codes, H, W) of (B, width, H, W): natural logarithms, when coding integers in 1/16."""
        return self.leave(self.refine(activations))


def places(size: tuple[int, int], device: torch.device) -> Tensor:
    """Where in a square of 4x4 each position of a grid is: bits of its row and its column, (PLACES, H, W) float32."""
    rows, columns = (torch.arange(n, device=device) for n in size)
    bits = [(axis >> shift) % 2 for axis in (rows, columns) for shift in (0, 1)]
    planes = [(bit[:, None] if number < 2 else bit[None]).expand(size) for number, bit in enumerate(bits)]
    return torch.stack(planes).to(torch.float32)
