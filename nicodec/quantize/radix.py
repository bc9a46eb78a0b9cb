"""One index for the digits of several scalars, each with a number of levels of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nicodec.errors import InputError

MOST_CODES = 2**40
"""Of an index that must stay well within int64."""


def index_of(digits: Tensor, levels: Sequence[int]) -> Tensor:
    """Digits (N, d), each from 0 below its level, as one index (N, 1), int64; the first digit counts most."""
    index = torch.zeros(len(digits), dtype=torch.int64, device=digits.device)
    for own, level in zip(digits.to(torch.int64).t(), levels, strict=True):
        index = index * level + own
    return index[:, None]


def digits_of(index: Tensor, levels: Sequence[int]) -> Tensor:
    """The digits (N, d), float32, of an index (N, 1)."""
    rest, found = index[:, 0], []
    for level in reversed(levels):
        found.append(rest % level)
        rest = rest // level
    return torch.stack(found[::-1], 1).float()


def check_levels(levels: Sequence[int]) -> None:
    """See that levels make a codebook.

    Raises:
        InputError: they do not.

    """
    if not levels or min(levels) < 2 or math.prod(levels) > MOST_CODES:
        raise InputError(f"levels {tuple(levels)}: give numbers of at least 2, of a product up to 2^40")
