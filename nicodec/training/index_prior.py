"""The prior of indices: what it costs in training, and its fit to what a trained encoder sends, at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nicodec.codecs.codes import CodesCodec
from nicodec.codecs.codes_network import CodeNetwork, Level
from nicodec.entropy.frequencies import nearest_anchor
from nicodec.exact.anchors import ANCHORS
from nicodec.layers.index_context import PASSES, pass_of
from nicodec.training.budget import Budget
from nicodec.training.data import Pictures
from nicodec.training.fitting import Fit
from nicodec.training.loss import drawn_qualities

WARMUP_STEPS, DECAY = 20, 0.99
"""Of the fit's rate (it falls from the first step on), and the decay of the average of what is fitted."""

FRESH_EVERY, KEPT = 2, 300
"""To choose a batch's indices takes longer than a step: every second step of the fit has a new one, the others one of
those kept."""

ALONE_SHARE = 0.5
"""Of the draws that are no losses: in which nothing of the level itself is known."""

BELIEVED = 5000.0
"""Choices near each anchor that the frequencies of the training count as."""


def prior_bits(
    network: CodeNetwork, level: Level, chosen: Tensor, before: Sequence[Tensor], quality: Tensor, lost_share: float
) -> Tensor:
    """Estimated bits of a level's indices (B,), from the levels before, from one of the passes, or what a loss left.

    Args:
        network: of the level; contexts in training mode.
        level: whose indices they are.
        chosen: the indices (B, H, W).
        before: those of the levels before.
        quality: (B,) half steps.
        lost_share: how often it is a loss.

    """
    grid, context, device = (chosen.shape[1], chosen.shape[2]), level.context, chosen.device
    if torch.rand(()) < lost_share:
        known = torch.rand(1, *grid, device=device) < torch.rand((), device=device)
        asked = ~known[0]
    elif torch.rand(()) < ALONE_SHARE:
        asked = torch.ones(grid, dtype=torch.bool, device=device)
        known = ~asked[None]
    else:
        number = int(torch.randint(len(PASSES), ()))
        order = pass_of(grid, device)
        known, asked = (order < number)[None], order == number
    places = torch.nonzero(asked.flatten())[:, 0]
    if not len(places):
        places = torch.zeros(1, dtype=torch.int64, device=device)
    at = context.at(quality)
    surroundings = at.surroundings(network.parents(before, grid))
    activations = at.activations(context.embedded(chosen), known, surroundings).flatten(2)
    logits = at.logits(activations[:, :, None, places])[:, :, 0]
    cost = F.cross_entropy(logits, chosen.flatten(1)[:, places], reduction="none").mean(1)
    return cost * (grid[0] * grid[1] / math.log(2))


def counted(level: Level, chosen: Tensor, qualities: Sequence[int]) -> Tensor:
    """How often each index was chosen near each anchor, (ANCHORS, K), of indices (B, H, W)."""
    counts = torch.zeros(ANCHORS, level.codes, device=chosen.device)
    for one, half_steps in zip(chosen, qualities, strict=True):
        counts[nearest_anchor(half_steps)] += torch.bincount(one.flatten(), minlength=level.codes)
    return counts


def fit_prior(
    codec: CodesCodec, pictures: Pictures, budget: Budget, *, batch: int, crop: int, rate: float, lost_share: float
) -> int:
    """Count frequencies and train the contexts on the indices that the encoder sends, and nothing else.

    Args:
        codec: trained, in evaluation mode; it is left so, its integers derived.
        pictures: of the training.
        budget: what it may take.
        batch: crops a step.
        crop: their side in pixels.
        rate: AdamW's.
        lost_share: see `prior_bits`.

    Returns:
        The number of steps.

    """
    network = codec.network
    levels = list(network.each_level())
    trained = [parameter for level in levels for parameter in level.context.parameters()]
    fit = Fit(trained, rate=rate, warmup_steps=WARMUP_STEPS, decay=DECAY)
    counts = [level.frequencies.shares * BELIEVED for level in levels]
    for level in levels:
        level.context.train()
    seen: list[tuple[Tensor, list[list[Tensor]]]] = []
    for step, _ in enumerate(fit.steps(budget)):
        fresh = step % FRESH_EVERY == 0
        if fresh:
            x, quality = pictures.batch(batch, crop), drawn_qualities(batch).to(trained[0].device)
            with torch.no_grad():
                y = network.analyse(x, quality)
                one_by_one = zip(torch.split(y, 1), quality.tolist(), strict=True)
                seen.append((quality, [network.indices(one, q) for one, q in one_by_one]))
            del seen[:-KEPT]
        quality, indices = seen[-1 if fresh else int(torch.randint(len(seen), ()))]
        bits = torch.zeros((), device=quality.device)
        for number, level in enumerate(levels):
            own = slice(sum(len(each) <= number for each in indices), None)
            if not indices[own]:
                break
            *before, chosen = (torch.cat([each[n] for each in indices[own]]) for n in range(number + 1))
            if fresh:
                counts[number] += counted(level, chosen, quality[own].tolist())
                level.frequencies.shares.copy_(counts[number] / counts[number].sum(1, keepdim=True))
            bits = bits + prior_bits(network, level, chosen, before, quality[own], lost_share).sum()
        fit.take(bits / (batch * crop * crop))
    fit.finish()
    codec.eval()
    codec.to_integers()
    return budget.steps
