"""The levels of `hvae` on the grid of 1/16: slices by falling scale, and what is known after each.

A slice has all elements whose scale, as it is predicted from the slices before and from the passes before in the
same slice, is at least the slice's threshold; in four passes, as hyperprior's. Symbols of large scales are coded in
two parts: the nearest multiple of three in their slice, the rest in slices of second parts, which come before those
of small scales. So early levels hold what lowers the error most for its bits.
Sources: elements by falling scale, Presta et al. 2023 and others; ternary refinement, DPICT, Lee et al. 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nicodec.codecs.hvae_plan import (
    ALL_SECOND,
    LAST,
    PART_BITS,
    PARTS,
    PLAIN,
    POSITIONS,
    REFINED_FROM,
    REFINED_TO,
    any_threshold,
)
from nicodec.codecs.hyper_latents import code_hyper_latents
from nicodec.entropy.coder import Coder
from nicodec.entropy.priors import SPLIT_RATIO, SPLIT_STEPS, ScaleMixture, SecondPart
from nicodec.errors import CorruptError
from nicodec.exact.symbols import magnitude_features, signed_features
from nicodec.layers.contexts import LAST_PASS, ScaleContext, learn, pass_channels, passes

if TYPE_CHECKING:
    from nicodec.codecs.hvae import Hvae

HIGH_BELOW = 24 * PARTS
"""Only slices of smaller thresholds have channels from `split` on: hardly one of theirs has such a scale."""

QUALITY_FROM, HALF_STEPS_A_SCALE = 16 * PARTS, 9
"""A prefix that lacks scales below one from so many on is like a whole file of so much less quality."""


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


class Slices:
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
        read_plain: Callable[[Coder], None] | None,
    ) -> None:
        """See `Hvae.code_levels`.

        `coder`: of the first slice; `predicted`: (B, pictured, H/16, W/16), what the coarse levels say; `coarse`:
        magnitudes of their symbols at 1/16.
        """
        self.codec, self.coder, self.next_coder, self.quality = codec, coder, next_coder, quality
        self.thresholds = None if thresholds is None else iter(thresholds)
        self.training, self.watch, self.coarse = codec.training, watch, coarse
        self.read_plain = read_plain
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
        self.whole = False
        self.second_parts = self.refined = False  # whether a slice of them is next, and whether they are done
        self.passes = list(passes(self.shape, c.split, quality.device))
        contexts = (context for context in base.scale_context if isinstance(context, ScaleContext))
        self.scale_context = [context.at(quality) for context in contexts]
        self.mean_features = self.scale_features = self.seen_features = nothing

    def walk(self) -> Iterator[Depth]:
        """See `Hvae.code_levels`."""
        base = self.codec.base
        threshold = self._next_threshold()
        if self.read_plain is not None and bool((threshold == PLAIN).all()):
            self.read_plain(self.coder)
            if not self._goes_on():
                return
            threshold = self._next_threshold()
        threshold = threshold.clamp(min=LAST)
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
                self.whole = True
                yield self.codec.depth(self.latents, self.quality, whole=True)
                return
            yield self.codec.depth(self._known_latents, self._quality_at(first))
            if not self._goes_on():
                return
            threshold = self._next_threshold(*self._turn(first, threshold)).clamp(min=LAST)

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

    def latents(self) -> Tensor:
        """What is known when all is, (B, latents, H/16, W/16)."""
        return torch.cat(self.filled, 1) * self.codec.base.deviation

    def magnitudes(self) -> Tensor:
        """Those of all symbols, (B, latents, H/16, W/16), activations."""
        return magnitude_features(torch.cat(self.symbols, 1), self.training)

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
        kind = torch.float32 if self.training else torch.int64
        given = None if self.thresholds is None else next(self.thresholds).float()
        found = self.coder.code(given, any_threshold(len(self.quality), kind, self.quality.device)).to(torch.int64)
        if not self.training and bool(((found < least) | (found >= above)).any()):
            raise CorruptError("the slices of the picture are out of order; fetch or copy the file again")
        return found

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
        scale_features = codec.more_for_scales(self.scale_features, self.magnitudes(), self.coarse, quality)
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


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
