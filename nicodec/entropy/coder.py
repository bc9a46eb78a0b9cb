"""The one thing that a codec hands its symbols to, in several forms (docs/design.md, "One traversal").

A codec walks through its latents once, calling `coder.code(value, prior)`. What the coder is decides whether
that trains (`RateEstimator`), writes (`StreamEncoder`) or reads (`StreamDecoder`). Symbols are integers near zero,
or indices of a codebook; the prior says which.
"""

from __future__ import annotations

import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nicodec.entropy.priors import ElementPrior, Prior
from nicodec.entropy.ranges import MISMATCH, RangeReader, RangeWriter
from nicodec.errors import NicodecError, SymbolMismatchError
from nicodec.quantize.rounding import round_straight_through, round_to_least_cost

SYMBOL_MAX = 2**15 - 1
"""Largest magnitude of a symbol that is no index."""


@dataclass(frozen=True)
class Stream:
    """Range-coded symbols.

    Attributes:
        data: the bytes.
        checksum: the low 16 bits of the CRC-32 of the symbols as 16-bit integers.

    """

    data: bytes
    checksum: int


class Coder(ABC):
    """Codes tensors of symbols."""

    @abstractmethod
    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        """Code one tensor.

        Args:
            value: real numbers (B, C, H, W) to be rounded to symbols, or indices; None when decoding.
            prior: their distribution.

        Returns:
            The symbols, as float32 (relaxed in training), zero where the prior codes nothing.

        """

    def choose(self, value: Tensor, prior: Prior) -> Tensor:
        """Real numbers (B, C, H, W) as this coder would code them by such a prior: as they are, if it has no choice.

        What codes symbols in parts asks it of the whole symbols.
        """
        return value


class RateEstimator(Coder):
    """Adds up −log2 p instead of writing.

    With `noise` (training) the rate is that of value + U(−½, ½) and the returned symbols are rounded
    straight-through; without it both are of the rounded symbols, as a file would hold them. Indices get no noise.
    """

    def __init__(self, *, noise: bool = True) -> None:
        self.noise = noise
        self.bits: Tensor | float = 0.0
        """Bits so far, (B,)."""

    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        """See `Coder.code`; value is needed."""
        value = given(value, self)
        if prior.ordered:
            symbols, rated = self.relax(value.float())
        else:
            symbols = rated = value.float()
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


def given(value: Tensor | None, coder: Coder) -> Tensor:
    """The value that a coder which does not read needs.

    Raises:
        ValueError: there is none.

    """
    if value is None:
        raise ValueError(f"{type(coder).__name__} needs the values; only StreamDecoder reads them from a stream")
    return value


def finite(value: Tensor) -> Tensor:
    """The value as finite float32.

    Raises:
        NicodecError: it is not finite.

    """
    value = value.float()
    if value.numel() and not all(map(math.isfinite, torch.stack(torch.aminmax(value)).tolist())):  # NaN spreads
        raise NicodecError("the model gave latents that are not numbers; its weights are broken, train it again")
    return value


def least_cost_symbols(value: Tensor, prior: Prior) -> Tensor:
    """The symbols that cost least in bits and error, (B, C, H, W) float32; indices are as they are."""
    value = finite(value)
    return round_to_least_cost(value, prior.bits) if prior.ordered else value


class LeastCost(Coder):
    """Hands another coder symbols of least cost, in place of the nearest; see `round_to_least_cost`."""

    def __init__(self, inner: Coder) -> None:
        self._inner = inner

    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        """See `Coder.code`; value is needed."""
        return self._inner.code(self.choose(given(value, self), prior), prior)

    def choose(self, value: Tensor, prior: Prior) -> Tensor:
        """See `Coder.choose`; zero where the prior codes nothing."""
        coded = prior.coded()
        if coded is None or not isinstance(prior, ElementPrior):
            return least_cost_symbols(value, prior)
        places = torch.nonzero(coded.expand(prior.shape).flatten()).flatten()  # few, mostly
        chosen = finite(value).contiguous().flatten()[places].view(1, 1, 1, -1)
        symbols = torch.zeros(prior.shape, dtype=torch.float32, device=value.device)
        symbols.view(-1)[places] = least_cost_symbols(chosen, prior.of_elements(places)).flatten()
        return symbols


class Within(Coder):
    """Hands another coder zeros where nothing counts, in tensors of one size; others as they are."""

    def __init__(self, inner: Coder, counts: Tensor) -> None:
        """Begin; `counts` is 1 or 0, (1, 1, H, W) of the tensors that it is for."""
        self._inner, self._counts = inner, counts

    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        """See `Coder.code`; value is needed."""
        value = given(value, self)
        if value.shape[2:] == self._counts.shape[2:]:
            value = value * self._counts
        return self._inner.code(value, prior)


class Replay(Coder):
    """Hands given values to another coder, in place of those of the traversal."""

    def __init__(self, inner: Coder, values: Sequence[Tensor]) -> None:
        self._inner, self._values = inner, iter(values)

    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        """See `Coder.code`; value is not looked at."""
        return self._inner.code(next(self._values), prior)


def _positions(coded: Tensor | None, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Where the coded elements are in a tensor in C order."""
    if coded is None:
        return np.arange(math.prod(shape))
    return np.flatnonzero(coded.expand(shape).cpu().numpy())


def _symbols_at(positions: NDArray[np.intp], flat: NDArray[np.int32], prior: Prior) -> Tensor:
    """The symbols in their places, zero elsewhere: what `Coder.code` returns."""
    symbols = np.zeros(math.prod(prior.shape), dtype=np.float32)
    symbols[positions] = flat
    return torch.from_numpy(symbols).view(prior.shape).to(prior.device)


class PictureWriter(Coder):
    """Rounds, range-codes and keeps a checksum of the symbols of one picture, (1, C, H, W)."""

    def __init__(self) -> None:
        self._writer = RangeWriter()
        self._checksum = 0

    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        """See `Coder.code`; value is needed."""
        values = finite(given(value, self)).contiguous().cpu().numpy().ravel()
        positions = _positions(prior.coded(), prior.shape)
        rounded = np.rint(values[positions])
        if prior.ordered:
            rounded = rounded.clip(-SYMBOL_MAX, SYMBOL_MAX)
        flat = rounded.astype(np.int32)
        self._writer.write(flat, prior, positions)
        self._checksum = zlib.crc32(flat.astype("<i2").tobytes(), self._checksum)
        return _symbols_at(positions, flat, prior)

    def copy(self) -> PictureWriter:
        """One that has written the same and goes on by itself."""
        other = PictureWriter()
        other._writer, other._checksum = self._writer.copy(), self._checksum
        return other

    def finish(self) -> Stream:
        """Return the stream of all that was coded."""
        return Stream(self._writer.finish(), self._checksum & 0xFFFF)


class PictureReader(Coder):
    """Reads what a `PictureWriter` wrote."""

    def __init__(self, stream: Stream) -> None:
        self._reader = RangeReader(stream.data)
        self._expected = stream.checksum
        self._checksum = 0

    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        """See `Coder.code`; value is not looked at."""
        positions = _positions(prior.coded(), prior.shape)
        flat = self._reader.read(prior, positions)
        self._checksum = zlib.crc32(flat.astype("<i2").tobytes(), self._checksum)
        return _symbols_at(positions, flat, prior)

    def finish(self) -> None:
        """Compare the symbols with the encoder's.

        Raises:
            SymbolMismatchError: they differ.

        """
        if self._checksum & 0xFFFF != self._expected:
            raise SymbolMismatchError(MISMATCH)


class StreamEncoder(Coder):
    """Writes a stream for each picture of a batch."""

    def __init__(self, count: int = 1) -> None:
        self.pictures = [PictureWriter() for _ in range(count)]
        """What writes each picture's; symbols of that picture alone may be handed to it."""

    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        """See `Coder.code`; value (B, C, H, W) is needed."""
        value = given(value, self)
        if len(self.pictures) == 1:
            return self.pictures[0].code(value, prior)
        coded = [
            writer.code(value[number : number + 1], prior.of_picture(number))
            for number, writer in enumerate(self.pictures)
        ]
        return torch.cat(coded)

    def part(self, places: Sequence[int]) -> StreamEncoder:
        """What writes on for these pictures of the batch alone."""
        part = StreamEncoder(0)
        part.pictures = [self.pictures[place] for place in places]
        return part

    def copy(self) -> StreamEncoder:
        """One that has written the same and goes on by itself: an encoder may try what it then keeps or not."""
        other = StreamEncoder(0)
        other.pictures = [writer.copy() for writer in self.pictures]
        return other

    def finish(self) -> list[Stream]:
        """Return the streams, one a picture."""
        return [writer.finish() for writer in self.pictures]


class StreamDecoder(Coder):
    """Reads the streams of a batch of pictures."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self.pictures = [PictureReader(stream) for stream in streams]
        """What reads each picture's; symbols of that picture alone may be asked of it."""

    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        """See `Coder.code`; value is not looked at."""
        if len(self.pictures) == 1:
            return self.pictures[0].code(None, prior)
        return torch.cat([reader.code(None, prior.of_picture(n)) for n, reader in enumerate(self.pictures)])

    def part(self, places: Sequence[int]) -> StreamDecoder:
        """What reads on for these pictures of the batch alone."""
        part = StreamDecoder([])
        part.pictures = [self.pictures[place] for place in places]
        return part

    def finish(self) -> None:
        """Compare all symbols with the encoder's.

        Raises:
            SymbolMismatchError: those of a picture differ.

        """
        for reader in self.pictures:
            reader.finish()
