"""Levels of a picture of `hvae` in tiles: a level's packet has a part of each tile (container/FORMAT.md)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from nicodec.entropy.coder import Stream
from nicodec.errors import CorruptError

ENTRY = np.dtype([("length", "<u4"), ("checksum", "<u2")])
"""What stands before the parts for each tile: how long its part is, and the checksum of its symbols."""


def together(tiles: Sequence[Sequence[Stream]]) -> tuple[Stream, ...]:
    """The picture's levels, of each tile's; all have as many."""
    levels = []
    for parts in zip(*tiles, strict=True):
        table = np.array([(len(part.data), part.checksum) for part in parts], ENTRY)
        data = table.tobytes() + b"".join(part.data for part in parts)
        levels.append(Stream(data, _checksum(table)))
    return tuple(levels)


def apart(levels: Sequence[Stream], count: int) -> list[tuple[Stream, ...]]:
    """The levels of each of `count` tiles.

    Raises:
        CorruptError: a level cannot be that of such a picture.

    """
    found: list[list[Stream]] = [[] for _ in range(count)]
    for level in levels:
        start = count * ENTRY.itemsize
        table = np.frombuffer(level.data[:start].ljust(start, b"\0"), ENTRY)
        ends = start + np.cumsum(table["length"], dtype=np.int64)
        if ends[-1] > len(level.data) or _checksum(table) != level.checksum:
            raise CorruptError("the tiles of a level have other lengths than the level; fetch or copy the file again")
        for own, end, entry in zip(found, ends, table, strict=True):
            own.append(Stream(level.data[end - entry["length"] : end], int(entry["checksum"])))
    return [tuple(own) for own in found]


def _checksum(table: np.ndarray[tuple[int], np.dtype[np.void]]) -> int:
    return zlib.crc32(table.tobytes()) & 0xFFFF
