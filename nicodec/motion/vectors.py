"""The coding of motion: a field of vectors, coarse to fine, each taken from a neighbour or told anew.

Blocks of 16 pixels are coded in four passes: every fourth row and column, the other even ones, the odd ones, and the
rest; so that all but the first have four neighbours around them that are known. A block takes the vector of one of
its candidates (the neighbours' median, the neighbours, what the references' motion continues to, zero) or a new one,
as a difference from the median. Then a block may be split into four cells of 8 pixels, which do likewise.

Everything is integers; the tables are picked by integer networks over what is known (rule 1 of the numbers contract).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import torch
from torch import Tensor, nn

from nicodec.entropy.coder import Coder
from nicodec.entropy.priors import Categorical, ScaleMixture
from nicodec.entropy.tables import SCALES
from nicodec.exact.layers import ACTIVATION_MAX, ExactPointwise, each_at
from nicodec.exact.symbols import magnitude_features
from nicodec.motion.field import VECTOR_MAX, Motion, cells_of, shifted

MODES = 8
"""Median, four neighbours, continued, zero; the last is a new vector."""

CELL_MODES = 4
"""The block's, that of the block above or below, that of the one to the left or right; the last is a new vector."""

IMPOSSIBLE = 30.0
"""Taken off the log-weight of a candidate that is another one's equal."""

FIRST_INDEX = 40.0
"""Where the scale of new vectors' differences begins, on the axis of the Gaussian tables."""

FLAG = 128


@dataclass(frozen=True)
class Place:
    """The blocks of one pass.

    Attributes:
        row, column: int64 (N,).
        near: rows and columns of their four neighbours; None in the first pass.

    """

    row: Tensor
    column: Tensor
    near: tuple[tuple[Tensor, Tensor], ...] | None


@cache
def places(rows: int, columns: int) -> tuple[Place, ...]:
    """The four passes over a grid of blocks."""
    row = torch.arange(rows)[:, None].expand(rows, columns).flatten()
    column = torch.arange(columns).expand(rows, columns).flatten()

    def corners(r: Tensor, c: Tensor, step: int) -> tuple[tuple[Tensor, Tensor], ...]:
        def ends(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
            low = x // step * step
            high = torch.where(x % step == 0, low, low + step)
            return low, torch.where(high < count, high, low)

        (top, bottom), (left, right) = ends(r, rows), ends(c, columns)
        return (top, left), (top, right), (bottom, left), (bottom, right)

    def sides(r: Tensor, c: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        def ends(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
            low, high = x - 1, x + 1
            there = torch.where(low < 0, high.clamp(max=count - 1), low)
            return there, torch.where(high < count, high, low.clamp(min=0))

        (top, bottom), (left, right) = ends(r, rows), ends(c, columns)
        return (top, c), (bottom, c), (r, left), (r, right)

    found = []
    for number, chosen in enumerate(
        (
            (row % 4 == 0) & (column % 4 == 0),
            (row % 2 == 0) & (column % 2 == 0) & ((row % 4 != 0) | (column % 4 != 0)),
            (row % 2 == 1) & (column % 2 == 1),
            (row + column) % 2 == 1,
        )
    ):
        r, c = row[chosen], column[chosen]
        near = (None, corners(r, c, 4), corners(r, c, 2), sides(r, c))[number]
        found.append(Place(r, c, near))
    return tuple(found)


class Chooser(Protocol):
    """What an encoder decides."""

    def weights(self, place: Place, bits: Tensor) -> Tensor:
        """Of blocks, (B, N), 0..2, where they cost bits (B, 3, N)."""

    def modes(self, place: Place, candidates: Tensor, bits: Tensor, new_bits: Tensor) -> tuple[Tensor, Tensor]:
        """Modes (B, F, N) and new vectors (B, F, 2, N).

        Args:
            place: the blocks.
            candidates: (B, F, MODES − 1, 2, N).
            bits: of the modes, (B, F, MODES, N).
            new_bits: index of the scale of a new vector's difference from the first candidate, (B, F, 2, N).

        """

    def splits(
        self, blocks: Tensor, candidates: Tensor, split_bits: Tensor, bits: Tensor, new_bits: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Whether blocks are split (B, F, R, C), modes of their cells (B, F, 2R, 2C), new vectors (B, F, 2, 2R, 2C).

        Args:
            blocks: (B, F, 2, R, C).
            candidates: (B, F, CELL_MODES − 1, 2, 2R, 2C).
            split_bits: of not and of splitting, (B, F, 2, R, C).
            bits: (B, F, CELL_MODES, 2R, 2C).
            new_bits: (B, F, 2, 2R, 2C); see `modes`.

        """


class _Choice(nn.Module):
    """Integer parameters from integer features, each place by itself."""

    def __init__(self, features: int, width: int, start: list[float]) -> None:
        super().__init__()
        self.enter = ExactPointwise(features, width)
        self.mix = ExactPointwise(width, width)
        self.leave = ExactPointwise(width, len(start), activation=False, zero=True)
        with torch.no_grad():
            self.leave.bias.add_(torch.tensor(start, dtype=torch.float32))

    def forward(self, features: Tensor, quality: Tensor) -> Tensor:
        """(B, features, N) to (B, parameters, N)."""
        enter, mix, leave = each_at((self.enter, self.mix, self.leave), quality)
        return leave(mix(enter(features[:, :, None])))[:, :, 0]


MODE_FEATURES, CELL_FEATURES, SPLIT_FEATURES, WEIGHT_FEATURES = 19, 8, 8, 6


class VectorCoder(nn.Module):
    """Codes the motion of frames."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        first = [0.0, -2.0, -2.0, -2.0, -2.0, -1.0, -2.0, -1.0]
        self.modes = nn.ModuleList(
            _Choice(MODE_FEATURES, width, [*first, FIRST_INDEX, FIRST_INDEX]) for _ in range(4)
        )
        self.weights = nn.ModuleList(_Choice(WEIGHT_FEATURES, width, [0.0, 0.5, 0.0]) for _ in range(4))
        self.split = _Choice(SPLIT_FEATURES, width, [0.0, -2.0])
        self.cells = _Choice(CELL_FEATURES, width, [0.0, -1.0, -1.0, 0.0, FIRST_INDEX, FIRST_INDEX])

    def forward(
        self,
        coder: Coder,
        chooser: Chooser | None,
        continued: Tensor,
        distances: tuple[int, ...],
        quality: Tensor,
    ) -> Motion:
        """Hand the motion of frames to `coder`.

        Args:
            coder: see `Coder`.
            chooser: what the encoder decides; None when decoding.
            continued: vectors (B, F, 2, R, C) of blocks, to each of F = 1 or 2 references, that their own motion
                suggests.
            distances: in frames, of the references; their sizes count.
            quality: int64 (B,), half steps.

        """
        batch, fields, _, rows, columns = continued.shape
        device = continued.device
        blocks = torch.zeros_like(continued)
        fresh = torch.zeros_like(continued[:, :, 0])
        weight = torch.ones(batch, rows, columns, dtype=torch.int64, device=device)
        for number, place in enumerate(places(rows, columns)):
            if not len(place.row):
                continue
            here = (..., place.row, place.column)
            if fields == 2:
                weight[here] = self._weights(number, coder, chooser, place, weight, distances, quality)
            own = weight[here]
            used = _used(own, fields)
            found, new = self._modes(
                number, coder, chooser, place, (blocks, fresh, continued[here]), used, own, distances, quality
            )
            blocks[here], fresh[here] = found, new
        cells = self._cells(coder, chooser, blocks, fresh, weight, distances, quality)
        if fields == 1:
            cells = cells.expand(-1, 2, -1, -1, -1)
        return Motion(cells, cells_of(weight[:, None]))

    def _unit(self) -> float:
        return 1 / 16 if self.training else 1.0

    def _weights(
        self,
        number: int,
        coder: Coder,
        chooser: Chooser | None,
        place: Place,
        weight: Tensor,
        distances: tuple[int, ...],
        quality: Tensor,
    ) -> Tensor:
        unit, count = self._unit(), len(place.row)
        parts = []
        near = [] if place.near is None else [weight[:, r, c] for r, c in place.near]
        for value in range(3):
            same = torch.zeros(len(weight), count, dtype=torch.int64, device=weight.device)
            for each in near:
                same = same + (each == value).to(torch.int64)
            parts.append(same.float() * (FLAG // 4 * unit))
        parts.append(torch.full_like(parts[0], FLAG * unit * (place.near is None)))
        parts += [torch.full_like(parts[0], min(ACTIVATION_MAX, 16 * d) * unit) for d in distances]
        logits = self.weights[number](torch.stack(parts, 1), quality)
        wanted = None if chooser is None else chooser.weights(place, self._bits(logits))
        symbols = coder.code(_as_symbols(wanted), Categorical(self._integers(logits)[:, :, None, None]))
        return symbols[:, 0, 0].to(torch.int64)

    def _modes(
        self,
        number: int,
        coder: Coder,
        chooser: Chooser | None,
        place: Place,
        known: tuple[Tensor, Tensor, Tensor],
        used: Tensor,
        weight: Tensor,
        distances: tuple[int, ...],
        quality: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Vectors (B, F, 2, N) of the place's blocks, and how far new ones are from the median, (B, F, N)."""
        blocks, fresh, continued = known
        batch, fields, _, count = continued.shape
        near = [continued] * 4 if place.near is None else [blocks[..., r, c] for r, c in place.near]
        news = [fresh[..., 0, 0, None].expand(-1, -1, count) * 0] * 4
        if place.near is not None:
            news = [fresh[..., r, c] for r, c in place.near]
        median = _median(near)
        candidates = torch.stack([median, *near, continued, torch.zeros_like(median)], 2)
        again = _repeated(candidates)
        unit = self._unit()
        apart = [(n - median).abs().sum(2) for n in near]
        sizes = [*apart, (continued - median).abs().sum(2), median.abs().sum(2), *news]
        parts = [magnitude_features(torch.stack(sizes, 2).float(), self.training)]
        distance = torch.tensor([min(ACTIVATION_MAX, 16 * d) for d in distances[:fields]], device=median.device)
        flags = [
            (distance * unit).view(1, -1, 1).expand(batch, fields, count),
            torch.full((batch, fields, count), FLAG * unit * (fields == 2), device=median.device),
            (weight == 1).float()[:, None].expand(batch, fields, count) * (FLAG * unit),
        ]
        parts += [torch.stack(flags, 2), again[:, :, 1:].float() * (FLAG * unit)]
        features = torch.cat(parts, 2).flatten(0, 1)
        qualities = quality.repeat_interleave(fields)
        parameters = self.modes[number](features, qualities).view(batch, fields, MODES + 2, count)
        again = torch.cat([again, torch.zeros_like(again[:, :, :1])], 2)
        logits = parameters[:, :, :MODES] - again * (IMPOSSIBLE / (1 / 16 if not self.training else 1))
        index = self._scale_index(parameters[:, :, MODES:])
        wanted = new = None
        if chooser is not None:
            wanted, new = chooser.modes(place, candidates, self._bits(logits, 2), index)
        prior = Categorical(self._integers(logits).transpose(1, 2)[:, :, :, None], used[:, :, None])
        modes = coder.code(None if wanted is None else wanted[:, :, None].float(), prior).to(torch.int64)[:, :, 0]
        told = used & (modes == MODES - 1)
        difference = _told(coder, None if new is None else new - median, index, told)
        taken = torch.cat([candidates, median[:, :, None]], 2)
        place_of = modes[:, :, None, None].expand(-1, -1, 1, 2, -1)
        vectors = taken.gather(2, place_of)[:, :, 0] + difference
        return vectors.clamp(-VECTOR_MAX, VECTOR_MAX), difference.abs().sum(2)

    def _cells(
        self,
        coder: Coder,
        chooser: Chooser | None,
        blocks: Tensor,
        fresh: Tensor,
        weight: Tensor,
        distances: tuple[int, ...],
        quality: Tensor,
    ) -> Tensor:
        """Vectors of the cells, (B, F, 2, 2R, 2C)."""
        batch, fields, _, rows, columns = blocks.shape
        unit, qualities = self._unit(), quality.repeat_interleave(fields)
        used = _used(weight.flatten(1), fields).view(batch, fields, rows, columns)
        around = [shifted(blocks, *step) for step in ((-1, 0), (1, 0), (0, -1), (0, 1))]
        sizes = torch.stack([*((n - blocks).abs().sum(2) for n in around), fresh], 2).float()
        distance = torch.tensor([min(ACTIVATION_MAX, 16 * d) for d in distances[:fields]], device=blocks.device)
        flags = torch.stack(
            [
                (distance * unit).view(1, -1, 1, 1).expand(batch, fields, rows, columns),
                torch.full((batch, fields, rows, columns), FLAG * unit * (fields == 2), device=blocks.device),
                (weight == 1).float()[:, None].expand(batch, fields, rows, columns) * (FLAG * unit),
            ],
            2,
        )
        features = torch.cat([magnitude_features(sizes, self.training), flags], 2)
        split_logits = self.split(features.flatten(0, 1).flatten(2), qualities).view(batch, fields, 2, rows, columns)

        whole = cells_of(blocks)
        up, down, left, right = (cells_of(each) for each in around)
        upper = torch.arange(2 * rows, device=blocks.device)[:, None] % 2 == 0
        leftward = torch.arange(2 * columns, device=blocks.device) % 2 == 0
        candidates = torch.stack([whole, torch.where(upper, up, down), torch.where(leftward, left, right)], 2)
        again = _repeated(candidates)
        sizes = torch.stack([*((candidates[:, :, n] - whole).abs().sum(2) for n in (1, 2)), cells_of(fresh)], 2)
        same = again[:, :, 1:].float() * (FLAG * unit)
        parts = [magnitude_features(sizes.float(), self.training), same, cells_of(flags)]
        parameters = self.cells(torch.cat(parts, 2).flatten(0, 1).flatten(2), qualities)
        parameters = parameters.view(batch, fields, CELL_MODES + 2, 2 * rows, 2 * columns)
        again = torch.cat([again, torch.zeros_like(again[:, :, :1])], 2)
        logits = parameters[:, :, :CELL_MODES] - again * (IMPOSSIBLE / (1 / 16 if not self.training else 1))
        index = self._scale_index(parameters[:, :, CELL_MODES:])
        split = modes = new = None
        if chooser is not None:
            split, modes, new = chooser.splits(
                blocks, candidates, self._bits(split_logits, 2), self._bits(logits, 2), index
            )
        prior = Categorical(self._integers(split_logits).transpose(1, 2), used)
        is_split = coder.code(None if split is None else split.float(), prior) > 0
        where = cells_of(is_split)
        prior = Categorical(self._integers(logits).transpose(1, 2), where)
        found = coder.code(None if modes is None else modes.float(), prior).to(torch.int64)
        told = where & (found == CELL_MODES - 1)
        shape = (batch, fields, 2, 4 * rows * columns)
        difference = _told(
            coder,
            None if new is None else (new - whole).view(shape),
            index.view(shape),
            told.view(batch, fields, -1),
        ).view(whole.shape)
        taken = torch.cat([candidates, whole[:, :, None]], 2)
        place_of = found[:, :, None, None].expand(-1, -1, 1, 2, -1, -1)
        return (taken.gather(2, place_of)[:, :, 0] + difference).clamp(-VECTOR_MAX, VECTOR_MAX)

    def _bits(self, logits: Tensor, axis: int = 1) -> Tensor:
        """What choices cost by their log-weights."""
        return -torch.log_softmax(logits.detach().float() * (1 if self.training else 1 / 16), axis) * (1 / 0.6931472)

    def _integers(self, logits: Tensor) -> Tensor:
        return logits if self.training else logits.to(torch.int64)

    def _scale_index(self, parameters: Tensor) -> Tensor:
        if self.training:
            return parameters.clamp(min=1.0)
        return torch.floor((parameters + 8) / 16).clamp(1, SCALES - 1).to(torch.int64)


def _used(weight: Tensor, fields: int) -> Tensor:
    """Which references blocks of weights (B, N) use: bool (B, F, N)."""
    if fields == 1:
        return torch.ones_like(weight, dtype=torch.bool)[:, None]
    return torch.stack([weight > 0, weight < 2], 1)


def _as_symbols(wanted: Tensor | None) -> Tensor | None:
    return None if wanted is None else wanted[:, None, None].float()


def _told(coder: Coder, difference: Tensor | None, index: Tensor, told: Tensor) -> Tensor:
    """Code differences (B, F, 2, N) where they are told, (B, F, N); zero elsewhere."""
    batch, fields, _, count = index.shape
    where = told[:, :, None].expand(-1, -1, 2, -1).reshape(batch, 2 * fields, 1, count)
    prior = ScaleMixture(index.reshape(batch, 2 * fields, 1, count), where)
    value = None if difference is None else difference.reshape(batch, 2 * fields, 1, count).float() * where
    if isinstance(value, Tensor):
        value = value.clamp(-2 * VECTOR_MAX, 2 * VECTOR_MAX)
    return coder.code(value, prior).detach().round().to(torch.int64).view(batch, fields, 2, count)


def _median(near: list[Tensor]) -> Tensor:
    """By component, of four: the mean of the middle two, rounded down."""
    ordered = torch.stack(near).sort(0).values
    return (ordered[1] + ordered[2]) >> 1


def _repeated(candidates: Tensor) -> Tensor:
    """Which candidates (B, F, K, 2, ...) are equal to one before them: bool (B, F, K, ...)."""
    found = [torch.zeros_like(candidates[:, :, 0, 0], dtype=torch.bool)]
    for number in range(1, candidates.shape[2]):
        equal = (candidates[:, :, :number] == candidates[:, :, number : number + 1]).all(3).any(2)
        found.append(equal)
    return torch.stack(found, 2)


def continued_from(vectors: Tensor, distance: int, wanted: int) -> Tensor:
    """Vectors of blocks (B, 2, R, C) over a signed distance in frames, at the same speed over another one."""
    if distance < 0:
        distance, wanted = -distance, -wanted
    found = torch.div(2 * vectors * wanted + distance, 2 * distance, rounding_mode="floor")
    return found.clamp(-VECTOR_MAX, VECTOR_MAX)
