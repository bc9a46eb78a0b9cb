"""Training pictures: decoded once into memory, cropped at random."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from nicodec.errors import InputError
from nicodec.training.recipe import DataRecipe

SUFFIXES = {".avif", ".png", ".webp", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}


def find_pictures(folders: Sequence[Path]) -> list[Path]:
    """All pictures in folders and their subfolders, sorted by name.

    Raises:
        InputError: a folder is missing or nothing was found.
    """
    paths: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of training pictures; set DATA or edit the recipe")
        paths += [p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES]
    if not paths:
        raise InputError(f"no pictures in {', '.join(map(str, folders))}")
    return sorted(paths, key=lambda p: p.name)


class Crops:
    """Random crops, flips and transpositions of pictures held in memory as uint8."""

    def __init__(self, paths: Sequence[Path], recipe: DataRecipe, seed: int) -> None:
        self._crop = recipe.crop
        self._random = np.random.default_rng(seed)
        self._full: list[NDArray[np.uint8]] = []
        self._half: list[NDArray[np.uint8]] = []
        self._half_share = recipe.half_size_share
        for path in paths:
            with Image.open(path) as opened:
                picture = opened.convert("RGB")
            if min(picture.size) >= self._crop:
                self._full.append(np.asarray(picture))
            if min(picture.size) >= 2 * self._crop and self._half_share > 0:
                size = (picture.width // 2, picture.height // 2)
                self._half.append(np.asarray(picture.resize(size, Image.Resampling.LANCZOS)))
        if not self._full:
            raise InputError(f"no training picture is at least {self._crop} pixels on its short side")
        self._weights = [self._area_weights(p) for p in (self._full, self._half)]

    @staticmethod
    def _area_weights(pictures: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
        """Pictures are drawn with probability in proportion to the root of their area."""
        areas = np.array([p.shape[0] * p.shape[1] for p in pictures], dtype=np.float64) ** 0.5
        return np.cumsum(areas / max(areas.sum(), 1e-9))

    def _one(self) -> NDArray[np.uint8]:
        half = bool(self._half) and self._random.random() < self._half_share
        pictures, weights = (self._half, self._weights[1]) if half else (self._full, self._weights[0])
        picture = pictures[min(int(np.searchsorted(weights, self._random.random())), len(pictures) - 1)]
        top = self._random.integers(picture.shape[0] - self._crop + 1)
        left = self._random.integers(picture.shape[1] - self._crop + 1)
        crop = picture[top : top + self._crop, left : left + self._crop]
        if self._random.random() < 0.5:
            crop = crop[:, ::-1]
        return crop.transpose(1, 0, 2) if self._random.random() < 0.5 else crop

    def batch(self, count: int) -> Tensor:
        """(count, 3, crop, crop) float32 in [0, 1]."""
        stack = np.stack([self._one() for _ in range(count)])
        return torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 255

    def blocks(self, count: int, side: int = 16) -> Tensor:
        """(count, 3, side, side) float32 in [0, 1], cut from random crops: for principal components."""
        per_crop = (self._crop // side) ** 2
        crops = self.batch(-(-count // per_crop))
        blocks = crops.unfold(2, side, side).unfold(3, side, side)
        return blocks.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, side, side)[:count]
