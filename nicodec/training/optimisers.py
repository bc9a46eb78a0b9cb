"""Optimisers and their schedule."""

from __future__ import annotations

import math

import torch
from torch import nn

from nicodec.training.recipe import ScheduleRecipe


def build_optimisers(model: nn.Module, schedule: ScheduleRecipe) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon for the matrices of 1x1 layers where the recipe gives it a learning rate.

    A module that says `learning_rate_share` has its own parameters trained at that share of AdamW's rate.
    """
    rate, decay = schedule.learning_rate, schedule.weight_decay
    matrices: list[nn.Parameter] = []
    by_share: dict[float, list[nn.Parameter]] = {}
    for module in model.modules():
        share = getattr(module, "learning_rate_share", 1.0)
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            is_matrix = share == 1 and name == "weight" and parameter.ndim == 2 and min(parameter.shape) > 16
            if schedule.muon_learning_rate > 0 and is_matrix:
                matrices.append(parameter)
            else:
                by_share.setdefault(share, []).append(parameter)
    groups = [{"params": parameters, "lr": rate * share} for share, parameters in by_share.items()]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99), weight_decay=decay, fused=True)
    ]
    if matrices:
        rate = schedule.muon_learning_rate
        muon = torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
        optimisers.append(muon)
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["base"] = group["lr"]
    return optimisers


def set_learning_rate(optimisers: list[torch.optim.Optimizer], factor: float) -> None:
    """Set every group's learning rate to `factor` times its base."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * factor


def learning_rate_factor(share: float, step: int, schedule: ScheduleRecipe) -> float:
    """Linear warm-up, constant up to `decay_from` of the budget, then cosine down to 2 %.

    Args:
        share: share of the budget that is spent, 0..1.
        step: steps of this run.
        schedule: the recipe's.

    """
    past = max(0.0, (share - schedule.decay_from) / (1 - schedule.decay_from))
    decay = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(past, 1.0)))
    return min(1.0, (step + 1) / schedule.warmup_steps) * decay
