"""A hierarchical VAE: a picture coded coarse to fine, of which every prefix of whole levels is a picture.

    x ─ analysis (as hyperprior's) ─ y (1/16) ─┬─ squares of 4x4 of the first latents ─ [level 1/64] ─ P
                                               ├─ squares of 2x2 of what P leaves ──── [level 1/32] ─ P, better
                                               └─ [levels of 1/16: hyper-latents, then slices by falling scale] ─ ŷ
    x̂ ─ synthesis (as hyperprior's) ─ ŷ of the levels that are there, means for what is missing

Each level is conditioned on all above: means by float networks that see what is decoded (missing residuals are zero:
the mean stands in), scales by integer networks that see symbols alone. What is rounded is the residual, y − μ.
The levels of 1/16 are in hvae_slices.py.

A recipe may add latent blocks of 1/8 within the synthesis, or have a picture in latent blocks alone, from 1/64 to
1/4 say, as QRes-VAE: hvae_blocks.py.
Sources: QRes-VAE and QARV, Duan et al. 2023.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nicodec.areas.plain import PlainAreas
from nicodec.codecs.base import Codec, Packets, Watch
from nicodec.codecs.hvae_blocks import BlocksConfig, LatentBlocks
from nicodec.codecs.hvae_network import (
    MIDDLE_FACTOR,
    TOP_FACTOR,
    CoarseLevel,
    MiddlePrior,
    MoreForMeans,
    MoreForScales,
    TopPrior,
    enlarged,
)
from nicodec.codecs.hvae_plan import (
    ALL_SECOND,
    LAST,
    PARTS,
    PLAIN,
    REFINED_AT,
    REFINED_FROM,
    REFINED_TO,
    Costs,
    Look,
    any_threshold,
    corrected,
    plan,
)
from nicodec.codecs.hvae_slices import Depth, NextCoder, Slices
from nicodec.codecs.hvae_start import start_levels
from nicodec.codecs.hvae_tiles import apart, together
from nicodec.codecs.hyper_latents import index_of
from nicodec.codecs.hyperprior import FINE_WIDTH, PIXEL_GAIN, PIXEL_MEAN, Hyperprior, HyperpriorConfig
from nicodec.codecs.latent import EFFORT_DEFAULT, EFFORT_MAX, EFFORT_THOROUGH, LatentCodec, LatentOptions
from nicodec.codecs.options import option
from nicodec.codecs.safe_way import plan_areas
from nicodec.codecs.tile_drawing import LATENT_SIDE, Tile, decode_tiles, lay_out
from nicodec.codecs.tile_pool import TilePool
from nicodec.codecs.tiling import Tiling
from nicodec.codecs.window import PixelSource, Window, tensor_source
from nicodec.entropy.coder import (
    Coder,
    LeastCost,
    PictureReader,
    PictureWriter,
    RateEstimator,
    Stream,
)
from nicodec.entropy.priors import ScaleMixture
from nicodec.errors import CorruptError
from nicodec.exact.symbols import magnitude_features
from nicodec.layers.quality import QualityTable

PREFIX_SHARE, CUT_AT = 0.4, (0.1, 0.1, 0.4, 0.4)
"""Of training crops, those that are drawn from a prefix of the levels; and of these those that end with the level of
1/64, with that of 1/32, with a slice, and with second parts."""

CUT_BEFORE_BLOCKS = 0.2
"""The same for each level that ends before a latent block, of those."""

COARSE_LEVELS = 2
"""Before the slices."""


@dataclass(frozen=True)
class HvaeConfig(HyperpriorConfig, BlocksConfig):
    """Sizes of the network: of hyperprior's parts, of the coarse levels, and of latent blocks.

    With `latents` 0 the levels are those of latent blocks alone.
    """

    pictured: int = 16
    """Latents, the first ones, that the coarse levels carry."""
    top_latents: int = 12
    """Of 1/64."""
    middle_latents: int = 6
    """Of 1/32."""
    top_step: float = 13.0
    """Components of 1/64 are rounded in steps of this."""
    middle_step: float = 12.0
    """The same of 1/32."""

    def __post_init__(self) -> None:
        self.check()
        if self.latents and (self.mixture != 1 or self.pictured > self.split):
            raise ValueError("hvae takes one Gaussian a symbol, and its coarse levels no more latents than `split`")
        if self.latents and self.strides and (self.strides != (8,) or self.widths != (FINE_WIDTH,)):
            raise ValueError(f"latent blocks after other levels are of 1/8, and {FINE_WIDTH} wide")
        if not self.latents and (self.strides[:1] != (64,) or sum(self.blocks) < 2):
            raise ValueError("without other levels there are two latent blocks or more, from 1/64 on")

    def transforms(self) -> HyperpriorConfig:
        """Sizes of the parts that are hyperprior's."""
        own = dataclasses.asdict(self)
        return HyperpriorConfig(**{field.name: own[field.name] for field in dataclasses.fields(HyperpriorConfig)})


@dataclass(frozen=True)
class HvaeOptions(LatentOptions):
    """What the encoder can be asked for."""

    effort: int = option(
        EFFORT_DEFAULT,
        "1 to 3 take half as long as 7, and write files whose levels end less exactly; 8 and 9 do what 7 does.",
        low=1,
        high=EFFORT_MAX,
        short="-e",
        metavar="1..9",
    )
    slices: int | None = option(
        None,
        "Levels of the finest grid, each of which makes the picture better. Fewer decode faster; as many as the "
        "picture's bytes are worth, unless given.",
        low=1,
        high=8,
        metavar="1..8",
    )


class Hvae(LatentCodec):
    """See the module's docstring for the diagram."""

    alignment = 64
    packets = Packets.LEVEL
    pixels_a_byte = 2**14
    Config = HvaeConfig
    Options = HvaeOptions

    config: HvaeConfig

    def __init__(self, config: HvaeConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or HvaeConfig()
        if c.strides:
            gain_range = math.sqrt(c.lambda_max / c.lambda_min)
            self.latent_blocks = LatentBlocks(c, known=c.latents, gain_range=gain_range)
        if not c.latents:
            return
        self.base = Hyperprior(c.transforms())
        self.top = CoarseLevel(c.pictured, TOP_FACTOR, c.top_latents)
        self.top_prior = TopPrior(c.top_latents)
        self.middle = CoarseLevel(c.pictured, MIDDLE_FACTOR, c.middle_latents)
        self.middle_prior = MiddlePrior(c.top_latents, c.middle_latents)
        self.blend = torch.nn.ModuleList(QualityTable(c.pictured) for _ in range(2))
        self.more_for_means = MoreForMeans(c.latents, c.pictured, c.hyper)
        self.more_for_scales = MoreForScales(c.latents, c.top_latents + c.middle_latents, c.scale_hyper)

    # The one traversal

    def code_levels(
        self,
        next_coder: NextCoder,
        y: Tensor | None,
        size: tuple[int, int],
        quality: Tensor,
        thresholds: Sequence[Tensor] | None = None,
        watch: Callable[[Tensor, Tensor, Tensor], None] | None = None,
        seen: Sequence[Tensor] | None = None,
        read_plain: Callable[[Coder], None] | None = None,
    ) -> Iterator[Depth]:
        """Hand all symbols to coders, level by level, and tell what is known after each.

        Args:
            next_coder: asked once for each level.
            y: latents (B, latents, H/16, W/16) when encoding or training, None when decoding or without latents.
            size: H, W.
            quality: int64 (B,), half steps 0..200.
            thresholds: of the slices when encoding, each int64 (B, 1, 1, 1): they fall to LAST; but after one of
                REFINED_FROM to REFINED_TO come those of second parts, which fall to ALL_SECOND.
            watch: told of every pass's positions on the scale axis, symbols, and which elements are coded.
            seen: what latent blocks see of the pictures, if there are any, when encoding or training.
            read_plain: when decoding, reads a level of plain areas, if there is one before the slices.

        """
        if not self.config.latents:
            begin = self.latent_blocks.begin(size, quality)
            yield from self.latent_blocks.walk(next_coder, *begin, seen, quality)
            return
        c, batch = self.config, len(quality)
        height, width = size[0] // 16, size[1] // 16
        nothing = torch.zeros((batch, c.latents, height, width), dtype=torch.float32, device=quality.device)

        coder = next_coder()
        if coder is None:
            return
        first = None if y is None else y[:, : c.pictured]
        shape = (batch, c.top_latents, height // TOP_FACTOR, width // TOP_FACTOR)
        symbols = coder.code(None if first is None else self.top.components(first), self.top_prior(shape, quality))
        predicted = self.top(symbols)
        top_magnitudes = magnitude_features(symbols, self.training)
        yield self.depth(partial(_with_first, nothing, predicted.detach()), torch.zeros_like(quality))

        coder = next_coder()
        if coder is None:
            return
        indices = self.index_of(self.middle_prior(top_magnitudes, quality))
        value = None if first is None else self.middle.components(first - predicted)
        symbols = coder.code(value, ScaleMixture(indices))
        predicted = predicted + self.middle(symbols)
        middle_magnitudes = magnitude_features(symbols, self.training)
        coarse = torch.cat([enlarged(top_magnitudes, TOP_FACTOR), enlarged(middle_magnitudes, MIDDLE_FACTOR)], 1)
        yield self.depth(partial(_with_first, nothing, predicted.detach()), torch.zeros_like(quality))

        coder = next_coder()
        if coder is None:
            return
        slices = Slices(self, coder, next_coder, y, predicted, coarse, size, quality, thresholds, watch, read_plain)
        yield from slices.walk()
        if c.strides and slices.whole:
            h, known = self.base.to_eighths(slices.latents(), quality), enlarged(slices.magnitudes(), 2)
            yield from self.latent_blocks.walk(next_coder, h, known, seen, quality)

    def depth(self, latents: Callable[[], Tensor], quality: Tensor, *, whole: bool = False) -> Depth:
        """What is known after a level of latents; `whole`: they are complete."""
        if not self.config.strides:
            return Depth(latents, quality, whole)
        return Depth(lambda: self.latent_blocks.without(self.base.to_eighths(latents(), quality), quality), quality)

    def index_of(self, parameters: Tensor) -> Tensor:
        """Scale indices of what integer networks give: real in training."""
        return parameters if self.training else index_of(parameters)

    def code_latents(self, coder: Coder, x: Tensor | None, size: tuple[int, int], quality: Tensor) -> Tensor:
        """See `LatentCodec.code_latents`: all levels, in slices of the usual thresholds."""
        y, seen = (None, None) if x is None else self._analyse(x, quality)
        usual = (30 * PARTS, REFINED_AT, ALL_SECOND, LAST)
        thresholds = None if x is None else [_everywhere(each, quality) for each in usual]
        *_, last = self.code_levels(lambda: coder, y, size, quality, thresholds, seen=seen)
        return last.latents()

    def _analyse(self, x: Tensor, quality: Tensor) -> tuple[Tensor | None, Sequence[Tensor] | None]:
        """Latents of pictures (B, 3, H, W), and what latent blocks see of them."""
        y = self.base.analyse(x, quality) if self.config.latents else None
        return y, self.latent_blocks.see(x, quality) if self.config.strides else None

    def code_filters(
        self, coders: Sequence[Coder], x: Tensor | None, latents: Tensor, quality: Tensor, *, fit: bool = True
    ) -> list[Tensor | None]:
        """See `LatentCodec.code_filters`; with latent blocks there are none."""
        if self.config.strides:
            return super().code_filters(coders, x, latents, quality, fit=fit)
        return self.base.code_filters(coders, x, latents, quality, fit=fit)

    def synthesise(self, latents: Tensor, quality: Tensor, filters: Sequence[Tensor | None] | None = None) -> Tensor:
        """See `LatentCodec.synthesise`."""
        if not self.config.strides:
            return self.base.synthesise(latents, quality, filters)
        if not self.config.latents:
            return self.latent_blocks.draw(latents)
        return F.pixel_shuffle(self.base.from_fine(latents), 8) / PIXEL_GAIN + PIXEL_MEAN

    def rate_weight(self, quality: Tensor) -> Tensor:
        """See `LatentCodec.rate_weight`."""
        return self.config.rate_weight(quality)

    # Training

    def forward(self, x: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """See `LatentCodec.forward`. In training some crops are drawn from a prefix of their levels.

        Those teach the synthesis what prefixes look like, and the means what is missing in them; what lies in a
        level is decided by whole files. Their error's gradient is weighted as that of a file which is about as good.
        """
        if not self.training:
            return super().forward(x, quality)
        size = (x.shape[2], x.shape[3])
        cut = torch.rand(len(x), device=x.device) < PREFIX_SHARE
        before_blocks = sum(self.config.blocks) - (not self.config.latents)
        shares = [*(CUT_AT if self.config.latents else ()), *[CUT_BEFORE_BLOCKS] * before_blocks]
        cut_at = torch.multinomial(torch.tensor(shares), len(x), replacement=True).to(x.device)
        late = (cut_at == len(CUT_AT) - 1)[:, None, None, None]
        threshold = torch.where(late, _drawn(8 * PARTS, REFINED_TO, x), _drawn(REFINED_FROM, 42 * PARTS, x))
        y, seen = self._analyse(x, quality)
        coder = RateEstimator(noise=True)
        thresholds = [threshold, *(torch.full_like(threshold, each) for each in (ALL_SECOND, LAST))]
        found, qualities = list[tuple[Tensor, Tensor]](), quality
        levels = self.code_levels(lambda: coder, y, size, quality, thresholds, seen=seen)
        for number, depth in enumerate(levels):
            here = ~cut if depth.whole else cut & (cut_at == number)
            if here.any():
                found.append((here[:, None, None, None], depth.latents()))
                qualities = torch.where(here, depth.quality, qualities)
        latents = found[0][1]
        for where, each in found[1:]:
            latents = torch.where(where, each, latents)
        x_hat = self.synthesise(latents, qualities)
        share = (self.rate_weight(qualities) / self.rate_weight(quality))[:, None, None, None]
        bits = torch.as_tensor(coder.bits)
        return share * x_hat + (1 - share) * x_hat.detach(), torch.where(cut, bits.detach(), bits)

    def start_from_model(self, other: Codec, crops: Tensor) -> None:
        """See `LatentCodec.start_from_model`: the transforms and contexts of a trained `hyperprior`."""
        if not self.config.latents:
            super().start_from_model(other, crops)
        self.base.load_exported(other.exported())
        start_levels(self, crops)

    # Coding

    def encode(
        self, x: Tensor, quality: Tensor, options: Any, watch: Watch | None = None
    ) -> list[tuple[Stream, ...]]:
        """See `PictureCodec.encode`."""
        size = (x.shape[2], x.shape[3])
        pairs = zip(x, torch.split(quality, 1), strict=True)
        return [self.encode_parts(tensor_source(one, size), each, options, watch) for one, each in pairs]

    def encode_parts(
        self, source: PixelSource, quality: Tensor, options: Any, watch: Watch | None = None
    ) -> tuple[Stream, ...]:
        """See `PictureCodec.encode_parts`. Slices end at the same thresholds in all tiles."""
        thorough = options.effort >= EFFORT_THOROUGH
        tiles, whole = self._tiles(source.size), Window.whole(source.size)
        everywhere, several = range(len(tiles)), len(tiles) > 1
        seen: list[_Seen] = []

        def see(number: int) -> _Seen:
            tile = tiles[number]
            around = tile.grown(LATENT_SIDE * self.base.reach[0], whole) if several else tile
            x, inside = source.part(around), tile.seen_from(around)
            areas, filled = PlainAreas.none(tile.size), None
            if not self.config.strides:
                found = plan_areas(self.base, inside.of(x), quality, thorough=thorough)  # in one slice: sooner
                areas = found.areas
                if areas.any and (several or not areas.cover_all):
                    x, filled = x.clone(), found.x
                    inside.of(x).copy_(filled.mean((2, 3), keepdim=True) if areas.cover_all else filled)
            y, features = self._analyse(x, quality)
            if y is not None:
                y = inside.in_units(LATENT_SIDE).of(y).contiguous()
            return _Seen(tile.size, quality, areas, filled, y, features)

        def end(number: int) -> tuple[Stream, ...]:
            (writers, latents), areas, filled = written[number], seen[number].areas, seen[number].filled
            if not self.config.strides and not plain:
                x = source.part(tiles[number])
                fitted = x if filled is None else filled
                (matrix,) = self.base.code_filters(
                    [writers[-1]], fitted, latents, quality, fit=thorough, quick=several
                )
                if areas.have_residual:
                    x_hat = self.synthesise(latents, quality, [matrix]).float()
                    areas.code_residual(writers[-1], x[0], x_hat[0], float(self.rate_weight(quality)))
            streams = [writer.finish() for writer in writers]
            if any(one.areas.any for one in seen):
                streams.insert(COARSE_LEVELS, _areas_level(areas, seen[number].size))
            return tuple(streams)

        with TilePool(quality.device, alone=not several) as pool:

            def write(thresholds: Sequence[int]) -> list[tuple[list[PictureWriter], Tensor]]:
                levels = COARSE_LEVELS if plain else None
                return list(pool.map(lambda one: self._write(one, thresholds, thorough, levels), seen))

            seen += pool.map(see, everywhere)
            plain = all(one.areas.cover_all for one in seen)  # and nothing of the slices would be seen
            thresholds: list[int] = []
            if self.config.latents and not plain:
                costs = Costs.of_all(list(pool.map(self._look, seen)))
                thresholds = plan(costs, options.slices)
            written = write(thresholds)
            if thresholds and thorough:
                lengths = [[len(writer.finish().data) for writer in writers] for writers, _ in written]
                sizes = [sum(each) for each in zip(*lengths, strict=True)][: COARSE_LEVELS + len(thresholds)]
                better = corrected(costs, options.slices, thresholds, sizes)
                if better != thresholds:
                    written = write(better)
            streams = list(pool.map(end, everywhere))
        return together(streams) if several else streams[0]

    def _tiles(self, size: tuple[int, int]) -> Tiling:
        """How a picture of H, W is cut; latent blocks see all of it at once."""
        return Tiling((0, size[0]), (0, size[1])) if self.config.strides else Tiling.of(size)

    def _write(
        self, seen: _Seen, thresholds: Sequence[int], thorough: bool, levels: int | None
    ) -> tuple[list[PictureWriter], Tensor]:
        """Write a tile's levels, so many at most, with slices of these thresholds; gives its latents, too."""
        writers: list[PictureWriter] = []

        def next_coder() -> Coder | None:
            if len(writers) == levels:
                return None
            writers.append(PictureWriter())
            return LeastCost(writers[-1]) if thorough else writers[-1]

        ends = [_everywhere(each, seen.quality) for each in thresholds]
        *_, last = self.code_levels(next_coder, seen.y, seen.size, seen.quality, ends, seen=seen.features)
        return writers, last.latents()

    @torch.no_grad()
    def _look(self, seen: _Seen) -> Costs:
        """What a tile's symbols cost, in a single slice."""
        look, estimator, ends = Look(), RateEstimator(noise=False), [_everywhere(LAST, seen.quality)]
        *_, _ = self.code_levels(
            lambda: estimator, seen.y, seen.size, seen.quality, ends, look.add, seen=seen.features
        )
        return look.costs(float(estimator.bits))

    def decode(self, streams: Sequence[tuple[Stream, ...]], size: tuple[int, int], quality: Tensor) -> Tensor:
        """See `PictureCodec.decode`."""
        pairs = zip(streams, torch.split(quality, 1), strict=True)
        return torch.cat([self._decode_one(own, size, each) for own, each in pairs])

    def _decode_one(self, streams: tuple[Stream, ...], size: tuple[int, int], quality: Tensor) -> Tensor:
        if len(self._tiles(size)) > 1:
            x_hat = torch.zeros((1, 3, *size), dtype=torch.float32, device=quality.device)
            lay_out(self.decode_parts(streams, size, quality, Window.whole(size)), x_hat[0])
            return x_hat
        found = self._read(streams, Window.whole(size), quality)
        assert found.latents is not None
        x_hat = self.synthesise(found.latents, found.quality, [found.matrix])
        if not found.areas.any:
            return x_hat
        return found.areas.lay_over(x_hat[0].float(), found.residual, float(self.rate_weight(quality)))[None]

    def decode_parts(
        self, streams: Sequence[Stream | None], size: tuple[int, int], quality: Tensor, window: Window
    ) -> Iterator[tuple[Window, Tensor | None]]:
        """See `PictureCodec.decode_parts`."""
        tiles = self._tiles(size)
        if len(tiles) == 1:
            yield from super().decode_parts(streams, size, quality, window)
            return
        parts = apart([stream for stream in streams if stream is not None], len(tiles))

        def read(number: int, wanted: Window | None) -> Tile:
            return self._read(parts[number], tiles[number], quality)

        yield from decode_tiles(self, read, tiles, window, reach=self.base.reach[1], device=quality.device)

    def _read(self, streams: Sequence[Stream], window: Window, quality: Tensor) -> Tile:
        """What the levels of a picture or a tile give."""
        size = window.size
        areas = PlainAreas.none(size)
        left, readers = iter(streams), list[PictureReader]()

        def next_coder() -> Coder | None:
            stream = next(left, None)
            if stream is None:
                return None
            readers.append(PictureReader(stream))
            return readers[-1]

        def read_plain(coder: Coder) -> None:
            nonlocal areas
            areas = PlainAreas.code(coder, None, size)
            readers[-1].finish()

        depth = matrix = residual = None
        for depth in self.code_levels(next_coder, None, size, quality, read_plain=read_plain):
            if depth.whole:
                (matrix,) = self.code_filters([readers[-1]], None, depth.latents(), quality)
                residual = areas.code_residual(readers[-1], None, None, float(self.rate_weight(quality)))
            readers[-1].finish()
        if depth is None or len(readers) < len(streams):
            raise CorruptError(
                f"the picture has {len(streams)} levels, not the {len(readers)} that are all; copy it again"
            )
        return Tile(window, depth.quality, areas, depth.latents(), matrix, residual)


@dataclass(frozen=True)
class _Seen:
    """What the encoder sees of a picture or a tile.

    Attributes:
        size: H, W.
        quality: int64 (1,), half steps.
        areas: those that are coded plainly.
        filled: (1, 3, H, W) with a smooth fill where such areas hide what is decoded; None: there are none.
        y: latents, if there are any.
        features: what latent blocks see, if there are any.

    """

    size: tuple[int, int]
    quality: Tensor
    areas: PlainAreas
    filled: Tensor | None
    y: Tensor | None
    features: Sequence[Tensor] | None


def _areas_level(areas: PlainAreas, size: tuple[int, int]) -> Stream:
    """The level of a picture's plain areas."""
    writer = PictureWriter()
    writer.code(torch.full((1, 1, 1, 1), float(PLAIN)), any_threshold(1, torch.int64, torch.device("cpu")))
    PlainAreas.code(writer, areas, size)
    return writer.finish()


def _drawn(least: int, above: int, x: Tensor) -> Tensor:
    """Random thresholds, each of a crop."""
    return torch.randint(least, above, (len(x), 1, 1, 1), device=x.device)


def _everywhere(threshold: int, quality: Tensor) -> Tensor:
    """A slice's threshold for each of a batch."""
    return torch.full((len(quality), 1, 1, 1), threshold, device=quality.device)


def _with_first(nothing: Tensor, first: Tensor) -> Tensor:
    """Latents of which the first are given, and the others are zero."""
    return torch.cat([first, nothing[:, first.shape[1] :]], 1)
