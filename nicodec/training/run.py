"""From a recipe to a model folder: what `nicodec train` calls."""

from __future__ import annotations

import csv
import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist

from nicodec.codecs import build_codec
from nicodec.codecs.base import Codec
from nicodec.errors import InputError
from nicodec.memory import keep_freed_memory
from nicodec.training.data import Crops, find_pictures
from nicodec.training.filters import learn_filter
from nicodec.training.loop import Progress, Trainer
from nicodec.training.preview import preview, preview_pictures
from nicodec.training.recipe import Recipe, append_history, read_recipe
from nicodec.training.scales import learn_scales
from nicodec.zoo import WEIGHTS_NAME, read_weights, write_model

BLOCKS = 60_000
"""16x16 blocks that the principal components are taken from."""


def train_recipe(
    path: Path,
    *,
    data: Path | None = None,
    run: Path | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    say: Callable[[str], None] = print,
    report: Callable[[Progress], None] | None = None,
) -> Path:
    """Train a recipe's model and write its weights beside the recipe.

    Goes on from the run's checkpoint, else from the weights beside the recipe, else starts anew.

    Args:
        path: recipe.toml.
        data: folder that replaces `${DATA}` in the recipe's folders; also the environment variable DATA.
        run: folder of the checkpoint and the logs; runs/NAME unless given.
        minutes: budget, instead of the recipe's; counts the minutes of earlier runs of this checkpoint.
        steps: budget in steps, instead of minutes.
        say: takes lines about what happens.
        report: takes the numbers; None says them as lines.

    Returns:
        The weight file.

    Raises:
        InputError: the recipe or the pictures cannot be read.

    """
    keep_freed_memory()
    recipe = _with_budget(read_recipe(path), minutes, steps)
    run = run or Path("runs") / recipe.name
    run.mkdir(parents=True, exist_ok=True)
    device, worker = _join_workers()
    torch.manual_seed(recipe.schedule.seed + worker)
    paths = find_pictures(_folders(recipe, path.parent, data))
    held_out = paths[:: max(1, len(paths) // max(1, recipe.data.holdout))][: recipe.data.holdout]
    training = [p for p in paths if p not in set(held_out)]
    say(f"reading {len(training)} pictures, and {len(held_out)} that are held out")
    crops = Crops(training, recipe.data, recipe.schedule.seed + worker, device)

    codec = build_codec(recipe.codec, recipe.model).to(device)
    trainer = Trainer(codec, crops, recipe, run, device)
    if trainer.resume():
        say(f"going on from {run} at step {trainer.step}, {trainer.minutes:.1f} minutes")
    else:
        if (path.parent / WEIGHTS_NAME).exists():
            codec.load_exported(read_weights(path.parent / WEIGHTS_NAME)[1])
            say(f"starting from {path.parent / WEIGHTS_NAME}")
        else:
            codec.start_from_principal_components(crops.blocks(BLOCKS))
            say("starting from principal components")
        trainer.average = {n: p.detach().clone() for n, p in trainer.trained.items()}
    pictures = preview_pictures(held_out, codec.alignment) if trainer.leads else []

    before = (trainer.step, trainer.minutes)

    def show(averaged: Codec) -> None:
        points = preview(averaged, pictures, device) if pictures else []
        rows = [(trainer.step, round(trainer.minutes, 2), *(round(v, 4) for v in p)) for p in points]
        _append_rows(run / "preview.csv", ("step", "minutes", "quality", "bpp", "psnr"), rows)
        say("held out: " + "  ".join(f"q{p.quality} {p.bpp:.3f} bpp {p.psnr:.2f} dB" for p in points))

    def log(progress: Progress) -> None:
        row = tuple(round(v, 4) for v in dataclasses.astuple(progress))
        _append_rows(run / "log.csv", tuple(f.name for f in dataclasses.fields(Progress)), [row])
        (report or (lambda p: say(progress_line(p))))(progress)

    trainer.run(log, show)
    weights = path.parent / WEIGHTS_NAME
    if trainer.leads:
        averaged = trainer.averaged_codec()
        show(averaged)
        if recipe.schedule.scale_steps:
            learn_scales(averaged, crops, recipe.schedule, amp=trainer.amp)
        if (layer := getattr(averaged, "adaptive_filter", None)) is not None:
            learn_filter(averaged, layer, crops, recipe.schedule.filter_crops, amp=trainer.amp)
        print_of = write_model(averaged, recipe.codec, path.parent)
        append_history(
            path,
            date=time.strftime("%Y-%m-%d"),
            device=torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} cores",
            minutes=round(trainer.minutes - before[1], 1),
            steps=trainer.step - before[0],
        )
        say(f"wrote {weights}, fingerprint {print_of.hex()}")
    if dist.is_initialized():
        dist.destroy_process_group()
    return weights


def progress_line(progress: Progress) -> str:
    """One line of numbers: step, loss, bpp, PSNR, pace, time left."""
    minutes, seconds = divmod(int(max(0, progress.seconds_left)), 60)
    return (
        f"step {progress.step}  loss {progress.loss:.4f}  {progress.bpp:.3f} bpp  {progress.psnr:.2f} dB  "
        f"{progress.steps_a_second:.1f} steps/s  {minutes}:{seconds:02d} left"
    )


def _with_budget(recipe: Recipe, minutes: float | None, steps: int | None) -> Recipe:
    changes: dict[str, float | int] = {}
    if minutes is not None:
        changes = {"minutes": minutes, "steps": 0}
    if steps is not None:
        changes["steps"] = steps
    return dataclasses.replace(recipe, schedule=dataclasses.replace(recipe.schedule, **changes))


def _folders(recipe: Recipe, beside: Path, data: Path | None) -> list[Path]:
    given = data or os.environ.get("DATA")
    root = str(Path(given).absolute()) if given else ""
    folders = []
    for folder in recipe.data.folders:
        if "${DATA}" in folder and not root:
            raise InputError(f"the recipe trains on {folder}: give the folder of pictures with --data")
        folders.append(beside / folder.replace("${DATA}", root))
    if not folders:
        raise InputError("the recipe names no folders of pictures under [data]")
    return folders


def _join_workers() -> tuple[torch.device, int]:
    """Device and rank; joins the process group when started by torchrun."""
    cuda = torch.cuda.is_available()
    if "LOCAL_RANK" not in os.environ:
        return torch.device("cuda" if cuda else "cpu"), 0
    dist.init_process_group("nccl" if cuda else "gloo")
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    return torch.device("cuda" if cuda else "cpu"), dist.get_rank()


def _append_rows(path: Path, header: tuple[str, ...], rows: list[tuple[float, ...]]) -> None:
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(header)
        writer.writerows(rows)
