"""Latent blocks of `hvae`: a top-down decoder that adds one latent a block, coarse to fine, as QRes-VAE's.

    x ─ unshuffle ─ blocks ─ halve ─ blocks ─ ... ─ blocks       what each grid's latent blocks see of the picture
                    (1/4)            (1/8)         (1/64)
        a constant (or what earlier levels decoded) ─ block ─ double ─ block ─ block ─ double ─ ... ─ picture

A latent block: h ← front(h); mean μ of h; value q of h and what is seen of the picture; symbols round((q − μ)·gain);
h ← end(h + project(μ + symbols/gain)). Where symbols are missing they are zero: the mean stands in. What goes through
is floats; the scales of the symbols come from a second, narrower path of integers that sees symbols alone.

Beside the published model: depthwise 3x3 of doubled channels in place of 7x7 to 1x1 before a layer norm, gains and
gates that depend on the quality in place of a network for each λ, and the integer path.
Sources: QRes-VAE and QARV, Duan et al. 2023; VDVAE, Child 2021.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec.codecs.hvae_network import enlarged
from nicodec.codecs.hvae_slices import Depth, NextCoder
from nicodec.codecs.hyper_latents import index_of
from nicodec.entropy.coder import Coder
from nicodec.entropy.priors import ScaleMixture
from nicodec.exact.anchors import ANCHORS
from nicodec.exact.layers import ExactDepthwise, ExactPointwise
from nicodec.exact.symbols import magnitude_features
from nicodec.layers.blocks import BlockStack, Pointwise, ResidualBlock, precision_of
from nicodec.layers.contexts import INDEX_OF_ONE
from nicodec.layers.module import Layer
from nicodec.layers.quality import QualityTable

PIXEL_MEAN, PIXEL_GAIN = 0.45, 4.0
"""Pixels are centred and scaled to about unit variance."""


@dataclass(frozen=True)
class BlocksConfig:
    """Sizes of latent blocks; those of each grid, coarse to fine, in parallel."""

    strides: tuple[int, ...] = ()
    """Pixels a side that a place of a grid stands for, each half of the one before; none: no blocks."""
    blocks: tuple[int, ...] = ()
    """Latent blocks of each grid."""
    block_latents: tuple[int, ...] = ()
    """Channels of the latents of each grid."""
    widths: tuple[int, ...] = ()
    """Channels of what goes through."""
    encoder_blocks: tuple[int, ...] = ()
    """Residual blocks by which the encoder sees the picture."""
    block_scales: int = 96
    """Width of the integer path."""

    def check(self) -> None:
        """Raise ValueError unless the sizes fit each other."""
        parallel = (self.strides, self.blocks, self.block_latents, self.widths, self.encoder_blocks)
        if len({len(each) for each in parallel}) != 1:
            raise ValueError("strides, blocks, block_latents, widths and encoder_blocks are one of each grid")
        if any(coarse != 2 * fine for coarse, fine in pairwise(self.strides)) or max(self.strides, default=64) > 64:
            raise ValueError(f"strides {self.strides}: give at most 64, each half of the one before")
        if any(least < 1 for each in parallel[:4] for least in each):
            raise ValueError("each grid has blocks, latents and channels")


class Head(Layer):
    """A straight path and, beside it, a narrow one of two 3x3 convolutions that begins as nothing."""

    float32 = True

    def __init__(self, in_channels: int, hidden: int, out_channels: int, *, zero: bool = False) -> None:
        """`zero`: the straight path begins as nothing, too."""
        super().__init__()
        self.straight = Pointwise(in_channels, out_channels, zero=zero)
        self.enter = Pointwise(in_channels, hidden)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(hidden, hidden, 3, padding=1, dtype=torch.float32) for _ in range(2)
        )
        self.leave = Pointwise(hidden, out_channels, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, H, W)."""
        with precision_of(self):
            h = self.enter(x)
            for convolution in self.convolutions:
                h = convolution(F.silu(h))
            return (self.straight(x) + self.leave(F.silu(h))).float()


class Scales(nn.Module):
    """The integer path beside a latent block: scale indices of its symbols, in 1/16, and what they tell the next."""

    def __init__(self, known: int, width: int, latents: int) -> None:
        super().__init__()
        self.enter = ExactPointwise(known, width)
        self.depthwise = ExactDepthwise(width)
        self.leave = ExactPointwise(width, latents, activation=False, zero=True)
        nn.init.constant_(self.leave.bias, INDEX_OF_ONE)
        self.near = ExactDepthwise(latents)
        self.remember = ExactPointwise(width + latents, width)

    def features(self, known: Tensor, quality: Tensor) -> Tensor:
        """(B, width, H, W) of what earlier blocks tell, (B, known, H, W); all activations."""
        return self.depthwise(self.enter(known, quality), quality)

    def indices(self, features: Tensor, quality: Tensor) -> Tensor:
        """(B, latents, H, W)."""
        return self.leave(features, quality)

    def with_symbols(self, features: Tensor, magnitudes: Tensor, quality: Tensor) -> Tensor:
        """What the next block's path sees, (B, width, H, W); magnitudes: of this block's symbols, activations."""
        return self.remember(torch.cat([features, self.near(magnitudes, quality)], 1), quality)


class LatentBlock(Layer):
    """See the module's docstring."""

    float32 = True

    def __init__(self, width: int, latents: int, known: int, scale_width: int) -> None:
        super().__init__()
        self.front = ResidualBlock(width, float32=True)
        self.prior = Head(width, width // 4, latents, zero=True)
        self.posterior = Head(2 * width, width // 4, latents)
        self.project = Head(latents, width // 8, width)
        self.end = ResidualBlock(width, float32=True)
        self.log_gain = QualityTable(latents)
        self.log_inverse_gain = QualityTable(latents)
        self.scales = Scales(known, scale_width, latents)

    def code(
        self, coder: Coder, h: Tensor, seen: Tensor | None, known: Tensor, quality: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Hand a latent's symbols to a coder.

        Args:
            coder: what is done with them.
            h: (B, width, H, W), what earlier levels decoded.
            seen: (B, width, H, W), what the encoder sees of the picture; None when decoding.
            known: activations (B, known, H, W), what the symbols of earlier levels tell the integer path.
            quality: int64 (B,), half steps.

        Returns:
            The next `h` and `known`.

        """
        h = self.front(h, quality)
        mean = self.prior(h)
        features = self.scales.features(known, quality)
        indices = self.scales.indices(features, quality)
        value = None
        if seen is not None:
            value = (self.posterior(torch.cat([h, seen], 1)) - mean) * self.log_gain(quality).exp()
        symbols = coder.code(value, ScaleMixture(indices if self.training else index_of(indices)))
        h = self._with(h, mean + symbols * self.log_inverse_gain(quality).exp(), quality)
        return h, self.scales.with_symbols(features, magnitude_features(symbols, self.training), quality)

    def without(self, h: Tensor, quality: Tensor) -> Tensor:
        """The next `h` where the symbols are missing."""
        h = self.front(h, quality)
        return self._with(h, self.prior(h), quality)

    def _with(self, h: Tensor, latents: Tensor, quality: Tensor) -> Tensor:
        found: Tensor = self.end(h + self.project(latents), quality)
        return found


class LatentBlocks(Layer):
    """All of them, and what the encoder sees of a picture; see the module's docstring.

    Attributes:
        first: what goes into the first block, (width, 1, 1); None: what levels before decoded.
        leave: gives pixels at the end; None: others draw what goes through.

    """

    float32 = True

    def __init__(self, config: BlocksConfig, *, known: int = 0, gain_range: float = 1.0) -> None:
        """`known`: channels of symbols that come before, 0 if none do; `gain_range`: gain of quality 100 over 0's."""
        super().__init__()
        c = config
        self.strides, self.scale_width = c.strides, c.block_scales
        self.enter = Pointwise(3 * c.strides[-1] ** 2, c.widths[-1])
        self.encoder = nn.ModuleList(BlockStack(*sizes) for sizes in zip(c.widths, c.encoder_blocks, strict=True))
        self.to_coarser = nn.ModuleList(Pointwise(4 * fine, coarse) for coarse, fine in pairwise(c.widths))
        self.to_finer = nn.ModuleList(Pointwise(coarse, 4 * fine) for coarse, fine in pairwise(c.widths))
        sizes = zip(c.blocks, c.widths, c.block_latents, strict=True)
        self.grid_of = [n for n, count in enumerate(c.blocks) for _ in range(count)]
        places = [(width, latents) for count, width, latents in sizes for _ in range(count)]
        self.blocks = nn.ModuleList(
            LatentBlock(width, latents, known or c.block_scales if n == 0 else c.block_scales, c.block_scales)
            for n, (width, latents) in enumerate(places)
        )
        self.first = None if known else nn.Parameter(torch.zeros(c.widths[0], 1, 1, dtype=torch.float32))
        self.leave = None if known else Pointwise(c.widths[-1], 3 * c.strides[-1] ** 2)
        log_gain = torch.linspace(-0.5, 0.5, ANCHORS)[:, None] * math.log(gain_range)
        with torch.no_grad():
            for block in self.each():
                block.project.straight.weight.mul_(len(self.blocks) ** -0.5)  # or sums grow with their number
                block.log_gain.anchors.copy_(log_gain.expand_as(block.log_gain.anchors))
                block.log_inverse_gain.anchors.copy_(-block.log_gain.anchors)

    def each(self) -> Iterator[LatentBlock]:
        """The blocks, coarse to fine."""
        for block in self.blocks:
            assert isinstance(block, LatentBlock)
            yield block

    def see(self, x: Tensor, quality: Tensor) -> list[Tensor]:
        """What latent blocks see of pictures (B, 3, H, W): of each grid (B, width, H/stride, W/stride)."""
        with precision_of(self):
            h = self.enter(F.pixel_unshuffle((x - PIXEL_MEAN) * PIXEL_GAIN, self.strides[-1]))
            found = [self.encoder[-1](h, quality)]
            for coarser, stack in zip(
                reversed(list(self.to_coarser)), reversed(list(self.encoder)[:-1]), strict=True
            ):
                found.append(stack(coarser(F.pixel_unshuffle(found[-1], 2)), quality))
        return found[::-1]

    def begin(self, size: tuple[int, int], quality: Tensor) -> tuple[Tensor, Tensor]:
        """What goes into the first block where nothing comes before, and what its integer path knows: nothing."""
        assert self.first is not None
        shape = (len(quality), -1, size[0] // self.strides[0], size[1] // self.strides[0])
        known = torch.zeros((1, self.scale_width, 1, 1), dtype=torch.float32, device=quality.device)
        return self.first.expand(shape), known.expand(shape[0], self.scale_width, *shape[2:])

    def walk(
        self, next_coder: NextCoder, h: Tensor, known: Tensor, seen: Sequence[Tensor] | None, quality: Tensor
    ) -> Iterator[Depth]:
        """Hand all symbols to coders, a level for each block; see `Hvae.code_levels`.

        Args:
            next_coder: asked once for each level.
            h: what goes into the first block.
            known: activations, what the integer path knows of earlier symbols.
            seen: what `see` gave; None when decoding.
            quality: int64 (B,), half steps.

        """
        for number, block in enumerate(self.each()):
            coder = next_coder()
            if coder is None:
                return
            grid = self.grid_of[number]
            if number and grid > self.grid_of[number - 1]:
                h, known = self._doubled(h, grid), enlarged(known, 2)
            h, known = block.code(coder, h, None if seen is None else seen[grid], known, quality)
            whole = number == len(self.blocks) - 1
            here = h if whole else h.detach()  # in training no gradient goes into what is decoded
            yield Depth(partial(self.without, here, quality, number + 1), quality, whole)

    def without(self, h: Tensor, quality: Tensor, number: int = 0) -> Tensor:
        """What goes through to the end, where the symbols from block `number` on are missing."""
        for later in range(number, len(self.blocks)):
            if later and self.grid_of[later] > self.grid_of[later - 1]:
                h = self._doubled(h, self.grid_of[later])
            block = self.blocks[later]
            assert isinstance(block, LatentBlock)
            h = block.without(h, quality)
        return h

    def _doubled(self, h: Tensor, grid: int) -> Tensor:
        """What goes through on the grid after one, (B, width, 2H, 2W)."""
        with precision_of(self):
            return F.pixel_shuffle(self.to_finer[grid - 1](h), 2).float()

    def draw(self, h: Tensor) -> Tensor:
        """Pictures (B, 3, H, W), about 0..1 and not clamped, of what went through."""
        assert self.leave is not None
        with precision_of(self):
            return F.pixel_shuffle(self.leave(h), self.strides[-1]).float() / PIXEL_GAIN + PIXEL_MEAN
