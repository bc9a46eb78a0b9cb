"""The coarse levels of `hvae`, and what its finer levels know beside what those of `hyperprior` know.

The grids of 1/64 and 1/32 carry the picture itself: principal components of squares of the first latents, then of
what those leave. A fixed matrix takes them; a learned 3x3 convolution draws the latents from them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec.entropy.factorized import FactorizedModel
from nicodec.entropy.tables import SCALE_MIN, SCALE_STEP
from nicodec.exact.layers import ACTIVATION_MAX, ExactPointwise, activate
from nicodec.layers.blocks import Pointwise, precision_of
from nicodec.layers.module import Layer

TOP_FACTOR, MIDDLE_FACTOR = 4, 2
"""Latents of 1/16 that one of a coarse grid stands for, a side."""

TOP_HALF_WIDTH = 40
"""Symbols of the first level beyond are escaped."""

RIDGE = 1e-2
"""Of the fits at the start, as a share of the inputs' energy."""


class CoarseLevel(Layer):
    """Components of squares of latents, and the latents that they stand for.

    In float32: all later means lean on it.
    """

    float32 = True
    basis: Tensor
    step: Tensor

    def __init__(self, pictured: int, factor: int, channels: int) -> None:
        """`pictured`: latents that it sees; `factor`: side of the squares; `channels`: components of them."""
        super().__init__()
        self.factor, self.channels = factor, channels
        inside = pictured * factor**2
        self.register_buffer("basis", torch.zeros(channels, inside, dtype=torch.float32))
        self.register_buffer("step", torch.ones((), dtype=torch.float32))
        self.expand = nn.Conv2d(channels, inside, 3, padding=1, padding_mode="replicate", dtype=torch.float32)

    def components(self, latents: Tensor) -> Tensor:
        """What is rounded, (B, channels, H/f, W/f), of latents (B, pictured, H, W)."""
        with torch.autocast(latents.device.type, enabled=False):
            grouped = F.pixel_unshuffle(latents.float(), self.factor)
            return F.conv2d(grouped, self.basis[:, :, None, None]) / self.step

    def forward(self, symbols: Tensor) -> Tensor:
        """Latents (B, pictured, H, W) of symbols (B, channels, H/f, W/f)."""
        with torch.autocast(symbols.device.type, enabled=False):
            return F.pixel_shuffle(self.expand(symbols * self.step), self.factor)

    @torch.no_grad()
    def start(self, latents: Tensor, step: float) -> Tensor:
        """Set the matrix to principal components, and the convolution to what fits best. Returns the symbols.

        Args:
            latents: (N, pictured, H, W), enough of them.
            step: that components are rounded in.

        """
        moved = _all_offsets(latents, self.factor)
        rows = F.pixel_unshuffle(moved, self.factor).movedim(1, -1).flatten(0, 2).double()
        _, vectors = torch.linalg.eigh(rows.T @ rows)
        self.basis.copy_(vectors.flip(1)[:, : self.channels].T)
        self.step.fill_(step)
        values = F.pad(self.components(moved).round() * self.step, (1, 1, 1, 1), mode="replicate")
        seen = F.unfold(values, 3).movedim(1, -1).flatten(0, 1).double()
        gram = seen.T @ seen
        gram += RIDGE * torch.diag(gram.diagonal() + gram.diagonal().mean() * RIDGE)
        weights = torch.linalg.solve(gram, seen.T @ rows)
        self.expand.weight.copy_(weights.T.view_as(self.expand.weight))
        if self.expand.bias is not None:
            self.expand.bias.zero_()
        return self.components(latents).round()


def _all_offsets(latents: Tensor, factor: int) -> Tensor:
    """Latents cut at every offset of a coarse grid: more squares from the same pictures."""
    height, width = ((side - factor) // factor * factor for side in latents.shape[2:])
    if not height or not width:
        return latents
    places = [(row, column) for row in range(factor) for column in range(factor)]
    return torch.cat([latents[:, :, row : row + height, column : column + width] for row, column in places])


class TopPrior(FactorizedModel):
    """Of the symbols of 1/64: a table a channel, which begins as a two-sided geometric one."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, TOP_HALF_WIDTH)

    @torch.no_grad()
    def start(self, symbols: Tensor) -> None:
        """Fit to symbols (N, C, H, W)."""
        mean = symbols.abs().mean((0, 2, 3)).clamp(min=0.02)
        decay = torch.log(torch.sqrt(1 + 1 / mean**2) + 1 / mean)  # of a two-sided geometric law of that mean
        distance = torch.arange(-TOP_HALF_WIDTH, TOP_HALF_WIDTH + 1).abs().float()
        inside = -decay[:, None] * distance
        escape = -decay[:, None] * (TOP_HALF_WIDTH + 1)
        self.logits.copy_(torch.cat([inside, escape], 1).clamp(min=-16.0).expand_as(self.logits))


class MiddlePrior(Layer):
    """Integer scale indices of the symbols of 1/32, in 1/16, from the magnitudes of those of 1/64."""

    def __init__(self, top: int, middle: int, width: int = 48) -> None:
        super().__init__()
        self.enter = ExactPointwise(top, width)
        self.leave = ExactPointwise(width, middle, activation=False, zero=True)

    def forward(self, magnitudes: Tensor, quality: Tensor) -> Tensor:
        """magnitudes: (B, top, H, W) activations at 1/64; returns (B, middle, 2H, 2W)."""
        found: Tensor = self.leave(self.enter(magnitudes, quality), quality)
        return enlarged(found, 2)

    @torch.no_grad()
    def start(self, symbols: Tensor) -> None:
        """Fit to symbols (N, C, H, W)."""
        deviation = symbols.square().mean((0, 2, 3)).sqrt().clamp(min=SCALE_MIN)
        self.leave.bias.copy_((torch.log(deviation / SCALE_MIN) / SCALE_STEP).expand_as(self.leave.bias))


class MoreForMeans(Layer):
    """What is added to the features that means come from: of all that earlier levels decoded. Begins as nothing."""

    float32 = True

    def __init__(self, latents: int, pictured: int, hyper: int) -> None:
        super().__init__()
        self.enter = Pointwise(latents + pictured, hyper, zero=True)

    def forward(self, known: Tensor, predicted: Tensor) -> Tensor:
        """known: (B, latents, H, W), zero where unknown; predicted: (B, pictured, H, W), of the coarse levels."""
        with precision_of(self):
            return self.enter(torch.cat([known, predicted], 1))


class MoreForScales(Layer):
    """The same for the features that scales come from: of magnitudes of symbols alone, in integers."""

    def __init__(self, latents: int, coarse: int, width: int) -> None:
        super().__init__()
        self.enter = ExactPointwise(latents + coarse, width, activation=False, zero=True)

    def forward(self, features: Tensor, magnitudes: Tensor, coarse: Tensor, quality: Tensor) -> Tensor:
        """features: (B, width, H, W); magnitudes: (B, latents, H, W); coarse: (B, coarse, H, W); all activations."""
        total = features + self.enter(torch.cat([magnitudes, coarse], 1), quality)
        return activate(total) if self.training else total.clamp(0, ACTIVATION_MAX)


def enlarged(x: Tensor, factor: int) -> Tensor:
    """(B, C, f·H, f·W): every element of (B, C, H, W) f times a side."""
    return x.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
