"""Indices of large codebooks: by one table for all, or each as two symbols, its group of 64 codes and its place there.

A row of frequencies of all codes for every index is what decoding such indices would spend its time on. The
probability is the same: that of the group times that of the place in it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from nicodec.entropy.coder import Coder
from nicodec.entropy.priors import Alike, Weighted
from nicodec.entropy.tables import exponentials

GROUP = 64
"""Codes of a group. Codebooks of at most so many have one symbol an index; larger ones have a multiple of it."""

AT_ONCE = 2**21
"""Logarithms that are looked at at a time: of all indices of a lot come the groups, then the places."""

BELOW_MAX = 255
"""Logarithms that are further below the largest, in 1/16, count as that far."""


@cache
def weights_below() -> Tensor:
    """(256,) int32: about 2^24·exp(−d/16) of d = 0..255, at least 1; made of integers alone."""
    powers, d = exponentials(), np.arange(BELOW_MAX + 1)
    return torch.from_numpy((powers[d // 2] * powers[(d + 1) // 2] >> 8).astype(np.int32))


def lot(codes: int) -> int:
    """How many indices of so many codes are coded at a time."""
    return AT_ONCE // codes


def code_alike(coder: Coder, value: Tensor | None, logarithms: Tensor, count: int) -> Tensor:
    """Hand indices to a coder that have the same probabilities, each as one symbol.

    Args:
        coder: what is done with them.
        value: int64 (N,), or None when decoding.
        logarithms: (K,), as those of `code_indices`.
        count: N.

    Returns:
        The indices, int64 (N,).

    """
    return _code(coder, value, Alike(_weights(logarithms), (1, 1, 1, count)))


def code_indices(coder: Coder, value: Tensor | None, logarithms: Tensor) -> Tensor:
    """Hand a lot of indices to a coder, each with probabilities of its own.

    Args:
        coder: what is done with them.
        value: int64 (N,), N at most `lot(K)`, or None when decoding.
        logarithms: (K, N), of the codes' probabilities, whole numbers in 1/16; nothing else of them matters than how
            far each is below the largest of its column.

    Returns:
        The indices, int64 (N,).

    """
    codes, count = logarithms.shape
    weights = _weights(logarithms).view(-1, min(codes, GROUP), count)
    groups = torch.zeros(count, dtype=torch.int64, device=weights.device)
    if codes > GROUP:
        of_groups = weights.sum(1, dtype=torch.int32)  # below 2^31: no weight is above 2^24
        groups = _code(coder, None if value is None else value // GROUP, _each(of_groups))
    inside = weights[groups, :, torch.arange(count, device=weights.device)].T
    return groups * GROUP + _code(coder, None if value is None else value % GROUP, _each(inside))


def _weights(logarithms: Tensor) -> Tensor:
    """Of codes (K, ...), int32."""
    below = (logarithms.amax(0) - logarithms).clamp_(max=BELOW_MAX).to(torch.int32)
    table = weights_below().to(below.device)
    return torch.index_select(table, 0, below.flatten()).view(below.shape)


def _each(weights: Tensor) -> Weighted:
    """The prior of indices that have weights (K, N)."""
    return Weighted(weights.view(1, -1, 1, 1, weights.shape[1]))


def _code(coder: Coder, value: Tensor | None, prior: Alike | Weighted) -> Tensor:
    symbols = coder.code(None if value is None else value.view(prior.shape), prior)
    return symbols.flatten().to(torch.int64)
