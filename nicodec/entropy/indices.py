"""Indices of large codebooks: by one table for all, or each as two symbols, its group of codes and its place there.

A row of frequencies of all codes for every index is what decoding such indices would spend its time on. The
probability is the same: that of the group times that of the place in it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nicodec.entropy.coder import Coder
from nicodec.entropy.priors import Alike, Weighted

GROUP = 64
"""Codes of a group at most. Codebooks of at most so many have one symbol an index; larger ones a multiple of it."""

AT_ONCE = 2**19
"""Logarithms that are looked at at a time: of all indices of a lot come the groups, then the places."""

BELOW_MAX = 255
"""Logarithms that are further below the largest, in 1/16, count as that far."""

LARGEST, SIXTEENTH = 151 << 23, 756_389
"""As the bits of a float32: 2^24, and what is taken off for a factor of about e^(−1/16)."""


def group_of(codes: int) -> int:
    """How many of so many codes are in a group: about their root, so that both symbols have about as many choices."""
    return codes if codes <= GROUP else min(GROUP, 2 ** ((codes - 1).bit_length() + 1 >> 1))


def lot(codes: int) -> int:
    """How many indices of so many codes are coded at a time."""
    return max(1, AT_ONCE // codes)


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
    size = group_of(codes)
    weights = _weights(logarithms).view(-1, size, count)
    groups = torch.zeros(count, dtype=torch.int64, device=weights.device)
    if codes > size:
        of_groups = weights.sum(1, dtype=torch.int32) >> 2  # at most 2^28
        groups = _code(coder, None if value is None else value // size, Weighted(of_groups.T.contiguous()))
    inside = weights[groups, :, torch.arange(count, device=weights.device)]
    return groups * size + _code(coder, None if value is None else value % size, Weighted(inside))


def _weights(logarithms: Tensor) -> Tensor:
    """Of codes (K, ...), int32, 2^24 at most: about 2^24·e^(−d/16) of those that are d below the largest.

    The exponential is that of a float32's bits, linear between powers of two.
    """
    below = (logarithms.amax(0) - logarithms).clamp_(max=BELOW_MAX).to(torch.int32)
    return torch.rsub(below, LARGEST, alpha=SIXTEENTH).view(torch.float32).to(torch.int32)


def _code(coder: Coder, value: Tensor | None, prior: Alike | Weighted) -> Tensor:
    symbols = coder.code(None if value is None else value.view(prior.shape), prior)
    return symbols.flatten().to(torch.int64)
