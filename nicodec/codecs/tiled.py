"""Codecs with latents that cut a large picture into tiles.

Each tile has a packet of its own with the symbols that a picture of its size would have, and is encoded and decoded
for itself. The transforms see beyond: the analysis the pixels around a tile, the synthesis the latents of the tiles
around, so that there are no seams. Memory is that of a row of tiles.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nicodec.areas.plain import PlainAreas
from nicodec.areas.residual import AREA
from nicodec.codecs.base import Packets, Progress, Watch
from nicodec.codecs.latent import LatentCodec
from nicodec.codecs.tile_pool import TilePool
from nicodec.codecs.tiling import Tiling
from nicodec.codecs.window import PixelSource, Window, tensor_source
from nicodec.entropy.coder import Coder, Stream, StreamDecoder
from nicodec.errors import CorruptError
from nicodec.memory import release_freed_memory

LATENT_SIDE = 16
"""Pixels of a latent, a side."""


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
        x_hat = torch.empty((len(streams), 3, *size), dtype=torch.float32, device=quality.device)
        for picture, own, each in zip(x_hat, streams, torch.split(quality, 1), strict=True):
            for window, part in self.decode_parts(own, size, each, Window.whole(size)):
                if part is not None:
                    window.of(picture).copy_(part)
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
        margin, whole = LATENT_SIDE * self.reach[1], Window.whole(size)
        # Of every tile that is wanted: what is shown, in whole latents, and the tiles around that it depends on.
        shown = {number: tiles[number].common(window) for number in tiles.meeting(window)}
        around = {
            number: part.in_units(LATENT_SIDE).times(LATENT_SIDE).grown(margin, whole)
            for number, part in shown.items()
        }
        needed = {number: tiles.meeting(window) for number, window in around.items()}
        users: dict[int, list[int]] = {}
        for number, others in needed.items():
            for near in others:
                users.setdefault(near, []).append(number)
        found: dict[int, _Tile | None] = {}

        def wanted(number: int, after: int) -> Window | None:
            """What those that come after one need of a tile; None: nothing."""
            parts = [around[user].common(tiles[number]) for user in users[number] if user > after]
            return Window.hull(parts) if parts else None

        def read(number: int) -> _Tile | None:
            stream = streams[number]
            tile = None if stream is None else self._read_tile(stream, tiles[number], quality, wanted(number, -1))
            release_freed_memory()
            return tile

        def draw(number: int) -> tuple[Window, Tensor | None]:
            tile, part = found[number], shown[number]
            drawn = None if tile is None else self._draw(tile, part, found, whole, quality)
            release_freed_memory()
            return part, drawn

        with TilePool(quality.device, alone=len(users) == 1) as pool:
            numbers = list(shown)
            for start in range(0, len(numbers), pool.at_once):
                group = numbers[start : start + pool.at_once]
                missing = sorted({near for number in group for near in needed[number]} - found.keys())
                found.update(zip(missing, pool.map(read, missing), strict=True))
                yield from pool.map(draw, group)
                for near, tile in list(found.items()):
                    later = wanted(near, group[-1])
                    if later is None:
                        del found[near]
                    elif tile is not None:
                        found[near] = tile.part(later)

    def _read_tile(self, stream: Stream, window: Window, quality: Tensor, wanted: Window | None = None) -> _Tile:
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
        return _Tile(seen, areas, latents, matrix, residual)

    def _draw(
        self, tile: _Tile, part: Window, found: dict[int, _Tile | None], whole: Window, quality: Tensor
    ) -> Tensor:
        """The pixels (3, h, w) of a part of a tile."""
        own = tile.window if tile.areas.any else part.in_units(LATENT_SIDE).times(LATENT_SIDE)
        if tile.latents is None:
            x_hat = torch.zeros((3, *own.size), dtype=torch.float32, device=quality.device)
        else:
            around = own.grown(LATENT_SIDE * self.reach[1], whole).in_units(LATENT_SIDE)
            latents = _continued(tile, tile.latents, around).contiguous(memory_format=torch.channels_last)
            for other in found.values():
                place = None if other is None or other is tile else other.window.in_units(LATENT_SIDE)
                if other is not None and other.latents is not None and place is not None and place.meets(around):
                    common = place.common(around)
                    common.seen_from(around).of(latents).copy_(common.seen_from(place).of(other.latents))
            drawn = self.synthesise(latents, quality, [tile.matrix]).float()[0]
            x_hat = own.seen_from(around.times(LATENT_SIDE)).of(drawn)
        if tile.areas.any:
            rate_weight = float(self.rate_weight(quality))
            if tile.residual is not None and tile.latents is not None:
                # Its encoder saw the tile alone.
                alone = self.synthesise(tile.latents, quality, [tile.matrix]).float()[0]
                has_residual = tile.areas.of_residual.to(x_hat.device)
                where = has_residual.repeat_interleave(AREA, 0).repeat_interleave(AREA, 1)
                x_hat = torch.where(where, alone, x_hat)
            x_hat = tile.areas.lay_over(x_hat, tile.residual, rate_weight)
        return part.seen_from(own).of(x_hat).contiguous()  # not a view: what is around goes


@dataclass(frozen=True)
class _Tile:
    """What is read of a tile.

    Attributes:
        window: where it is.
        areas: those of it that are coded plainly.
        latents: (1, C, h, w); None: nothing of them is seen.
        matrix: of its filter, if it has one.
        residual: what `PlainAreas.lay_over` takes.

    """

    window: Window
    areas: PlainAreas
    latents: Tensor | None
    matrix: Tensor | None
    residual: Tensor | None

    def part(self, window: Window) -> _Tile:
        """What others need of it, when it is drawn itself: latents within a window."""
        if self.latents is None or self.areas.any or window == self.window:
            return self
        place = window.in_units(LATENT_SIDE).seen_from(self.window.in_units(LATENT_SIDE))
        return replace(self, window=window, latents=place.of(self.latents).clone())


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


def _continued(tile: _Tile, latents: Tensor, around: Window) -> Tensor:
    """The tile's latents in a window of latents, its edges repeated beyond it."""
    place = tile.window.in_units(LATENT_SIDE)
    common = place.common(around)
    margins = (
        common.left - around.left,
        around.right - common.right,
        common.top - around.top,
        around.bottom - common.bottom,
    )
    return F.pad(common.seen_from(place).of(latents), margins, mode="replicate")


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
