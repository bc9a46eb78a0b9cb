"""Network blocks on latents at 1/8 and 1/16 resolution: 1x1 and depthwise convolutions, residual branches."""

from __future__ import annotations

import contextlib

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec.layers.quality import QualityTable

LARGE_CHANNELS = 8
"""Channels of a scaled block, the first principal components, that hold most of the energy."""


class Pointwise(nn.Module):
    """1x1 convolution whose weight is a matrix (out, in), so that matrix optimisers take it as it is.

    With `float32` it runs in float32 whatever the autocast type is.
    """

    def __init__(self, in_channels: int, out_channels: int, *, zero: bool = False, float32: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.float32 = float32
        nn.init.zeros_(self.weight) if zero else nn.init.normal_(self.weight, std=in_channels**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, H, W)."""
        with torch.autocast(x.device.type, enabled=False) if self.float32 else contextlib.nullcontext():
            return F.conv2d(x, self.weight[:, :, None, None], self.bias)


class ResidualBlock(nn.Module):
    """x + gate(quality) * branch(x), the branch being 1x1, SiLU, depthwise 3x3, 1x1.

    The channels are expanded before the depthwise convolution, so that a channel that holds most of the energy
    (a block's mean, say) meets many spatial filters and not one. The last layer starts at zero, so that a stack
    of blocks is the identity before training (DESIGN §6). The stream x stays in float32; only the branch runs in
    the autocast type. `input_scale`, fixed, brings channels of very different size nearer to each other; what the
    autocast type rounds off the largest of them is fed in beside them, or it would tilt all hidden channels at
    once and pixels of a bfloat16 decoder would leave those of a float32 one (rule 6 of the numbers contract).
    """

    input_scale: Tensor | None

    def __init__(self, channels: int, expansion: float = 2.0, *, scaled: bool = False) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.expand = Pointwise(channels, hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.project = Pointwise(hidden, channels, zero=True)
        self.gate = QualityTable(channels, 0.5)
        self.register_buffer("input_scale", torch.ones(channels, 1, 1) if scaled else None)

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """x: (B, channels, H, W); quality: (B,) half steps."""
        expanded = self.expand(x) if self.input_scale is None else self._expand_scaled(x * self.input_scale)
        branch = self.project(self.depthwise(F.silu(expanded)))
        return torch.addcmul(x, branch.to(x.dtype), self.gate(quality).to(x.dtype))

    def _expand_scaled(self, x: Tensor) -> Tensor:
        device = x.device.type
        if self.training or not torch.is_autocast_enabled(device):
            return self.expand(x)
        short = x.to(torch.get_autocast_dtype(device))
        rest = (x[:, :LARGE_CHANNELS] - short[:, :LARGE_CHANNELS]).to(short.dtype)
        weight = torch.cat([self.expand.weight, self.expand.weight[:, :LARGE_CHANNELS]], 1)
        return F.conv2d(torch.cat([short, rest], 1), weight[:, :, None, None], self.expand.bias)


class BlockStack(nn.ModuleList):
    """Residual blocks one after another."""

    def __init__(self, channels: int, depth: int, *, scaled: bool = False) -> None:
        super().__init__(ResidualBlock(channels, scaled=scaled) for _ in range(depth))

    def set_input_scale(self, scale: Tensor) -> None:
        """Set what every branch's input is multiplied by, (channels,)."""
        for block in self:
            block.input_scale.copy_(scale[:, None, None])

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """x: (B, channels, H, W); quality: (B,) half steps."""
        for block in self:
            x = block(x, quality)
        return x
