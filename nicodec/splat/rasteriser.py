"""Draws sums of two-dimensional Gaussians in plain torch: tiles, no sorting, no cap, exact gradients.

A Gaussian with centre p, log-scales (a, b) and shear m weighs a point by

    u = (x − p_x)/eᵃ,  v = (y − p_y)/eᵇ − m·u,  w = max(0, exp(−(u² + v²)/2) − t)/(1 − t),  t = exp(−9/2),

which is the Cholesky form of its covariance (l1 = eᵃ, l2 = m·eᵇ, l3 = eᵇ), cut off continuously at three
deviations. So what lies outside the 3σ box is exactly zero, and a picture does not depend on tiles or crops.
The picture is the sum of weight times colour (Zhang et al., GaussianImage, 2024).

In a tile's own coordinates the exponent is a quadratic polynomial: for all pairs of a Gaussian and a tile it
is one matrix product with six monomials. Pairs of a tile are padded to groups of `GROUP`, so that the sums over
colours are matrix products, too.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from nicodec.splat.bins import CUT, EXTENT, GROUP, TILE, Bins

KERNELS = "cuda"
"""Where the Triton kernels run: "cuda", "always" (under Triton's interpreter, in tests), or "never"."""

CHUNK = 2**19
"""Weights worked on at a time: few enough for a processor's cache."""


def bin_gaussians(
    position: Tensor, log_scale: Tensor, shear: Tensor, size: tuple[int, int], margin: float = 0.0
) -> Bins:
    """Find the pairs of Gaussians and tiles whose 3σ box and pixels meet.

    Args:
        position: (N, 2) x and y in pixels; a pixel's centre is at its index + ½.
        log_scale: (N, 2).
        shear: (N,).
        size: H, W in pixels.
        margin: share by which boxes are enlarged, when bins are to hold for a few steps of an optimiser.

    """
    rows, columns = -(-size[0] // TILE), -(-size[1] // TILE)
    with torch.no_grad():
        scale = log_scale.exp()
        half = torch.stack([scale[:, 0], scale[:, 1] * (1 + shear**2).sqrt()], 1) * (EXTENT * (1 + margin)) + margin
        limits = torch.tensor([columns, rows], device=position.device)
        first = torch.floor((position - half) / TILE).clamp(min=0).minimum(limits).long()
        last = torch.floor((position + half) / TILE).clamp(min=-1).minimum(limits - 1).long()
        span = (last - first + 1).clamp(min=0)
        count = span[:, 0] * span[:, 1]
        gaussian = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
        rank = torch.arange(len(gaussian), device=count.device) - (count.cumsum(0) - count)[gaussian]
        width = span[gaussian, 0]
        down = torch.div(rank, width.clamp(min=1), rounding_mode="floor")
        tile = (first[gaussian, 1] + down) * columns + first[gaussian, 0] + rank - down * width
        tile, order = tile.sort(stable=True)
        gaussian = gaussian[order]
        held = torch.bincount(tile, minlength=rows * columns)
        groups = (held + GROUP - 1) // GROUP
        start = (groups.cumsum(0) - groups) * GROUP
        slot = start[tile] + torch.arange(len(tile), device=tile.device) - (held.cumsum(0) - held)[tile]
        owner = torch.repeat_interleave(torch.arange(rows * columns, device=tile.device), groups)
    return Bins(gaussian, slot, owner, rows, columns)


def _monomials(device: torch.device, dtype: torch.dtype) -> Tensor:
    """(6, TILE²): 1, x, y, x², xy, y² at the pixels' centres, from a tile's centre."""
    axis = torch.arange(TILE, device=device, dtype=dtype) + 0.5 - TILE / 2
    y, x = (part.flatten() for part in torch.meshgrid(axis, axis, indexing="ij"))
    return torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y])


def _coefficients(position: Tensor, log_scale: Tensor, shear: Tensor, bins: Bins) -> Tensor:
    """(P, 6): the exponent of each pair as a polynomial around its tile's centre."""
    owner = bins.tile[torch.div(bins.slot, GROUP, rounding_mode="floor")]
    centre = torch.stack([owner % bins.columns, torch.div(owner, bins.columns, rounding_mode="floor")], 1)
    offset = (centre.to(position.dtype) + 0.5) * TILE - position[bins.gaussian]
    inverse = (-log_scale).exp()[bins.gaussian]
    m = shear[bins.gaussian]
    u0, ux = offset[:, 0] * inverse[:, 0], inverse[:, 0]
    v0, vx, vy = offset[:, 1] * inverse[:, 1] - m * u0, -m * ux, inverse[:, 1]
    return torch.stack(
        [
            -0.5 * (u0 * u0 + v0 * v0),
            -(u0 * ux + v0 * vx),
            -v0 * vy,
            -0.5 * (ux * ux + vx * vx),
            -vx * vy,
            -0.5 * vy * vy,
        ],
        1,
    )


class _Sum(torch.autograd.Function):
    """Colours times weights, summed over the Gaussians of each tile."""

    @staticmethod
    def forward(ctx: Any, coefficients: Tensor, colour: Tensor, bins: Bins) -> Tensor:
        groups, tiles = len(bins.tile), bins.rows * bins.columns
        monomials = _monomials(colour.device, colour.dtype)
        c = colour.new_zeros(groups * GROUP, 6).index_copy_(0, bins.slot, coefficients)
        k = colour.new_zeros(groups * GROUP, 3).index_copy_(0, bins.slot, colour).view(groups, GROUP, 3)
        out = colour.new_zeros(tiles, 3, TILE * TILE)
        ctx.bins, ctx.kernel = bins, _kernel(colour)
        if ctx.kernel:
            ctx.save_for_backward(c, k)
            summed: Tensor = ctx.kernel.forward(c, k, bins)
            return summed
        weights = []
        for part in _chunks(groups):
            w = (c[part.start * GROUP : part.stop * GROUP] @ monomials).exp_()
            w = w.sub_(CUT).relu_().mul_(1 / (1 - CUT)).view(-1, GROUP, TILE * TILE)
            out.index_add_(0, bins.tile[part], torch.bmm(k[part].transpose(1, 2), w))
            if any(ctx.needs_input_grad):
                weights.append(w)
        ctx.save_for_backward(k, monomials, *weights)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        bins: Bins = ctx.bins
        if ctx.kernel:
            to_coefficients, to_colour = ctx.kernel.backward(*ctx.saved_tensors, bins, gradient)
            return to_coefficients[bins.slot], to_colour.view(-1, 3)[bins.slot], None
        k, monomials, *weights = ctx.saved_tensors
        to_colour, to_coefficients = torch.empty_like(k), k.new_empty(len(k) * GROUP, 6)
        for part, w in zip(_chunks(len(k)), weights, strict=True):
            g = gradient[bins.tile[part]]
            torch.bmm(w, g.transpose(1, 2), out=to_colour[part])
            if ctx.needs_input_grad[0]:
                # With e the exponential, dw = e/(1 − t) = w + t/(1 − t) inside the cut, 0 outside.
                slope = torch.ops.aten.threshold_backward(torch.bmm(k[part], g), w, 0)
                slope.mul_(w.add(CUT / (1 - CUT)))
                torch.mm(
                    slope.view(-1, TILE * TILE),
                    monomials.T,
                    out=to_coefficients[part.start * GROUP : part.stop * GROUP],
                )
        to_colour = to_colour.view(-1, 3)[bins.slot]
        return to_coefficients[bins.slot] if ctx.needs_input_grad[0] else None, to_colour, None


def _kernel(x: Tensor) -> ModuleType | None:
    """The Triton kernels, where they can run."""
    if KERNELS == "never" or x.dtype != torch.float32 or not (x.is_cuda or KERNELS == "always"):
        return None
    try:
        from nicodec.splat import kernel
    except ImportError:
        return None
    return kernel


def _chunks(groups: int) -> list[slice]:
    step = max(1, CHUNK // (GROUP * TILE * TILE))
    return [slice(start, min(start + step, groups)) for start in range(0, groups, step)]


def draw(
    position: Tensor,
    log_scale: Tensor,
    shear: Tensor,
    colour: Tensor,
    size: tuple[int, int],
    bins: Bins | None = None,
) -> Tensor:
    """Sum Gaussians on a grid of pixels.

    Args:
        position: (N, 2) x and y in pixels; a pixel's centre is at its index + ½.
        log_scale: (N, 2), natural logarithms of pixels.
        shear: (N,).
        colour: (N, 3).
        size: H, W in pixels.
        bins: from `bin_gaussians`, if they are to be used again.

    Returns:
        (3, H, W), differentiable in the first four.

    """
    bins = bins or bin_gaussians(position, log_scale, shear, size)
    coefficients = _coefficients(position, log_scale, shear, bins)
    tiles: Tensor = _Sum.apply(coefficients, colour[bins.gaussian], bins)
    grid = tiles.view(bins.rows, bins.columns, 3, TILE, TILE).permute(2, 0, 3, 1, 4)
    return grid.reshape(3, bins.rows * TILE, bins.columns * TILE)[:, : size[0], : size[1]]
