"""Indices of large codebooks: each is coded as two symbols, its group of 64 codes and its place in the group.

A row of frequencies of all codes for every index is what decoding such indices would spend its time on. The
probability is the same: that of the group times that of the place in it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from nicodec.entropy.coder import Coder
from nicodec.entropy.priors import Weighted
from nicodec.entropy.tables import exponentials

GROUP = 64
"""Codes of a group. Codebooks of at most so many have one symbol an index; larger ones have a multiple of it."""

AT_ONCE = 512
"""Indices that are coded at a time: the groups of all of them, then the places."""

BELOW_MAX = 255
"""Logarithms that are further below the largest, in 1/16, count as that far."""


@cache
def weights_below() -> Tensor:
    """(256,) int32: about 2^24·exp(−d/16) of d = 0..255, at least 1; made of integers alone."""
    powers, d = exponentials(), np.arange(BELOW_MAX + 1)
    return torch.from_numpy((powers[d // 2] * powers[(d + 1) // 2] >> 8).astype(np.int32))


def code_indices(coder: Coder, value: Tensor | None, logarithms: Tensor) -> Tensor:
    """Hand indices to a coder.

    Args:
        coder: what is done with them.
        value: int64 (N,), or None when decoding.
        logarithms: (K, N), of the codes' probabilities, whole numbers in 1/16; nothing else of them matters than how
            far each is below the largest of its column.

    Returns:
        The indices, int64 (N,).

    """
    parts = [torch.zeros(0, dtype=torch.int64, device=logarithms.device)]
    for start in range(0, logarithms.shape[1], AT_ONCE):
        own = None if value is None else value[start : start + AT_ONCE]
        parts.append(_code_few(coder, own, logarithms[:, start : start + AT_ONCE]))
    return torch.cat(parts)


def _code_few(coder: Coder, value: Tensor | None, logarithms: Tensor) -> Tensor:
    codes, count = logarithms.shape
    below = (logarithms.amax(0) - logarithms).clamp_(max=BELOW_MAX).to(torch.int32)
    table = weights_below().to(below.device)
    weights = torch.index_select(table, 0, below.flatten()).view(-1, min(codes, GROUP), count)
    groups = torch.zeros(count, dtype=torch.int64, device=below.device)
    if codes > GROUP:
        of_groups = weights.sum(1, dtype=torch.int32)  # below 2^31: no weight is above 2^24
        groups = _code(coder, None if value is None else value // GROUP, of_groups)
    inside = weights[groups, :, torch.arange(count, device=below.device)].T
    return groups * GROUP + _code(coder, None if value is None else value % GROUP, inside)


def _code(coder: Coder, value: Tensor | None, weights: Tensor) -> Tensor:
    shape = (1, 1, 1, weights.shape[1])
    symbols = coder.code(None if value is None else value.view(shape), Weighted(weights.view(1, -1, *shape[1:])))
    return symbols.flatten().to(torch.int64)
