"""Recipes: everything needed to train a model again, in one TOML file."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nicodec.errors import InputError


@dataclass(frozen=True)
class DataRecipe:
    """Where pictures come from and how they are cropped."""

    folders: tuple[str, ...] = ()
    """Folders of pictures, read with their subfolders; relative to the recipe, or `${DATA}/…`."""
    crop: int = 128
    half_size_share: float = 0.25
    """Share of crops taken from pictures scaled to one half."""
    holdout: int = 16
    """Pictures kept aside for the preview."""


@dataclass(frozen=True)
class ScheduleRecipe:
    """How long and how fast."""

    minutes: float = 60.0
    steps: int = 0
    """Budget in steps; 0: minutes decide."""
    batch: int = 8
    learning_rate: float = 1e-3
    muon_learning_rate: float = 0.0
    """Learning rate of Muon on the matrices of 1x1 layers; 0: AdamW everywhere."""
    warmup_steps: int = 200
    weight_decay: float = 0.0
    gradient_clip: float = 1.0
    ema: float = 0.999
    decay_from: float = 0.4
    """Share of the budget at which the learning rate starts to fall."""
    lambda_power: float = -0.5
    """A sample's loss is weighted by λ to this power."""
    scale_steps: int = 0
    """Steps in which the integer networks are fitted to the encoder's symbols, at the end."""
    filter_crops: int = 800
    """Crops that a filter of decoded pictures is learned from, at the end."""
    seed: int = 1
    preview_minutes: float = 10.0


@dataclass(frozen=True)
class Recipe:
    """A whole recipe: `codec` names the family, `model` holds its configuration's fields."""

    name: str
    codec: str
    model: dict[str, Any] = field(default_factory=dict)
    data: DataRecipe = field(default_factory=DataRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    history: tuple[dict[str, Any], ...] = ()
    """What was spent so far: minutes, steps, device, of each run."""


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; unknown keys are errors.

    Raises:
        InputError: the file is missing, no TOML, or has a key that means nothing.

    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: cannot read the recipe: {error}") from error

    def build(kind: type, values: dict[str, Any], section: str) -> Any:
        known = {f.name for f in dataclasses.fields(kind)}
        unknown = set(values) - known
        if unknown:
            raise InputError(f"{path}: unknown key {sorted(unknown)[0]!r} in {section}; known: {sorted(known)}")
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    raw["data"] = build(DataRecipe, raw.get("data", {}), "[data]")
    raw["schedule"] = build(ScheduleRecipe, raw.get("schedule", {}), "[schedule]")
    return build(Recipe, raw, "the recipe")


def append_history(path: Path, **entries: str | int | float) -> None:
    """Append a [[history]] table to a recipe: what a run spent."""
    lines = ["", "[[history]]"]
    lines += [
        f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in entries.items()
    ]
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
