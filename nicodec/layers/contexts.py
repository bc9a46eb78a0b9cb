"""Networks of four-pass contexts: what each pass over latents takes from the passes before it and from hyper-latents.

The four passes: channels below `split` at both colours of a checkerboard, then the others (odd channels use the
opposite colour, so that every position gets something in every pass). Means see everything decoded so far, in
floats; scales see decoded symbols only, in integers (rule 1 of the numbers contract).
Sources: checkerboard context, He et al. 2021; uneven channel groups, ELIC, He et al. 2022.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec.entropy.tables import SCALE_MIN, SCALE_STEP
from nicodec.exact.layers import ExactDepthwise, ExactPointwise, each_at
from nicodec.layers.blocks import Pointwise, ResidualBlock, precision_of
from nicodec.layers.module import Layer

INDEX_OF_ONE = -math.log(SCALE_MIN) / SCALE_STEP
"""Position of σ = 1 on the scale axis: where hyper-latents start."""

LAST_PASS = 3
"""The passes count from 0."""


def pass_channels(channels: int, split: int) -> list[tuple[slice, slice]]:
    """Of the four passes: the channels that each codes, and those of which it knows something."""
    low, high = slice(0, split), slice(split, channels)
    return [(low, slice(0, 0)), (low, low), (high, low), (high, slice(0, channels))]


def passes(shape: tuple[int, int, int, int], split: int, device: torch.device) -> Iterator[tuple[slice, Tensor]]:
    """Give the four passes over (B, C, H, W): the channels coded, and which of their elements, (1, channels, H, W).

    Channels below `split` at one colour of a checkerboard and at the other, then the rest likewise; the colours
    are opposite in odd channels.
    """
    height, width = (torch.arange(n, device=device) for n in shape[2:])
    square = (height[:, None] + width) % 2
    for number, (own, _) in enumerate(pass_channels(shape[1], split)):
        colours = torch.stack([square == number % 2, square != number % 2])  # of even channels, and of odd ones
        channels = count_of(own)
        yield own, colours.repeat(-(-channels // 2), 1, 1)[None, :channels]


def learn(groups: list[Tensor], number: int, found: Tensor) -> None:
    """Take what a pass has found to the groups of channels that are known: a new one, or the rest of the last."""
    if number % 2 == 0:
        groups.append(found)
    else:
        groups[-1] = groups[-1] + found


def count_of(channels: slice) -> int:
    """How many channels a slice with both ends has."""
    return int(channels.stop - channels.start)


def _by_kind(parameters: Tensor, channels: int) -> Tensor:
    """(B, kinds of parameter, channels, H, W) of (B, kinds · channels, H, W)."""
    batch, _, height, width = parameters.shape
    return parameters.view(batch, -1, channels, height, width)


class MeanContext(Layer):
    """Means of one pass from the hyper features and the latents decoded so far.

    In float32 except in training: the mean of many symbols needs more than 8 bits.
    """

    float32 = True

    def __init__(self, hyper: int, known: slice, own: slice) -> None:
        super().__init__()
        self.enter = Pointwise(hyper + known.stop, hyper)
        self.block = ResidualBlock(hyper, 1.5)
        self.leave = Pointwise(hyper, count_of(own), zero=True)

    def forward(self, features: Tensor, y_hat: Sequence[Tensor], quality: Tensor) -> Tensor:
        """features: (B, hyper, H, W); y_hat: the known groups of channels, (B, C, H, W), zero where unknown."""
        with precision_of(self):
            h = self.enter(torch.cat([features, *y_hat], 1))
            return self.leave(F.silu(self.block(h, quality)))


class ScaleContext(Layer):
    """Integer parameters of one pass's distributions from hyper features and symbol magnitudes.

    A symbol has one parameter, its scale index; with a mixture of K Gaussians it has K scale indices, K offsets
    and K log-weights. All count in 1/16.
    """

    def __init__(self, hyper: int, known: slice, width: int, own: slice, mixture: int) -> None:
        super().__init__()
        self.mixture, self.own = mixture, own
        out = count_of(own)
        self.enter = ExactPointwise(hyper + known.stop, width)
        self.depthwise = ExactDepthwise(width)
        self.mix = ExactPointwise(width, width)
        self.leave = ExactPointwise(width, out * (1 if mixture == 1 else 3 * mixture), activation=False, zero=True)
        self.neighbours = ExactDepthwise(out, activation=False, zero=True) if known.stop == own.stop else None

    def at(self, quality: Tensor) -> Callable[[Tensor, Sequence[Tensor]], Tensor]:
        """What `forward` does at a quality (B,), for several calls: what depends on the quality is computed once."""
        layers = (self.enter, self.depthwise, self.mix, self.leave)
        last = () if self.neighbours is None else (self.neighbours,)
        enter, depthwise, mix, leave, *neighbours = each_at((*layers, *last), quality)

        def run(features: Tensor, magnitudes: Sequence[Tensor]) -> Tensor:
            h = mix(depthwise(enter(torch.cat([features, *magnitudes], 1))))
            parameters = _by_kind(leave(h), count_of(self.own))
            if not neighbours:
                return parameters
            near = neighbours[0](magnitudes[-1])
            if self.mixture == 1:
                return parameters + near[:, None]
            return torch.cat([parameters[:, : self.mixture] + near[:, None], parameters[:, self.mixture :]], 1)

        return run

    def forward(self, features: Tensor, magnitudes: Sequence[Tensor], quality: Tensor) -> Tensor:
        """features: (B, hyper, H, W), magnitudes: of the known groups, (B, C, H, W), all activations.

        Returns (B, parameters, channels, H, W).
        """
        return self.at(quality)(features, magnitudes)


class HyperContext(Layer):
    """Integer parameters of one pass over the hyper-latents, from the passes before."""

    def __init__(self, known: slice, width: int, own: slice) -> None:
        super().__init__()
        self.channels = out = count_of(own)
        self.enter = ExactPointwise(known.stop, width)
        self.depthwise = ExactDepthwise(width)
        self.mix = ExactPointwise(width, width)
        self.leave = ExactPointwise(width, 2 * out, activation=False, zero=True)
        nn.init.constant_(self.leave.bias[:, :out], INDEX_OF_ONE)

    def forward(self, z: Tensor, quality: Tensor) -> Tensor:
        """z: (B, known, H, W) signed activations, zero where unknown.

        Returns (B, 2, channels, H, W): scale indices and offsets, in 1/16.
        """
        enter, depthwise, mix, leave = each_at((self.enter, self.depthwise, self.mix, self.leave), quality)
        return _by_kind(leave(mix(depthwise(enter(z)))), self.channels)
