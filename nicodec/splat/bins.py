"""Tiles of a drawn picture, and which Gaussians touch them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

TILE = 8
"""Pixels of a tile's side."""

GROUP = 16
"""Gaussians of one tile that are summed by one matrix product."""

EXTENT = 3.0
"""Deviations at which a Gaussian ends."""

CUT = math.exp(-(EXTENT**2) / 2)


@dataclass(frozen=True)
class Bins:
    """Which Gaussians touch which tiles.

    Attributes:
        gaussian: int64 (P,), the Gaussian of each pair.
        slot: int64 (P,), the pair's row among groups * GROUP rows.
        tile: int64 (groups,), the tile of each group; tiles count row by row.
        rows, columns: of tiles.

    """

    gaussian: Tensor
    slot: Tensor
    tile: Tensor
    rows: int
    columns: int
