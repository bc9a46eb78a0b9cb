"""What the levels of `hvae` start from: a trained `hyperprior`, and crops of training pictures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nicodec.codecs.hyperprior import PIXEL_GAIN
from nicodec.entropy.tables import SCALE_MIN, SCALE_STEP, SCALES
from nicodec.exact.anchors import ANCHOR_SPACING, ANCHORS, QUALITY_STEPS
from nicodec.layers.components import principal_components
from nicodec.layers.contexts import ScaleContext, learn, passes
from nicodec.layers.quality import QualityTable

if TYPE_CHECKING:
    from nicodec.codecs.hvae import Hvae

START_CROPS, START_ANCHORS = 16, (0, (ANCHORS - 1) // 2, ANCHORS - 1)
"""What is fitted at the start: so many crops, at so many anchors of the quality."""

START_SHARES = torch.linspace(0, 1, 21, dtype=torch.float32)
"""Shares of the coarse levels' prediction in the means that are tried."""

SOFT = 0.3
"""Added to magnitudes whose logarithms are compared."""


@torch.no_grad()
def start_levels(codec: Hvae, crops: Tensor) -> None:
    """Set up what a codec has beside a trained `base`, of crops (N, 3, H, W)."""
    codec.base.eval()
    c = codec.config
    quality = torch.randint(QUALITY_STEPS + 1, (len(crops),), device=crops.device)
    pairs = zip(torch.split(crops, 1), torch.split(quality, 1), strict=True)
    y = torch.cat([_latents_of(codec, *pair) for pair in pairs])
    seen = y[:, : c.pictured]
    top = codec.top.start(seen, c.top_step)
    codec.top_prior.start(top)
    left = seen - codec.top(top)
    middle = codec.middle.start(left, c.middle_step)
    codec.middle_prior.start(middle)
    few = crops[:START_CROPS]
    found = [_start_blend(codec, few, anchor * ANCHOR_SPACING) for anchor in START_ANCHORS]
    for number in range(2):
        table, scales = codec.blend[number], codec.base.scale_context[number]
        assert isinstance(table, QualityTable)
        assert isinstance(scales, ScaleContext)
        shares, saved = (torch.stack([each[number][part] for each in found]) for part in range(2))
        table.anchors.copy_(_between(shares))
        scales.leave.bias[:, : c.pictured] -= _between(saved)
    if c.strides:
        _start_blocks(codec, few)
    codec.train()


def _start_blocks(codec: Hvae, crops: Tensor) -> None:
    """Let latent blocks of 1/8 carry components of what other levels leave of crops (N, 3, H, W).

    Their scales are those of a photograph's: where these are small, they begin as nothing.
    """
    base, blocks = codec.base, codec.latent_blocks
    assert blocks.enter.bias is not None
    to_pixels = base.from_fine.weight * base.from_fine.input_scale
    from_pixels = torch.linalg.inv(to_pixels.double()).float()
    blocks.enter.weight.copy_(from_pixels)
    blocks.enter.bias.copy_(-from_pixels @ base.from_fine.bias)
    quality = torch.full((len(crops),), QUALITY_STEPS, device=crops.device)
    gain, inverse_gain = base.log_gain(quality).exp(), base.log_inverse_gain(quality).exp()
    latents = (_latents_of(codec, crops, quality) * gain).round() * inverse_gain
    left = blocks.see(crops, quality)[-1] - base.to_eighths(latents, quality)
    basis, _, deviation = principal_components(left.movedim(1, -1).flatten(0, 2) @ to_pixels.T)
    every = torch.linspace(0, QUALITY_STEPS, ANCHORS)
    step = torch.sqrt(18 / (math.log(2) * codec.rate_weight(every)))[:, None] * PIXEL_GAIN / 255
    taken = 0
    for block in blocks.each():
        own = slice(taken, taken + block.log_gain.anchors.shape[1])
        taken = own.stop
        matrix = basis[:, own].T @ to_pixels
        block.posterior.straight.weight.copy_(torch.cat([-matrix, matrix], 1))
        block.project.straight.weight.copy_(from_pixels @ basis[:, own])
        block.log_gain.anchors.copy_(-torch.log(step).expand_as(block.log_gain.anchors))
        block.log_inverse_gain.anchors.copy_(torch.log(step).expand_as(block.log_gain.anchors))
        index = torch.log(deviation[None, own] / step / SCALE_MIN) / SCALE_STEP
        block.scales.leave.bias.copy_(index.clamp(-8, SCALES + 8))


def _latents_of(codec: Hvae, x: Tensor, quality: Tensor) -> Tensor:
    return codec.base.analyse(x, quality).float()


def _start_blend(codec: Hvae, crops: Tensor, half_steps: int) -> list[tuple[Tensor, Tensor]]:
    """How much of the coarse levels' prediction goes into the means of the first passes, and what that saves.

    Of each of two passes (pictured,) shares, and steps of the scale axis.
    """
    c, base = codec.config, codec.base
    quality = torch.full((len(crops),), half_steps, device=crops.device)
    y = _latents_of(codec, crops, quality)
    seen = y[:, : c.pictured]
    predicted = codec.top(codec.top.components(seen).round())
    predicted = predicted + codec.middle(codec.middle.components(seen - predicted).round())
    gain, scale_out = base.log_gain(quality).exp(), base.log_inverse_gain(quality).exp() / base.deviation
    y = y * gain
    z = base.hyper_analysis(torch.asinh(y), quality).round()
    features = base.mean_hyper(z, quality)
    y_hat: list[Tensor] = []
    found = []
    shape = (len(y), c.latents, y.shape[2], y.shape[3])
    for number, (own, where) in zip(range(2), passes(shape, c.split, crops.device), strict=False):
        mean = base.mean_context[number](features, y_hat, quality).float() * (base.deviation * gain)[:, own]
        learn(y_hat, number, ((y[:, own] - mean).round() + mean) * scale_out[:, own] * where)
        rest = (y[:, own] - mean)[:, : c.pictured]
        better = predicted * gain[:, : c.pictured] - mean[:, : c.pictured]
        here = where[:, : c.pictured]
        logs = [torch.log((rest - share * better).abs() + SOFT) * here for share in START_SHARES.tolist()]
        count = here.sum((0, 2, 3)) * len(rest)
        means = torch.stack([each.sum((0, 2, 3)) / count for each in logs])
        least, place = means.min(0)
        found.append((START_SHARES.to(place.device)[place], (means[0] - least) / SCALE_STEP))
    return found


def _between(values: Tensor) -> Tensor:
    """Values (START_ANCHORS, C) at all anchors, linear between those."""
    place = torch.arange(ANCHORS, device=values.device) / (ANCHORS - 1) * (len(values) - 1)
    below = place.floor().clamp(max=len(values) - 2).to(torch.int64)
    part = (place - below)[:, None]
    return values[below] * (1 - part) + values[below + 1] * part
