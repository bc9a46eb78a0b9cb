"""Fits the integer networks to the symbols that an encoder picks, once the rest of a codec is trained."""

from __future__ import annotations

import torch

from nicodec.codecs.latent import LatentCodec
from nicodec.entropy.coder import LeastCost, RateEstimator
from nicodec.training.budget import Budget
from nicodec.training.data import Pictures
from nicodec.training.fitting import Fit
from nicodec.training.loss import drawn_qualities, sample_weight

LEARNING_RATE, WARMUP_STEPS, DECAY = 2e-4, 50, 0.995
"""AdamW's rate, its warm-up (it falls from the first step on), and the decay of the average of the weights."""


def learn_scales(
    codec: LatentCodec, pictures: Pictures, budget: Budget, *, batch: int, crop: int, power: float, bfloat16: bool
) -> int:
    """Train what `to_integers` makes integers of, and nothing else, on the bits of symbols of least cost.

    In training the rate is that of nearest symbols with noise, for the sake of the encoder's gradient; those that
    `LeastCost` picks are smaller.

    Args:
        codec: trained; it is left in evaluation mode, its integers derived.
        pictures: of the training.
        budget: what it may take.
        batch: crops a step.
        crop: their side in pixels.
        power: see `sample_weight`.
        bfloat16: whether the rest runs in it.

    Returns:
        The number of steps; 0 where a codec has no such networks.

    """
    trained = codec.integer_parameters()
    if not trained:
        return 0
    device = trained[0].device
    others = [p for p in set(codec.parameters()) - set(trained) if p.requires_grad]
    for parameter in others:
        parameter.requires_grad_(False)
    codec.train()
    fit = Fit(trained, rate=LEARNING_RATE, warmup_steps=WARMUP_STEPS, decay=DECAY)
    for _ in fit.steps(budget):
        x = pictures.batch(batch, crop)
        quality = drawn_qualities(batch).to(device)
        estimator = RateEstimator(noise=False)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bfloat16):
            codec.code_latents(LeastCost(estimator), x, (x.shape[2], x.shape[3]), quality)
        weight = sample_weight(codec.rate_weight(quality), power)
        fit.take((weight * estimator.bits / (x.shape[2] * x.shape[3])).mean())
    fit.finish()
    for parameter in others:
        parameter.requires_grad_(True)
    codec.eval()
    codec.to_integers()
    return budget.steps
