"""Networks between latents at 1/16 and hyper-latents at 1/64."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from nicodec.exact.layers import ExactDepthwise, ExactPointwise, each_at
from nicodec.layers.blocks import Pointwise, ResidualBlock, precision_of
from nicodec.layers.module import Layer


class ScaleHyper(Layer):
    """Integer hyper features at 1/16 from hyper symbols at 1/64."""

    def __init__(self, hyper_latents: int, width: int) -> None:
        super().__init__()
        self.enter = ExactPointwise(hyper_latents, 4 * width)
        self.depthwise = ExactDepthwise(width)
        self.expand = ExactPointwise(width, 4 * width)

    def forward(self, z: Tensor, quality: Tensor) -> Tensor:
        """z: (B, hyper_latents, H/4, W/4) signed activations; returns (B, width, H, W) activations."""
        enter, depthwise, expand = each_at((self.enter, self.depthwise, self.expand), quality)
        return F.pixel_shuffle(expand(depthwise(F.pixel_shuffle(enter(z), 2))), 2)


class MeanHyper(Layer):
    """Float hyper features at 1/16 from hyper symbols at 1/64.

    In float32 except in training, as the means are: its rounding was most of what set a bfloat16 decoder's pixels
    apart where they differ most.
    """

    float32 = True

    def __init__(self, hyper_latents: int, width: int) -> None:
        super().__init__()
        self.enter = Pointwise(hyper_latents, 4 * width)
        self.block = ResidualBlock(width)
        self.expand = Pointwise(width, 4 * width)
        self.refine = ResidualBlock(width)

    def forward(self, z: Tensor, quality: Tensor) -> Tensor:
        """z: (B, hyper_latents, H/4, W/4) symbols; returns (B, width, H, W)."""
        with precision_of(self):
            h = self.block(F.pixel_shuffle(self.enter(z), 2).float(), quality)
            h = self.refine(F.pixel_shuffle(self.expand(F.silu(h)), 2).float(), quality)
            return F.silu(h)


class HyperAnalysis(Layer):
    """Hyper-latents at 1/64 from latents at 1/16."""

    def __init__(self, latents: int, width: int, hyper_latents: int) -> None:
        super().__init__()
        self.enter = Pointwise(latents, width)
        self.block = ResidualBlock(width)
        self.halve = Pointwise(4 * width, width)
        self.refine = ResidualBlock(width)
        self.leave = Pointwise(4 * width, hyper_latents)

    def forward(self, y: Tensor, quality: Tensor) -> Tensor:
        """y: (B, latents, H, W), compressed in range; returns (B, hyper_latents, H/4, W/4)."""
        h = F.silu(self.block(self.enter(y).float(), quality))
        h = F.silu(self.refine(self.halve(F.pixel_unshuffle(h, 2)).float(), quality))
        return self.leave(F.pixel_unshuffle(h, 2)).float()
