"""Tiles of a large picture, decoded and drawn: each sees the latents of those around it, and there are no seams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from nicodec.areas.plain import PlainAreas
from nicodec.areas.residual import AREA
from nicodec.codecs.tile_pool import TilePool
from nicodec.codecs.tiling import Tiling
from nicodec.codecs.window import Window
from nicodec.memory import release_freed_memory

LATENT_SIDE = 16
"""Pixels of a latent, a side."""


class Synthesis(Protocol):
    """What is needed of a codec with latents."""

    def synthesise(self, latents: Tensor, quality: Tensor, filters: Sequence[Tensor | None] | None = None) -> Tensor:
        """See `LatentCodec.synthesise`."""

    def rate_weight(self, quality: Tensor) -> Tensor:
        """See `LatentCodec.rate_weight`."""


@dataclass(frozen=True)
class Tile:
    """What is read of a tile.

    Attributes:
        window: where it is.
        quality: int64 (1,), half steps, that it is drawn as.
        areas: those of it that are coded plainly.
        latents: (1, C, h, w); None: nothing of them is seen.
        matrix: of its filter, if it has one.
        residual: what `PlainAreas.lay_over` takes.

    """

    window: Window
    quality: Tensor
    areas: PlainAreas
    latents: Tensor | None
    matrix: Tensor | None
    residual: Tensor | None

    def part(self, window: Window) -> Tile:
        """What others need of it, when it is drawn itself: latents within a window."""
        if self.latents is None or self.areas.any or window == self.window:
            return self
        place = window.in_units(LATENT_SIDE).seen_from(self.window.in_units(LATENT_SIDE))
        return replace(self, window=window, latents=place.of(self.latents).clone())


def decode_tiles(
    codec: Synthesis,
    read: Callable[[int, Window | None], Tile | None],
    tiles: Tiling,
    window: Window,
    *,
    reach: int,
    device: torch.device,
) -> Iterator[tuple[Window, Tensor | None]]:
    """Decode a window of a picture, tile by tile; memory is that of a row of tiles.

    Args:
        codec: draws latents.
        read: gives a tile, of which these pixels are wanted; None: it is lost.
        tiles: how the picture is cut.
        window: what is wanted of it.
        reach: so many latents on either side does a pixel depend on.
        device: where the tiles are.

    Yields:
        See `PictureCodec.decode_parts`.

    """
    margin, whole = LATENT_SIDE * reach, Window.whole((tiles.rows[-1], tiles.columns[-1]))
    # Of every tile that is wanted: what is shown, in whole latents, and the tiles around that it depends on.
    shown = {number: tiles[number].common(window) for number in tiles.meeting(window)}
    around = {
        number: part.in_units(LATENT_SIDE).times(LATENT_SIDE).grown(margin, whole) for number, part in shown.items()
    }
    needed = {number: tiles.meeting(window) for number, window in around.items()}
    users: dict[int, list[int]] = {}
    for number, others in needed.items():
        for near in others:
            users.setdefault(near, []).append(number)
    found: dict[int, Tile | None] = {}

    def wanted(number: int, after: int) -> Window | None:
        """What those that come after one need of a tile; None: nothing."""
        parts = [around[user].common(tiles[number]) for user in users[number] if user > after]
        return Window.hull(parts) if parts else None

    def read_wanted(number: int) -> Tile | None:
        tile = read(number, wanted(number, -1))
        release_freed_memory()
        return tile

    def draw(number: int) -> tuple[Window, Tensor | None]:
        tile, part = found[number], shown[number]
        drawn = None if tile is None else _draw(codec, tile, part, found, whole, reach)
        release_freed_memory()
        return part, drawn

    with TilePool(device, alone=len(users) == 1) as pool:
        numbers = list(shown)
        for start in range(0, len(numbers), pool.at_once):
            group = numbers[start : start + pool.at_once]
            missing = sorted({near for number in group for near in needed[number]} - found.keys())
            found.update(zip(missing, pool.map(read_wanted, missing), strict=True))
            yield from pool.map(draw, group)
            for near, tile in list(found.items()):
                later = wanted(near, group[-1])
                if later is None:
                    del found[near]
                elif tile is not None:
                    found[near] = tile.part(later)


def lay_out(parts: Iterator[tuple[Window, Tensor | None]], picture: Tensor) -> None:
    """Fill a picture (3, H, W) with its parts; where they are lost, it stays as it is."""
    for window, part in parts:
        if part is not None:
            window.of(picture).copy_(part)


def _draw(
    codec: Synthesis, tile: Tile, part: Window, found: dict[int, Tile | None], whole: Window, reach: int
) -> Tensor:
    """The pixels (3, h, w) of a part of a tile."""
    own = tile.window if tile.areas.any else part.in_units(LATENT_SIDE).times(LATENT_SIDE)
    if tile.latents is None:
        x_hat = torch.zeros((3, *own.size), dtype=torch.float32, device=tile.quality.device)
    else:
        around = own.grown(LATENT_SIDE * reach, whole).in_units(LATENT_SIDE)
        latents = _continued(tile, tile.latents, around).contiguous(memory_format=torch.channels_last)
        for other in found.values():
            place = None if other is None or other is tile else other.window.in_units(LATENT_SIDE)
            if other is not None and other.latents is not None and place is not None and place.meets(around):
                common = place.common(around)
                common.seen_from(around).of(latents).copy_(common.seen_from(place).of(other.latents))
        drawn = codec.synthesise(latents, tile.quality, [tile.matrix]).float()[0]
        x_hat = own.seen_from(around.times(LATENT_SIDE)).of(drawn)
    if tile.areas.any:
        rate_weight = float(codec.rate_weight(tile.quality))
        if tile.residual is not None and tile.latents is not None:
            # Its encoder saw the tile alone.
            alone = codec.synthesise(tile.latents, tile.quality, [tile.matrix]).float()[0]
            has_residual = tile.areas.of_residual.to(x_hat.device)
            where = has_residual.repeat_interleave(AREA, 0).repeat_interleave(AREA, 1)
            x_hat = torch.where(where, alone, x_hat)
        x_hat = tile.areas.lay_over(x_hat, tile.residual, rate_weight)
    return part.seen_from(own).of(x_hat).contiguous()  # not a view: what is around goes


def _continued(tile: Tile, latents: Tensor, around: Window) -> Tensor:
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
