"""The sum over Gaussians as two Triton kernels, for GPUs; `rasteriser._Sum` holds the same in torch.

A program of the forward kernel draws one tile, one of the backward kernel serves one group of Gaussians, so
nothing is added atomically and results do not depend on the order in which programs run.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from nicodec.splat.bins import CUT, GROUP, TILE, Bins


@triton.jit
def _monomial(pixel, tile: tl.constexpr, which: tl.constexpr):
    """1, x, y, x², xy or y² at the centres of a tile's pixels, from the tile's centre."""
    x = (pixel % tile).to(tl.float32) + 0.5 - tile / 2
    y = (pixel // tile).to(tl.float32) + 0.5 - tile / 2
    if which == 0:
        value = x * 0 + 1
    elif which == 1:
        value = x
    elif which == 2:
        value = y
    elif which == 3:
        value = x * x
    elif which == 4:
        value = x * y
    else:
        value = y * y
    return value


@triton.jit
def _weight(coefficients, rows, pixel, tile: tl.constexpr, cut: tl.constexpr):
    """Weights (group, pixels) of the Gaussians in `rows`."""
    exponent = tl.zeros([rows.shape[0], pixel.shape[0]], dtype=tl.float32)
    for j in tl.static_range(6):
        c = tl.load(coefficients + rows * 6 + j)
        exponent += c[:, None] * _monomial(pixel, tile, j)[None, :]
    return tl.maximum(tl.exp(exponent) - cut, 0.0) / (1 - cut)


@triton.jit
def _forward(coefficients, colours, first, out, tile: tl.constexpr, group: tl.constexpr, cut: tl.constexpr):
    here = tl.program_id(0)
    pixels: tl.constexpr = tile * tile
    pixel = tl.arange(0, pixels)
    red = tl.zeros([pixels], dtype=tl.float32)
    green = tl.zeros([pixels], dtype=tl.float32)
    blue = tl.zeros([pixels], dtype=tl.float32)
    for number in range(tl.load(first + here), tl.load(first + here + 1)):
        rows = number * group + tl.arange(0, group)
        w = _weight(coefficients, rows, pixel, tile, cut)
        red += tl.sum(tl.load(colours + rows * 3)[:, None] * w, 0)
        green += tl.sum(tl.load(colours + rows * 3 + 1)[:, None] * w, 0)
        blue += tl.sum(tl.load(colours + rows * 3 + 2)[:, None] * w, 0)
    start = out + here * 3 * pixels + pixel
    tl.store(start, red)
    tl.store(start + pixels, green)
    tl.store(start + 2 * pixels, blue)


@triton.jit
def _backward(
    coefficients, colours, owner, gradient, to_coefficients, to_colours,
    tile: tl.constexpr, group: tl.constexpr, cut: tl.constexpr,
):  # fmt: skip
    number = tl.program_id(0)
    pixels: tl.constexpr = tile * tile
    pixel = tl.arange(0, pixels)
    rows = number * group + tl.arange(0, group)
    w = _weight(coefficients, rows, pixel, tile, cut)
    start = gradient + tl.load(owner + number) * 3 * pixels + pixel
    slope = tl.zeros([group, pixels], dtype=tl.float32)
    for c in tl.static_range(3):
        g = tl.load(start + c * pixels)
        slope += tl.load(colours + rows * 3 + c)[:, None] * g[None, :]
        tl.store(to_colours + rows * 3 + c, tl.sum(w * g[None, :], 1))
    slope = tl.where(w > 0, slope * (w + cut / (1 - cut)), 0.0)
    for j in tl.static_range(6):
        tl.store(to_coefficients + rows * 6 + j, tl.sum(slope * _monomial(pixel, tile, j)[None, :], 1))


def forward(coefficients: Tensor, colours: Tensor, bins: Bins) -> Tensor:
    """Tiles (tiles, 3, TILE²) from padded rows (groups * GROUP, 6) and (groups * GROUP, 3), float32."""
    tiles = bins.rows * bins.columns
    held = torch.bincount(bins.tile, minlength=tiles)
    first = torch.cat([held.new_zeros(1), held.cumsum(0)])
    out = colours.new_empty(tiles, 3, TILE**2)
    _forward[(tiles,)](coefficients, colours, first, out, tile=TILE, group=GROUP, cut=CUT)
    return out


def backward(coefficients: Tensor, colours: Tensor, bins: Bins, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the rows' coefficients and colours from that of the tiles."""
    to_coefficients, to_colours = torch.empty_like(coefficients), torch.empty_like(colours)
    if len(bins.tile):
        _backward[(len(bins.tile),)](
            coefficients, colours, bins.tile, gradient.contiguous(), to_coefficients, to_colours,
            tile=TILE, group=GROUP, cut=CUT,
        )  # fmt: skip
    return to_coefficients, to_colours
