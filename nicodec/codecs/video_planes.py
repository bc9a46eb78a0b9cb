"""Planes of frames, the grid that networks see of them, and what their errors count."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

GRID = 96
"""Channels of the grid at 1/8: 64 of Y, 16 of U, 16 of V."""

PIXEL_MIDDLE, PIXEL_GAIN = 0.5, 4.0
CHROMA_GAIN = (2 / 3) ** 0.5
"""Of U and V against Y in the grid."""

KR, KB = 0.299, 0.114
"""BT.601: what red and blue count in luma, where frames are coded as pictures, whatever the clip's own matrix."""

LUMA, CHROMA = 6 / 8, 5 / 8
"""What squared errors count. Clips are judged by (6·Y + U + V)/8 of the planes' PSNR in decibels, and a decibel of a
chroma plane, whose error is a fourth to a sixth of luma's, stands for so much less of squared error."""


@dataclass(frozen=True)
class Planes:
    """A batch of frames, sides multiples of 64.

    Attributes:
        y: (B, 1, H, W), 0..1.
        u, v: (B, 1, H/2, W/2).

    """

    y: Tensor
    u: Tensor
    v: Tensor

    def each(self) -> tuple[Tensor, Tensor, Tensor]:
        """Y, U, V."""
        return self.y, self.u, self.v


def to_grid(planes: Planes) -> Tensor:
    """(B, 96, H/8, W/8), about zero and of about unit variance."""
    y, u, v = ((plane - PIXEL_MIDDLE) * PIXEL_GAIN for plane in planes.each())
    parts = [F.pixel_unshuffle(y, 8), CHROMA_GAIN * F.pixel_unshuffle(u, 4), CHROMA_GAIN * F.pixel_unshuffle(v, 4)]
    return torch.cat(parts, 1).contiguous(memory_format=torch.channels_last)


def from_grid(grid: Tensor) -> Planes:
    """The inverse of `to_grid`."""
    y = F.pixel_shuffle(grid[:, :64], 8)
    u, v = (F.pixel_shuffle(part / CHROMA_GAIN, 4) for part in (grid[:, 64:80], grid[:, 80:]))
    return Planes(*(plane / PIXEL_GAIN + PIXEL_MIDDLE for plane in (y, u, v)))


def rgb_to_planes(rgb: Tensor) -> Planes:
    """Planes of pictures (B, 3, H, W) in about [0, 1], even sides: BT.601 by the full range of codes."""
    r, g, b = rgb[:, :1], rgb[:, 1:2], rgb[:, 2:]
    y = KR * r + (1 - KR - KB) * g + KB * b
    u, v = (b - y) / (2 - 2 * KB) + 0.5, (r - y) / (2 - 2 * KR) + 0.5
    return Planes(y, F.avg_pool2d(u, 2), F.avg_pool2d(v, 2))


def planes_to_rgb(planes: Planes) -> Tensor:
    """Pictures (B, 3, H, W) of which `rgb_to_planes` gives Y again, and U and V as far as they are smooth.

    Chroma in squares of 2x2 pixels would cost more than smooth chroma, and be decoded no better.
    """
    y = planes.y
    u, v = (F.interpolate(plane, scale_factor=2, mode="bicubic") - 0.5 for plane in (planes.u, planes.v))
    r, b = y + (2 - 2 * KR) * v, y + (2 - 2 * KB) * u
    return torch.cat([r, (y - KR * r - KB * b) / (1 - KR - KB), b], 1)


class _ToCodes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return (x.clamp(0, 1) * 255).round_().div_(255)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def to_codes(planes: Planes) -> Planes:
    """Planes at 8 bits of precision; the gradient passes unchanged."""
    return Planes(*(_ToCodes.apply(plane) for plane in planes.each()))


def weighted_error(x: Planes, x_hat: Planes) -> Tensor:
    """The planes' mean squared errors, weighted by `LUMA` and `CHROMA`, (B,)."""
    y, u, v = ((a - b).square().mean((1, 2, 3)) for a, b in zip(x.each(), x_hat.each(), strict=True))
    return LUMA * y + CHROMA * (u + v)


def error_level(x: Planes, x_hat: Planes) -> float:
    """The mean of the logarithms of the planes' mean squared errors, 6:1:1, of a batch of one."""
    errors = [float((a - b).square().mean()) for a, b in zip(x.each(), x_hat.each(), strict=True)]
    y, u, v = (math.log(max(error, ERROR_MIN)) for error in errors)
    return (6 * y + u + v) / 8


ERROR_MIN = 1e-7
"""Squared errors below it are all the same: 70 dB."""


def squares(grid: Tensor) -> Tensor:
    """(B, 96, H/8, W/8) as squares of 16 pixels, (N, 96, 2, 2)."""
    return grid.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 1, 4, 5).reshape(-1, GRID, 2, 2)
