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
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe.toml to follow.")],
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", metavar="M", min=0, help="Budget in minutes, in place of the recipe's."),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", metavar="N", min=1, help="The same in steps.")] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Folder of pictures that the recipe calls ${DATA}."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="DIR", help="Folder for checkpoints and logs; a run in it goes on."),
    ] = None,
) -> None:
    """Train a model as a recipe says, or go on with its run."""
    if minutes is not None and steps is not None:
        raise console.UsageError("--minutes and --steps contradict each other; give one of them")
    from nicodec.training.run import train_recipe

    live = _live_line() if sys.stderr.isatty() else {}
    train_recipe(recipe, data=data, run=run, minutes=minutes, steps=steps, **live)


def _live_line() -> dict[str, Any]:
    """Give the callbacks of `train_recipe` that keep the numbers in one line of a terminal."""
    from nicodec.training.run import progress_line

    width = shutil.get_terminal_size().columns - 1

    def report(progress: Progress) -> None:
        sys.stderr.write("\r" + progress_line(progress)[:width].ljust(width))
        sys.stderr.flush()

    def say(text: str) -> None:
        sys.stderr.write("\r" + " " * width + "\r")
        console.say(text)

    return {"report": report, "say": say}
