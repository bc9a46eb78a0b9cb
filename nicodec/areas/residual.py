"""What a decoded picture lacks in some areas: an 8x8 DCT of three rotated colours, rounded, by tables of Gaussians.

A scale for each band of frequencies and colour, and a class for each block, come first; the tables depend on these
symbols alone.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nicodec.areas.uniform import uniform
from nicodec.entropy.coder import Coder, LeastCost
from nicodec.entropy.priors import ScaleMixture
from nicodec.entropy.tables import SCALE_MIN, SCALE_STEP, SCALES

AREA = 64
"""Side of an area in pixels."""

BLOCKS = (AREA // 8) ** 2

BANDS = 15
"""Coefficients of equal sums of their two frequencies share a scale."""

CLASSES_HALF, CLASS_STEP = 4, 5
"""Classes of blocks lie so many below and above the middle, each so many scales from the next."""

ROUNDS_UP = 0.4
"""A magnitude's part that is dropped is at most 1 minus this."""


def step_of(rate_weight: float) -> float:
    """The step in grey levels whose slope at high rates is λ's, for three colours of equal weight."""
    return math.sqrt(18 / (math.log(2) * rate_weight))


def coefficients_of(difference: Tensor) -> Tensor:
    """(3, H, W) to (areas, blocks, 3, 64) coefficients, areas and blocks row by row."""
    return _coefficients(difference, slice(0, 3))


def brightness_of(picture: Tensor) -> Tensor:
    """(3, H, W) to (areas, blocks, 64): the first of the three colours of `coefficients_of`."""
    return _coefficients(picture, slice(0, 1))[:, :, 0]


def _coefficients(difference: Tensor, which: slice) -> Tensor:
    dct, colours = (basis.to(difference.device) for basis in _bases())
    with torch.autocast(difference.device.type, enabled=False):
        blocks = torch.einsum("kc,chw->khw", colours[which], difference.float()).unfold(1, 8, 8).unfold(2, 8, 8)
        blocks = torch.einsum("ui,krcij,vj->krcuv", dct, blocks, dct)
    count, rows, columns = len(blocks), blocks.shape[1] // 8, blocks.shape[2] // 8
    return blocks.reshape(count, rows, 8, columns, 8, 64).permute(1, 3, 2, 4, 0, 5).reshape(-1, BLOCKS, count, 64)


def from_coefficients(coefficients: Tensor) -> Tensor:
    """(areas, blocks, 3, 64) to (areas, 3, 64, 64): the way back."""
    dct, colours = (basis.to(coefficients.device) for basis in _bases())
    with torch.autocast(coefficients.device.type, enabled=False):
        blocks = torch.einsum("ui,ntkuv,vj->ntkij", dct, coefficients.view(*coefficients.shape[:3], 8, 8), dct)
        planes = blocks.reshape(-1, 8, 8, 3, 8, 8).permute(0, 3, 1, 4, 2, 5).reshape(-1, 3, AREA, AREA)
        return torch.einsum("kc,nkhw->nchw", colours, planes)


def _bases() -> tuple[Tensor, Tensor]:
    """The DCT (8, 8) and the colours' rotation (3, 3), orthonormal, in rows."""
    n = torch.arange(8, dtype=torch.float64)
    dct = 0.5 * torch.cos(math.pi / 8 * (n[None] + 0.5) * n[:, None])
    dct[0] *= 0.5**0.5
    colours = torch.tensor([[1, 1, 1], [1, 0, -1], [1, -2, 1]], dtype=torch.float64)
    return dct.float(), F.normalize(colours, dim=1).float()


def _bands() -> Tensor:
    n = torch.arange(8)
    return (n[:, None] + n).flatten()


def with_dead_zone(values: Tensor) -> Tensor:
    """Whole numbers, magnitudes rather down than up: an estimate of what is coded."""
    return values.sign() * torch.floor(values.abs() + ROUNDS_UP)


def code_residual(coder: Coder, values: Tensor | None, areas: int) -> Tensor:
    """Code the coefficients of areas.

    Args:
        coder: of one picture.
        values: (areas, blocks, 3, 64) in steps; None when decoding.
        areas: how many.

    Returns:
        The symbols, likewise, on the CPU.

    """
    classes = scales = None
    if values is not None:
        values = values.cpu()
        classes, scales = _fit(values)
    scales = coder.code(scales, uniform((1, 3, BANDS, 1), SCALES // 2))
    classes = coder.code(classes, uniform((1, 1, areas, BLOCKS), CLASSES_HALF))
    index = (scales[0, :, :, 0] + SCALES // 2)[:, _bands()][:, :, None, None] + CLASS_STEP * classes[0]
    index = index.long().clamp(0, SCALES - 1).view(1, 192, areas, BLOCKS)
    if values is not None:
        coder, values = LeastCost(coder), values.permute(2, 3, 0, 1).reshape(1, 192, areas, BLOCKS)
    symbols = coder.code(values, ScaleMixture(index))
    return symbols.view(3, 64, areas, BLOCKS).permute(2, 3, 0, 1)


def _fit(values: Tensor) -> tuple[Tensor, Tensor]:
    """Classes (1, 1, areas, blocks) and scales (1, 3, bands, 1) that values are likely with, whole, about zero."""
    members = F.one_hot(_bands(), BANDS).float()
    count = members.sum(0)
    energy = torch.einsum("abkf,fn->abkn", with_dead_zone(values).square() + 0.003, members) / count
    classes = torch.zeros(values.shape[:2])
    scale = torch.ones(())
    for _ in range(4):
        scale = (energy * torch.exp(-2 * SCALE_STEP * CLASS_STEP * classes)[..., None, None]).mean((0, 1))
        ratio = (energy / scale * count).mean((2, 3)) / count.mean()
        classes = (0.5 * ratio.clamp(min=1e-6).log() / (SCALE_STEP * CLASS_STEP)).round()
        classes = classes.clamp(-CLASSES_HALF, CLASSES_HALF)
    index = ((0.5 * scale.log() - np.log(SCALE_MIN)) / SCALE_STEP).round().clamp(0, SCALES - 1)
    return classes[None, None], index[None, :, :, None] - SCALES // 2
