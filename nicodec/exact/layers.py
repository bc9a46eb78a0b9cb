"""Layers whose results are the same integers on every device: rule 2 of the numbers contract (docs/design.md).

Activations are integers 0..255 (or -128..127 for symbols) that stand for multiples of 1/16. In evaluation a
layer multiplies them by integer weights and adds an integer bias; the sum of absolute products of each output
row is kept below 2^24, so every partial sum is an exact float32 whatever the order of summation. The result
is scaled by a power of two and floored. Nothing here rounds differently anywhere.

In training the same layer works on real numbers with activations rounded straight-through to multiples of
1/16; `to_integers` derives the integer weights, with as many bits a row as the bound allows.
"""

from __future__ import annotations

import contextlib
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec.exact.anchors import ANCHOR_SPACING, ANCHORS, anchor_weights, between_anchors
from nicodec.exact.module import ExactModule

FRACTION_BITS = 4
"""Activations count in 1/16."""

ACTIVATION_MAX = 255
EXACT_LIMIT = 2**24
"""Integers up to here are exact in float32."""

MAX_SHIFT = 14
"""Most fractional bits of a weight: weights in int16 then reach 2."""


WEIGHT_TYPES = {8: torch.int8, 16: torch.int16}
"""By their bits. With 8 a large layer takes half the room; its sums are as exact."""


class _HighestPrecision:
    """Sets torch's precision of float32 products, which all threads share, until the last that needs it is done."""

    def __init__(self) -> None:
        self._lock, self._users, self._before = threading.Lock(), 0, "highest"

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._before = torch.get_float32_matmul_precision()
                if self._before != "highest":
                    torch.set_float32_matmul_precision("highest")
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users and self._before != "highest":
                torch.set_float32_matmul_precision(self._before)


_highest_precision = _HighestPrecision()


@contextlib.contextmanager
def exact_arithmetic(device: torch.device) -> Iterator[None]:
    """Switch off everything that could shorten a float32: autocast, TF32, bfloat16 matrix products."""
    with _highest_precision, torch.autocast(device.type, enabled=False):
        yield


class _Activate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        top = ACTIVATION_MAX / 2**FRACTION_BITS
        ctx.save_for_backward(x)
        return x.clamp(0, top).mul_(2**FRACTION_BITS).round_().div_(2**FRACTION_BITS)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        passed = gradient.masked_fill(x > ACTIVATION_MAX / 2**FRACTION_BITS, 0.0)
        return torch.where(x < 0, 0.01 * passed, passed)


def activate(x: Tensor) -> Tensor:
    """Training form of the integer activation: clamp to 0..255/16, rounded to multiples of 1/16.

    The gradient is that of a leaky ReLU (slope 0.01) with the upper bound.
    """
    activated: Tensor = _Activate.apply(x)
    return activated


class _ExactLayer(ExactModule):
    """What the two kinds of layer share: parameters, integers and the rescaling.

    Args:
        weight_shape: (out, in) of a 1x1 layer or (channels, 9) of a depthwise one.
        activation: True clamps the result to 0..255; False leaves it unbounded. Both count in 1/16.
        bits: of an integer weight, 8 or 16.

    """

    weight_int: Tensor
    bias_int: Tensor
    shift: Tensor

    if TYPE_CHECKING:

        def __call__(self, *args: Any) -> Tensor:
            """What `forward` returns."""

    def __init__(
        self, weight_shape: tuple[int, int], *, activation: bool = True, zero: bool = False, bits: int = 16
    ) -> None:
        super().__init__()
        out, fan_in = weight_shape
        self.weight = nn.Parameter(torch.zeros(out, fan_in, dtype=torch.float32))
        if not zero:
            nn.init.normal_(self.weight, std=(2 / fan_in) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(ANCHORS, out, dtype=torch.float32))
        self.activation = activation
        self.register_buffer("weight_int", torch.zeros(out, fan_in, dtype=WEIGHT_TYPES[bits]))
        self.register_buffer("bias_int", torch.zeros(ANCHORS, out, dtype=torch.int32))
        self.register_buffer("shift", torch.zeros(out, dtype=torch.int8))

    @torch.no_grad()
    def to_integers(self) -> None:
        """Fill the integer buffers from the trained parameters."""
        weight, bias = self.weight.double().cpu(), self.bias.double().cpu()
        shift = torch.full((weight.shape[0],), -1, dtype=torch.int64)
        for candidate in range(MAX_SHIFT + 1):
            w, b = self._integers(weight, bias, torch.full_like(shift, candidate))
            worst = w.abs().sum(1) * ACTIVATION_MAX + b.abs().amax(0) + 2.0 ** (candidate + FRACTION_BITS)
            fits = (worst < EXACT_LIMIT) & (w.abs().amax(1) <= torch.iinfo(self.weight_int.dtype).max)
            shift[fits] = candidate
        if (shift < 0).any():
            raise ValueError("weights of an exact layer are too large for 24 bits; train with weight decay")
        w, b = self._integers(weight, bias, shift)
        self.weight_int.copy_(w.to(self.weight_int.dtype))
        self.bias_int.copy_(b.to(torch.int32))
        self.shift.copy_(shift.to(torch.int8))

    @staticmethod
    def _integers(weight: Tensor, bias: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        w = torch.round(weight * 2.0 ** shift[:, None])
        return w, torch.round(bias * 2.0 ** (shift + FRACTION_BITS)[None])

    @torch.no_grad()
    def from_integers(self) -> None:
        """Set the trainable parameters from the integer buffers, so that training can go on."""
        shift = self.shift.double()
        self.weight.copy_(self.weight_int.double() * 2.0 ** -shift[:, None])
        self.bias.copy_(self.bias_int.double() * 2.0 ** -(shift + FRACTION_BITS)[None])

    def at(self, quality: Tensor) -> Callable[[Tensor], Tensor]:
        """What `forward` does at a quality (B,), for several calls: what depends on the quality is computed once."""
        (run,) = each_at([self], quality)
        return run

    def _at(self, weight: Tensor, mixed: Tensor) -> Callable[[Tensor], Tensor]:
        """The same in evaluation, with what `scaled_together` gave."""

        def run(x: Tensor) -> Tensor:
            total = self._summed(x, weight, mixed).floor_()
            return total.clamp_(0, ACTIVATION_MAX) if self.activation else total

        return run

    def _learning_at(self, quality: Tensor) -> Callable[[Tensor], Tensor]:
        bias = between_anchors(self.bias, quality)

        def learn(x: Tensor) -> Tensor:
            y = self._learned(x) + bias
            return activate(y) if self.activation else y

        return learn

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """x: (B, in, H, W), real multiples of 1/16 in training, integers in evaluation; quality (B,)."""
        return self.at(quality)(x)

    @abstractmethod
    def _learned(self, x: Tensor) -> Tensor:
        """Products with the parameters."""

    @abstractmethod
    def _summed(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Products with an integer weight over 2^shift, exactly, and a bias (B, out)."""


def each_at(layers: Sequence[_ExactLayer], quality: Tensor) -> list[Callable[[Tensor], Tensor]]:
    """What `at` gives of some layers, all in training or all in evaluation, at once, which takes fewer operations."""
    if layers[0].training:
        return [layer._learning_at(quality) for layer in layers]
    return [layer._at(*own) for layer, own in zip(layers, scaled_together(layers, quality), strict=True)]


def scaled_together(layers: Sequence[_ExactLayer], quality: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Of each layer, integer weights (out, in) and the biases (B, out) of the quality over 2^shift, float32.

    With the biases is the half that rounds. A scale by a power of two leaves sums as exact as they are, and nothing
    to do with them but to floor them.
    """
    below, past = anchor_weights(quality)
    anchors = torch.cat([layer.bias_int for layer in layers], 1)
    first = anchors[below]
    step = (anchors[below + 1] - first).mul_(past.to(torch.int32)[:, None])
    mixed = step.div_(ANCHOR_SPACING, rounding_mode="floor").add_(first)
    drop = torch.cat([layer.shift for layer in layers]).to(torch.int64)
    power, half = (each.to(drop.device)[drop] for each in _powers())
    biases = mixed.to(torch.float32).mul_(power).add_(half)
    sizes = [len(layer.shift) for layer in layers]
    each = zip(layers, torch.split(power, sizes), torch.split(biases, sizes, 1), strict=True)
    return [(layer.weight_int * own[:, None], bias) for layer, own, bias in each]


@cache
def _powers() -> tuple[Tensor, Tensor]:
    """By a shift: 2^-shift, and what of it rounds, ½ or, where nothing is shifted out, 0."""
    power = torch.tensor([2.0**-shift for shift in range(MAX_SHIFT + 1)])
    return power, torch.full_like(power, 0.5).masked_fill_(power == 1, 0.0)


class ExactPointwise(_ExactLayer):
    """1x1 convolution in integers, with a bias that depends on the quality."""

    def __init__(
        self, in_channels: int, out_channels: int, *, activation: bool = True, zero: bool = False, bits: int = 16
    ) -> None:
        super().__init__((out_channels, in_channels), activation=activation, zero=zero, bits=bits)

    def _learned(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight[:, :, None, None])

    def _summed(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return _products(x, weight, bias[:, :, None])

    def _split(self, weight: Tensor, bias: Tensor, first: int) -> Split:
        """See `split_at`, with what `scaled_together` gave."""
        own, rest = weight[:, :first].contiguous(), weight[:, first:].contiguous()

        def run(x: Tensor | None, others: Tensor) -> Tensor:
            total = others.floor() if x is None else _products(x, own, others.flatten(2)).floor_()
            return total.clamp_(0, ACTIVATION_MAX) if self.activation else total

        return lambda others: _products(others, rest, bias[:, :, None]), run

    def _learning_split(self, quality: Tensor, first: int) -> Split:
        weight, bias = self.weight[:, :, None, None], between_anchors(self.bias, quality)

        def learn(x: Tensor | None, others: Tensor) -> Tensor:
            y = others if x is None else F.conv2d(x, weight[:, :first]) + others
            return activate(y) if self.activation else y

        return lambda others: F.conv2d(others, weight[:, first:]) + bias, learn


Split = tuple[Callable[[Tensor], Tensor], Callable[[Tensor | None, Tensor], Tensor]]
"""A layer in two steps: what gives the sum of all inputs but the first ones, (B, out, H, W), of them; and what gives
its result of the first inputs, None where all are zero, and of that sum. A part of a sum is as exact as the whole."""


def split_at(
    entering: ExactPointwise, first: int, layers: Sequence[_ExactLayer], quality: Tensor
) -> tuple[Split, list[Callable[[Tensor], Tensor]]]:
    """Like `each_at`, but that the first layer comes in two steps.

    Args:
        entering: comes in two steps, for inputs of which only the first ones change from call to call.
        first: how many change.
        layers: the others.
        quality: (B,).

    """
    if entering.training:
        return entering._learning_split(quality, first), [layer._learning_at(quality) for layer in layers]
    scaled = scaled_together([entering, *layers], quality)
    others = [layer._at(*own) for layer, own in zip(layers, scaled[1:], strict=True)]
    return entering._split(*scaled[0], first), others


def _products(x: Tensor, weight: Tensor, added: Tensor) -> Tensor:
    """Of x (B, in, H, W) and weights (out, in), and what is added, (B, out, H·W) or of length 1: (B, out, H, W)."""
    with exact_arithmetic(x.device):
        total = torch.baddbmm(added, weight.expand(len(x), -1, -1), x.flatten(2))
    return total.view(*total.shape[:2], *x.shape[2:])


class ExactDepthwise(_ExactLayer):
    """Depthwise 3x3 convolution in integers (zero padding)."""

    def __init__(self, channels: int, *, activation: bool = True, zero: bool = False) -> None:
        super().__init__((channels, 9), activation=activation, zero=zero)
        if not zero:
            with torch.no_grad():
                self.weight.mul_(0.5)
                self.weight[:, 4] += 0.7

    def _learned(self, x: Tensor) -> Tensor:
        kernel = self.weight.view(-1, 1, 3, 3)
        return F.conv2d(x, kernel, padding=1, groups=kernel.shape[0])

    def _summed(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        # Rows in one run, with a column of zeros at either end: a tap is a run of all of them, moved.
        count, channels, height, width = x.shape
        padded, wide = F.pad(x, (1, 1, 1, 1)).flatten(2), width + 2
        total = bias[:, :, None].expand(count, channels, height * wide).contiguous()
        inside = total[:, :, : height * wide - 2]
        for tap, own in enumerate(weight.t()[:, :, None].unbind()):
            row, column = divmod(tap, 3)
            start = row * wide + column
            inside.addcmul_(padded[:, :, start : start + inside.shape[2]], own)
        return total.view(count, channels, height, wide)[:, :, :, :width]
