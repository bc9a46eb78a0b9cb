"""Pictures at 0.003 to 0.2 bits a pixel: codes of codebooks, which a decoder makes a picture of.

Order of the stream: how the indices are coded (`Mode`), then the indices of each level, coarse to fine, row by row
where they are coded by their frequencies, and in the four passes of `layers/index_context.py` where neighbours and
coarser levels tell of them. The encoder takes what is smallest. Indices are data: what chose them may differ between
machines, what codes them is integers.

The network is in `vqgan_network.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor

from nicodec.codecs.base import PictureCodec, Watch
from nicodec.codecs.vqgan_network import ALIGNMENT, CodeNetwork, Level, VqganConfig
from nicodec.entropy.coder import Coder, PictureReader, PictureWriter, Stream
from nicodec.entropy.priors import Categorical
from nicodec.errors import SymbolMismatchError
from nicodec.layers.index_context import PASSES, pass_of

AT_ONCE = 2048
"""Indices that are coded at a time: each has a row of frequencies."""


class Mode(IntEnum):
    """How indices are coded."""

    EVEN = 0
    """Every index costs the same."""
    FREQUENCIES = 1
    """By how often each is used."""
    CONTEXT = 2
    """By what is known around it."""


class Vqgan(PictureCodec):
    """See the module's docstring."""

    Config = VqganConfig
    alignment = ALIGNMENT
    pixels_a_byte = 2**21  # no table gives an index less than 1/50 bit, and one stands for 64x64 pixels

    config: VqganConfig

    def __init__(self, config: VqganConfig | None = None) -> None:
        super().__init__()
        self.config = config or VqganConfig()
        self.network = CodeNetwork(self.config)

    # The one traversal

    def code_indices(
        self, coder: Coder, indices: Sequence[Tensor] | None, size: tuple[int, int], quality: int, mode: Mode
    ) -> list[Tensor]:
        """Hand the indices of one picture to `coder`, in the order of the stream.

        Args:
            coder: what is done with them.
            indices: of each level (1, H, W); None when decoding.
            size: H, W in pixels.
            quality: half steps.
            mode: how they are coded.

        Returns:
            The indices, int64.

        """
        found: list[Tensor] = []
        for number, level in enumerate(self.network.each_level()):
            if number == self.config.levels(quality):
                break
            grid = (size[0] // 16 // level.factor, size[1] // 16 // level.factor)
            own = None if indices is None else indices[number].flatten()
            if mode == Mode.CONTEXT:
                found.append(self._code_by_context(coder, level, own, found, grid, quality))
            else:
                found.append(self._code_by_frequency(coder, level, own, grid, quality, mode))
        return found

    def _code_by_frequency(
        self, coder: Coder, level: Level, own: Tensor | None, grid: tuple[int, int], quality: int, mode: Mode
    ) -> Tensor:
        parts, count = [], grid[0] * grid[1]
        for start in range(0, count, AT_ONCE):
            shape = (1, 1, 1, min(AT_ONCE, count - start))
            prior = level.frequencies.prior(quality, shape)
            if mode == Mode.EVEN:
                prior = Categorical(torch.zeros_like(prior.logits))
            value = None if own is None else own[start : start + AT_ONCE].view(shape)
            parts.append(coder.code(value, prior).flatten())
        return torch.cat(parts).to(torch.int64).view(1, *grid)

    def _code_by_context(
        self,
        coder: Coder,
        level: Level,
        own: Tensor | None,
        before: Sequence[Tensor],
        grid: tuple[int, int],
        quality: int,
    ) -> Tensor:
        device = level.basis.device
        half_steps = torch.tensor([quality], device=device)
        order, context = pass_of(grid, device), level.context
        parents = self.network.parents(before)
        found = torch.zeros(grid[0] * grid[1], dtype=torch.int64, device=device)
        for number in range(len(PASSES)):
            places = torch.nonzero(order.flatten() == number)[:, 0]
            features = context.embedded(found.view(1, *grid))
            activations = context(features, (order < number)[None], parents, half_steps).flatten(2)
            for part in torch.split(places, AT_ONCE):
                if not len(part):
                    continue
                logits = context.logits(activations[:, :, None, part], half_steps).to(torch.int64)
                value = None if own is None else own[part].view(1, 1, 1, -1)
                found[part] = coder.code(value, Categorical(logits[:, :, None])).flatten().to(torch.int64)
        return found.view(1, *grid)

    # Streams

    def encode(
        self, x: Tensor, quality: Tensor, options: Any, watch: Watch | None = None
    ) -> list[tuple[Stream, ...]]:
        """See `PictureCodec.encode`."""
        latents = self.network.analyse(x, quality)
        size = (x.shape[2], x.shape[3])
        streams: list[tuple[Stream, ...]] = []
        for one, half_steps in zip(torch.split(latents, 1), quality.tolist(), strict=True):
            indices = self.network.indices(one, half_steps)
            tried = [self._stream(indices, size, half_steps, mode) for mode in reversed(Mode)]
            streams.append((min(tried, key=lambda stream: len(stream.data)),))
        return streams

    def _stream(self, indices: Sequence[Tensor], size: tuple[int, int], quality: int, mode: Mode) -> Stream:
        writer = PictureWriter()
        _code_mode(writer, mode, indices[0].device)
        self.code_indices(writer, indices, size, quality, mode)
        return writer.finish()

    def decode(self, streams: Sequence[tuple[Stream, ...]], size: tuple[int, int], quality: Tensor) -> Tensor:
        """See `PictureCodec.decode`."""
        latents = []
        for (stream,), half_steps in zip(streams, quality.tolist(), strict=True):
            reader = PictureReader(stream)
            mode = _code_mode(reader, None, quality.device)
            indices = self.code_indices(reader, None, size, half_steps, mode)
            reader.finish()
            latents.append(self.network.latents(indices))
        return self.network.synthesise(torch.cat(latents), quality)


def _code_mode(coder: Coder, mode: Mode | None, device: torch.device) -> Mode:
    value = None if mode is None else torch.full((1, 1, 1, 1), float(mode), device=device)
    prior = Categorical(torch.zeros(1, len(Mode) + 1, 1, 1, 1, dtype=torch.int64, device=device))
    found = int(coder.code(value, prior))
    if found >= len(Mode):
        raise SymbolMismatchError("the stream is coded in a way that this nicodec does not know; update nicodec")
    return Mode(found)
