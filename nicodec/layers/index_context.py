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
from nicodec.exact.layers import FRACTION_BITS, ExactDepthwise, ExactPointwise
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

    def embedded(self, indices: Tensor) -> Tensor:
        """Features (B, embedding, H, W) of indices (B, H, W), for this grid and those after it."""
        return self.embedding(indices)

    def at(self, quality: Tensor) -> ContextAt:
        """The network at a quality (B,), half steps: what is the same for all passes is computed once."""
        one = 1.0 if self.training else float(2**FRACTION_BITS)
        hidden = (self.enter, self.near, self.mix, self.further)
        return ContextAt(
            one, [layer.at(quality) for layer in hidden], self.refine.at(quality), self.leave.at(quality)
        )


@dataclass(frozen=True)
class ContextAt:
    """An `IndexContext` at a quality.

    Attributes:
        one: what stands for 1.
        hidden: layers that see neighbours, one after another.
        refine: a layer that sees its position alone.
        leave: the last one.

    """

    one: float
    hidden: Sequence[Callable[[Tensor], Tensor]]
    refine: Callable[[Tensor], Tensor]
    leave: Callable[[Tensor], Tensor]

    def activations(self, features: Tensor, known: Tensor, parents: Tensor | None) -> Tensor:
        """What `logits` takes.

        Args:
            features: what `embedded` gave, (B, embedding, H, W); not looked at where nothing is known.
            known: bool (B or 1, H, W).
            parents: (B, parents, H, W) features of what was decoded before; None where there is nothing.

        Returns:
            (B, width, H, W) activations.

        """
        flag = known.to(features.dtype).unsqueeze(1).expand(len(features), -1, -1, -1)
        parts = [features * flag, flag * self.one, _places(features) * self.one]
        h = torch.cat(parts if parents is None else [*parts, parents], 1)
        for layer in self.hidden:
            h = layer(h)
        return h

    def logits(self, activations: Tensor) -> Tensor:
        """(B, codes, H, W) of (B, width, H, W): natural logarithms, when coding integers in 1/16."""
        return self.leave(self.refine(activations))


def _places(like: Tensor) -> Tensor:
    rows, columns = (torch.arange(n, device=like.device) for n in like.shape[2:])
    bits = [(axis >> shift) % 2 for axis in (rows, columns) for shift in (0, 1)]
    height, width = like.shape[2:]
    planes = [(bit[:, None] if number < 2 else bit[None]).expand(height, width) for number, bit in enumerate(bits)]
    return torch.stack(planes).to(like.dtype)[None].expand(len(like), -1, -1, -1)
