"""The training loop: budgeted in minutes or steps, resumable, on CPU, one GPU, or several under torchrun."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from nicodec.codecs.base import Codec
from nicodec.processor import prefers_bfloat16
from nicodec.training.data import Crops
from nicodec.training.loss import drawn_qualities, rate_distortion
from nicodec.training.optimisers import build_optimisers, learning_rate_factor, set_learning_rate
from nicodec.training.recipe import Recipe

CHECKPOINT_NAME = "last.pt"
SAVE_SECONDS = 120


@dataclass(frozen=True)
class Progress:
    """Means since the last report.

    Attributes:
        step: steps done, in all runs.
        minutes: minutes spent, in all runs.
        share: share of the budget.
        loss, bpp, psnr, norm: of the training crops; norm is the gradient's before clipping.
        steps_a_second: of this process.
        seconds_left: until the budget is spent.

    """

    step: int
    minutes: float
    share: float
    loss: float
    bpp: float
    psnr: float
    norm: float
    steps_a_second: float
    seconds_left: float


class Trainer:
    """Trains one codec; `run` returns when the budget is spent.

    Under torchrun every process trains on crops of its own and gradients are averaged; process 0 alone reports
    and saves.
    """

    def __init__(self, codec: Codec, crops: Crops, recipe: Recipe, folder: Path, device: torch.device) -> None:
        self.codec, self.crops, self.recipe, self.folder, self.device = codec, crops, recipe, folder, device
        self.optimisers = build_optimisers(codec, recipe.schedule)
        self.trained = {n: p for n, p in codec.named_parameters() if p.requires_grad}
        self.average = {n: p.detach().clone() for n, p in self.trained.items()}
        self.step, self.minutes = 0, 0.0
        self.workers = dist.get_world_size() if dist.is_initialized() else 1
        self.leads = not dist.is_initialized() or dist.get_rank() == 0
        self.amp = prefers_bfloat16(device.type)

    def resume(self) -> bool:
        """Go on from the checkpoint in the run's folder, if there is one."""
        path = self.folder / CHECKPOINT_NAME
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.codec.load_state_dict(state["model"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            bases = [group["base"] for group in optimiser.param_groups]
            optimiser.load_state_dict(saved)
            for group, base in zip(optimiser.param_groups, bases, strict=True):
                group["base"] = base
        self.average = {name: state["average"][name] for name in self.trained}  # in the same order
        self.step, self.minutes = state["step"], state["minutes"]
        return True

    def save(self) -> None:
        """Write the checkpoint; an interrupted write leaves the former one."""
        state: dict[str, Any] = {
            "model": self.codec.state_dict(),
            "optimisers": [o.state_dict() for o in self.optimisers],
            "average": self.average,
            "step": self.step,
            "minutes": self.minutes,
        }
        path = self.folder / CHECKPOINT_NAME
        torch.save(state, path.with_suffix(".tmp"))
        os.replace(path.with_suffix(".tmp"), path)

    def averaged_codec(self) -> Codec:
        """A copy with averaged weights and derived integers, in evaluation mode."""
        codec = copy.deepcopy(self.codec)
        with torch.no_grad():
            for name, parameter in codec.named_parameters():
                if name in self.average:
                    parameter.copy_(self.average[name])
        codec.to_integers()
        return codec.eval()

    def run(
        self,
        report: Callable[[Progress], None],
        preview: Callable[[Codec], None],
        *,
        report_every: int = 100,
    ) -> None:
        """Train until the budget of minutes or steps is spent."""
        schedule = self.recipe.schedule
        self.codec.train()
        if self.workers > 1:  # each drew its first weights with a seed of its own
            for tensor in self.codec.state_dict().values():
                if tensor.is_floating_point():
                    dist.broadcast(tensor, 0)
        before, first_step, start = self.minutes, self.step, time.monotonic()
        saved, previewed, reported = start, start, start
        sums: list[Tensor] = []
        while True:
            self.minutes = before + (time.monotonic() - start) / 60
            share = self._agree(self.step / schedule.steps if schedule.steps else self.minutes / schedule.minutes)
            if share >= 1:
                break
            set_learning_rate(self.optimisers, learning_rate_factor(share, self.step - first_step, schedule))
            sums.append(self._train_one_batch())
            self.step += 1
            if not self.leads or self.step % report_every:
                continue
            now = time.monotonic()
            pace = report_every / (now - reported)
            loss, bpp, psnr, norm = torch.stack(sums).mean(0).tolist()
            left = (schedule.steps - self.step) / pace if schedule.steps else 60 * (schedule.minutes - self.minutes)
            report(Progress(self.step, self.minutes, share, loss, bpp, psnr, norm, pace, left))
            sums.clear()
            if now - saved > SAVE_SECONDS:
                self.save()
                saved = time.monotonic()
            if now - previewed > 60 * schedule.preview_minutes:
                preview(self.averaged_codec())
                previewed = time.monotonic()
            reported = time.monotonic()
        if self.leads:
            self.save()

    def _agree(self, share: float) -> float:
        """The leader's share, so that all workers stop at the same step."""
        if self.workers == 1:
            return share
        shared = torch.tensor([share], device=self.device)
        dist.broadcast(shared, 0)
        return float(shared)

    def _train_one_batch(self) -> Tensor:
        schedule = self.recipe.schedule
        x = self.crops.batch(schedule.batch).to(self.device)
        quality = drawn_qualities(schedule.batch).to(self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.amp):
            x_hat, bits = self.codec(x, quality)
        weight = self.codec.config.rate_weight(quality)
        loss, bpp, mse = rate_distortion(x, x_hat.float(), bits, weight, schedule.lambda_power)
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.workers > 1:
            for parameter in self.trained.values():
                if parameter.grad is None:  # all workers must take part in every sum
                    parameter.grad = torch.zeros_like(parameter)
            gradients = [parameter.grad for parameter in self.trained.values()]
            together = parameters_to_vector(gradients)  # in one message: hundreds take long
            dist.all_reduce(together)
            vector_to_parameters(together.div_(self.workers), gradients)
        norm = nn.utils.clip_grad_norm_(self.trained.values(), schedule.gradient_clip)
        if torch.isfinite(norm):  # a step that is not finite is skipped
            for optimiser in self.optimisers:
                optimiser.step()
        decay = min(schedule.ema, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.trained.values()), 1 - decay)
        psnr = -10 * torch.log10(mse.detach().clamp(min=1e-10)).mean()
        return torch.stack([loss.detach(), bpp.detach().mean(), psnr, norm])
