"""Pictures as codes of many codebooks, 0.05 to 0.6 bits a pixel, in levels: any first part of a file is a picture.

The network is that of `vqgan`; its levels are the groups of multi-codebook quantisation: each takes the components
of most energy that the levels before have left, on a grid of 1/64, 1/32 or 1/16. Levels lie coarse to fine in
packets; each level's indices are coded as those of `vqgan` (`Mode`), whichever way is smallest, or by static tables
alone, as published. Any table quantiser of `nicodec/quantize` may teach the codebooks (`training/codebook_rules.py`).
Source: McQuic, Zhu et al. 2022, "Unified Multivariate Gaussian Mixture for Efficient Neural Image Compression".
Otherwise than there: the grids code the picture's latents and not features of their own, a code's choice weighs its
bits, and the indices have a prior that sees neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from nicodec.codecs.base import Packets, Watch
from nicodec.codecs.codes import CodesCodec
from nicodec.codecs.codes_network import CodesConfig
from nicodec.codecs.options import Options, option
from nicodec.entropy.coder import PictureReader, Stream

NARROW, WIDE = 16, 16
"""Codebooks of 1/16: the first ones, for the components of most energy, take half as many components each."""


@dataclass(frozen=True)
class McquicConfig(CodesConfig):
    """Sizes of the network, and which levels share a packet; those of `models/mcquic` are in its recipe."""

    factors: tuple[int, ...] = (4, 2, *(1,) * (NARROW + WIDE))
    codes: tuple[int, ...] = (256, 512, *(256,) * (NARROW + WIDE))
    channels: tuple[int, ...] = (32, 48, *(4,) * NARROW, *(8,) * WIDE)
    first: tuple[int, ...] = (0, 0, *(0,) * 12, *(40,) * 10, *(90,) * 10)
    embedding: int = 8
    context: int = 64
    price_max: float = 2.0
    price_min: float = 0.01
    start_price: float = 0.05
    decay: float = 0.99
    own_bases: bool = True
    packets: tuple[int, ...] = (2, 6, 14, 24)
    """The first level of each packet but the first one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        starts = (0, *self.packets)
        if any(one >= other for one, other in pairwise(starts)) or starts[-1] >= len(self.factors):
            raise ValueError(f"packets {self.packets}: give rising numbers of levels, above 0 and below their count")

    def packet_levels(self, quality: int) -> list[range]:
        """Which levels each packet holds at a quality in half steps; none is empty."""
        starts, stop = (0, *self.packets), self.levels(quality)
        found = [range(start, min(end, stop)) for start, end in pairwise((*starts, len(self.factors)))]
        return [numbers for numbers in found if len(numbers)]

    def ends(self, quality: int) -> list[int]:
        """See `CodesConfig.ends`."""
        return [numbers.stop for numbers in self.packet_levels(quality)]


@dataclass(frozen=True)
class McquicOptions(Options):
    """What the encoder can be asked for."""

    prior: str = option(
        "learned",
        "How indices are coded: learned, by those before them, or static, by fixed tables: larger, decoded sooner.",
        choices=("learned", "static"),
    )


class Mcquic(CodesCodec):
    """See the module's docstring."""

    Config = McquicConfig
    Options = McquicOptions
    packets = Packets.LEVEL

    config: McquicConfig

    def encode(
        self, x: Tensor, quality: Tensor, options: McquicOptions, watch: Watch | None = None
    ) -> list[tuple[Stream, ...]]:
        """See `PictureCodec.encode`."""
        size, latents = (x.shape[2], x.shape[3]), self.network.analyse(x, quality)
        found, static = [], options.prior == "static"
        for one, half_steps in zip(torch.split(latents, 1), quality.tolist(), strict=True):
            indices = self.network.indices(one, half_steps)
            packets = self.config.packet_levels(half_steps)
            found.append(
                tuple(self.smallest(indices, size, half_steps, numbers=each, static=static) for each in packets)
            )
        return found

    def decode(self, streams: Sequence[tuple[Stream, ...]], size: tuple[int, int], quality: Tensor) -> Tensor:
        """See `PictureCodec.decode`."""
        latents = [
            self.network.latents(self._indices(own, size, half_steps))
            for own, half_steps in zip(streams, quality.tolist(), strict=True)
        ]
        return self.network.synthesise(torch.cat(latents), quality)

    def _indices(self, streams: Sequence[Stream], size: tuple[int, int], quality: int) -> list[Tensor]:
        """Of each level that the packets hold, (1, H, W)."""
        found: list[Tensor] = []
        for stream, numbers in zip(streams, self.config.packet_levels(quality), strict=False):
            reader = PictureReader(stream)
            found += self.code_indices(reader, None, size, quality, before=found, stop=numbers.stop)
            reader.finish()
        levels = self.network.each_level()
        return [own.view(1, *level.grid(size)) for own, level in zip(found, levels, strict=False)]
