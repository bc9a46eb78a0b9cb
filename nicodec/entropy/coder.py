"""The one thing that a codec hands its symbols to, in three forms (DESIGN §2).

A codec walks through its latents once, calling `coder.code(value, prior)`. What the coder is decides whether
that trains (`RateEstimator`), writes (`StreamEncoder`) or reads (`StreamDecoder`).
"""

from __future__ import annotations

import math
import zlib
from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nicodec.entropy.priors import Prior
from nicodec.entropy.ranges import MISMATCH, RangeReader, RangeWriter
from nicodec.errors import NicodecError, SymbolMismatchError
from nicodec.quantize.rounding import round_straight_through, round_to_least_cost

SYMBOL_MAX = 2**15 - 1
"""Largest magnitude of a symbol."""


class Coder(ABC):
    """Codes tensors of integer symbols."""

    @abstractmethod
    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        """Code one tensor.

        Args:
            value: real numbers (B, C, H, W) to be rounded to symbols; None when decoding.
            prior: their distribution.

        Returns:
            The symbols, as float32 (relaxed in training), zero where the prior codes nothing.

        """


class RateEstimator(Coder):
    """Adds up −log2 p instead of writing.

    With `noise` (training) the rate is that of value + U(−½, ½) and the returned symbols are rounded
    straight-through; without it both are of the rounded symbols, as a file would hold them.
    """

    def __init__(self, *, noise: bool = True) -> None:
        self.noise = noise
        self.bits: Tensor | float = 0.0
        """Bits so far, (B,)."""

    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        """See `Coder.code`; value is needed."""
        if value is None:
            raise ValueError("RateEstimator needs the values; only StreamDecoder reads them from a stream")
        symbols, rated = self.relax(value.float())
        bits = prior.bits(rated)
        coded = prior.coded()
        if coded is not None:
            bits, symbols = bits * coded, symbols * coded
        self.bits = self.bits + bits.flatten(1).sum(1)
        return symbols

    def relax(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Return what stands for the symbols, and what the rate is taken of."""
        rounded = round_straight_through(value)
        return rounded, value + torch.rand_like(value).sub_(0.5) if self.noise else rounded


def _numbers(value: Tensor) -> Tensor:
    """The value as finite float32.

    Raises:
        NicodecError: it is not.

    """
    value = value.float()
    if not torch.isfinite(value).all():
        raise NicodecError("the model gave latents that are not numbers; its weights are broken, train it again")
    return value


class LeastCost(Coder):
    """Hands another coder symbols of least cost, in place of the nearest; see `round_to_least_cost`."""

    def __init__(self, inner: Coder) -> None:
        self._inner = inner

    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        """See `Coder.code`; value is needed."""
        if value is None:
            raise ValueError("LeastCost needs the values; only StreamDecoder reads them from a stream")
        return self._inner.code(round_to_least_cost(_numbers(value), prior.bits), prior)


def _positions(coded: Tensor | None, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Where the coded elements are in a tensor in C order."""
    if coded is None:
        return np.arange(math.prod(shape))
    return np.flatnonzero(coded.expand(shape).cpu().numpy())


class StreamEncoder(Coder):
    """Rounds, range-codes and keeps a checksum of the symbols."""

    def __init__(self) -> None:
        self._writer = RangeWriter()
        self._checksum = 0

    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        """See `Coder.code`; value (1, C, H, W) is needed."""
        if value is None:
            raise ValueError("StreamEncoder needs the values; only StreamDecoder reads them from a stream")
        symbols = torch.round(_numbers(value)).clamp(-SYMBOL_MAX, SYMBOL_MAX).contiguous()
        coded = prior.coded()
        positions = _positions(coded, prior.shape)
        flat = symbols.to(torch.int32).cpu().numpy().ravel()[positions]
        self._writer.write(flat, prior, positions)
        self._checksum = zlib.crc32(flat.astype("<i2").tobytes(), self._checksum)
        return symbols if coded is None else symbols * coded

    def finish(self) -> tuple[bytes, int]:
        """Return the stream and the checksum of its symbols: the low 16 bits of their CRC-32 as int16."""
        return self._writer.finish(), self._checksum & 0xFFFF


class StreamDecoder(Coder):
    """Reads what `StreamEncoder` wrote."""

    def __init__(self, stream: bytes) -> None:
        self._reader = RangeReader(stream)
        self._checksum = 0

    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        """See `Coder.code`; value is not looked at."""
        positions = _positions(prior.coded(), prior.shape)
        flat = self._reader.read(prior, positions)
        self._checksum = zlib.crc32(flat.astype("<i2").tobytes(), self._checksum)
        symbols = np.zeros(math.prod(prior.shape), dtype=np.float32)
        symbols[positions] = flat
        return torch.from_numpy(symbols).view(prior.shape).to(prior.device)

    def finish(self, checksum: int) -> None:
        """Compare the symbols with the encoder's.

        Raises:
            SymbolMismatchError: they differ.

        """
        if self._checksum & 0xFFFF != checksum:
            raise SymbolMismatchError(MISMATCH)
