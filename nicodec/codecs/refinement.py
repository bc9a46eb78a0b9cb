"""Refinement of a picture's symbols by gradient descent: an encoder's effort that costs a decoder nothing.

The codec's one traversal is run as a decoder runs it (no picture goes in) by a coder whose symbols are free
variables. They start near what the encoder would have rounded, and descend λ·255²·MSE + bpp while a soft rounding
hardens. That a symbol is what is left of a latent after its mean keeps it in place when an earlier one moves.
Source: content adaptive refinement, Campos et al. 2019 and Yang et al. 2020; soft rounding, Agustsson and
Theis 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from nicodec.entropy.coder import Coder, RateEstimator, Replay, given, least_cost_symbols
from nicodec.entropy.priors import Prior


class Traversal(Protocol):
    """What is needed of a codec; see `LatentCodec`."""

    def code_latents(self, coder: Coder, x: Tensor | None, size: tuple[int, int], quality: Tensor) -> Tensor:
        """See `LatentCodec.code_latents`."""

    def synthesise(self, latents: Tensor, quality: Tensor) -> Tensor:
        """See `LatentCodec.synthesise`."""

    def rate_weight(self, quality: Tensor) -> Tensor:
        """See `LatentCodec.rate_weight`."""


TILE, HALO = 768, 64
"""A large picture is refined tile by tile, in pixels, with a margin of context."""

SOFT, HARD = 0.5, 0.01
"""Temperature of the rounding at the start and at the end."""

REACH = 0.49
"""How far from its symbol of least cost a value may start."""

TRAVEL_LOW, TRAVEL_HIGH = 0.15, 1.35
"""Adam's step at quality 0 and 100 times the number of steps, in symbols."""

EPSILON = 0.1
"""Adam's ε as a share of the first gradient's root mean square, so that what hardly matters hardly moves."""


class _Recorder(Coder):
    """Keeps the symbols of least cost, and the values that they stand for, moved to where they round to them."""

    def __init__(self) -> None:
        self.values: list[Tensor] = []
        self.symbols: list[Tensor] = []

    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        """See `Coder.code`; value is needed."""
        value = given(value, self)
        symbols = least_cost_symbols(value, prior)
        self.symbols.append(symbols)
        self.values.append(value.float().clamp(symbols - REACH, symbols + REACH))
        coded = prior.coded()
        return symbols if coded is None else symbols * coded


class _SoftEstimator(RateEstimator):
    """Rounds softly: at a temperature of one half nearly not at all, at zero wholly."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self._temperature = temperature

    def relax(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """See `RateEstimator.relax`."""
        middle = torch.floor(value.detach()) + 0.5
        bend = torch.tanh((value - middle) / self._temperature) / math.tanh(0.5 / self._temperature)
        symbols = middle + bend / 2
        return symbols, symbols


def refine(
    codec: Traversal,
    learner: Traversal,
    x: Tensor,
    quality: Tensor,
    steps: int,
    report: Callable[[float], None] | None = None,
) -> list[Tensor]:
    """Find symbols of less loss than those that the encoder gives.

    Args:
        codec: in evaluation mode.
        learner: a copy of it in training mode, whose traversal has gradients.
        x: a picture (1, 3, H, W), sides multiples of `codec.alignment`.
        quality: int64 (1,), half steps 0..200.
        steps: of the descent.
        report: told the share of the descents that is done, up to 1.

    Returns:
        For every `Coder.code` of the traversal, in order, whole numbers (1, C, h, w), float32. Where the descent
        found nothing better, those that the encoder gives.

    """
    recorder = _Recorder()
    height, width = x.shape[2:]
    codec.code_latents(recorder, x, (height, width), quality)
    with torch.inference_mode(False), torch.enable_grad():
        values = [value.clone() for value in recorder.values]
        x, quality = x.clone(), quality.clone()
        corners = [(top, left) for top in range(0, height, TILE) for left in range(0, width, TILE)]
        for done, corner in enumerate(corners):
            for step in _refine_tile(learner, x, quality, values, corner, steps):
                if report:
                    report((done + (step + 1) / steps) / len(corners))
    refined = [torch.round(value) for value in values]
    return min(recorder.symbols, refined, key=lambda symbols: loss_of(codec, x, quality, symbols))


def loss_of(codec: Traversal, x: Tensor, quality: Tensor, symbols: Sequence[Tensor]) -> float:
    """λ·255²·MSE + bpp of a file of these symbols, the rate estimated; see `refine`."""
    coder, size = RateEstimator(noise=False), (x.shape[2], x.shape[3])
    latents = codec.code_latents(Replay(coder, symbols), None, size, quality)
    error = (codec.synthesise(latents, quality).float().clamp(0, 1) - x).square().mean()
    bpp = coder.bits / (size[0] * size[1])
    return float(255**2 * codec.rate_weight(quality) * error + bpp)


def _refine_tile(
    codec: Traversal, x: Tensor, quality: Tensor, values: list[Tensor], corner: tuple[int, int], steps: int
) -> Iterator[int]:
    """Refine the values of one tile in place, seeing a margin around it; tell of every step."""
    outer = [slice(max(0, start - HALO), start + TILE + HALO) for start in corner]
    core = [slice(start, start + TILE) for start in corner]
    picture = x[:, :, outer[0], outer[1]]
    size = (picture.shape[2], picture.shape[3])
    units = [x.shape[2] // value.shape[2] for value in values]
    pieces = [_cut(value, outer, unit).clone().requires_grad_() for value, unit in zip(values, units, strict=True)]
    yield from _descend(codec, picture, quality, pieces, size, steps)
    for value, piece, unit in zip(values, pieces, units, strict=True):
        inside = [slice(c.start - o.start, c.stop - o.start) for c, o in zip(core, outer, strict=True)]
        _cut(value, core, unit).copy_(_cut(piece.detach(), inside, unit))


def _cut(value: Tensor, area: list[slice], unit: int) -> Tensor:
    """The part of (1, C, h, w) that covers an area given in pixels, of which an element covers unit x unit."""
    rows, columns = (slice(side.start // unit, side.stop // unit) for side in area)
    return value[:, :, rows, columns]


def _descend(
    codec: Traversal, x: Tensor, quality: Tensor, values: list[Tensor], size: tuple[int, int], steps: int
) -> Iterator[int]:
    """Run the descent on leaf tensors `values`, in place, and tell of every step."""
    rate_weight = 255**2 * codec.rate_weight(quality)
    step = (TRAVEL_LOW + (TRAVEL_HIGH - TRAVEL_LOW) * float(quality[0]) / 200) / max(1, steps)
    optimiser = torch.optim.Adam(values, lr=step, betas=(0.9, 0.99))
    for done in range(steps):
        share = done / steps
        coder = _SoftEstimator(SOFT * (HARD / SOFT) ** share)
        latents = codec.code_latents(Replay(coder, values), None, size, quality)
        error = (codec.synthesise(latents, quality).float() - x).square().mean((1, 2, 3))
        loss = (rate_weight * error + coder.bits / (size[0] * size[1])).sum()
        optimiser.zero_grad()
        torch.autograd.backward(loss, inputs=values)
        for group in optimiser.param_groups:
            group["lr"] = step * (0.02 + 0.5 + 0.5 * math.cos(math.pi * share))
            if done == 0:
                energy = sum(float(value.grad.square().sum()) for value in values if value.grad is not None)
                group["eps"] = EPSILON * math.sqrt(energy / sum(value.numel() for value in values))
        optimiser.step()
        yield done
