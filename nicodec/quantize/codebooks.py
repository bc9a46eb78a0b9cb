"""What quantisers with a table of codes share: the nearest codes, k-means, and the revival of dead codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nicodec.errors import InputError
from nicodec.quantize.base import first_workers, parts_of

DISTANCES = 2**25
"""Numbers of the largest table of distances that is made at a time (128 MiB)."""

FLAT_CODES = 512
"""More codes than that are found by k-means within the clusters of k-means."""

USE_DECAY, REVIVAL = 0.99, 10.0
"""Of CVQ-VAE: how slowly the use of codes is averaged, and how soon a rare code moves."""

FIRST_USE = 0.01
"""Average use that codes begin with, of 1/K: one that nothing ever chooses moves after about a hundred steps."""

ANCHORS = 1024
"""Features that dead codes may move to, of one step."""


def squared_distances(rows: Tensor, codes: Tensor) -> Tensor:
    """‖row − code‖² less ‖row‖², which does not matter to a comparison: (N, K) of (N, C) and (K, C)."""
    return torch.addmm(codes.square().sum(1), rows, codes.t(), alpha=-2.0)


@torch.no_grad()
def nearest(rows: Tensor, codes: Tensor) -> Tensor:
    """The nearest of the codes (K, C) to each of rows (N, C): (N,), int64."""
    at_once = max(1, DISTANCES // len(codes))
    return torch.cat([squared_distances(part, codes).argmin(1) for part in parts_of(rows, at_once)])


@torch.no_grad()
def nearest_few(rows: Tensor, codes: Tensor, count: int) -> Tensor:
    """The nearest codes, the best first: (N, count), int64; fewer where there are fewer codes."""
    at_once, count = max(1, DISTANCES // len(codes)), min(count, len(codes))
    found = [squared_distances(part, codes).topk(count, largest=False).indices for part in parts_of(rows, at_once)]
    return torch.cat(found)


def counts_and_sums(rows: Tensor, chosen: Tensor, codes: int) -> tuple[Tensor, Tensor]:
    """How many of rows (N, C) chose each code, (K,), and their sums, (K, C)."""
    counts = torch.bincount(chosen, minlength=codes).to(rows.dtype)
    return counts, rows.new_zeros(codes, rows.shape[1]).index_add_(0, chosen, rows)


@torch.no_grad()
def k_means(rows: Tensor, codes: int, rounds: int = 10) -> Tensor:
    """Codes (K, C) that lie close to rows (N, C).

    Lloyd's iterations from distinct rows drawn with torch's generator; a code that no row is nearest to moves to a
    row that is far from its own. Of many codes, √K clusters are found first, and within each a number of
    codes in proportion to what is in it. Fewer rows than codes are repeated with a little noise.

    Args:
        rows: finite, at least one.
        codes: K.
        rounds: of Lloyd's iteration.

    Raises:
        InputError: there are no rows.

    """
    if len(rows) == 0:
        raise InputError("k-means of no features: give at least one picture")
    rows = rows.detach().float()
    if len(rows) < codes:
        spread = rows.std(0, correction=0) if len(rows) > 1 else torch.ones_like(rows[0])
        repeats = rows[torch.randint(len(rows), (codes - len(rows),), device=rows.device)]
        return torch.cat([rows, repeats + 0.01 * spread * torch.randn_like(repeats)])
    if codes <= FLAT_CODES:
        return _lloyd(rows, codes, rounds)
    clusters = math.isqrt(codes)
    chosen = nearest(rows, _lloyd(rows, clusters, rounds))
    counts = torch.bincount(chosen, minlength=clusters)
    found = []
    for cluster, share in enumerate(_shares(counts.tolist(), codes)):
        if share:
            found.append(k_means(rows[chosen == cluster], share, rounds))
    return torch.cat(found)


def _lloyd(rows: Tensor, codes: int, rounds: int) -> Tensor:
    found = rows[torch.randperm(len(rows), device=rows.device)[:codes]].clone()
    for _ in range(rounds):
        chosen = nearest(rows, found)
        counts, sums = counts_and_sums(rows, chosen, codes)
        found = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], found)
        empty = (counts == 0).nonzero()[:, 0]
        if len(empty):
            errors = (rows - found[chosen]).square().sum(1)
            found[empty] = rows[errors.topk(len(empty)).indices]
    return found


def _shares(counts: list[int], whole: int) -> list[int]:
    """Whole numbers in proportion to counts, of sum `whole`; none is above its count, where the counts suffice."""
    total = sum(counts)
    exact = [count * whole / total for count in counts]
    shares = [math.floor(each) for each in exact]
    order = sorted(range(len(counts)), key=lambda i: shares[i] - exact[i])
    for i in order[: whole - sum(shares)]:
        shares[i] += 1
    return shares


@torch.no_grad()
def revived(use: Tensor, counts: Tensor, codes: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Codes that are hardly used move to features of late, as in CVQ-VAE: which move, and where to.

    e ← (1 − a)·e + a·anchor with a = exp(−10·K·p / (1 − 0.99) − 0.001), where p is the code's average share of the
    rows; each anchor is a feature drawn in proportion to softmax(−distance). Published for every step and every
    code; a is about zero but for codes of p far below 1/K, so only those are looked at.

    Source: Zheng and Vedaldi 2023, "Online Clustered Codebook".

    Args:
        use: (K,), the average shares, at first FIRST_USE / K; changed in place.
        counts: (K,), of rows that chose each code in this step, over all workers.
        codes: (K, C).
        rows: (N, C), features of this step.

    Returns:
        Numbers of codes (M,) and their new values (M, C), the same for all workers; M may be 0.

    """
    share = counts / counts.sum().clamp(min=1)
    use.mul_(USE_DECAY).add_(share, alpha=1 - USE_DECAY)
    weight = torch.exp(-use * len(codes) * REVIVAL / (1 - USE_DECAY) - 1e-3)
    dead = (weight > 1e-3).nonzero()[:, 0]
    if not len(dead):
        return dead, codes[dead]
    anchors = rows[torch.randint(len(rows), (min(ANCHORS, len(rows)),), device=rows.device)]
    old, own, drawn = codes[dead], anchors.square().sum(1), []
    for part in parts_of(old, max(1, DISTANCES // len(anchors))):
        logits = 2 * part @ anchors.t() - own
        drawn.append(anchors[torch.multinomial(logits.softmax(1), 1)[:, 0]])
    a = weight[dead, None]
    return dead, first_workers((1 - a) * old + a * torch.cat(drawn))
