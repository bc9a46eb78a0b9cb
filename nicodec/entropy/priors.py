"""Probability models of symbols: value objects that know their likelihood and their integer tables.

Symbols are integers centred on zero; a codec that predicts a mean subtracts it before coding and adds it after
(the tables then never depend on a float). Parameters are real tensors in training and integer tensors when
coding; which of the two a prior holds is seen from their type.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nicodec.entropy.tables import (
    NARROW,
    PRECISION_BITS,
    SCALE_MIN,
    SCALE_STEP,
    SCALES,
    TOTAL,
    WIDE_FACTOR,
    WIDE_SHARE,
    Table,
    as_probabilities,
    exponentials,
    gaussian_tables,
    inverse_scales,
    latent_costs,
    latent_tables,
    normal_cdf,
    normalise,
)

LIKELIHOOD_MIN = 1e-9
"""Floor of a likelihood in training (CompressAI's)."""

TAIL_START = 4.5
"""Deviations from which training counts the cost of a symbol by another law."""

TAIL_BITS = TAIL_START**2 / math.log(2)
"""What a distance e times as large costs there: the slope is that of a Gaussian's bits where it begins."""

ROW_HALF_WIDTH_MAX = 127


class Prior(Protocol):
    """What a coder needs of a prior."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (B, C, H, W) of the symbols."""

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""

    @property
    def ordered(self) -> bool:
        """Whether symbols that differ little stand for values that do; indices of a codebook are not ordered."""

    def of_picture(self, number: int) -> Prior:
        """Return the prior of one picture of the batch, of shape (1, C, H, W)."""

    def bits(self, x: Tensor) -> Tensor:
        """Return −log2 of the probability of the unit interval around each element of x, in x's shape."""

    def coded(self) -> Tensor | None:
        """Return a mask of the coded elements, broadcastable to shape; the others are zero. None: all."""


@runtime_checkable
class TablePrior(Prior, Protocol):
    """A prior whose symbols fall into groups that share a table."""

    def tables(self) -> tuple[Sequence[Table], NDArray[np.unsignedinteger[Any]]]:
        """Return the tables and, for each element of one picture's tensor in C order, which one is its own.

        The prior is that of one picture, as `of_picture` gives it.
        """


@runtime_checkable
class RowPrior(Prior, Protocol):
    """A prior that has a distribution of its own for every symbol."""

    first: int
    """What is added to a symbol to find its entry in a row."""
    half_width: int
    """Symbols of larger magnitude are escaped, as entry half_width + 1 + first."""
    row_length: int

    def rows(self, positions: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the frequencies (N, row_length) at flat positions, each less one (`tables.as_probabilities`).

        The prior is that of one picture, as `of_picture` gives it.
        """


@runtime_checkable
class SharedPrior(Prior, Protocol):
    """A prior that has one distribution for all its symbols, 0..K−1."""

    def shared(self) -> NDArray[np.int64]:
        """Return the frequencies (K,), each at least 1, adding up to 2^24."""


@runtime_checkable
class ElementPrior(Prior, Protocol):
    """A prior that can be had of some of its elements alone."""

    def of_elements(self, places: Tensor) -> Prior:
        """Return the prior of the elements at flat places (N,), of shape (1, 1, 1, N), all coded."""


def _interval_probability(x: Tensor, scale: Tensor) -> Tensor:
    """Φ((½−|x|)/σ) − Φ((−½−|x|)/σ), by the complementary error function for its tails."""
    magnitude = x.abs()
    factor = 0.5**0.5 / scale
    return 0.5 * (torch.erfc((magnitude - 0.5) * factor) - torch.erfc((magnitude + 0.5) * factor))


def _gaussian_bits(x: Tensor, scale: Tensor) -> Tensor:
    """−log2 of the interval's probability; beyond 4.5 σ the cost grows with the logarithm of the distance.

    There a Gaussian's probability vanishes in float32, and its gradient with it or beyond all bounds; the
    logarithm has a bounded gradient that still widens the scale, and is nearer to what an escape costs.
    """
    distance = (x.abs() - 0.5) / scale
    near = torch.minimum(x.abs(), 0.5 + TAIL_START * scale)
    bits = -torch.log2(_interval_probability(near, scale).clamp(min=LIKELIHOOD_MIN))
    return bits + TAIL_BITS * torch.log(distance.clamp(min=TAIL_START) / TAIL_START)


class _Within(torch.autograd.Function):
    """Clamp whose gradient passes, outside the range, only where a descent step leads back into it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.range = (low, high)
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return _led_back(gradient, x, *ctx.range), None, None


def _led_back(gradient: Tensor, x: Tensor, low: float, high: float) -> Tensor:
    """The gradient, but zero where a descent step would lead x further out of the range."""
    stray = ((x < low) & (gradient > 0)) | ((x > high) & (gradient < 0))
    return gradient.masked_fill(stray, 0.0)


def _scale(index: Tensor) -> Tensor:
    """σ of positions on the scale axis."""
    return SCALE_MIN * torch.exp(_Within.apply(index.float(), 0.0, SCALES - 1.0) * SCALE_STEP)


class _MixtureBits(torch.autograd.Function):
    """Bits of the mixture of a narrow and a wide Gaussian, of x and positions on the scale axis.

    As `_gaussian_bits`, with the derivatives written out, which takes half of the time; the gradient of the
    position passes as that of `_Within`.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor) -> Tensor:
        wide = torch.exp(index.clamp(0, SCALES - 1) * SCALE_STEP).mul_(SCALE_MIN * NARROW * WIDE_FACTOR)
        magnitude = x.abs()
        limit = 0.5 + TAIL_START * wide
        near, tail = torch.minimum(magnitude, limit), magnitude > limit
        learns = any(ctx.needs_input_grad)
        probability = by_place = by_scale = x.new_zeros(())
        for share, scale in ((1 - WIDE_SHARE, wide / WIDE_FACTOR), (WIDE_SHARE, wide)):
            low, high = (near - 0.5).div_(scale), (near + 0.5).div_(scale)
            mass = torch.erfc(low * 0.5**0.5).sub_(torch.erfc(high * 0.5**0.5))
            probability = torch.add(probability, mass, alpha=0.5 * share)
            if learns:
                at_low, at_high = ((p * p).mul_(-0.5).exp_().mul_((2 * math.pi) ** -0.5) for p in (low, high))
                by_place = torch.add(by_place, (at_high - at_low).div_(scale), alpha=share)
                by_scale = torch.add(by_scale, low.mul_(at_low).sub_(high.mul_(at_high)), alpha=share)
        probability.clamp_(min=LIKELIHOOD_MIN)
        distance = (magnitude - 0.5).clamp_(min=0.5 * SCALE_MIN)
        bits = torch.log2(probability).neg_()
        bits.add_((distance / wide).div_(TAIL_START).clamp_(min=1).log_(), alpha=TAIL_BITS)
        if learns:
            per_mass = probability.mul_(-math.log(2)).reciprocal_()
            beyond = torch.addcmul(by_scale, by_place, wide, value=TAIL_START).mul_(per_mass).sub_(TAIL_BITS)
            by_scale = torch.where(tail, beyond, by_scale.mul_(per_mass)).mul_(SCALE_STEP)
            by_place = torch.where(tail, TAIL_BITS / distance, by_place.mul_(per_mass)).mul_(x.sign())
            ctx.save_for_backward(by_place, by_scale, index)
        return bits

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        by_place, by_scale, index = ctx.saved_tensors
        return gradient * by_place, _led_back(gradient * by_scale, index, 0.0, SCALES - 1.0)


def _flat(x: Tensor) -> NDArray[np.int64]:
    return x.detach().to(torch.int64).cpu().numpy().ravel()


def _picture_of(mask: Tensor | None, number: int) -> Tensor | None:
    """A mask (B or 1, C, H, W) of one picture."""
    return mask if mask is None or len(mask) == 1 else mask[number : number + 1]


class _Indexed:
    """What priors share of which every element has an index."""

    index: Tensor
    ordered = True

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Prior.shape`."""
        return tuple(self.index.shape)

    @property
    def device(self) -> torch.device:
        """See `Prior.device`."""
        return self.index.device


@dataclass(frozen=True)
class ScaleMixture(_Indexed):
    """Zero-mean mixture of a narrow and a wide Gaussian, their shares and ratio fixed, of one of 64 scales.

    Attributes:
        index: (B, C, H, W). Position on the logarithmic scale axis: a real number in training, an integer
            0..63 when coding, where 0 means "zero, not coded".
        where: bool, broadcastable to index: the elements that this step codes. None: all of them.

    """

    index: Tensor
    where: Tensor | None = None

    def of_picture(self, number: int) -> ScaleMixture:
        """See `Prior.of_picture`."""
        return ScaleMixture(self.index[number : number + 1], _picture_of(self.where, number))

    def of_elements(self, places: Tensor) -> ScaleMixture:
        """See `ElementPrior.of_elements`."""
        return ScaleMixture(self.index.flatten()[places].view(1, 1, 1, -1))

    def bits(self, x: Tensor) -> Tensor:
        """See `Prior.bits`; when coding, x is of whole numbers, and far outside all tables none costs more."""
        if self.index.is_floating_point():
            bits: Tensor = _MixtureBits.apply(x.float(), self.index.float())
            return bits
        costs = torch.from_numpy(latent_costs()).to(self.device)
        magnitudes = costs.shape[1]
        return costs.take(self.index.long() * magnitudes + x.abs().clamp(max=magnitudes - 1).long())

    def coded(self) -> Tensor | None:
        """See `Prior.coded`."""
        if self.index.is_floating_point():
            return self.where
        coded = self.index > 0
        return coded if self.where is None else coded & self.where

    def tables(self) -> tuple[Sequence[Table], NDArray[np.unsignedinteger[Any]]]:
        """See `TablePrior.tables`."""
        return latent_tables(), self.index.to(torch.uint8).cpu().numpy().ravel()


@dataclass(frozen=True)
class GaussianMixture:
    """Mixture of K Gaussians near zero, for K small.

    Attributes:
        weights: (B, K, C, H, W) log-weights; when coding, integers in 1/16.
        offsets: (B, K, C, H, W) means in symbols; when coding, integers in 1/16.
        indices: (B, K, C, H, W) positions on the scale axis; when coding, integers 0..63.
        where: bool, broadcastable to (B, C, H, W): the elements that this step codes.
        half_width_max: larger symbols are escaped: longer rows take longer.

    """

    weights: Tensor
    offsets: Tensor
    indices: Tensor
    where: Tensor | None = None
    half_width_max: int = ROW_HALF_WIDTH_MAX
    ordered = True

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Prior.shape`."""
        return (self.indices.shape[0], *self.indices.shape[2:])

    @property
    def device(self) -> torch.device:
        """See `Prior.device`."""
        return self.indices.device

    def of_picture(self, number: int) -> GaussianMixture:
        """See `Prior.of_picture`."""
        one = slice(number, number + 1)
        return dataclasses.replace(
            self,
            weights=self.weights[one],
            offsets=self.offsets[one],
            indices=self.indices[one],
            where=_picture_of(self.where, number),
        )

    def bits(self, x: Tensor) -> Tensor:
        """See `Prior.bits`."""
        unit = 1.0 if self.weights.is_floating_point() else 1 / 16
        if self.weights.shape[1] == 1:
            return _gaussian_bits(x.float() - self.offsets[:, 0].float() * unit, _scale(self.indices[:, 0]))
        shares = torch.softmax(self.weights.float() * unit, 1)
        parts = _interval_probability(x.float().unsqueeze(1) - self.offsets.float() * unit, _scale(self.indices))
        return -torch.log2((shares * parts).sum(1).clamp(min=LIKELIHOOD_MIN))

    def coded(self) -> Tensor | None:
        """See `Prior.coded`. A symbol is not coded where all components have scale 0."""
        if self.indices.is_floating_point():
            return self.where
        coded = (self.indices > 0).any(1)
        return coded if self.where is None else coded & self.where

    @cached_property
    def half_width(self) -> int:
        """See `RowPrior.half_width`."""
        widest = gaussian_tables()[int(self.indices.max())].half_width
        return min(self.half_width_max, widest + (int(self.offsets.abs().max()) + 15) // 16)

    @property
    def first(self) -> int:
        """See `RowPrior.first`."""
        return self.half_width

    @property
    def row_length(self) -> int:
        """See `RowPrior.row_length`."""
        return 2 * self.half_width + 2

    @cached_property
    def _components(self) -> list[tuple[NDArray[np.int64], ...]]:
        weights = self.weights - self.weights.amax(1, keepdim=True)
        shares = exponentials()[_flat((-weights).clamp(max=255))].reshape(weights.shape[1], -1)
        scales = inverse_scales()[_flat(self.indices)].reshape(shares.shape)
        offsets = _flat(self.offsets).reshape(shares.shape)
        return list(zip(shares, scales, offsets, strict=True))

    def rows(self, positions: NDArray[np.intp]) -> NDArray[np.float64]:
        """See `RowPrior.rows`."""
        if len(self._components) > 1:
            return self._rows_of(positions)
        _, scales, offsets = self._components[0]  # many symbols share a Gaussian
        key = offsets[positions] * 2**32 + scales[positions]
        _, first, which = np.unique(key, return_index=True, return_inverse=True)
        return self._rows_of(positions[first])[which]

    def _rows_of(self, positions: NDArray[np.intp]) -> NDArray[np.float64]:
        """The same, each computed."""
        edges = 16 * np.arange(-self.half_width, self.half_width + 2, dtype=np.int64) - 8
        cumulative = np.zeros((len(positions), len(edges)), dtype=np.int64)
        total = np.zeros((len(positions), 1), dtype=np.int64)
        for share, scale, offset in self._components:
            # In 1/16 symbol times 2^16/σ: 1/2^20 of a deviation; the table wants 1/2^14.
            points = ((edges[None] - offset[positions, None]) * scale[positions, None]) >> 6
            cumulative += share[positions, None] * normal_cdf(points)
            total += share[positions, None]
        cumulative //= total
        inside = np.diff(cumulative, axis=1)
        outside = 2**30 - cumulative[:, -1:] + cumulative[:, :1]
        return as_probabilities(normalise(np.concatenate([inside, outside], 1)))


@dataclass(frozen=True)
class Categorical:
    """Any distribution over symbols 0..K−1 that have no order, such as indices of a codebook.

    Attributes:
        logits: (B, K, C, H, W); when coding, integers in 1/16.
        where: bool, broadcastable to (B, C, H, W): the elements that are coded; the others are 0. None: all of them.

    """

    logits: Tensor
    where: Tensor | None = None
    first = 0
    ordered = False

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Prior.shape`."""
        return (self.logits.shape[0], *self.logits.shape[2:])

    @property
    def device(self) -> torch.device:
        """See `Prior.device`."""
        return self.logits.device

    def of_picture(self, number: int) -> Categorical:
        """See `Prior.of_picture`."""
        return Categorical(self.logits[number : number + 1], _picture_of(self.where, number))

    def bits(self, x: Tensor) -> Tensor:
        """−log2 of the probability of the nearest symbols (indices are not relaxed)."""
        unit = 1.0 if self.logits.is_floating_point() else 1 / 16
        logs = torch.log_softmax(self.logits.float() * unit, 1)
        index = torch.round(x.detach()).to(torch.int64).unsqueeze(1)
        return -logs.gather(1, index).squeeze(1) / math.log(2)

    def coded(self) -> Tensor | None:
        """See `Prior.coded`."""
        return self.where

    @property
    def row_length(self) -> int:
        """See `RowPrior.row_length`."""
        return self.logits.shape[1]

    @property
    def half_width(self) -> int:
        """No symbol is escaped."""
        return self.row_length - 1

    def rows(self, positions: NDArray[np.intp]) -> NDArray[np.float64]:
        """See `RowPrior.rows`."""
        logits = self.logits[0].flatten(1).cpu().numpy().T[positions].astype(np.int64)
        below = np.minimum(logits.max(1, keepdims=True) - logits, 255)
        return as_probabilities(normalise(exponentials()[below]))


@dataclass(frozen=True)
class Weighted:
    """Any distributions over symbols 0..K−1 that have no order, by integer weights; of one picture, for coding alone.

    Frequencies are weight · (2^24 − K) / sum, rounded down, and 1; what that leaves of 2^24 is the first one's.

    Attributes:
        weights: (N, K), whole numbers 0 to 2^28, not all zero for a symbol.

    """

    weights: Tensor
    first = 0
    ordered = False

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Prior.shape`."""
        return (1, 1, 1, len(self.weights))

    @property
    def device(self) -> torch.device:
        """See `Prior.device`."""
        return self.weights.device

    def of_picture(self, number: int) -> Weighted:
        """See `Prior.of_picture`."""
        return self

    def bits(self, x: Tensor) -> Tensor:
        """−log2 of the probability of the nearest symbols."""
        index = torch.round(x.detach()).to(torch.int64).view(-1, 1)
        weights = self.weights.double()
        return (weights.sum(1).log2() - weights.gather(1, index)[:, 0].log2()).float().view(self.shape)

    def coded(self) -> Tensor | None:
        """See `Prior.coded`."""
        return None

    @property
    def row_length(self) -> int:
        """See `RowPrior.row_length`."""
        return self.weights.shape[1]

    @property
    def half_width(self) -> int:
        """No symbol is escaped."""
        return self.row_length - 1

    def rows(self, positions: NDArray[np.intp]) -> NDArray[np.float64]:
        """See `RowPrior.rows`."""
        weights = self.weights.cpu()
        if len(positions) < len(weights):
            weights = weights[torch.from_numpy(positions)]
        free = TOTAL - self.row_length
        rows = weights.double()
        sums = rows.sum(1, keepdim=True)
        # Below 2^53 together, a product and the sum make a quotient that never rounds up to a whole number.
        rows.mul_(free).div_(sums).floor_()
        rows[:, 0] += free - rows.sum(1)
        found: NDArray[np.float64] = rows.numpy()
        return found


@dataclass(frozen=True)
class Alike:
    """One distribution for symbols 0..K−1 that have no order, by integer weights; for coding alone.

    Attributes:
        weights: (K,), whole numbers 0 to 2^31 − 1, not all zero.
        shape: shape (B, C, H, W) of the symbols.

    """

    weights: Tensor
    shape: tuple[int, ...]
    ordered = False

    @property
    def device(self) -> torch.device:
        """See `Prior.device`."""
        return self.weights.device

    def of_picture(self, number: int) -> Alike:
        """See `Prior.of_picture`."""
        return Alike(self.weights, (1, *self.shape[1:]))

    def bits(self, x: Tensor) -> Tensor:
        """−log2 of the probability of the nearest symbols."""
        weights = self.weights.double()
        return (weights.sum().log2() - weights.log2())[torch.round(x.detach()).to(torch.int64)].float()

    def coded(self) -> Tensor | None:
        """See `Prior.coded`."""
        return None

    def shared(self) -> NDArray[np.int64]:
        """See `SharedPrior.shared`."""
        return normalise(self.weights.cpu().numpy().astype(np.int64))


@dataclass(frozen=True)
class Factorized:
    """A free distribution a channel, over the symbols −R..R and, last, an escape for all others.

    Attributes:
        mass: (B, C, 2R+2): probabilities in training; int64 frequencies adding up to 2^24 when coding.
        shape: shape (B, C, H, W) of the symbols.
        where: bool, broadcastable to shape: the elements that this step codes. None: all of them.

    """

    mass: Tensor
    shape: tuple[int, ...]
    where: Tensor | None = None
    ordered = True

    @property
    def device(self) -> torch.device:
        """See `Prior.device`."""
        return self.mass.device

    def of_picture(self, number: int) -> Factorized:
        """See `Prior.of_picture`."""
        return Factorized(self.mass[number : number + 1], (1, *self.shape[1:]), _picture_of(self.where, number))

    def bits(self, x: Tensor) -> Tensor:
        """See `Prior.bits`. Between integers the probability is interpolated linearly."""
        mass = self.mass if self.mass.is_floating_point() else self.mass.double() / TOTAL
        half_width = (mass.shape[-1] - 2) // 2
        position = (x.flatten(2).float() + half_width).clamp(0, 2 * half_width)
        below = position.detach().floor().clamp(max=2 * half_width - 1)
        part = position - below
        below = below.long()
        p = mass.gather(2, below) * (1 - part) + mass.gather(2, below + 1) * part
        return -torch.log2(p.clamp(min=LIKELIHOOD_MIN)).view_as(x)

    def coded(self) -> Tensor | None:
        """See `Prior.coded`."""
        return self.where

    def tables(self) -> tuple[Sequence[Table], NDArray[np.unsignedinteger[Any]]]:
        """See `TablePrior.tables`."""
        frequencies = self.mass[0].cpu().numpy()
        half_width = (frequencies.shape[-1] - 2) // 2
        count = self.shape[2] * self.shape[3]
        index = np.repeat(np.arange(len(frequencies), dtype=np.uint16), count)
        return [Table(half_width, row) for row in frequencies], index


@dataclass(frozen=True)
class Tabled(_Indexed):
    """Symbols that are coded by tables given as such.

    Attributes:
        table: the tables.
        index: int64 (B, C, H, W), which table each symbol has.
        where: bool, broadcastable to index: the elements that are coded. None: all of them.

    """

    table: Sequence[Table]
    index: Tensor
    where: Tensor | None = None

    def of_picture(self, number: int) -> Tabled:
        """See `Prior.of_picture`."""
        return Tabled(self.table, self.index[number : number + 1], _picture_of(self.where, number))

    def bits(self, x: Tensor) -> Tensor:
        """−log2 of the probability of the nearest symbols (there is no gradient); an escape counts 9 bits more."""
        symbols, index = _flat(torch.round(x)), _flat(self.index)
        bits = np.zeros(len(symbols))
        for number in np.unique(index):
            table, own = self.table[number], index == number
            values = symbols[own]
            outside = np.abs(values) > table.half_width
            entry = np.where(outside, table.half_width + 1, values) + table.half_width
            bits[own] = PRECISION_BITS - np.log2(table.frequencies[entry]) + 9.0 * outside
        return torch.from_numpy(bits.astype(np.float32)).view(self.shape).to(self.device)

    def coded(self) -> Tensor | None:
        """See `Prior.coded`."""
        return self.where

    def tables(self) -> tuple[Sequence[Table], NDArray[np.unsignedinteger[Any]]]:
        """See `TablePrior.tables`."""
        return self.table, _flat(self.index).astype(np.uint16)


SPLIT_RATIO = 3
"""A symbol that is coded in two parts is so many times the first, and the second."""

SPLIT_STEPS = 9
"""Scales that the first part's lies below the whole symbol's: ln 3 in steps of the axis."""

SPLIT_FROM = 21
"""Symbols of smaller scales than this index's (1.5) are coded whole."""

_SPLIT_MAGNITUDES = 5
"""Magnitudes of first parts that the second's tables tell apart; larger ones are as the last."""


@cache
def _second_parts() -> tuple[Table, ...]:
    """Tables of second parts, by scale from SPLIT_FROM on, then by magnitude: the whole symbols' own frequencies."""
    found = []
    for whole in latent_tables()[SPLIT_FROM:]:
        beyond = np.ones(SPLIT_RATIO * _SPLIT_MAGNITUDES, dtype=np.int64)  # the table's end, of small scales
        frequencies = np.concatenate([whole.frequencies[:-1], beyond])
        for magnitude in range(_SPLIT_MAGNITUDES):
            entries = whole.half_width + SPLIT_RATIO * magnitude + np.arange(-1, 2)
            found.append(Table(1, normalise(np.append(frequencies[entries], 1))))
    return tuple(found)


@cache
def _second_costs() -> NDArray[np.float32]:
    """What second parts cost in bits: (tables, 3), and last (tables, 1) one that is escaped."""
    rows = [PRECISION_BITS - np.log2(table.frequencies) for table in _second_parts()]
    return np.stack(rows).astype(np.float32)


@dataclass(frozen=True)
class SecondPart(_Indexed):
    """Of symbols whose first part is known: what is left of them, towards or away from zero, -1 to 1.

    Its distribution is that of the whole symbol, given the first part.

    Attributes:
        index: (B, C, H, W), the whole symbol's position on the scale axis: real in training, else an integer.
        magnitude: (B, C, H, W), of the first parts, whole numbers.
        where: bool, broadcastable to index: the elements that are coded.

    """

    index: Tensor
    magnitude: Tensor
    where: Tensor

    def of_picture(self, number: int) -> SecondPart:
        """See `Prior.of_picture`."""
        one = slice(number, number + 1)
        where = _picture_of(self.where, number)
        assert where is not None
        return SecondPart(self.index[one], self.magnitude[one], where)

    def _rows(self) -> Tensor:
        """Each element's table."""
        above = (self.index - SPLIT_FROM).clamp(min=0)
        return above * _SPLIT_MAGNITUDES + self.magnitude.clamp(max=_SPLIT_MAGNITUDES - 1).to(above.dtype)

    def bits(self, x: Tensor) -> Tensor:
        """See `Prior.bits`."""
        if not self.index.is_floating_point():
            costs = torch.from_numpy(_second_costs()).to(self.device)
            return costs[self._rows().long(), (x.round() + 1).clamp(-1, 3).long() % 4]
        middle, index = SPLIT_RATIO * self.magnitude.float(), self.index.float()
        each = torch.stack([_MixtureBits.apply(middle + part, index) for part in (-1, 0, 1)])
        least = each.amin(0)  # that of what is far from zero is more than float32 has powers of two for
        bits: Tensor = _MixtureBits.apply(middle + x.float(), index)
        return bits - least + torch.log2(torch.exp2(least - each).sum(0))

    def coded(self) -> Tensor | None:
        """See `Prior.coded`."""
        return self.where

    def tables(self) -> tuple[Sequence[Table], NDArray[np.unsignedinteger[Any]]]:
        """See `TablePrior.tables`."""
        return _second_parts(), self._rows().to(torch.int32).cpu().numpy().astype(np.uint16).ravel()
