"""The training loop: budgeted, resumable, on CPU (bfloat16), a GPU, or several under torchrun."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from nicodec.codecs import build_codec
from nicodec.training.data import Crops, find_pictures
from nicodec.training.loss import rate_distortion
from nicodec.training.recipe import Recipe


def _optimisers(model: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    schedule = recipe.schedule
    matrices, others, gentle = [], [], []
    for name, parameter in model.named_parameters():
        if name.startswith(("to_latents", "from_latents", "log_")):  # start near their best
            gentle.append(parameter)
            continue
        is_matrix = name.endswith("weight") and parameter.ndim == 2 and min(parameter.shape) > 16
        (matrices if schedule.muon_learning_rate > 0 and is_matrix else others).append(parameter)
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            [{"params": others}, {"params": gentle, "lr": 0.1 * schedule.learning_rate}], lr=schedule.learning_rate, betas=(0.9, 0.98), weight_decay=schedule.weight_decay, fused=True
        )
    ]
    if matrices:
        optimisers.append(
            torch.optim.Muon(
                matrices,
                lr=schedule.muon_learning_rate,
                weight_decay=schedule.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["base"] = group["lr"]
    return optimisers


def _learning_rate_factor(share: float, step: int, warmup: int) -> float:
    """Linear warm-up, constant, then cosine to 2 % over the second half of the budget."""
    decay = 1.0 if share < 0.4 else 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (share - 0.4) / 0.6))
    return min(1.0, (step + 1) / warmup) * decay


def train(recipe: Recipe, folders: list[Path], run: Path, *, log_every: int = 200) -> None:
    schedule = recipe.schedule
    torch.manual_seed(schedule.seed)
    run.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    paths = find_pictures(folders)
    crops = Crops(paths, recipe.data, schedule.seed)
    model = build_codec(recipe.codec, recipe.model).to(device)
    model.train()
    checkpoint = run / "last.pt"
    state = None
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
    else:
        model.start_from_principal_components(crops.blocks(60000))
    optimisers = _optimisers(model, recipe)
    average = {k: v.detach().clone() for k, v in model.named_parameters()}
    step, spent = 0, 0.0
    if state is not None:
        for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        average, step, spent = state["average"], state["step"], state["minutes"]

    def save() -> None:
        temporary = checkpoint.with_suffix(".tmp")
        torch.save(
            {"model": model.state_dict(), "optimisers": [o.state_dict() for o in optimisers],
             "average": average, "step": step, "minutes": minutes}, temporary)
        os.replace(temporary, checkpoint)

    start, saved_at, logged = time.monotonic(), time.monotonic(), time.monotonic()
    sums: list[Tensor] = []
    log = (run / "log.csv").open("a", buffering=1)
    while True:
        minutes = spent + (time.monotonic() - start) / 60
        share = step / schedule.steps if schedule.steps else minutes / schedule.minutes
        if share >= 1:
            break
        x = crops.batch(schedule.batch).to(device)
        strata = (torch.arange(schedule.batch) + torch.rand(schedule.batch)) / schedule.batch
        quality = (strata * 201).to(torch.int64).to(device)  # one of each part of the range: less noise
        factor = _learning_rate_factor(share, step, schedule.warmup_steps)
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["base"] * factor
            optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            x_hat, bits = model(x, quality)
        loss, bpp, mse = rate_distortion(
            x, x_hat.float(), bits, model.config.rate_weight(quality), schedule.lambda_power
        )
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), schedule.gradient_clip)
        if torch.isfinite(norm):
            for optimiser in optimisers:
                optimiser.step()
        step += 1
        decay = min(schedule.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            names = list(average)
            parameters = dict(model.named_parameters())
            torch._foreach_lerp_([average[n] for n in names], [parameters[n] for n in names], 1 - decay)
        sums.append(torch.stack([loss.detach(), bpp.mean().detach(), -10 * torch.log10(mse.detach()).mean(), norm]))
        if step % log_every == 0:
            values = torch.stack(sums).mean(0).tolist()
            sums.clear()
            now = time.monotonic()
            log.write(json.dumps([step, round(minutes, 2), *[round(v, 4) for v in values]])[1:-1] + "\n")
            print(f"step {step}  {minutes:.1f} min  loss {values[0]:.4f}  bpp {values[1]:.3f}  "
                  f"psnr {values[2]:.2f}  norm {values[3]:.2f}  {log_every / (now - logged):.1f} steps/s", flush=True)
            logged = now
            if now - saved_at > 120:
                save()
                saved_at = now
    save()
