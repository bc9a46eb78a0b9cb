"""Training pictures: decoded once into memory, cropped at random."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from nicodec.errors import InputError
from nicodec.training.recipe import DataRecipe

SUFFIXES = {".avif", ".png", ".webp", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}


def find_pictures(folders: Sequence[Path]) -> list[Path]:
    """All pictures in folders and their subfolders, sorted by name.

    Raises:
        InputError: a folder is missing or holds no picture.

    """
    paths: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of training pictures; give --data or edit the recipe")
        found = [p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES]
        if not found:
            raise InputError(f"{folder}: holds no pictures; give --data or edit the recipe")
        paths += found
    return sorted(paths, key=lambda p: p.name)


def read_pixels(path: Path) -> tuple[Tensor, Tensor | None]:
    """A picture as uint8 (3, H, W), and at half size where it is larger than 256 pixels on each side.

    Raises:
        InputError: it cannot be read.

    """
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a picture ({error}); remove it from the folder") from error
    half = None
    if min(picture.size) > 256:
        half = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)
    return _as_tensor(picture), None if half is None else _as_tensor(half)


def _as_tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


class Crops:
    """Random crops, flips and transpositions of pictures held as uint8 on the training device.

    Pictures are drawn with probability in proportion to the root of their area, a share of them at half size.
    """

    def __init__(
        self, paths: Sequence[Path], recipe: DataRecipe, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        self._crop, self._half_share = recipe.crop, recipe.half_size_share
        self._random = np.random.default_rng(seed)
        self._device = device
        full, half = [], []
        for path in paths:
            pixels, halved = read_pixels(path)
            full.append(pixels)
            if halved is not None:
                half.append(halved)
        self._full, self._half = self._usable(full), self._usable(half)
        if not self._full[0]:
            raise InputError(f"no training picture is at least {self._crop} pixels on its short side")

    def _usable(self, pictures: list[Tensor]) -> tuple[list[Tensor], np.ndarray]:
        large = [p.to(self._device) for p in pictures if min(p.shape[1:]) >= self._crop]
        roots = np.array([p.shape[1] * p.shape[2] for p in large], dtype=np.float64) ** 0.5
        return large, np.cumsum(roots / max(roots.sum(), 1.0))

    def _one(self) -> Tensor:
        half = self._half[0] and self._random.random() < self._half_share
        pictures, cumulative = self._half if half else self._full
        place = int(np.searchsorted(cumulative, self._random.random()))
        picture = pictures[min(place, len(pictures) - 1)]
        top = int(self._random.integers(picture.shape[1] - self._crop + 1))
        left = int(self._random.integers(picture.shape[2] - self._crop + 1))
        crop = picture[:, top : top + self._crop, left : left + self._crop]
        if self._random.random() < 0.5:
            crop = crop.flip(2)
        return crop.transpose(1, 2) if self._random.random() < 0.5 else crop

    def batch(self, count: int) -> Tensor:
        """(count, 3, crop, crop) float32 in [0, 1]."""
        return torch.stack([self._one() for _ in range(count)]).float() / 255

    def blocks(self, count: int, side: int = 16) -> Tensor:
        """(count, 3, side, side) float32 in [0, 1], cut from random crops: for principal components."""
        per_crop = (self._crop // side) ** 2
        crops = self.batch(-(-count // per_crop))
        blocks = crops.unfold(2, side, side).unfold(3, side, side)
        return blocks.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, side, side)[:count]
