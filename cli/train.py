"""`nicodec train`: a recipe to a model."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nicodec_cli import console

if TYPE_CHECKING:
    from nicodec.training.loop import Progress


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe to follow, or a folder with one.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for all that is written; a run in it goes on."),
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="FOLDER", help="Train on this, not on the recipe's folders; may be repeated."),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option("--init", metavar="WEIGHTS", help="Start from a weight file, a model folder or a model's name."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", metavar="M", help="Budget in minutes, in place of the recipe's."),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", metavar="N", help="The same in steps.")] = None,
) -> None:
    """Train a model as a recipe says, or go on with its run.

    DIR becomes a model folder: compress with it by --codec DIR, or list the folder that it is in in NICODEC_MODELS.
    Ctrl-C saves the run; the same command goes on with it.
    """
    if minutes is not None and steps is not None:
        raise console.UsageError("--minutes and --steps contradict each other; give one of them")
    from nicodec.training.run import train_recipe

    live: dict[str, Any] = _live_line() if sys.stderr.isatty() else {"say": console.say}
    train_recipe(recipe, out=out, data=data or (), init=init, minutes=minutes, steps=steps, **live)


def _live_line() -> dict[str, Any]:
    """Give the callbacks of `train_recipe` that keep the numbers in one line of a terminal."""
    width = shutil.get_terminal_size().columns - 1

    def report(progress: Progress) -> None:
        sys.stderr.write("\r" + progress.line()[:width].ljust(width))
        sys.stderr.flush()

    def say(text: str) -> None:
        sys.stderr.write("\r" + " " * width + "\r")
        console.say(text)

    return {"report": report, "say": say}
