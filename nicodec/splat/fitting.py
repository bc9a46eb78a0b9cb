"""Fits Gaussians to a picture: Adam on all numbers, half size first, moved where the error is, quantised last."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nicodec.splat.bins import Bins
from nicodec.splat.gaussians import (
    Gaussians,
    Steps,
    Symbols,
    colour_basis,
    dequantise,
    for_drawing,
    quantise,
    within_range,
)
from nicodec.splat.rasteriser import bin_gaussians, draw
from nicodec.splat.start import least_squares_colours, scatter, starting_shapes

LEARNING_RATES = (1.2, 1.2, 0.08, 0.08, 0.08, 0.04, 0.04, 0.04)
"""Of x and y in pixels, log-scales, shear, colours."""

BETAS = (0.9, 0.95)
LAST_RATE = 0.1
"""Share of the learning rates that is left at the end."""

HALF_SIZE_UNTIL = 0.45
"""Share of the budget that is fitted to the picture of half the size."""

MOVES = (0.15, 0.3, 0.45, 0.55)
"""Shares of the budget at which Gaussians that do little are moved to where the error is."""

MOVED = 0.1
"""Share of the Gaussians moved each time."""

QUANTISED_FROM = 0.7
"""Share of the budget after which Gaussians are drawn as the file will hold them."""

RESTRAINT = 0.03
"""Squared error that a colour's magnitude of 1 is worth: Gaussians that cancel each other cost bits."""

HEADROOM = 0.8
"""dB that quantisation may cost, beyond the PSNR that is asked for."""

PATIENCE = 6
"""Reports without 0.01 dB of gain after which the fit goes on to its last part."""

BINS_KEPT = 10
"""Steps that the pairs of Gaussians and tiles are used for."""


@dataclass(frozen=True)
class Progress:
    """What `fit` reports.

    Attributes:
        share: of the budget, 0..1.
        iteration: steps done.
        psnr: dB of the picture drawn last, at the size fitted to.
        count: of Gaussians.
        seconds: since the start.

    """

    share: float
    iteration: int
    psnr: float
    count: int
    seconds: float


Watch = Callable[[Progress, Callable[[], Gaussians]], None]
"""Told how a fit goes, and what gives the Gaussians as they are."""


@dataclass(frozen=True)
class Fit:
    """The result of a fit: what a file will hold.

    Attributes:
        symbols: N Gaussians.
        steps: of their quantisation.
        background: (3,) red, green, blue in [0, 1], multiples of 1/255.
        size: H, W in pixels.

    """

    symbols: Symbols
    steps: Steps
    background: Tensor
    size: tuple[int, int]

    def gaussians(self) -> Gaussians:
        """What a decoder will draw."""
        return Gaussians(within_range(dequantise(self.symbols, self.steps), self.size), self.background, self.size)


@dataclass(frozen=True)
class Budget:
    """When a fit ends.

    Attributes:
        iterations: most steps.
        seconds: most seconds; None: no bound.
        psnr: dB that are enough; None: as good as the budget allows.

    """

    iterations: int = 300
    seconds: float | None = None
    psnr: float | None = None


def fit(
    x: Tensor,
    count: int,
    steps: Steps | None = None,
    budget: Budget | None = None,
    watch: Watch | None = None,
    start: Gaussians | None = None,
    seed: int = 0,
) -> Fit:
    """Fit Gaussians to a picture.

    Args:
        x: (3, H, W) float32 in [0, 1].
        count: of Gaussians, at least 1.
        steps: of the quantisation that the last part of the fit is aware of; unless given, they suit the PSNR
            that is reached before it.
        budget: when it ends.
        watch: called every 10 steps, and at the end with a share of 1.
        start: Gaussians to start from (of the frame before, say), instead of the picture's detail.
        seed: of the starting positions; the same seed gives the same fit on the same machine.

    """
    budget = budget or Budget()
    fitting = _Fitting(x, count, start, torch.Generator().manual_seed(seed))
    begun, jump, at_full_size = time.monotonic(), 0.0, []
    moves = [m for m in MOVES if start is None]
    iteration, psnr = 0, 0.0
    while True:
        seconds = time.monotonic() - begun
        share = max(iteration / budget.iterations, seconds / budget.seconds if budget.seconds else 0.0) + jump
        if share >= 1:
            break
        if moves and share >= moves[0]:
            moves.pop(0)
            fitting.move_idle_ones()
        if share >= QUANTISED_FROM and fitting.steps is None:
            fitting.steps = steps or Steps.for_psnr(psnr)
        psnr = fitting.step(share)
        iteration += 1
        if iteration % 10:
            continue
        progress = Progress(share, iteration, psnr, count, time.monotonic() - begun)
        if watch:
            watch(progress, fitting.result)
        if HALF_SIZE_UNTIL < share < QUANTISED_FROM:
            at_full_size.append(psnr)
            enough = budget.psnr is not None and psnr >= budget.psnr + HEADROOM
            stalled = len(at_full_size) > PATIENCE and psnr - at_full_size[-PATIENCE] < 0.01
            if enough or stalled:
                jump += QUANTISED_FROM - share
    if watch:
        watch(Progress(1.0, iteration, psnr, count, time.monotonic() - begun), fitting.result)
    return fitting.quantised(fitting.steps or steps or Steps.for_psnr(psnr))


class _Fitting:
    """The numbers being fitted and their optimiser."""

    steps: Steps | None = None
    """Of the quantisation; None while there is none."""

    def __init__(self, x: Tensor, count: int, start: Gaussians | None, generator: torch.Generator) -> None:
        self.size, self.generator = (x.shape[1], x.shape[2]), generator
        background = (x.mean((1, 2)) * 255).round() / 255 if start is None else start.background
        self.background = background
        full = x - background[:, None, None]
        self.targets = {1: full}
        if min(self.size) >= 32:
            self.targets[2] = F.avg_pool2d(full[None], 2, ceil_mode=True, count_include_pad=False)[0]
        if start is None:
            shapes = starting_shapes(x, count, generator)
            factor = max(self.targets)
            scaled = shapes.clone()
            scaled[:, :2] /= factor
            scaled[:, 2:4] -= math.log(factor)
            colour = least_squares_colours(self.targets[factor], scaled)
            values = torch.cat([shapes, colour @ colour_basis(x.device).T], 1)
        else:
            values = start.values.clone()
        self.values = values.requires_grad_()
        self.rates = torch.tensor(LEARNING_RATES, dtype=torch.float32, device=x.device)
        self.mean, self.square = torch.zeros_like(values), torch.zeros_like(values)
        self.age = torch.zeros(len(values), 1, dtype=torch.float32, device=x.device)
        self.bins: Bins | None = None
        self.bins_age, self.factor = 0, 0

    def _parts(self, values: Tensor, factor: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What `draw` takes, in pixels of the picture that is fitted to."""
        position, log_scale, shear, colour = for_drawing(values)
        return position / factor, log_scale - math.log(factor), shear, colour

    def step(self, share: float) -> float:
        """Take one step of the optimiser; the PSNR before it."""
        factor = 2 if share < HALF_SIZE_UNTIL and 2 in self.targets else 1
        target = self.targets[factor]
        size = (target.shape[1], target.shape[2])
        values = self.values
        if self.steps:
            values = values + (dequantise(self.symbols(self.steps), self.steps) - values).detach()
        parts = self._parts(values, factor)
        if self.bins is None or factor != self.factor or self.bins_age >= BINS_KEPT:
            position, log_scale, shear = (part.detach() for part in parts[:3])
            self.bins = bin_gaussians(position, log_scale, shear, size, margin=0.1)
            self.bins_age, self.factor = 0, factor
        self.bins_age += 1
        drawn = draw(*parts, size, self.bins)
        error = (drawn - target).square().sum()
        penalty = RESTRAINT * (self.values[:, 5:].square() + 1e-4).sqrt().sum() / factor**2
        (gradient,) = torch.autograd.grad(error + penalty, self.values)
        self._descend(gradient, share)
        return -10 * math.log10(max(1e-10, float(error.detach()) / target.numel()))

    def symbols(self, steps: Steps) -> Symbols:
        """The Gaussians as integers."""
        return quantise(within_range(self.values.detach(), self.size), steps)

    @torch.no_grad()
    def _descend(self, gradient: Tensor, share: float) -> None:
        """Adam whose bias correction counts for each Gaussian from when it was placed."""
        rate = LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
        self.age += 1
        self.mean.lerp_(gradient, 1 - BETAS[0])
        self.square.lerp_(gradient.square(), 1 - BETAS[1])
        mean = self.mean / (1 - BETAS[0] ** self.age)
        square = self.square / (1 - BETAS[1] ** self.age)
        self.values -= rate * self.rates * mean / (square.sqrt() + 1e-12)
        self.values.copy_(within_range(self.values, self.size))

    @torch.no_grad()
    def move_idle_ones(self) -> None:
        """Move the Gaussians that change the picture least to points drawn by its error."""
        count = int(MOVED * len(self.values))
        if not count:
            return
        factor = max(self.targets)
        target = self.targets[factor]
        size = (target.shape[1], target.shape[2])
        error = target - draw(*self._parts(self.values, factor), size)
        energy = self.values[:, 5:].square().sum(1).log() + self.values[:, 2] + self.values[:, 3]
        idle = energy.argsort()[:count]
        density = F.avg_pool2d(error.square().sum(0)[None], 3, 1, 1)[0] + 1e-9
        position, _ = scatter(density / density.sum(), count, self.generator)
        column, row = position[:, 0].long(), position[:, 1].long()
        scale = torch.full((count, 1), math.log(1.2 * factor), dtype=torch.float32, device=position.device)
        colours = 0.5 * error[:, row, column].T @ colour_basis(position.device).T
        self.values[idle] = torch.cat([position * factor, scale, scale, torch.zeros_like(scale), colours], 1)
        for state in (self.mean, self.square, self.age):
            state[idle] = 0
        self.bins = None

    def result(self) -> Gaussians:
        """The Gaussians as they are."""
        return Gaussians(self.values.detach().clone(), self.background, self.size)

    def quantised(self, steps: Steps) -> Fit:
        """The Gaussians as a file holds them."""
        with torch.no_grad():
            return Fit(self.symbols(steps), steps, self.background, self.size)
