"""A hierarchical VAE: a picture coded coarse to fine, of which every prefix of whole levels is a picture.

    x ─ analysis (as hyperprior's) ─ y (1/16) ─┬─ squares of 4x4 of the first latents ─ [level 1/64] ─ P
                                               ├─ squares of 2x2 of what P leaves ──── [level 1/32] ─ P, better
                                               └─ [levels of 1/16: hyper-latents, then slices by falling scale] ─ ŷ
    x̂ ─ synthesis (as hyperprior's) ─ ŷ of the levels that are there, means for what is missing

Each level is conditioned on all above: means by float networks that see what is decoded (missing residuals are zero:
the mean stands in), scales by integer networks that see symbols alone. What is rounded is the residual, y − μ.

A slice has all elements whose scale, as it is predicted from the slices before and from the passes before in the
same slice, is at least the slice's threshold; in four passes, as hyperprior's. Symbols of large scales are coded in
two parts: the nearest multiple of three in their slice, the rest in slices of second parts, which come before those
of small scales. So early levels hold what lowers the error most for its bits.
Sources: QRes-VAE and QARV, Duan et al. 2023; elements by falling scale, Presta et al. 2023 and others; ternary
refinement, DPICT, Lee et al. 2022.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nicodec.codecs.base import Codec, Packets, Watch
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
    PART_BITS,
    PARTS,
    POSITIONS,
    REFINED_AT,
    REFINED_FROM,
    REFINED_TO,
    Costs,
    Look,
    corrected,
    plan,
)
from nicodec.codecs.hyper_latents import code_hyper_latents, index_of
from nicodec.codecs.hyperprior import Hyperprior, HyperpriorConfig
from nicodec.codecs.latent import EFFORT_DEFAULT, EFFORT_MAX, EFFORT_THOROUGH, LatentCodec, LatentOptions
from nicodec.codecs.options import option
from nicodec.entropy.coder import (
    Coder,
    LeastCost,
    PictureReader,
    PictureWriter,
    RateEstimator,
    Stream,
)
from nicodec.entropy.priors import SPLIT_RATIO, SPLIT_STEPS, Categorical, ScaleMixture, SecondPart
from nicodec.entropy.tables import SCALE_STEP
from nicodec.errors import CorruptError
from nicodec.exact.anchors import ANCHOR_SPACING, ANCHORS, QUALITY_STEPS
from nicodec.exact.symbols import magnitude_features, signed_features
from nicodec.layers.contexts import LAST_PASS, ScaleContext, learn, pass_channels, passes
from nicodec.layers.quality import QualityTable

HIGH_BELOW = 24 * PARTS
"""Only slices of smaller thresholds have channels from `split` on: hardly one of theirs has such a scale."""

PREFIX_SHARE, CUT_AT = 0.4, (0.1, 0.1, 0.4, 0.4)
"""Of training crops, those that are drawn from a prefix of the levels; and of these those that end with the level of
1/64, with that of 1/32, with a slice, and with second parts."""

QUALITY_FROM, HALF_STEPS_A_SCALE = 16 * PARTS, 9
"""A prefix that lacks scales below one from so many on is like a whole file of so much less quality."""

START_CROPS, START_ANCHORS = 16, (0, (ANCHORS - 1) // 2, ANCHORS - 1)
"""What is fitted at the start: so many crops, at so many anchors of the quality."""

START_SHARES = torch.linspace(0, 1, 21, dtype=torch.float32)
"""Shares of the coarse levels' prediction in the means that are tried."""

SOFT = 0.3
"""Added to magnitudes whose logarithms are compared."""


@dataclass(frozen=True)
class HvaeConfig(HyperpriorConfig):
    """Sizes of the network: of hyperprior's parts, and of the coarse levels."""

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


@dataclass(frozen=True)
class Depth:
    """What is known once a level is decoded.

    Attributes:
        latents: gives (B, latents, H/16, W/16), means where nothing is decoded; to be called before the traversal
            goes on.
        quality: int64 (B,), half steps: that of a whole file which is about as good.
        whole: whether this was the last level.

    """

    latents: Callable[[], Tensor]
    quality: Tensor
    whole: bool = False


NextCoder = Callable[[], Coder | None]
"""Gives what the next level's symbols are handed to; None: there are no more."""


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
        if c.mixture != 1 or c.pictured > c.split:
            raise ValueError("hvae takes one Gaussian a symbol, and its coarse levels no more latents than `split`")
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
    ) -> Iterator[Depth]:
        """Hand all symbols to coders, level by level, and tell what is known after each.

        Args:
            next_coder: asked once for each level.
            y: latents (B, latents, H/16, W/16) when encoding or training, None when decoding.
            size: H, W.
            quality: int64 (B,), half steps 0..200.
            thresholds: of the slices when encoding, each int64 (B, 1, 1, 1): they fall to LAST; but after one of
                REFINED_FROM to REFINED_TO come those of second parts, which fall to ALL_SECOND.
            watch: told of every pass's positions on the scale axis, symbols, and which elements are coded.

        """
        c, batch = self.config, len(quality)
        height, width = size[0] // 16, size[1] // 16
        nothing = torch.zeros((batch, c.latents, height, width), dtype=torch.float32, device=quality.device)

        coder = next_coder()
        if coder is None:
            return
        seen = None if y is None else y[:, : c.pictured]
        shape = (batch, c.top_latents, height // TOP_FACTOR, width // TOP_FACTOR)
        symbols = coder.code(None if seen is None else self.top.components(seen), self.top_prior(shape, quality))
        predicted = self.top(symbols)
        top_magnitudes = magnitude_features(symbols, self.training)
        yield Depth(partial(_with_first, nothing, predicted), torch.zeros_like(quality))

        coder = next_coder()
        if coder is None:
            return
        indices = self.index_of(self.middle_prior(top_magnitudes, quality))
        value = None if seen is None else self.middle.components(seen - predicted)
        symbols = coder.code(value, ScaleMixture(indices))
        predicted = predicted + self.middle(symbols)
        middle_magnitudes = magnitude_features(symbols, self.training)
        coarse = torch.cat([enlarged(top_magnitudes, TOP_FACTOR), enlarged(middle_magnitudes, MIDDLE_FACTOR)], 1)
        yield Depth(partial(_with_first, nothing, predicted), torch.zeros_like(quality))

        coder = next_coder()
        if coder is None:
            return
        yield from _Slices(self, coder, next_coder, y, predicted, coarse, size, quality, thresholds, watch).walk()

    def index_of(self, parameters: Tensor) -> Tensor:
        """Scale indices of what integer networks give: real in training."""
        return parameters if self.training else index_of(parameters)

    def code_latents(self, coder: Coder, x: Tensor | None, size: tuple[int, int], quality: Tensor) -> Tensor:
        """See `LatentCodec.code_latents`: all levels, in slices of the usual thresholds."""
        y = None if x is None else self.base.analyse(x, quality)
        usual = (30 * PARTS, REFINED_AT, ALL_SECOND, LAST)
        thresholds = None if x is None else [_everywhere(each, quality) for each in usual]
        *_, last = self.code_levels(lambda: coder, y, size, quality, thresholds)
        return last.latents()

    def code_filters(
        self, coders: Sequence[Coder], x: Tensor | None, latents: Tensor, quality: Tensor, *, fit: bool = True
    ) -> list[Tensor | None]:
        """See `LatentCodec.code_filters`."""
        return self.base.code_filters(coders, x, latents, quality, fit=fit)

    def synthesise(self, latents: Tensor, quality: Tensor, filters: Sequence[Tensor | None] | None = None) -> Tensor:
        """See `LatentCodec.synthesise`."""
        return self.base.synthesise(latents, quality, filters)

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
        cut_at = torch.multinomial(torch.tensor(CUT_AT), len(x), replacement=True).to(x.device)
        late = (cut_at == len(CUT_AT) - 1)[:, None, None, None]
        threshold = torch.where(late, _drawn(8 * PARTS, REFINED_TO, x), _drawn(REFINED_FROM, 42 * PARTS, x))
        y = self.base.analyse(x, quality)
        coder = RateEstimator(noise=True)
        thresholds = [threshold, *(torch.full_like(threshold, each) for each in (ALL_SECOND, LAST))]
        latents, qualities = y, quality
        for number, depth in enumerate(self.code_levels(lambda: coder, y, size, quality, thresholds)):
            here = ~cut if depth.whole else cut & (cut_at == number)
            if not here.any():
                continue
            found = depth.latents()
            coarse = number < 2
            latents = torch.where(here[:, None, None, None], found.detach() if coarse else found, latents)
            qualities = torch.where(here, depth.quality, qualities)
        x_hat = self.synthesise(latents, qualities)
        share = (self.rate_weight(qualities) / self.rate_weight(quality))[:, None, None, None]
        bits = torch.as_tensor(coder.bits)
        return share * x_hat + (1 - share) * x_hat.detach(), torch.where(cut, bits.detach(), bits)

    @torch.no_grad()
    def start_from_model(self, other: Codec, crops: Tensor) -> None:
        """See `LatentCodec.start_from_model`: the transforms and contexts of a trained `hyperprior`."""
        self.base.load_exported(other.exported())
        self.base.eval()
        c = self.config
        quality = torch.randint(QUALITY_STEPS + 1, (len(crops),), device=crops.device)
        pairs = zip(torch.split(crops, 1), torch.split(quality, 1), strict=True)
        y = torch.cat([self._latents_of(*pair) for pair in pairs])
        seen = y[:, : c.pictured]
        top = self.top.start(seen, c.top_step)
        self.top_prior.start(top)
        left = seen - self.top(top)
        middle = self.middle.start(left, c.middle_step)
        self.middle_prior.start(middle)
        few = crops[:START_CROPS]
        found = [self._start_blend(few, anchor * ANCHOR_SPACING) for anchor in START_ANCHORS]
        for number in range(2):
            table, scales = self.blend[number], self.base.scale_context[number]
            assert isinstance(table, QualityTable)
            assert isinstance(scales, ScaleContext)
            shares, saved = (torch.stack([each[number][part] for each in found]) for part in range(2))
            table.anchors.copy_(_between(shares))
            scales.leave.bias[:, : c.pictured] -= _between(saved)
        self.train()

    def _latents_of(self, x: Tensor, quality: Tensor) -> Tensor:
        return self.base.analyse(x, quality).float()

    def _start_blend(self, crops: Tensor, half_steps: int) -> list[tuple[Tensor, Tensor]]:
        """How much of the coarse levels' prediction goes into the means of the first passes, and what that saves.

        Of each of two passes (pictured,) shares, and steps of the scale axis.
        """
        c, base = self.config, self.base
        quality = torch.full((len(crops),), half_steps, device=crops.device)
        y = self._latents_of(crops, quality)
        seen = y[:, : c.pictured]
        predicted = self.top(self.top.components(seen).round())
        predicted = predicted + self.middle(self.middle.components(seen - predicted).round())
        gain, scale_out = base.log_gain(quality).exp(), base.log_inverse_gain(quality).exp() / base.deviation
        y = y * gain
        z = base.hyper_analysis(torch.asinh(y), quality).round()
        features = base.mean_hyper(z, quality)
        y_hat: list[Tensor] = []
        found = []
        shape = (len(y), c.latents, y.shape[2], y.shape[3])
        for number, (own, where) in zip(range(2), passes(shape, c.split, crops.device), strict=False):
            mean = base.mean_context[number](features, y_hat, quality).float() * (base.deviation * gain)[:, own]
            learn(y_hat, number, ((y[:, own] - mean).round() + mean) * scale_out[:, own] * where)
            rest = (y[:, own] - mean)[:, : c.pictured]
            better = predicted * gain[:, : c.pictured] - mean[:, : c.pictured]
            here = where[:, : c.pictured]
            logs = [torch.log((rest - share * better).abs() + SOFT) * here for share in START_SHARES.tolist()]
            count = here.sum((0, 2, 3)) * len(rest)
            means = torch.stack([each.sum((0, 2, 3)) / count for each in logs])
            least, place = means.min(0)
            found.append((START_SHARES.to(place.device)[place], (means[0] - least) / SCALE_STEP))
        return found

    # Coding

    def encode(
        self, x: Tensor, quality: Tensor, options: Any, watch: Watch | None = None
    ) -> list[tuple[Stream, ...]]:
        """See `PictureCodec.encode`."""
        pairs = zip(torch.split(x, 1), torch.split(quality, 1), strict=True)
        return [self._encode_one(picture, each, options) for picture, each in pairs]

    def _encode_one(self, x: Tensor, quality: Tensor, options: HvaeOptions) -> tuple[Stream, ...]:
        size, thorough = (x.shape[2], x.shape[3]), options.effort >= EFFORT_THOROUGH
        y = self.base.analyse(x, quality)
        costs = self._look(y, size, quality)
        thresholds = plan(costs, options.slices)
        writers, last = self._write(y, size, quality, thresholds, thorough)
        if thorough:
            sizes = [len(writer.finish().data) for writer in writers]
            better = corrected(costs, options.slices, thresholds, sizes)
            if better != thresholds:
                writers, last = self._write(y, size, quality, better, thorough)
        self.code_filters([writers[-1]], x, last.latents(), quality, fit=thorough)
        return tuple(writer.finish() for writer in writers)

    def _write(
        self, y: Tensor, size: tuple[int, int], quality: Tensor, thresholds: Sequence[int], thorough: bool
    ) -> tuple[list[PictureWriter], Depth]:
        """Write a picture's levels with slices of these thresholds."""
        writers: list[PictureWriter] = []

        def next_coder() -> Coder:
            writers.append(PictureWriter())
            return LeastCost(writers[-1]) if thorough else writers[-1]

        *_, last = self.code_levels(next_coder, y, size, quality, [_everywhere(each, quality) for each in thresholds])
        return writers, last

    @torch.no_grad()
    def _look(self, y: Tensor, size: tuple[int, int], quality: Tensor) -> Costs:
        """What the picture's symbols cost, in a single slice."""
        look, estimator = Look(), RateEstimator(noise=False)
        *_, _ = self.code_levels(lambda: estimator, y, size, quality, [_everywhere(LAST, quality)], look.add)
        return look.costs(float(estimator.bits))

    def decode(self, streams: Sequence[tuple[Stream, ...]], size: tuple[int, int], quality: Tensor) -> Tensor:
        """See `PictureCodec.decode`."""
        pairs = zip(streams, torch.split(quality, 1), strict=True)
        return torch.cat([self._decode_one(own, size, each) for own, each in pairs])

    def _decode_one(self, streams: tuple[Stream, ...], size: tuple[int, int], quality: Tensor) -> Tensor:
        left, readers = iter(streams), list[PictureReader]()

        def next_coder() -> Coder | None:
            stream = next(left, None)
            if stream is None:
                return None
            readers.append(PictureReader(stream))
            return readers[-1]

        depth, matrices = None, None
        for depth in self.code_levels(next_coder, None, size, quality):
            if depth.whole:
                matrices = self.code_filters([readers[-1]], None, depth.latents(), quality)
            readers[-1].finish()
        if depth is None or len(readers) < len(streams):
            raise CorruptError(
                f"the picture has {len(streams)} levels, not the {len(readers)} that are all; copy it again"
            )
        return self.synthesise(depth.latents(), depth.quality, matrices)


class _Slices:
    """The levels of 1/16 of one call of the traversal, and what is known meanwhile."""

    def __init__(
        self,
        codec: Hvae,
        coder: Coder,
        next_coder: NextCoder,
        y: Tensor | None,
        predicted: Tensor,
        coarse: Tensor,
        size: tuple[int, int],
        quality: Tensor,
        thresholds: Sequence[Tensor] | None,
        watch: Callable[[Tensor, Tensor, Tensor], None] | None,
    ) -> None:
        """See `Hvae.code_levels`.

        `coder`: of the first slice; `predicted`: (B, pictured, H/16, W/16), what the coarse levels say; `coarse`:
        magnitudes of their symbols at 1/16.
        """
        self.codec, self.coder, self.next_coder, self.quality = codec, coder, next_coder, quality
        self.thresholds = None if thresholds is None else iter(thresholds)
        self.training, self.watch, self.coarse = codec.training, watch, coarse
        c, base = codec.config, codec.base
        gain = base.log_gain(quality).exp()
        self.scale_in = base.deviation * gain
        self.scale_out = base.log_inverse_gain(quality).exp() / base.deviation
        self.y = None if y is None else y * gain
        self.shape = (len(quality), c.latents, size[0] // 16, size[1] // 16)
        self.predicted = predicted * gain[:, : c.pictured]
        self.near = predicted / base.deviation[: c.pictured]
        low, high = pass_channels(c.latents, c.split)[1][0], pass_channels(c.latents, c.split)[2][0]
        nothing = torch.zeros(self.shape, dtype=torch.float32, device=quality.device)
        # Of the channels below `split`, and of the others: decoded values and symbols, zero where unknown; which are
        # known, which await their second part, and the scales and positions that those had; and the values with
        # means for what is missing, in deviations.
        self.own = [low, high]
        self.symbols = [nothing[:, each].contiguous() for each in self.own]
        self.values = [_channels_last(each) for each in self.symbols]  # as float networks like them
        self.known = [torch.zeros_like(each, dtype=torch.bool) for each in self.symbols]
        self.split = [torch.zeros_like(each, dtype=torch.bool) for each in self.symbols]
        kind = torch.float32 if self.training else torch.int16
        self.indices = [torch.zeros_like(each, dtype=kind) for each in self.symbols]
        self.positions = [torch.zeros_like(each) for each in self.indices]
        self.filled: list[Tensor] = []
        self.second_parts = self.refined = False  # whether a slice of them is next, and whether they are done
        self.passes = list(passes(self.shape, c.split, quality.device))
        contexts = (context for context in base.scale_context if isinstance(context, ScaleContext))
        self.scale_context = [context.at(quality) for context in contexts]
        self.mean_features = self.scale_features = self.seen_features = nothing

    def walk(self) -> Iterator[Depth]:
        """See `Hvae.code_levels`."""
        base = self.codec.base
        threshold = self._next_threshold()
        z_hat = self._hyper_latents()
        self.mean_features = base.mean_hyper(z_hat, self.quality)
        self.scale_features = base.scale_hyper(signed_features(z_hat, self.training), self.quality)
        first = threshold  # of the last slice that is not of second parts
        while True:
            if self.second_parts:
                self._refine(threshold)
            else:
                first = threshold
                if not self.training and bool((threshold < REFINED_FROM).all()):
                    self.refined = True  # or there is nothing to refine
                self._slice(threshold)
            if bool((threshold <= LAST).all()):
                yield Depth(self._latents, self.quality, whole=True)
                return
            yield Depth(self._known_latents, self._quality_at(first))
            if not self._goes_on():
                return
            threshold = self._next_threshold(*self._turn(first, threshold))

    def _turn(self, first: Tensor, threshold: Tensor) -> tuple[int, int]:
        """Find out what comes next. Returns the least threshold that it can have, and one above the largest."""
        if self.second_parts:
            if not bool((threshold <= ALL_SECOND).all()):
                return ALL_SECOND, int(threshold.max())
            self.second_parts, self.refined = False, True
        elif not self.refined and (self.training or bool((first <= REFINED_TO).all())):
            self.second_parts = True
            return ALL_SECOND, POSITIONS
        largest = int(first.max())
        return (0 if self.refined else REFINED_FROM), largest

    def _latents(self) -> Tensor:
        """What is known when all is, (B, latents, H/16, W/16)."""
        return torch.cat(self.filled, 1) * self.codec.base.deviation

    def _known_latents(self) -> Tensor:
        """What is known, (B, latents, H/16, W/16); where nothing is, means of all that is.

        In training no gradient goes into what is decoded.
        """
        self._see([value.detach() for value in self.values], self.mean_features.detach())
        filled: list[Tensor] = []
        for number, (own, where) in enumerate(self.passes):
            kind = number // 2
            mean = self._mean(number, filled, self.predicted.detach())
            found = torch.where(_channels_last(self.known[kind]), self.values[kind].detach(), mean)
            learn(filled, number, found * self.scale_out[:, own].detach() * _channels_last(where))
        return torch.cat(filled, 1) * self.codec.base.deviation

    def _see(self, values: Sequence[Tensor], features: Tensor) -> None:
        """Set what means come from: hyper-latents' features, and values that are known."""
        known = torch.cat(list(values), 1) * self.scale_out
        self.seen_features = features + self.codec.more_for_means(known, self.near)

    def _goes_on(self) -> bool:
        """Take the next level's coder, if there is one."""
        coder = self.next_coder()
        if coder is not None:
            self.coder = coder
        return coder is not None

    def _next_threshold(self, least: int = 0, above: int = POSITIONS) -> Tensor:
        """Code a slice's threshold, int64 (B, 1, 1, 1).

        Raises:
            CorruptError: it is less than `least`, or not below `above`.

        """
        kind = torch.float32 if self.training else torch.int64  # the logits'
        logits = torch.zeros((self.shape[0], POSITIONS, 1, 1, 1), dtype=kind, device=self.quality.device)
        given = None if self.thresholds is None else next(self.thresholds).float()
        found = self.coder.code(given, Categorical(logits)).to(torch.int64)
        if not self.training and bool(((found < least) | (found >= above)).any()):
            raise CorruptError("the slices of the picture are out of order; fetch or copy the file again")
        return found.clamp(min=LAST)

    def _quality_at(self, threshold: Tensor) -> Tensor:
        """The quality at which a whole file leaves out what is below a threshold, in half steps."""
        lower = (threshold.flatten() - QUALITY_FROM) * HALF_STEPS_A_SCALE // PARTS
        return (self.quality - lower.clamp(min=0)).clamp(min=0)

    def _hyper_latents(self) -> Tensor:
        base, shape = self.codec.base, self.shape
        z = None if self.y is None else base.hyper_analysis(torch.asinh(self.y), self.quality)
        z_shape = (shape[0], self.codec.config.hyper_latents, shape[2] // 4, shape[3] // 4)
        return code_hyper_latents(
            self.coder, z, z_shape, self.quality, base.z_model, base.hyper_context, training=self.training
        )

    def _slice(self, threshold: Tensor) -> None:
        """Code one slice."""
        codec, quality = self.codec, self.quality
        whole, above = bool((threshold <= LAST).all()), bool((threshold >= HIGH_BELOW).all())
        self._see(self.values, self.mean_features)
        before = magnitude_features(torch.cat(self.symbols, 1), self.training)
        scale_features = codec.more_for_scales(self.scale_features, before, self.coarse, quality)
        self.filled, magnitudes = [], list[Tensor]()
        for number, (own, where) in enumerate(self.passes):
            kind = number // 2
            if kind == 1 and not whole:
                if above or number == LAST_PASS:
                    break
                where = (threshold < HIGH_BELOW).expand_as(self.known[1])
            mean = self._mean(number, self.filled, self.predicted)
            parameters = self.scale_context[number](scale_features, magnitudes)[:, 0]
            self._pass(kind, own, where, mean, parameters, threshold)
            now = torch.where(_channels_last(self.known[kind]), self.values[kind], mean) * self.scale_out[:, own]
            learn(self.filled, number, now * _channels_last(where) if whole or kind == 0 else now)
            if number < LAST_PASS:
                learn(magnitudes, number, magnitude_features(self.symbols[kind] * where, self.training))

    def _mean(self, number: int, y_hat: Sequence[Tensor], predicted: Tensor) -> Tensor:
        """Means of a pass, of the groups before, and of what the coarse levels say."""
        codec, own = self.codec, self.passes[number][0]
        mean: Tensor = codec.base.mean_context[number](self.seen_features, y_hat, self.quality).float()
        mean = mean * self.scale_in[:, own]
        if number >= len(codec.blend):
            return mean
        pictured = predicted.shape[1]
        first = mean[:, :pictured]
        first = first + codec.blend[number](self.quality) * (predicted - first)
        return torch.cat([first, mean[:, pictured:]], 1)

    def _pass(
        self, kind: int, own: slice, where: Tensor, mean: Tensor, parameters: Tensor, threshold: Tensor
    ) -> None:
        """Code the elements of one pass that belong to the slice."""
        if self.training:
            index = parameters
            position = (PARTS * parameters.detach() + PARTS // 2).clamp(0, POSITIONS - 1)
        else:
            position = (parameters + PARTS // 2).clamp_(0, POSITIONS - 1).to(torch.int16)
            index = position >> PART_BITS
        here = position >= torch.where(threshold <= LAST, 0, threshold).to(position.dtype)
        here = here & where & ~self.known[kind]
        value = None if self.y is None else self.y[:, own] - mean
        if not self.refined:
            split = here & (position >= ALL_SECOND) & (threshold >= REFINED_FROM)
            unit = torch.where(split, float(SPLIT_RATIO), 1.0)
            lowered = torch.where(split, index - SPLIT_STEPS, index)
            if value is not None:
                # The whole symbol is chosen; its first part is what that is nearest to.
                value = torch.where(split, self.coder.choose(value, ScaleMixture(index, split)), value) / unit
            found = self.coder.code(value, ScaleMixture(lowered, here)) * unit
            self.indices[kind] = torch.where(split, index, self.indices[kind])
            self.positions[kind] = torch.where(split, position, self.positions[kind])
            self.split[kind] = self.split[kind] | split
        else:
            found = self.coder.code(value, ScaleMixture(index, here))
        if self.watch is not None:
            self.watch(position.to(torch.int64), found, here & (index > 0))
        self.symbols[kind] = self.symbols[kind] + found  # which is zero elsewhere, as those were here
        self.values[kind] = torch.where(_channels_last(here), _channels_last(found) + mean, self.values[kind])
        self.known[kind] = self.known[kind] | here

    def _refine(self, threshold: Tensor) -> None:
        """Code a slice of second parts."""
        for kind, own in enumerate(self.own):
            symbols, positions = self.symbols[kind], self.positions[kind]
            here = self.split[kind] & (positions >= threshold.to(positions.dtype))
            away = torch.where(symbols < 0, -1.0, 1.0)
            magnitude = torch.where(here, (symbols.detach().abs() / SPLIT_RATIO).round(), 0.0)
            value = None
            if self.y is not None:
                value = ((self.y[:, own] - self.values[kind]) * away).clamp(-1, 1)
            found = self.coder.code(value, SecondPart(self.indices[kind], magnitude, here)) * away
            self.symbols[kind] = symbols + found
            self.values[kind] = self.values[kind] + _channels_last(found)
            self.split[kind] = self.split[kind] & ~here


def _between(values: Tensor) -> Tensor:
    """Values (START_ANCHORS, C) at all anchors, linear between those."""
    place = torch.arange(ANCHORS, device=values.device) / (ANCHORS - 1) * (len(values) - 1)
    below = place.floor().clamp(max=len(values) - 2).to(torch.int64)
    part = (place - below)[:, None]
    return values[below] * (1 - part) + values[below + 1] * part


def _drawn(least: int, above: int, x: Tensor) -> Tensor:
    """Random thresholds, each of a crop."""
    return torch.randint(least, above, (len(x), 1, 1, 1), device=x.device)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _everywhere(threshold: int, quality: Tensor) -> Tensor:
    """A slice's threshold for each of a batch."""
    return torch.full((len(quality), 1, 1, 1), threshold, device=quality.device)


def _with_first(nothing: Tensor, first: Tensor) -> Tensor:
    """Latents of which the first are given, and the others are zero."""
    return torch.cat([first, nothing[:, first.shape[1] :]], 1)
