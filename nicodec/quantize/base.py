"""What every quantiser of the family does: features in, indices of codes out, and back.

    features (B, C, H, W) ─ forward ─ features, indices, loss            in training
                          ─ indices ─ (B, I, H, W) ─ decode ─ features   in a codec

A quantiser works on one position at a time: on rows (N, C), which this base takes from pictures and puts back.
Everything is computed in float32, whatever the networks around it run in. Only an encoder compares distances, so
that a tie or a last bit changes what is sent, never what a decoder makes of it: indices look up float tables.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nicodec.errors import InputError

SEARCHED_ROWS = 2**16
"""Rows that are searched at a time."""


class Quantised(NamedTuple):
    """What a quantiser makes of features.

    Attributes:
        features: (B, C, H, W), float32; their gradient reaches the features that came in.
        indices: (B, I, H, W), int64; index i is below `sizes[i]`.
        loss: of the codebook and of the features' commitment to it, a mean over positions; zero where there is none.

    """

    features: Tensor
    indices: Tensor
    loss: Tensor


class Rows(NamedTuple):
    """The same of rows: features (N, C), indices (N, I), and the loss."""

    features: Tensor
    indices: Tensor
    loss: Tensor


@dataclass(frozen=True)
class Settings(ABC):
    """What a quantiser can be told; each kind has its own, which builds it."""

    @abstractmethod
    def build(self, channels: int) -> Quantiser:
        """A quantiser of features of so many channels.

        Raises:
            InputError: the settings do not fit one another, or these channels.

        """


class Quantiser(nn.Module, ABC):
    """A quantiser of the family.

    Attributes:
        channels: C, of the features.
        sizes: how many codes each of the I indices of a position chooses from.
        prefixes: whether the first indices of a position can be decoded without the rest.

    """

    prefixes: bool = False

    def __init__(self, channels: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.channels = channels
        self.sizes = tuple(sizes)

    if TYPE_CHECKING:

        def __call__(self, *args: Any) -> Quantised:
            """What `forward` returns."""

    # Of pictures

    def forward(self, x: Tensor) -> Quantised:
        """Quantise as training needs it.

        Args:
            x: (B, C, H, W), finite.

        """
        with torch.autocast(x.device.type, enabled=False):
            found = self.quantise(to_rows(x))
        return Quantised(
            from_rows(found.features, x.shape), from_rows(found.indices, (x.shape[0], -1, *x.shape[2:])), found.loss
        )

    @torch.no_grad()
    def indices(self, x: Tensor) -> Tensor:
        """Choose the codes of features, as an encoder does it: it may search harder than training.

        Args:
            x: (B, C, H, W), finite.

        Returns:
            (B, I, H, W), int64.

        """
        with torch.autocast(x.device.type, enabled=False):
            found = [self.search(rows) for rows in parts_of(to_rows(x), SEARCHED_ROWS)]
        return from_rows(torch.cat(found), (x.shape[0], -1, *x.shape[2:]))

    def decode(self, indices: Tensor) -> Tensor:
        """Look features up, as a decoder does it.

        Args:
            indices: (B, I, H, W), int64, each in its range; or the first of the I, where `prefixes` says so.

        Returns:
            (B, C, H, W), float32.

        Raises:
            InputError: there are too many indices a position, or too few.

        """
        given = indices.shape[1]
        if given != len(self.sizes) and not (self.prefixes and 1 <= given < len(self.sizes)):
            few = "at most " if self.prefixes else ""
            raise InputError(f"{given} indices a position: this quantiser takes {few}{len(self.sizes)}")
        with torch.autocast(indices.device.type, enabled=False):
            found = self.lookup(to_rows(indices, torch.int64))
        return from_rows(found, (indices.shape[0], -1, *indices.shape[2:]))

    # Of rows

    @abstractmethod
    def quantise(self, rows: Tensor) -> Rows:
        """Quantise rows (N, C) as training needs it; the loss is a mean over rows."""

    @abstractmethod
    def search(self, rows: Tensor) -> Tensor:
        """The indices (N, I) that an encoder sends for rows (N, C)."""

    @abstractmethod
    def lookup(self, indices: Tensor) -> Tensor:
        """The rows (N, C) that indices (N, I) stand for."""

    def candidates(self, rows: Tensor, count: int) -> Tensor:
        """Up to `count` good choices for each of rows (N, C), the best first: (N, count or fewer, I)."""
        return self.search(rows)[:, None]

    def start(self, features: Tensor) -> None:
        """Fit codes to features (N, C) before training; by default nothing."""

    def after_step(self) -> None:
        """What the codes need after a step of the optimiser: averages, dead codes; by default nothing."""

    # Facts

    @property
    def bits(self) -> float:
        """Of a position's indices at a fixed length."""
        return sum(math.log2(size) for size in self.sizes)

    @property
    @abstractmethod
    def stored_bytes(self) -> int:
        """What a decoder must store: tables that it cannot make from integers."""


def to_rows(x: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """(B, C, H, W) as (B·H·W, C)."""
    return x.to(dtype).movedim(1, -1).flatten(0, -2)


def from_rows(rows: Tensor, shape: Sequence[int]) -> Tensor:
    """(B·H·W, C) as (B, C, H, W), where the shape's C is not looked at."""
    return rows.reshape(shape[0], *shape[2:], -1).movedim(-1, 1)


def parts_of(rows: Tensor, at_once: int) -> Iterator[Tensor]:
    """Rows in parts of at most so many."""
    for first in range(0, max(1, len(rows)), at_once):
        yield rows[first : first + at_once]


def straight_through(x: Tensor, quantised: Tensor) -> Tensor:
    """The quantised values, exactly; their gradient goes to x unchanged (Bengio et al. 2013)."""
    return quantised.detach() + (x - x.detach())


def no_loss(x: Tensor) -> Tensor:
    """Zero, of x's type and device."""
    return x.new_zeros(())


def summed_over_workers(x: Tensor) -> Tensor:
    """The sum over the processes that train together."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(x)
    return x


def first_workers(x: Tensor) -> Tensor:
    """What the first of the processes that train together has."""
    if dist.is_available() and dist.is_initialized():
        dist.broadcast(x, 0)
    return x
