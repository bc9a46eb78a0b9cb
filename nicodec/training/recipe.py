"""Recipes: everything needed to train a model again, in one TOML file.

name = "small"
codec = "hyperprior"        # the family
[model]                     # its configuration's fields
[objective]
name = "rate-distortion"    # how it is trained; the other keys are the objective's settings
[data]                      # what it is trained on: the settings of the objective's data
folders = ["photographs"]
[run]
minutes = 20                # or steps
[[history]]                 # what was spent on it so far; the copy beside trained weights has it
"""

from __future__ import annotations

import json
import math
import os
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nicodec.errors import InputError, QualityError
from nicodec.training.settings import read_settings, setting

RECIPE_NAME = "recipe.toml"


@dataclass(frozen=True)
class RunSettings:
    """How long, and what is said meanwhile."""

    minutes: float = setting(0.0, help="Budget in minutes, start and end included.", least=0)
    steps: int = setting(0, help="Budget in steps instead; what is done at the end comes on top.", least=0)
    seed: int = setting(1, help="Of all random numbers.", least=0)
    preview_minutes: float = setting(10.0, help="Time from one look at held-out data to the next.", least=0)

    def __post_init__(self) -> None:
        if self.minutes and self.steps:
            raise ValueError("minutes and steps contradict each other; give one of them")


@dataclass(frozen=True)
class Recipe:
    """A whole recipe; tables that the codec and the objective read are as they stand in the file.

    Attributes:
        name: of the model.
        codec: its family.
        objective: how it is trained.
        model: the [model] table.
        settings: the [objective] table, but its name.
        data: the [data] table.
        run: the [run] table.
        text: the whole file.
        path: where it was read from.

    """

    name: str
    codec: str
    objective: str
    model: dict[str, Any]
    settings: dict[str, Any]
    data: dict[str, Any]
    run: RunSettings
    text: str = field(repr=False)
    path: Path

    def identity(self) -> str:
        """What a run's checkpoint must have been made by: all but the budget, the data's place and the history."""
        data = {key: value for key, value in self.data.items() if key not in ("folders", "shares")}
        parts = {
            "codec": self.codec,
            "model": self.model,
            "objective": {"name": self.objective, **self.settings},
            "data": data,
        }
        return json.dumps(parts, sort_keys=True)


@dataclass(frozen=True)
class _Tables:
    """The top of the file."""

    name: str
    codec: str


def read_recipe(path: Path) -> Recipe:
    """Read a recipe, or that of a model folder.

    Raises:
        InputError: the file is missing, no TOML in UTF-8, lacks what a recipe needs, or has a key that means nothing.

    """
    path = path / RECIPE_NAME if path.is_dir() else path
    try:
        text = path.read_bytes().decode("utf-8")
        raw = tomllib.loads(text)
    except OSError as error:
        raise InputError(f"{path}: cannot read the recipe ({error.strerror}); name a recipe.toml") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: is no recipe, which is TOML in UTF-8 ({error}); mend it there") from error
    tables: dict[str, dict[str, Any]] = {}
    for key in ("model", "objective", "data", "run"):
        table = raw.pop(key, {})
        if not isinstance(table, dict):
            raise InputError(f"{path}: {key} is {table!r}; it is a table: write [{key}] and keys below it")
        tables[key] = table
    raw.pop("history", None)
    top = read_settings(_Tables, raw, f"{path}, outside of [model], [objective], [data], [run] and [[history]]")
    objective = tables["objective"].pop("name", None)
    if not isinstance(objective, str):
        raise InputError(f'{path}: [objective] name is {objective!r}; give a text, such as name = "rate-distortion"')
    run = read_settings(RunSettings, tables["run"], f"{path}: [run]")
    return Recipe(
        top.name, top.codec, objective, tables["model"], tables["objective"], tables["data"], run, text, path
    )


def with_budget(recipe: Recipe, minutes: float | None, steps: int | None) -> Recipe:
    """The recipe with another budget, where one is given.

    Raises:
        QualityError: both are given, or what is given is no budget.
        InputError: none is given, and the recipe has none.

    """
    if minutes is not None and steps is not None:
        raise QualityError(f"{minutes} minutes and {steps} steps contradict each other; give one of them")
    if minutes is not None:
        if not isinstance(minutes, int | float) or not math.isfinite(minutes) or minutes <= 0:
            raise QualityError(f"a budget of {minutes} minutes: give a number of more than 0")
        return replace(recipe, run=replace(recipe.run, minutes=float(minutes), steps=0))
    if steps is not None:
        if not isinstance(steps, int) or steps < 1:
            raise QualityError(f"a budget of {steps} steps: give a whole number of 1 or more")
        return replace(recipe, run=replace(recipe.run, minutes=0.0, steps=steps))
    if not recipe.run.minutes and not recipe.run.steps:
        raise InputError(f"{recipe.path}: has no budget; give minutes or steps under [run], or --minutes or --steps")
    return recipe


def folders_of(recipe: Recipe, folders: tuple[str, ...]) -> list[Path]:
    """The recipe's folders of data: relative to the recipe, variables of the environment written as ${NAME}.

    Raises:
        InputError: there are none, or a variable is not set.

    """
    if not folders:
        raise InputError(f"{recipe.path}: names no folders under [data]; give the folder of pictures with --data")
    found = []
    for folder in folders:
        expanded = os.path.expandvars(folder)
        if "${" in expanded:
            raise InputError(f"{recipe.path}: trains on {folder}; set that variable, or give the folder with --data")
        found.append(recipe.path.parent / expanded)
    return found


def history_entry(**entries: str | int | float) -> str:
    """A [[history]] table: what a run spent."""
    lines = ["", "[[history]]"]
    lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items()]
    return "\n".join(lines) + "\n"


def first_difference(one: str, other: str) -> str:
    """The first key in which two identities differ, as "model.latents is 192 there and 320 here"."""

    def flat(value: Any, name: str = "") -> dict[str, Any]:
        if not isinstance(value, dict):
            return {name: value}
        return {k: v for key, part in value.items() for k, v in flat(part, f"{name}.{key}".strip(".")).items()}

    there, here = flat(json.loads(one)), flat(json.loads(other))
    for key in sorted(there.keys() | here.keys()):
        if there.get(key) != here.get(key):
            return f"{key} is {there.get(key, 'not set')} there and {here.get(key, 'not set')} here"
    return "nothing"
