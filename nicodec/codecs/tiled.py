"""Codecs with latents that cut a large picture into tiles.

Each tile has a packet of its own with the symbols that a picture of its size would have, and is encoded and decoded
for itself. The transforms see beyond: the analysis the pixels around a tile, the synthesis the latents of the tiles
around, so that there are no seams. Memory is that of a row of tiles.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from nicodec.areas.plain import PlainAreas
from nicodec.codecs.base import Packets, Progress, Watch
from nicodec.codecs.latent import LatentCodec
from nicodec.codecs.tile_drawing import LATENT_SIDE, Tile, decode_tiles, lay_out
from nicodec.codecs.tile_pool import TilePool
from nicodec.codecs.tiling import Tiling
from nicodec.codecs.window import PixelSource, Window, tensor_source
from nicodec.entropy.coder import Coder, Stream, StreamDecoder
from nicodec.errors import CorruptError
from nicodec.memory import release_freed_memory


class TiledCodec(LatentCodec):
    """A codec with latents of 16x16 pixels whose traversal begins with an analysis of bounded reach."""

    packets = Packets.PIECE

    @property
    @abstractmethod
    def reach(self) -> tuple[int, int]:
        """So many latents on either side does a latent depend on in the analysis, and a pixel in the synthesis."""

    @abstractmethod
    def analyse(self, x: Tensor, quality: Tensor) -> Tensor:
        """Latents (B, C, H/16, W/16) of pictures (B, 3, H, W)."""

    @abstractmethod
    def code_analysed(
        self, coder: Coder, y: Tensor | None, size: tuple[int, int], quality: Tensor, *, seen: Window | None = None
    ) -> Tensor:
        """Like `code_latents`, of what `analyse` gave; `seen`: of the latents, these alone are wanted."""

    @abstractmethod
    def code_filters(
        self,
        coders: Sequence[Coder],
        x: Tensor | None,
        latents: Tensor,
        quality: Tensor,
        *,
        fit: bool = True,
        quick: bool = False,
    ) -> list[Tensor | None]:
        """See `LatentCodec.code_filters`; `quick`: a part of the picture is looked at, as for each of many tiles."""

    def code_latents(self, coder: Coder, x: Tensor | None, size: tuple[int, int], quality: Tensor) -> Tensor:
        """See `LatentCodec.code_latents`."""
        return self.code_analysed(coder, None if x is None else self.analyse(x, quality), size, quality)

    # Encoding

    def encode(
        self, x: Tensor, quality: Tensor, options: Any, watch: Watch | None = None
    ) -> list[tuple[Stream, ...]]:
        """See `PictureCodec.encode`."""
        size = (x.shape[2], x.shape[3])
        if len(Tiling.of(size)) == 1:
            return super().encode(x, quality, options, watch)
        pairs = zip(x, torch.split(quality, 1), strict=True)
        return [self.encode_parts(tensor_source(one, size), each, options, watch) for one, each in pairs]

    def encode_parts(
        self, source: PixelSource, quality: Tensor, options: Any, watch: Watch | None = None
    ) -> tuple[Stream, ...]:
        """See `PictureCodec.encode_parts`."""
        tiles = Tiling.of(source.size)
        if len(tiles) == 1:
            return super().encode_parts(source, quality, options, watch)
        tell = _Teller(watch, len(tiles))

        def write(number: int) -> Stream:
            tile = tiles[number]
            around = tile.grown(LATENT_SIDE * self.reach[0], Window.whole(source.size))
            seen = source.part(around)
            codec = _InContext(self, seen, tile.seen_from(around))
            own = tell.of_tile(number)
            ((stream,),) = self.encode_with(codec, codec.inside.of(seen), quality, options, own)
            del codec, seen
            release_freed_memory()
            if own:
                own(Progress(1.0, ""))
            return stream

        with TilePool(quality.device) as pool:
            return tuple(pool.map(write, range(len(tiles))))

    # Decoding

    def decode(self, streams: Sequence[tuple[Stream, ...]], size: tuple[int, int], quality: Tensor) -> Tensor:
        """See `PictureCodec.decode`."""
        if len(Tiling.of(size)) == 1:
            return super().decode(streams, size, quality)
        x_hat = torch.zeros((len(streams), 3, *size), dtype=torch.float32, device=quality.device)
        for picture, own, each in zip(x_hat, streams, torch.split(quality, 1), strict=True):
            lay_out(self.decode_parts(own, size, each, Window.whole(size)), picture)
        return x_hat

    def decode_parts(
        self, streams: Sequence[Stream | None], size: tuple[int, int], quality: Tensor, window: Window
    ) -> Iterator[tuple[Window, Tensor | None]]:
        """See `PictureCodec.decode_parts`."""
        tiles = Tiling.of(size)
        if len(streams) != len(tiles):
            raise CorruptError(
                f"the picture has {len(streams)} packets, one of its size has {len(tiles)}; fetch or copy it again"
            )
        if len(tiles) == 1:
            yield from super().decode_parts(streams, size, quality, window)
            return

        def read(number: int, wanted: Window | None) -> Tile | None:
            stream = streams[number]
            return None if stream is None else self._read_tile(stream, tiles[number], quality, wanted)

        yield from decode_tiles(self, read, tiles, window, reach=self.reach[1], device=quality.device)

    def _read_tile(self, stream: Stream, window: Window, quality: Tensor, wanted: Window | None = None) -> Tile:
        """All symbols of a tile, and the latents that are wanted of it: all, where areas are coded plainly."""
        coder = StreamDecoder([stream])
        (reader,) = coder.pictures
        areas = PlainAreas.code(reader, None, window.size)
        latents = matrix = residual = None
        seen = window if areas.any or wanted is None else wanted
        if not areas.cover_all:
            own = seen.seen_from(window).in_units(LATENT_SIDE)
            latents = self.code_analysed(coder, None, window.size, quality, seen=own)
            (matrix,) = self.code_filters([reader], None, latents, quality)
            residual = areas.code_residual(reader, None, None, float(self.rate_weight(quality)))
        coder.finish()
        return Tile(seen, quality, areas, latents, matrix, residual)


class _InContext:
    """A codec for one tile of a picture, whose analysis sees the pixels around."""

    def __init__(self, codec: TiledCodec, seen: Tensor, inside: Window) -> None:
        self._codec, self._seen, self.inside = codec, seen, inside

    def code_latents(self, coder: Coder, x: Tensor | None, size: tuple[int, int], quality: Tensor) -> Tensor:
        """See `LatentCodec.code_latents`."""
        if x is None:
            return self._codec.code_latents(coder, None, size, quality)
        seen = self._seen
        if not torch.equal(x, self.inside.of(seen)):
            seen = seen.clone()
            self.inside.of(seen).copy_(x)
        y = self.inside.in_units(LATENT_SIDE).of(self._codec.analyse(seen, quality)).contiguous()
        release_freed_memory()
        return self._codec.code_analysed(coder, y, size, quality)

    def code_filters(
        self, coders: Sequence[Coder], x: Tensor | None, latents: Tensor, quality: Tensor, *, fit: bool = True
    ) -> list[Tensor | None]:
        """See `LatentCodec.code_filters`."""
        return self._codec.code_filters(coders, x, latents, quality, fit=fit, quick=True)

    def synthesise(self, latents: Tensor, quality: Tensor, filters: Sequence[Tensor | None] | None = None) -> Tensor:
        """See `LatentCodec.synthesise`."""
        return self._codec.synthesise(latents, quality, filters)

    def rate_weight(self, quality: Tensor) -> Tensor:
        """See `LatentCodec.rate_weight`."""
        return self._codec.rate_weight(quality)


class _Teller:
    """Tells `watch` of tiles, several at once among so many: how far all of them are."""

    def __init__(self, watch: Watch | None, count: int) -> None:
        self._watch, self._lock = watch, threading.Lock()
        self._shares = [0.0] * count

    def of_tile(self, number: int) -> Watch | None:
        """What is told of one tile."""
        watch = self._watch
        if watch is None:
            return None

        def tell(progress: Progress) -> None:
            with self._lock:
                self._shares[number] = progress.share
                done = sum(share == 1 for share in self._shares)
                text = " ".join(filter(None, [f"{done} of {len(self._shares)} tiles", progress.text]))
                watch(Progress(sum(self._shares) / len(self._shares), text))

        return tell
