"""From a recipe to a model folder: what `nicodec train` calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from nicodec.codecs import build_codec, family
from nicodec.codecs.base import Codec
from nicodec.errors import InputError, OutputError
from nicodec.media import write_atomically
from nicodec.memory import keep_freed_memory
from nicodec.threads import guard_forks
from nicodec.training.budget import Budget
from nicodec.training.loop import CHECKPOINT_NAME, Loop, Progress, read_checkpoint
from nicodec.training.objective import Objective
from nicodec.training.recipe import (
    RECIPE_NAME,
    Recipe,
    first_difference,
    folders_of,
    history_entry,
    read_recipe,
    with_budget,
)
from nicodec.training.registry import objective
from nicodec.training.settings import read_settings
from nicodec.training.workers import Workers, join_workers
from nicodec.zoo import WEIGHTS_NAME, find_model, read_weights, write_model

READING_SHARE = 0.25
"""Of the budget in minutes, for reading the training data."""


def train_recipe(
    path: Path,
    *,
    out: Path,
    data: Sequence[Path] = (),
    init: str | Path | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    say: Callable[[str], None] = print,
    report: Callable[[Progress], None] | None = None,
) -> Path:
    """Train a recipe's model into a folder of its own.

    The folder gets the weights, a copy of the recipe with the history of the training, a checkpoint and the logs,
    and nothing else is written to. A run that is found in it goes on. Under torchrun all processes call this.

    Args:
        path: the recipe, or a model folder that has one.
        out: the folder; new, empty, or of a run of this recipe.
        data: folders of training data, in place of the recipe's.
        init: weights to start from: a weight file, a model folder, or the name of an installed model.
        minutes: budget in place of the recipe's: start and end included, and earlier runs of this folder.
        steps: budget in steps, in place of minutes; what is done at the end comes on top.
        say: takes lines about what happens.
        report: takes the numbers every few seconds; None says them as lines.

    Returns:
        The weight file.

    Raises:
        InputError: the recipe, the data, the weights to start from or the run in the folder cannot be used.
        OutputError: the folder is not one to write to.
        KeyboardInterrupt: it was interrupted; the checkpoint is written, and the same call goes on.

    """
    keep_freed_memory()
    guard_forks()
    run_start = time.monotonic()
    recipe = with_budget(read_recipe(path), minutes, steps)
    kind = objective(recipe.objective)
    settings = read_settings(kind.settings_type, recipe.settings, f"{recipe.path}: [objective]")
    data_settings = read_settings(kind.data_type, recipe.data, f"{recipe.path}: [data]")
    folders = list(data) or folders_of(recipe, data_settings.folders)
    shares = data_settings.shares if len(data_settings.shares) == len(folders) else ()
    weights = out / WEIGHTS_NAME

    workers = join_workers(say)
    state = _run_in(out, recipe, workers)
    before_minutes, before_steps = (state["minutes"], state["step"]) if state else (0.0, 0)
    budget = Budget(
        minutes=recipe.run.minutes,
        steps=recipe.run.steps,
        spent_minutes=before_minutes + (time.monotonic() - run_start) / 60,
        spent_steps=before_steps,
    )
    if state and state["finished"] and budget.share() >= 1 and weights.exists():
        workers.say(f"the run in {out} has spent its budget; give it a larger one to go on")
        workers.leave()
        return weights

    seed = recipe.run.seed + workers.rank + 1009 * before_steps
    torch.manual_seed(seed)
    codec = _codec(recipe).to(workers.device).train()
    if init is not None and state is None:
        load_initial(codec, recipe.codec, init)
        workers.say(f"starting from the weights of {init}")
    source = kind.open_source(data_settings, folders, shares, seed, budget.part(READING_SHARE), workers)
    workers.say(f"training on {source.describe()}")
    trainer: Objective[Any, Any] = kind(codec, settings, source, workers)
    loop = Loop(trainer, budget, workers, out, recipe.identity(), recipe.run.preview_minutes)
    if loop.end_share >= 1:
        raise InputError(f"{recipe.path}: [objective] leaves no budget for training; make its shares smaller")
    _begin(loop, state, recipe, initialised=init is not None)

    try:
        loop.train(report or (lambda progress: workers.say(progress.line())))
        workers.leave()
        if workers.leads:
            _end(loop, recipe)
            done = {"minutes": round(budget.minutes - before_minutes, 1), "steps": budget.steps - before_steps}
            _append_history(out / RECIPE_NAME, workers, source.describe(), init, **done)
            loop.save(finished=True)
    except KeyboardInterrupt:
        spent = f"step {budget.steps}, {budget.minutes:.1f} minutes"
        workers.say(f"stopped at {spent}; the same command goes on from {out}")
        raise
    return weights


def load_initial(codec: Codec, name: str, init: str | Path) -> None:
    """Give a codec the weights of a file, a model folder or an installed model.

    Args:
        codec: of the family `name`.
        name: of the family.
        init: the weights.

    Raises:
        InputError: they are of another family, or of other sizes.
        UnknownModelError: there is nothing of that name, or it cannot be read.

    """
    path: Path | None = Path(init)
    if path is not None and not path.is_file():
        path = find_model(str(init)).weights
    if path is None:
        raise InputError(f"--init {init}: that model has no weights; leave it out")
    about, tensors = read_weights(path)
    if about.get("codec") != name:
        raise InputError(f"--init {init}: weights of {about.get('codec')!r}, and the recipe trains {name!r}")
    try:
        codec.load_initial(tensors)
    except (ValueError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"--init {init}: not of the sizes that [model] says: {reason}; its own are {about.get('config')}"
        ) from error


def _run_in(out: Path, recipe: Recipe, workers: Workers) -> dict[str, Any] | None:
    """The checkpoint of the run in a folder; None where there is nothing in it."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; name a new folder with --out")
    state = read_checkpoint(out, workers.device)
    if state is None:
        if out.is_dir() and any(out.iterdir()):
            raise OutputError(f"{out}: holds files and no run of a training; name a new folder with --out")
    elif state["identity"] != recipe.identity():
        difference = first_difference(state["identity"], recipe.identity())
        raise InputError(f"{out}: holds a run of another recipe ({difference}); name another folder with --out")
    workers.agree(0.0)  # no worker writes before all have looked
    return state


def _codec(recipe: Recipe) -> Codec:
    """The recipe's codec, untrained."""
    try:
        configuration = family(recipe.codec).Config
    except (ValueError, LookupError) as error:
        raise InputError(f"{recipe.path}: codec is {recipe.codec!r}: {error}") from error
    table = dict(recipe.model)
    read_settings(configuration, table, f"{recipe.path}: [model]")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    try:
        return build_codec(recipe.codec, values)
    except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        raise InputError(f"{recipe.path}: [model] makes no codec ({error}); change its sizes") from error


def _begin(loop: Loop, state: dict[str, Any] | None, recipe: Recipe, *, initialised: bool) -> None:
    """Take up the run, or start it and leave its first checkpoint."""
    workers = loop.workers
    if state is not None:
        try:
            loop.objective.load_state_dict(state["objective"])
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{loop.folder / CHECKPOINT_NAME}: does not fit this recipe ({reason}); name another --out"
            ) from error
        workers.say(f"going on from {loop.folder} at step {loop.budget.steps}, {state['minutes']:.1f} minutes")
    else:
        loop.objective.start(initialised=initialised)
        if workers.leads:
            loop.folder.mkdir(parents=True, exist_ok=True)
            loop.save()
            write_atomically(loop.folder / RECIPE_NAME, recipe.text.encode(), overwrite=True)
    if not loop.budget.counts_steps:
        kept = f"{100 * loop.end_share:.0f} % of the budget, {loop.end_share * recipe.run.minutes:.1f} minutes"
        workers.say(f"{kept}, are kept for the end: what is fitted to trained weights, and a look at held-out data")


def _end(loop: Loop, recipe: Recipe) -> None:
    """Do what is done at the end, and write the weights."""
    loop.workers.say("ending: what is fitted to trained weights")
    share = loop.objective.end_share()
    rest = loop.budget.part(share) if loop.budget.counts_steps else loop.budget.rest().part(share / loop.end_share)
    codec = loop.objective.finish(rest)
    loop.preview(codec)
    fingerprint = write_model(codec, recipe.codec, loop.folder)
    loop.workers.say(f"wrote {loop.folder / WEIGHTS_NAME}, fingerprint {fingerprint.hex()}")


def _append_history(path: Path, workers: Workers, data: str, init: str | Path | None, **spent: float) -> None:
    """Add what this run spent to the copy of the recipe."""
    cuda = workers.device.type == "cuda"
    entry = history_entry(
        date=time.strftime("%Y-%m-%d"),
        device=torch.cuda.get_device_name() if cuda else f"{torch.get_num_threads()} cores",
        workers=workers.count,
        data=data,
        **({} if init is None else {"init": str(init)}),
        **spent,
    )
    write_atomically(path, path.read_bytes() + entry.encode(), overwrite=True)
