"""Fits the integer networks to the symbols that an encoder picks, once the rest of a codec is trained."""

from __future__ import annotations

import torch

from nicodec.codecs.base import Codec
from nicodec.entropy.coder import LeastCost, RateEstimator
from nicodec.training.data import Crops
from nicodec.training.loss import drawn_qualities
from nicodec.training.optimisers import learning_rate_factor
from nicodec.training.recipe import ScheduleRecipe

LEARNING_RATE, FALLING, DECAY = 2e-4, ScheduleRecipe(warmup_steps=50, decay_from=0.0), 0.995
"""AdamW's rate and its course; decay of the average of the weights."""


def learn_scales(codec: Codec, crops: Crops, schedule: ScheduleRecipe, *, amp: bool) -> None:
    """Train what `Codec.to_integers` makes integers of, and nothing else, on the bits of symbols of least cost.

    In training the rate is that of nearest symbols with noise, for the sake of the encoder's gradient; those that
    `LeastCost` picks are smaller.

    Args:
        codec: trained; it is left in evaluation mode, its integers derived.
        crops: of the training pictures.
        schedule: the recipe's; `scale_steps` of `batch` crops are taken.
        amp: whether the rest runs in bfloat16.

    """
    device = next(codec.parameters()).device
    trained = codec.integer_parameters()
    others = [p for p in set(codec.parameters()) - set(trained) if p.requires_grad]
    for parameter in others:
        parameter.requires_grad_(False)
    codec.train()
    optimiser = torch.optim.AdamW(trained, lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.0)
    average = [parameter.detach().clone() for parameter in trained]
    for step in range(schedule.scale_steps):
        factor = learning_rate_factor(step / schedule.scale_steps, step, FALLING)
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * factor
        x = crops.batch(schedule.batch).to(device)
        quality = drawn_qualities(schedule.batch).to(device)
        estimator = RateEstimator(noise=False)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=amp):
            codec.code_latents(LeastCost(estimator), x, (x.shape[2], x.shape[3]), quality)
        weight = codec.config.rate_weight(quality) ** schedule.lambda_power
        optimiser.zero_grad(set_to_none=True)
        (weight * estimator.bits / (x.shape[2] * x.shape[3])).mean().backward()
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, trained, 1 - min(DECAY, (step + 1) / (step + 10)))
    with torch.no_grad():
        for parameter, mean in zip(trained, average, strict=True):
            parameter.copy_(mean)
    for parameter in others:
        parameter.requires_grad_(True)
    codec.eval()
    codec.to_integers()
