"""Picture codecs with latents: one traversal, from which loss, encoder, decoder and refinement follow."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nicodec.areas.plain import PlainAreas
from nicodec.codecs.base import Codec, PictureCodec, Progress, Watch
from nicodec.codecs.options import Options, option
from nicodec.codecs.refinement import refine
from nicodec.codecs.safe_way import Traversal, plan_areas, write_planned
from nicodec.entropy.coder import Coder, LeastCost, RateEstimator, Replay, Stream, StreamDecoder, StreamEncoder

EFFORT_DEFAULT, EFFORT_MAX = 7, 9
EFFORT_THOROUGH = 4
"""From this effort on the encoder rounds to symbols of least cost, and fits a filter to the decoded picture."""

REFINEMENT = {8: 50, EFFORT_MAX: 100}
"""Steps in which an encoder refines its symbols, by effort; the decoder does not notice."""


@dataclass(frozen=True)
class LatentOptions(Options):
    """What the encoder of a codec with latents can be asked for."""

    effort: int = option(
        EFFORT_DEFAULT,
        "9 refines each picture for one or two minutes a megapixel, 8 for half of that; 1 to 3 take half as long as "
        "7. Decodes as fast.",
        low=1,
        high=EFFORT_MAX,
        short="-e",
        metavar="1..9",
    )


class LatentCodec(PictureCodec):
    """A network with one traversal, `code_latents`; the rest follows."""

    Options = LatentOptions

    @abstractmethod
    def code_latents(self, coder: Coder, x: Tensor | None, size: tuple[int, int], quality: Tensor) -> Tensor:
        """Hand every symbol to `coder`, in the order of the stream.

        Args:
            coder: what is done with the symbols.
            x: pictures (B, 3, H, W) when encoding or training, None when decoding.
            size: H, W.
            quality: int64 (B,), half steps 0..200.

        Returns:
            The latents that `synthesise` takes, the batch first.

        """

    @abstractmethod
    def synthesise(self, latents: Tensor, quality: Tensor, filters: Sequence[Tensor | None] | None = None) -> Tensor:
        """Pictures (B, 3, H, W), about 0..1 and not clamped.

        Args:
            latents: what `code_latents` returned.
            quality: int64 (B,), half steps.
            filters: of each picture, what `code_filters` returned; None: no picture has any.

        """

    @abstractmethod
    def rate_weight(self, quality: Tensor) -> Tensor:
        """λ of L = λ·255²·MSE + bpp, (B,), for quality (B,) in half steps."""

    def code_filters(
        self, coders: Sequence[Coder], x: Tensor | None, latents: Tensor, quality: Tensor, *, fit: bool = True
    ) -> list[Tensor | None]:
        """Hand over, last of all, what the encoder has fitted to each decoded picture; see `AdaptiveFilter`.

        It is no part of the training, in which a codec has no such filter, nor of the refinement.

        Args:
            coders: of each picture, what is done with its symbols; not one that estimates with noise.
            x: pictures (B, 3, H, W) when encoding, None when decoding.
            latents: what `code_latents` returned for them.
            quality: int64 (B,), half steps 0..200.
            fit: whether the encoder looks for filters; if not, it writes that there are none.

        Returns:
            Each picture's matrix; None: there is nothing to filter.

        """
        return [None] * len(latents)

    def start_from(self, blocks: Tensor) -> None:
        """Set an untrained codec up from blocks of training pictures; unless a codec does more, nothing is done.

        Args:
            blocks: (N, 3, 16, 16) float32 in [0, 1], tens of thousands.

        """

    def start_from_model(self, other: Codec, crops: Tensor) -> None:
        """Set an untrained codec up from a trained one of another family.

        Args:
            other: that codec, in evaluation mode.
            crops: training pictures (N, 3, H, W).

        Raises:
            ValueError: the codec starts from no such model.

        """
        raise ValueError(f"{type(self).__name__} starts from no model of another family")

    def finish_training(self, decoded: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Fit what a codec fits to decoded pictures at the end of its training; unless a codec does, nothing is done.

        Args:
            decoded: training pictures (1, 3, H, W), what is decoded of each, not clamped, and its quality (1,) in
                half steps; they are decoded as they are asked for, until the budget is spent.

        """

    def forward(self, x: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstruction (B, 3, H, W) and the estimated bits (B,) for training."""
        coder = RateEstimator(noise=self.training)
        latents = self.code_latents(coder, x, (x.shape[2], x.shape[3]), quality)
        return self.synthesise(latents, quality), torch.as_tensor(coder.bits)

    def encode(
        self, x: Tensor, quality: Tensor, options: Any, watch: Watch | None = None
    ) -> list[tuple[Stream, ...]]:
        """See `PictureCodec.encode`."""
        return self.encode_with(self, x, quality, options, watch)

    def encode_with(
        self, codec: Traversal, x: Tensor, quality: Tensor, options: Any, watch: Watch | None
    ) -> list[tuple[Stream, ...]]:
        """Like `encode`; `codec` is this one, perhaps with something around the pictures that its analysis sees."""
        thorough, steps = options.effort >= EFFORT_THOROUGH, REFINEMENT.get(options.effort, 0)
        pairs = zip(torch.split(x, 1), torch.split(quality, 1), strict=True)
        plans = [plan_areas(codec, picture, each, thorough=thorough) for picture, each in pairs]
        streams = [plan.stream for plan in plans]
        again = [n for n, stream in enumerate(streams) if stream is None or steps]
        if again:
            coder = StreamEncoder(len(again))

            def own(inner: Coder, seen: Tensor, qualities: Tensor) -> Coder:
                if steps:
                    return Replay(inner, self._refined(codec, seen, qualities, steps, watch))
                return LeastCost(inner) if thorough else inner

            chosen = x if len(again) == len(x) else x[again]
            write_planned(codec, coder, chosen, [plans[n] for n in again], quality[again], own, fit=thorough)
            for n, stream in zip(again, coder.finish(), strict=True):
                streams[n] = stream
        return [(stream,) for stream in streams if stream is not None]

    def _refined(self, codec: Traversal, x: Tensor, quality: Tensor, steps: int, watch: Watch | None) -> list[Tensor]:
        """Symbols of every call of the traversal, (B, ...); each picture is refined for itself."""
        with torch.inference_mode(False):
            learner = copy.deepcopy(self).train()  # others may be using this codec meanwhile
        found = []
        for number in range(len(x)):
            one = slice(number, number + 1)
            found.append(refine(codec, learner, x[one], quality[one], steps, _share_of(watch, number, len(x))))
        return [torch.cat(symbols) for symbols in zip(*found, strict=True)]

    def decode(self, streams: Sequence[tuple[Stream, ...]], size: tuple[int, int], quality: Tensor) -> Tensor:
        """See `PictureCodec.decode`."""
        coder = StreamDecoder([stream for (stream,) in streams])
        areas = [PlainAreas.code(reader, None, size) for reader in coder.pictures]
        own = [n for n, area in enumerate(areas) if not area.cover_all]
        residuals: dict[int, Tensor | None] = {}
        x_hat = torch.zeros((len(streams), 3, *size), dtype=torch.float32, device=quality.device)
        if own:
            part = coder.part(own)
            latents = self.code_latents(part, None, size, quality[own])
            filters = self.code_filters(part.pictures, None, latents, quality[own])
            for place, reader in zip(own, part.pictures, strict=True):
                rate_weight = float(self.rate_weight(quality[place : place + 1]))
                residuals[place] = areas[place].code_residual(reader, None, None, rate_weight)
        coder.finish()
        if own:
            decoded = self.synthesise(latents, quality[own], filters)
            if not any(area.any for area in areas):
                return decoded
            x_hat[own] = decoded.float()
        for place, area in enumerate(areas):
            rate_weight = float(self.rate_weight(quality[place : place + 1]))
            x_hat[place] = area.lay_over(x_hat[place], residuals.get(place), rate_weight)
        return x_hat


def _share_of(watch: Watch | None, number: int, count: int) -> Callable[[float], None] | None:
    """What tells `watch` of the share that is done of picture `number` among `count`."""
    if watch is None:
        return None
    return lambda share: watch(Progress((number + share) / count, "refined"))
