"""Where the slices of `hvae` end: thresholds, and an encoder's plan that puts their ends at shares of the file.

Slices come in this order: elements by falling scale, those of large scales by their first parts alone; then second
parts by falling scale; then the rest by falling scale. The plan takes what each would cost from a first look at the
picture, and is corrected by what the levels of a first file took.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nicodec.entropy.priors import SPLIT_FROM, SPLIT_RATIO, SPLIT_STEPS, Categorical, ScaleMixture
from nicodec.entropy.tables import SCALES

PART_BITS, PARTS, POSITIONS = 4, 16, 16 * SCALES
"""Thresholds count in parts of a scale; so many there are."""

REFINED_FROM, REFINED_AT, REFINED_TO = 13 * PARTS, 16 * PARTS, 19 * PARTS - 1
"""Thresholds (scales 0.54 to 1.1) of a slice after which second parts come, and the usual one: a digit is worth about
as much there."""

ALL_SECOND = SPLIT_FROM * PARTS
"""Threshold of a slice of all second parts that are left."""

LAST = PARTS
"""Threshold of the last slice: all that is left, of which scale 0 is not coded."""

PLAIN = 0
"""In a threshold's place: the level has no slice, but areas that are coded plainly."""

SHARES = (0.1, 0.25, 0.5, 0.75)
"""Of a file's bytes, just before which levels end: where one may want to cut it."""

SHORT = 0.02
"""Of what a level should hold, it is planned to hold so much less: one that is too long is lost by the cut."""

SMALL = 6000.0
"""Bytes; smaller files have no levels for such shares."""

LEVEL_BYTES, FILE_BYTES = 10, 20
"""What a level and a file take beside the symbols, about."""

LITTLE = 0.01
"""Of a file: no level is as small, or it begins where a needed one ends."""

NEEDED = 3
"""Slices that there are beside those that end at shares: the last first parts, the last second parts, the rest."""


def any_threshold(count: int, kind: torch.dtype, device: torch.device) -> Categorical:
    """The prior of the thresholds of `count` pictures: all equally likely; `kind`: of its parameters."""
    return Categorical(torch.zeros((count, POSITIONS, 1, 1, 1), dtype=kind, device=device))


class Look:
    """Adds up what symbols cost, by their positions on the scale axis."""

    def __init__(self) -> None:
        self._in_all, self._in_first = np.zeros((2, POSITIONS))
        """Bits of whole symbols, and of their first parts."""

    def add(self, positions: Tensor, symbols: Tensor, coded: Tensor) -> None:
        """Take the symbols of a pass; see `Hvae.code_levels`, `watch`."""
        positions, symbols = positions[coded], symbols[coded]
        indices = positions // PARTS
        split = indices >= SPLIT_FROM
        first = torch.where(split, symbols / SPLIT_RATIO, symbols).round()
        lowered = torch.where(split, indices - SPLIT_STEPS, indices)
        places = positions.cpu().numpy()
        for total, index, part in ((self._in_all, indices, symbols), (self._in_first, lowered, first)):
            bits = ScaleMixture(index).bits(part).double().cpu().numpy()
            total += np.bincount(places, bits, POSITIONS)

    def costs(self, whole: float) -> Costs:
        """What can be planned with; `whole`: bits of all, those of coarse levels among them."""
        return Costs(self._in_all, self._in_first, whole)


@dataclass(frozen=True)
class Costs:
    """What slices cost in bits, by a first look.

    Attributes:
        in_all: (POSITIONS,) of whole symbols.
        in_first: (POSITIONS,) of symbols or, of those that are split, of the first parts.
        whole: bits of all, those of coarse levels among them.

    """

    in_all: NDArray[np.float64]
    in_first: NDArray[np.float64]
    whole: float

    @classmethod
    def of_all(cls, parts: Sequence[Costs]) -> Costs:
        """What slices cost in all tiles together."""
        in_all, in_first = (np.sum([p.in_all for p in parts], 0), np.sum([p.in_first for p in parts], 0))
        return cls(in_all, in_first, sum(p.whole for p in parts))

    def thresholds(self, targets: Sequence[float]) -> list[int]:
        """Thresholds of slices that end just before so many bits each, and of the needed ones."""
        last_first = REFINED_AT
        ends_at = [_Order(self, t).first_end for t in range(REFINED_FROM, REFINED_TO + 1)]  # fall
        fitting = [target for target in targets if ends_at[-1] <= target <= ends_at[0]]
        if fitting:  # the first one: after its slice come second parts
            last_first = REFINED_FROM + next(n for n, end in enumerate(ends_at) if end <= fitting[0])
        order = _Order(self, last_first)
        places = {int(np.searchsorted(order.ends, target, "right")) - 1 for target in targets}
        for end in order.ends[list(order.needed)]:
            places = {place for place in places if not end <= order.ends[place] < end + LITTLE * self.whole}
        return [*(int(order.thresholds[place]) for place in sorted({*places, *order.needed} - {-1})), LAST]

    def ends_of(self, thresholds: Sequence[int]) -> list[float]:
        """Bits up to the ends of slices of such thresholds, second parts among them."""
        last_first = next(t for t in thresholds if t <= REFINED_TO)
        order, found, place = _Order(self, last_first), list[float](), -1
        for threshold in thresholds[:-1]:
            place += 1 + int(np.argmax(order.thresholds[place + 1 :] == threshold))
            found.append(float(order.ends[place]))
        return [*found, self.whole]


class _Order:
    """What ends where, in the order of the file.

    Attributes:
        thresholds: that slices can have.
        ends: bits up to the end of a slice that has each.
        needed: places of the last first parts and of the last second parts.
        first_end: bits up to the end of the last first parts.

    """

    def __init__(self, costs: Costs, last_first: int) -> None:
        """`last_first`: threshold of the slice after which second parts come."""
        split = np.arange(POSITIONS) >= max(last_first, ALL_SECOND)
        first = np.where(split, costs.in_first, costs.in_all)
        second = np.where(split, costs.in_all - costs.in_first, 0.0)
        large, small = np.arange(POSITIONS - 1, last_first - 1, -1), np.arange(last_first - 1, LAST, -1)
        parts = np.arange(POSITIONS - 1, ALL_SECOND - 1, -1)
        self.thresholds = np.concatenate([large, parts, small])
        bits = np.concatenate([first[large], second[parts], first[small]])
        self.ends = costs.whole - costs.in_all.sum() + bits.cumsum()
        self.needed = (len(large) - 1, len(large) + len(parts) - 1)
        self.first_end = float(self.ends[self.needed[0]])


def share_targets(whole: float, slices: int | None) -> list[float]:
    """Shares of a file's bytes at which levels end; `whole`: its bits; `slices`: so many, if given."""
    if slices is not None:
        count = max(0, slices - NEEDED)
        return [(n + 1) / (count + 1) for n in range(count)]
    return [] if whole < 8 * SMALL else list(SHARES)


def plan(costs: Costs, slices: int | None) -> list[int]:
    """Thresholds of a picture's slices, by a first look alone; `slices`: so many, if given."""
    if slices is not None and slices < NEEDED:
        return [REFINED_FROM - 1, LAST] if slices == 2 else [LAST]
    return costs.thresholds([share * costs.whole for share in share_targets(costs.whole, slices)])


def corrected(costs: Costs, slices: int | None, thresholds: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """Thresholds of slices that end where they should.

    Args:
        costs: by the first look.
        slices: so many, if given.
        thresholds: that a file was made with.
        sizes: of its levels in bytes, the coarse ones among them.

    """
    shares = share_targets(costs.whole, slices)
    if not shares:
        return list(thresholds)
    ends = FILE_BYTES + np.cumsum(np.asarray(sizes) + LEVEL_BYTES)[-len(thresholds) :]
    looked = costs.ends_of(thresholds)
    wanted = [share * (1 - SHORT) * float(ends[-1]) for share in shares]
    return costs.thresholds([float(np.interp(each, [0.0, *ends], [0.0, *looked])) for each in wanted])
