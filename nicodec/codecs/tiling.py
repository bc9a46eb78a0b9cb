"""How a large picture is cut into tiles that are coded each for itself (container/FORMAT.md, "Tiles")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from nicodec.codecs.window import Window

WHOLE_PIXELS = 2**21
"""A picture of at most so many pixels, padded, is one tile."""

TILE = 1024
"""Sides of tiles are at most so many pixels."""

UNIT = 64
"""Sides of tiles are multiples of so many pixels."""


@dataclass(frozen=True)
class Tiling:
    """The tiles of a picture, row by row.

    Attributes:
        rows: where rows of tiles begin, in pixels, and where the last one ends.
        columns: likewise.

    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @classmethod
    def of(cls, size: tuple[int, int]) -> Tiling:
        """Of a padded picture of H, W: as few tiles as may be, of nearly equal sides."""
        if size[0] * size[1] <= WHOLE_PIXELS:
            return cls((0, size[0]), (0, size[1]))
        return cls(_cuts(size[0]), _cuts(size[1]))

    def __len__(self) -> int:
        return (len(self.rows) - 1) * (len(self.columns) - 1)

    def __getitem__(self, number: int) -> Window:
        row, column = divmod(number, len(self.columns) - 1)
        return Window(self.rows[row], self.columns[column], self.rows[row + 1], self.columns[column + 1])

    def __iter__(self) -> Iterator[Window]:
        for top, bottom in pairwise(self.rows):
            for left, right in pairwise(self.columns):
                yield Window(top, left, bottom, right)

    def meeting(self, window: Window) -> list[int]:
        """Numbers of the tiles that have something of a window, in order."""
        return [number for number, tile in enumerate(self) if tile.meets(window)]


def _cuts(side: int) -> tuple[int, ...]:
    count, units = -(-side // TILE), side // UNIT
    return tuple(number * units // count * UNIT for number in range(count + 1))
