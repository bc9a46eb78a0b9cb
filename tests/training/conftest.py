from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from nicodec.training.budget import Budget
from nicodec.training.data import Pictures, PictureSettings
from nicodec.training.workers import Workers

from ..conftest import TINY, smooth_picture

RECIPE = """
name = "small"
codec = "hyperprior"
[model]
{model}
[objective]
name = "rate-distortion"
start_blocks = 2000
filter_crops = 30
[[objective.stages]]
until = 0.5
crop = 64
batch = 2
[[objective.stages]]
crop = 128
batch = 1
[data]
half_size_share = 0.5
[run]
steps = 4
"""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(6):
        Image.fromarray(smooth_picture(140, 150, seed)).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    model = "\n".join(f"{k} = {list(v) if isinstance(v, tuple) else v}" for k, v in TINY.items())
    path = tmp_path / "small" / "recipe.toml"
    path.parent.mkdir()
    path.write_text(RECIPE.format(model=model))
    return path


@pytest.fixture
def alone() -> Workers:
    """One worker on the processor that says nothing."""
    return Workers(torch.device("cpu"), say=lambda text: None)


def opened(folders: list[Path], workers: Workers, shares: tuple[float, ...] = (), **settings: float) -> Pictures:
    """Pictures of folders, read without haste."""
    return Pictures(folders, PictureSettings(**settings), 3, Budget(minutes=5), workers, shares)
