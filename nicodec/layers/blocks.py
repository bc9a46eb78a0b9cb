"""Network blocks on latents at 1/8 and 1/16 resolution: 1x1 and depthwise convolutions, residual branches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec.layers.module import Layer
from nicodec.layers.quality import QualityTable
from nicodec.memory import release_freed_memory

LARGE_CHANNELS = 8
"""Channels of a scaled block, the first principal components, that hold most of the energy."""

WHOLE_PLACES = 3 * 2**11
"""A branch sees so many places at once; more, where its result takes the place of what goes in, in strips."""

STRIP_PLACES = 2**12
"""A strip has so many at most: less memory."""

LARGE_PLACES = 3 * WHOLE_PLACES
"""Beyond, as in tiles of large pictures, what was freed goes back to the system before a stack and after it."""


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """1x1 convolution of (B, in, H, W) by (out, in): (B, out, H, W), channels last in memory.

    As a product of matrices it gives the same numbers whatever the number of threads; oneDNN's convolutions add up
    in another order where they share the work in another way.
    """
    return F.linear(x.permute(0, 2, 3, 1), weight, bias).permute(0, 3, 1, 2)


class Pointwise(Layer):
    """1x1 convolution whose weight is a matrix (out, in), so that matrix optimisers take it as it is."""

    def __init__(self, in_channels: int, out_channels: int, *, zero: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(out_channels, dtype=torch.float32)) if bias else None
        nn.init.zeros_(self.weight) if zero else nn.init.normal_(self.weight, std=in_channels**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, H, W)."""
        return pointwise(x, self.weight, self.bias)


class Basis(Layer):
    """1x1 convolution in float32 that starts as a given matrix and is learned slowly from there.

    What is learned is the matrix for inputs brought nearer to equal size (`input_scale`, fixed), or steps of equal
    size would tilt the outputs by the few large inputs.
    """

    float32 = True
    learning_rate_share = 0.2
    """Of the optimiser's rate: all the picture goes through, not a branch."""

    input_scale: Tensor

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_channels, in_channels, dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(out_channels, dtype=torch.float32))
        self.register_buffer("input_scale", torch.ones(in_channels, dtype=torch.float32))

    @torch.no_grad()
    def set_matrix(self, matrix: Tensor, bias: Tensor, input_scale: Tensor) -> None:
        """Start as x -> matrix @ x + bias: (out, in), (out,), and the inputs' scale (in,)."""
        self.weight.copy_(matrix / input_scale)
        self.bias.copy_(bias)
        self.input_scale.copy_(input_scale)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, H, W), float32."""
        with torch.autocast(x.device.type, enabled=False):
            return pointwise(x, self.weight * self.input_scale, self.bias)


def sum_of_bases(bases: Sequence[Basis], inputs: Sequence[Tensor]) -> Tensor:
    """The sum of what some of as many outputs give, each of its own input, in one product."""
    weight = torch.cat([basis.weight * basis.input_scale for basis in bases], 1)
    bias = torch.stack([basis.bias for basis in bases]).sum(0)
    with torch.autocast(weight.device.type, enabled=False):
        return pointwise(torch.cat(list(inputs), 1), weight, bias)


def precision_of(module: Layer) -> torch.autocast:
    """The autocast type as it is; but float32 in evaluation for a module that says `float32`."""
    device = next(module.parameters()).device.type
    enabled = torch.is_autocast_enabled(device) and (module.training or not module.float32)
    return torch.autocast(device, enabled=enabled)


class ResidualBlock(Layer):
    """x + gate(quality) * branch(x), the branch being 1x1, SiLU, depthwise 3x3, 1x1.

    The channels are expanded before the depthwise convolution, so that a channel that holds most of the energy
    (a block's mean, say) meets many spatial filters and not one. The last layer starts at zero, so that a stack
    of blocks is the identity before training. The stream x stays in float32; only the branch runs in
    the autocast type. What the nonlinearity cuts off depends on the quality, as quantisation noise does: its
    inputs' bias (`shift`) and, in a scaled block, their size (`input_gain`) are learned at the anchors.
    `input_scale`, fixed, brings channels of very different size nearer to each other; what the
    autocast type rounds off the largest of them is fed in beside them, or it would tilt all hidden channels at
    once and pixels of a bfloat16 decoder would leave those of a float32 one (rule 6 of the numbers contract).

    What goes into the branch and what it adds are bounded, channel by channel, near what training showed
    (`input_bound`, `output_bound`; `training/bounds.py` sets them). What is far outside goes on by the linear
    path alone: unbounded, a few blocks in a row turned a checkerboard into values thousands of times too large.
    """

    input_scale: Tensor | None
    input_bound: Tensor
    output_bound: Tensor

    def __init__(self, channels: int, expansion: float = 2.0, *, scaled: bool = False, float32: bool = False) -> None:
        """`float32`: the branch, too, runs in float32 but in training."""
        super().__init__()
        self.float32 = float32
        hidden = int(channels * expansion)
        self.expand = Pointwise(channels, hidden, bias=False)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, dtype=torch.float32)
        self.project = Pointwise(hidden, channels, zero=True)
        self.gate = QualityTable(channels, 0.5)
        self.shift = QualityTable(hidden)
        self.input_gain = QualityTable(channels, 1.0) if scaled else None
        self.register_buffer("input_scale", torch.ones(channels, 1, 1, dtype=torch.float32) if scaled else None)
        for name in ("input_bound", "output_bound"):
            self.register_buffer(name, torch.full((channels, 1, 1), torch.inf, dtype=torch.float32))

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """x: (B, channels, H, W); quality: (B,) half steps."""
        return self._added(x, slice(0, x.shape[2]), quality).add_(x)

    def overwrite(self, x: Tensor, quality: Tensor) -> Tensor:
        """Like `forward`, of what its caller needs no more: the result may take its place, strip by strip."""
        height, width = x.shape[2:]
        if height * width <= WHOLE_PLACES or torch.is_grad_enabled():
            return self(x, quality)
        count = -(-height * width // STRIP_PLACES)
        above: list[Tensor] = []  # the row above a strip, as it was
        for number in range(count):
            start, stop = number * height // count, (number + 1) * height // count
            seen = torch.cat([*above, x[:, :, start : stop + 1]], 2)
            own = slice(len(above), len(above) + stop - start)
            above = [x[:, :, stop - 1 : stop].clone()]
            torch.add(self._added(seen, own, quality), seen[:, :, own], out=x[:, :, start:stop])
        return x

    def _added(self, x: Tensor, own: slice, quality: Tensor) -> Tensor:
        """What is added to some rows."""
        in_place = not torch.is_grad_enabled()  # what no gradient needs is overwritten: less memory to fill
        h = self.branch_input(x, quality)
        clamp = torch.clamp_ if in_place and h is not x else torch.clamp
        h = clamp(h, -self.input_bound, self.input_bound)
        with precision_of(self):
            h = F.silu(self._expand(h, quality), inplace=in_place)
            h = self.depthwise(h)[:, :, own]  # under the same name, so that what is not needed any more goes
            branch = self.project(h)
        del h
        added = branch.to(x.dtype).mul_(self.gate(quality).to(x.dtype))
        return added.clamp_(-self.output_bound, self.output_bound)

    def branch_input(self, x: Tensor, quality: Tensor) -> Tensor:
        """What goes into the branch, before it is bounded."""
        if self.input_scale is None or self.input_gain is None:
            return x
        return x * (self.input_scale * self.input_gain(quality))

    def _expand(self, x: Tensor, quality: Tensor) -> Tensor:
        weight: Tensor = self.expand.weight
        if self.input_scale is not None:
            device = x.device.type
            if not self.training and torch.is_autocast_enabled(device):
                short = x.to(torch.get_autocast_dtype(device))
                rest = (x[:, :LARGE_CHANNELS] - short[:, :LARGE_CHANNELS]).to(short.dtype)
                x, weight = torch.cat([short, rest], 1), torch.cat([weight, weight[:, :LARGE_CHANNELS]], 1)
        bias = self.shift(quality).to(torch.bfloat16)  # whatever x is: rule 6
        if len(bias) == 1:
            return pointwise(x, weight, bias.flatten().to(x.dtype))
        h = pointwise(x, weight, None)
        return h + bias.to(h.dtype)


class BlockStack(nn.ModuleList):
    """Residual blocks one after another, the first so many in float32."""

    def __init__(self, channels: int, depth: int, *, scaled: bool = False, float32: int = 0) -> None:
        super().__init__(ResidualBlock(channels, scaled=scaled, float32=i < float32) for i in range(depth))

    def set_input_scale(self, scale: Tensor) -> None:
        """Set what every branch's input is multiplied by, (channels,)."""
        for block in self:
            assert isinstance(block, ResidualBlock)
            assert block.input_scale is not None
            block.input_scale.copy_(scale[:, None, None])

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """x: (B, channels, H, W); quality: (B,) half steps."""
        for block in self:
            x = block(x, quality)
        return x

    def overwrite(self, x: Tensor, quality: Tensor) -> Tensor:
        """Like `forward`, of what its caller needs no more: the result may take its place."""
        large = not torch.is_grad_enabled() and x.shape[2] * x.shape[3] > LARGE_PLACES
        if large:
            release_freed_memory()  # what was before is of other sizes than strips
        for block in self:
            assert isinstance(block, ResidualBlock)
            x = block.overwrite(x, quality)
        if large:
            release_freed_memory()  # what strips left is in pieces, and what comes is whole
        return x
