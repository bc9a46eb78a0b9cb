"""Symbols that are all as likely."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from nicodec.entropy.priors import Tabled
from nicodec.entropy.tables import TOTAL, Table, normalise


@cache
def _table(half_width: int) -> Table:
    frequencies = np.full(2 * half_width + 2, 2**16, dtype=np.int64)
    frequencies[-1] = 1
    return Table(half_width, normalise(frequencies, TOTAL))


def uniform(shape: tuple[int, int, int, int], half_width: int) -> Tabled:
    """The prior of symbols -half_width..half_width of this shape."""
    return Tabled([_table(half_width)], torch.zeros(shape, dtype=torch.int64))
