"""Where Gaussians start: more of them, and smaller, where a picture has more detail; colours by least squares."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nicodec.splat.rasteriser import bin_gaussians, draw

DETAIL_POWER = 1.4
"""How the density of Gaussians grows with the local gradient."""

SPACING = 0.55
"""Deviation of a Gaussian, in square roots of the area that it has to itself."""

FLOOR = 0.1
"""Share of the mean gradient that is added everywhere."""


def detail(x: Tensor) -> Tensor:
    """(H, W): the gradient of a picture (3, H, W), averaged over about 9 pixels, adding up to 1 as a density."""
    down, right = x.diff(dim=1).square().sum(0), x.diff(dim=2).square().sum(0)
    energy = F.pad(down, (0, 0, 0, 1)) + F.pad(right, (0, 1))
    for _ in range(3):
        energy = _box(energy)
    gradient = energy.sqrt()
    density = (gradient + FLOOR * gradient.mean() + 1e-6) ** DETAIL_POWER
    return density / density.sum()


def _box(x: Tensor) -> Tensor:
    """Mean over 5x5 pixels."""
    return F.avg_pool2d(x[None], 5, 1, 2, count_include_pad=False)[0]


def scatter(density: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Spread points by a density, evenly along a curve that fills the plane.

    Args:
        density: (H, W), adding up to 1.
        count: of points.
        generator: on the processor.

    Returns:
        Positions (N, 2) in pixels, and the area (N,) in pixels that each has to itself.

    """
    height, width = density.shape
    order = _z_order(height, width, density.device)
    mass = density.flatten()[order].double().cumsum(0)
    drawn = torch.rand(count, dtype=torch.float32, generator=generator)  # as many bits whatever the default is
    wanted = (torch.arange(count, dtype=torch.float64) + drawn) / count
    found = torch.searchsorted(mass, wanted.to(mass.device) * mass[-1]).clamp(max=height * width - 1)
    pixel = order[found]
    jitter = torch.rand(count, 2, dtype=torch.float32, generator=generator).to(density.device)
    position = torch.stack([pixel % width, torch.div(pixel, width, rounding_mode="floor")], 1) + jitter
    return position, 1 / (count * density.flatten()[pixel])


def _z_order(height: int, width: int, device: torch.device) -> Tensor:
    """Indices of all pixels in Morton's order."""
    y = torch.arange(height, device=device)[:, None]
    x = torch.arange(width, device=device)[None]
    key = torch.zeros(height, width, dtype=torch.int64, device=device)
    for bit in range(max(height, width).bit_length()):
        key |= ((x >> bit) & 1) << (2 * bit) | ((y >> bit) & 1) << (2 * bit + 1)
    return key.flatten().argsort()


def starting_shapes(x: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(N, 5): positions in pixels, log-scales and shears of `count` round Gaussians for a picture (3, H, W)."""
    position, area = scatter(detail(x), count, generator)
    limit = max(1.0, math.hypot(*x.shape[1:]) / 8)
    scale = (SPACING * area.sqrt()).clamp(0.6, limit).log()
    return torch.cat([position, scale[:, None], scale[:, None], torch.zeros_like(position[:, :1])], 1)


def least_squares_colours(x: Tensor, shapes: Tensor, iterations: int = 8) -> Tensor:
    """(N, 3): colours that bring the sum of Gaussians nearest to a picture, by conjugate gradients.

    Args:
        x: (3, H, W), the background taken off.
        shapes: (N, 5), see `starting_shapes`, in pixels of x.
        iterations: of conjugate gradients on the normal equations, slightly damped.

    """
    size = (x.shape[1], x.shape[2])
    position, log_scale, shear = shapes[:, :2], shapes[:, 2:4], shapes[:, 4]
    bins = bin_gaussians(position, log_scale, shear, size)

    def forward(colour: Tensor) -> Tensor:
        return draw(position, log_scale, shear, colour, size, bins)

    def adjoint(picture: Tensor) -> Tensor:
        colour = torch.zeros(len(shapes), 3, dtype=torch.float32, device=x.device, requires_grad=True)
        with torch.enable_grad():
            drawn = forward(colour)
        return torch.autograd.grad(drawn, colour, picture)[0]

    damping = 1e-2
    solution = torch.zeros(len(shapes), 3, dtype=torch.float32, device=x.device)
    rest = adjoint(x)
    direction, power = rest.clone(), rest.square().sum()
    for _ in range(iterations):
        if float(power) < 1e-12:
            break
        image = adjoint(forward(direction)) + damping * direction
        step = power / (direction * image).sum()
        solution += step * direction
        rest -= step * image
        power, last = rest.square().sum(), power
        direction = rest + power / last * direction
    return solution
