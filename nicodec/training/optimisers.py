"""Optimisers, the course of their rates, and averages of weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Tensors = tuple[Tensor, ...] | list[Tensor]


@runtime_checkable
class LearnsSlowly(Protocol):
    """A module whose own parameters are trained at a share of the rate."""

    learning_rate_share: float


def build_optimisers(
    model: nn.Module,
    *,
    rate: float,
    muon_rate: float = 0.0,
    weight_decay: float = 0.0,
    apart: Sequence[nn.Parameter] = (),
    rate_apart: float = 0.0,
) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon for the matrices of 1x1 layers where it is given a rate.

    Args:
        model: parameters that need no gradient are left out; see `LearnsSlowly`.
        rate: AdamW's.
        muon_rate: Muon's; 0: AdamW everywhere.
        weight_decay: of all.
        apart: those of the model that have an AdamW of their own, the last of the list.
        rate_apart: its rate.

    """
    others = set(apart)
    matrices: list[nn.Parameter] = []
    by_share: dict[float, list[nn.Parameter]] = {}
    for module in model.modules():
        share = module.learning_rate_share if isinstance(module, LearnsSlowly) else 1.0
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or parameter in others:
                continue
            is_matrix = share == 1 and name == "weight" and parameter.ndim == 2 and min(parameter.shape) > 16
            if muon_rate > 0 and is_matrix:
                matrices.append(parameter)
            else:
                by_share.setdefault(share, []).append(parameter)
    groups: list[dict[str, Any]] = [{"params": each, "lr": rate * share} for share, each in by_share.items()]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99), weight_decay=weight_decay, fused=True)
    ]
    if matrices:
        muon = torch.optim.Muon(matrices, lr=muon_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        optimisers.append(muon)
    if apart:
        optimisers.append(
            torch.optim.AdamW(apart, lr=rate_apart, betas=(0.9, 0.99), weight_decay=weight_decay, fused=True)
        )
    return optimisers


def rate_factor(share: float, step: int, *, warmup_steps: int, decay_from: float) -> float:
    """Of the rate: linear warm-up, constant up to `decay_from` of the budget, then cosine down to 2 %.

    Args:
        share: share of the budget that is spent, 0..1.
        step: steps of this training.
        warmup_steps: of it; 0 for none.
        decay_from: 0 to below 1.

    """
    past = max(0.0, (share - decay_from) / (1 - decay_from))
    decay = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(past, 1.0)))
    return min(1.0, (step + 1) / max(warmup_steps, 1)) * decay


def build_schedulers(optimisers: Iterable[torch.optim.Optimizer], factor: Callable[[int], float]) -> list[LambdaLR]:
    """Schedulers that multiply the rates of optimisers by what `factor` says of a step's number."""
    return [LambdaLR(optimiser, lambda step: factor(step)) for optimiser in optimisers]


def build_average(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential average of a model's parameters; buffers are the model's.

    The first steps count more: at step n the decay is (n + 1) / (n + 10) while that is less.
    """

    def average(averages: Tensors, values: Tensors, count: Tensor | int) -> None:
        steps = int(count)
        now = min(decay, (steps + 1) / (steps + 10))
        get_ema_multi_avg_fn(now)(averages, values, count)  # type: ignore[no-untyped-call]

    return AveragedModel(model, multi_avg_fn=average)
