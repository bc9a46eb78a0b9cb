"""What is shown in the place of lost parts of a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nicodec.codecs.window import Window

CELL = 32
"""Pixels of a side whose mean is one colour of the fill."""


def fill_smoothly(pixels: NDArray[np.uint8], lost: Sequence[Window]) -> None:
    """Continue a picture (H, W, C) smoothly into its lost windows, in place; grey where nothing is known."""
    height, width, channels = pixels.shape
    known = np.ones((height, width), dtype=bool)
    for window in lost:
        known[window.top : window.bottom, window.left : window.right] = False
    rows, columns = range(0, height, CELL), range(0, width, CELL)
    sums = np.zeros((len(rows), len(columns), channels))
    counts = np.zeros((len(rows), len(columns), 1))
    for row, top in enumerate(rows):
        strip = known[top : top + CELL, :, None]
        counts[row] = np.add.reduceat(strip.sum(0, dtype=np.float64), columns)
        values = np.where(strip, pixels[top : top + CELL], 0).sum(0, dtype=np.float64)
        sums[row] = np.add.reduceat(values, columns)
    cells = _continued(sums, counts)
    for window in lost:
        box = tuple(side / CELL for side in (window.left, window.top, window.right, window.bottom))
        for channel in range(channels):
            plane = Image.fromarray(cells[..., channel].astype(np.float32))
            box_in = (box[0], box[1], min(box[2], plane.width), min(box[3], plane.height))
            part = plane.resize((window.size[1], window.size[0]), Image.Resampling.BILINEAR, box=box_in)
            where = pixels[window.top : window.bottom, window.left : window.right, channel]
            where[...] = np.asarray(part).round().clip(0, 255).astype(np.uint8)


def _continued(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means (h, w, C) where something is known, elsewhere those of half the size."""
    means = np.where(counts > 0, sums / np.maximum(counts, 1), 128.0)
    if (counts > 0).all() or max(counts.shape) <= 1:
        return means
    half = _continued(_halved(sums), _halved(counts))
    grown = half.repeat(2, 0).repeat(2, 1)[: counts.shape[0], : counts.shape[1]]
    return np.where(counts > 0, means, grown)


def _halved(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of 2x2 of (h, w, C)."""
    padded = np.pad(values, ((0, values.shape[0] % 2), (0, values.shape[1] % 2), (0, 0)))
    return padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]
