"""The default codec: variable-rate mean-scale hyperprior with four parallel context passes.

    x ─ unshuffle 8 ─ blocks ─ unshuffle 2 ─ 1x1 ─ blocks ─ y ─ ×gain(quality) ─ y_s
                    (1/8)                    (1/16)                  │
        y_s ─ asinh ─ hyper_analysis ─ [z] ─┬─ mean_hyper (float) ───┤ μ of each pass
                                    (1/64)  └─ scale_hyper (integers)┤ scale index of each pass
                                                                     ▼
                               four passes: symbols q = round(y_s − μ), ŷ_s = q + μ
    x̂ ─ shuffle 8 ─ blocks ─ shuffle 2 ─ 1x1 ─ blocks ─ ×inverse gain ─ ŷ_s

The four passes are those of `nicodec/layers/contexts.py`. The hyper-latents z go the same way, half of the
channels at a time: the first pass by a table a channel, the
others by Gaussians whose scale and offset an integer network takes from the passes before.

Last comes a filter of the decoded picture that the encoder fits to each picture (`layers/adaptive_filter.py`).

The linear part starts as the principal components of 16x16 blocks (`start_from`).
Sources: mean-scale hyperprior, Minnen et al. 2018; checkerboard context, He et al. 2021; uneven channel groups,
ELIC, He et al. 2022; depthwise blocks at low resolution, DCVC-RT, Jia et al. 2025.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec.codecs.hyper_latents import code_hyper_latents, index_of, offset_of
from nicodec.codecs.tiled import TiledCodec
from nicodec.codecs.window import Window
from nicodec.entropy.coder import Coder
from nicodec.entropy.factorized import FactorizedModel
from nicodec.entropy.priors import GaussianMixture, Prior, ScaleMixture
from nicodec.entropy.tables import SCALE_MIN, SCALE_STEP, SCALES
from nicodec.exact.anchors import ANCHORS
from nicodec.exact.symbols import magnitude_features, signed_features
from nicodec.layers.adaptive_filter import AdaptiveFilter
from nicodec.layers.bands import in_bands
from nicodec.layers.blocks import Basis, BlockStack
from nicodec.layers.components import levelling, principal_components
from nicodec.layers.contexts import (
    LAST_PASS,
    HyperContext,
    MeanContext,
    ScaleContext,
    learn,
    pass_channels,
    passes,
)
from nicodec.layers.filter_learning import learn_filter
from nicodec.layers.hyper import HyperAnalysis, MeanHyper, ScaleHyper
from nicodec.layers.quality import QualityTable
from nicodec.memory import release_freed_memory

PIXEL_MEAN, PIXEL_GAIN = 0.45, 4.0
"""Pixels are centred and scaled to about unit variance."""

FINE_WIDTH = 192
"""Channels at 1/8: components of 8x8 blocks."""

FITTED_LATENTS, FITTED_SIDE = 4096, 32
"""A picture of more latents than that (1024x1024 pixels) has its filter fitted to four squares of so many a side;
a tile of more than a quarter, to squares of half the side."""

LARGE_LATENTS = 2**11
"""Of more, as in tiles of large pictures, what was freed on the way goes back to the system."""

MEAN_REACH = 7
"""Latents on either side on whose symbols the means of the last pass depend: one a pass, and three of features."""

DEVIATION_MIN = 0.15
"""Components are normalised by no less than this, or coarse quantisation would blow up the faint ones."""


@dataclass(frozen=True)
class HyperpriorConfig:
    """Sizes of the network; those of `models/hyperprior` are in its recipe."""

    latents: int = 320
    split: int = 64
    hyper: int = 192
    hyper_latents: int = 96
    hyper_context: int = 192
    """Width of the network between passes over the hyper-latents."""
    scale_hyper: int = 128
    scale_context: int = 160
    analysis_blocks: tuple[int, int] = (2, 2)
    synthesis_blocks: tuple[int, int] = (3, 3)
    mixture: int = 1
    """Gaussians a symbol, their weights, means and scales from the network; 1: a `ScaleMixture`."""
    filter_weights: int = 0
    """Of the filter of decoded pictures, a multiple of 8; 0: there is none."""
    lambda_min: float = 0.0009
    lambda_max: float = 0.24

    def rate_weight(self, quality: Tensor) -> Tensor:
        """λ of L = λ·255²·MSE + bpp for quality in half steps: log-linear."""
        t = quality.to(torch.float32) / 200
        return self.lambda_min * (self.lambda_max / self.lambda_min) ** t


class Hyperprior(TiledCodec):
    """See the module's docstring for the diagram."""

    alignment = 64
    pixels_a_byte = 2**14  # eight times what a black picture takes
    Config = HyperpriorConfig

    config: HyperpriorConfig
    deviation: Tensor

    def __init__(self, config: HyperpriorConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or HyperpriorConfig()
        self.to_fine = Basis(FINE_WIDTH, FINE_WIDTH)
        self.fine_analysis = BlockStack(FINE_WIDTH, c.analysis_blocks[0], scaled=True)
        self.to_latents = Basis(768, c.latents)
        self.coarse_analysis = BlockStack(c.latents, c.analysis_blocks[1], scaled=True)
        self.coarse_synthesis = BlockStack(c.latents, c.synthesis_blocks[0], scaled=True)
        self.from_latents = Basis(c.latents, 768)
        # The first meets the pictures' means, which are large, and set a bfloat16 decoder's pixels apart (rule 6).
        self.fine_synthesis = BlockStack(FINE_WIDTH, c.synthesis_blocks[1], scaled=True, float32=1)
        self.from_fine = Basis(FINE_WIDTH, FINE_WIDTH)
        self.log_gain = QualityTable(c.latents)
        self.log_inverse_gain = QualityTable(c.latents)
        self.register_buffer("deviation", torch.ones(c.latents, 1, 1, dtype=torch.float32))

        self.hyper_analysis = HyperAnalysis(c.latents, c.hyper, c.hyper_latents)
        half = c.hyper_latents // 2
        self.z_model = FactorizedModel(half)  # of the first pass
        self.hyper_context = nn.ModuleList(
            HyperContext(known, c.hyper_context, own) for own, known in pass_channels(c.hyper_latents, half)[1:]
        )
        self.mean_hyper = MeanHyper(c.hyper_latents, c.hyper)
        self.scale_hyper = ScaleHyper(c.hyper_latents, c.scale_hyper)
        channels = pass_channels(c.latents, c.split)
        self.mean_context = nn.ModuleList(MeanContext(c.hyper, known, own) for own, known in channels)
        self.scale_context = nn.ModuleList(
            ScaleContext(c.scale_hyper, known, c.scale_context, own, c.mixture) for own, known in channels
        )
        self.adaptive_filter = AdaptiveFilter(c.filter_weights) if c.filter_weights else None

    # The one traversal

    def code_analysed(
        self, coder: Coder, y: Tensor | None, size: tuple[int, int], quality: Tensor, *, seen: Window | None = None
    ) -> Tensor:
        """See `TiledCodec.code_analysed`. Returns ŷ, (B, latents, H/16, W/16), not scaled."""
        gain, inverse_gain = self.log_gain(quality).exp(), self.log_inverse_gain(quality).exp()
        y = None if y is None else y * gain
        z = None if y is None else self.hyper_analysis(torch.asinh(y), quality)

        height, width = size[0] // 16, size[1] // 16
        z_shape = (len(quality), self.config.hyper_latents, height // 4, width // 4)
        z_hat = code_hyper_latents(
            coder, z, z_shape, quality, self.z_model, self.hyper_context, training=self.training
        )
        # Scales need every symbol, means need what is near them: they are computed where they are wanted.
        whole = Window.whole((height, width))
        seen = seen or whole
        near = seen.grown(MEAN_REACH, whole).in_units(4)
        mean_features = self.mean_hyper(near.of(z_hat), quality)
        near = near.times(4)
        scale_features = self.scale_hyper(signed_features(z_hat, self.training), quality)

        large = height * width > LARGE_LATENTS
        if large:
            release_freed_memory()
        scale_in, scale_out = self.deviation * gain, inverse_gain / self.deviation
        y_hat: list[Tensor] = []
        magnitudes: list[Tensor] = []
        shape = (len(quality), self.config.latents, height, width)
        for number, (own, where) in enumerate(passes(shape, self.config.split, z_hat.device)):
            mean = self.mean_context[number](mean_features, y_hat, quality).float() * scale_in[:, own]
            scales = self.scale_context[number](scale_features, magnitudes, quality)
            symbols = coder.code(None if y is None else y[:, own] - mean, self.y_prior(scales, where))
            found = near.of(symbols).contiguous(memory_format=torch.channels_last) + mean
            where = near.of(where).contiguous(memory_format=torch.channels_last)
            learn(y_hat, number, found * scale_out[:, own] * where)
            if large and number == 1:
                release_freed_memory()  # what comes is of more channels
            if number < LAST_PASS:
                learn(magnitudes, number, magnitude_features(symbols, self.training))
        return seen.seen_from(near).of(torch.cat(y_hat, 1)) * self.deviation

    def y_prior(self, parameters: Tensor, where: Tensor) -> Prior:
        """Give the prior of one pass over y from (B, parameters, C, H, W): real in training, else in 1/16."""
        k = self.config.mixture
        indices, offsets, weights = parameters[:, :k], parameters[:, k : 2 * k], parameters[:, 2 * k :]
        if not self.training:
            weights, offsets, indices = weights.to(torch.int64), offset_of(offsets), index_of(indices)
        return ScaleMixture(indices[:, 0], where) if k == 1 else GaussianMixture(weights, offsets, indices, where)

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
        """See `TiledCodec.code_filters`."""
        layer = self.adaptive_filter
        if layer is None:
            return [None] * len(latents)
        symbols: list[Tensor] | list[None] = [None] * len(latents)
        if x is not None:
            rest = [layer.at_rest()] * len(latents)
            symbols = self._fitted(layer, x, latents, quality, quick) if fit else rest
        matrices: list[Tensor | None] = []
        for coder, own, half_steps in zip(coders, symbols, torch.split(quality, 1), strict=True):
            found = layer.code(coder, own)
            matrices.append(layer.matrix(found, half_steps) if found.any() else None)
        return matrices

    def _fitted(
        self, layer: AdaptiveFilter, x: Tensor, latents: Tensor, quality: Tensor, quick: bool
    ) -> list[Tensor]:
        """Symbols of each picture's filter; what they are fitted to is decoded at once."""
        count, _, height, width = latents.shape
        areas = _fitted_areas(height, width, quick)
        seen = torch.cat([x[:, :, 16 * r.start : 16 * r.stop, 16 * c.start : 16 * c.stop] for r, c in areas])
        qualities = quality if count == 1 else quality.repeat(len(areas))
        decoded = self.synthesise(torch.cat([latents[:, :, r, c] for r, c in areas]), qualities).float()
        found = []
        for number, half_steps in enumerate(torch.split(quality, 1)):
            rate_weight = 255**2 * float(self.config.rate_weight(half_steps)) * 256 * height * width
            found.append(layer.fit(seen[number::count], decoded[number::count], half_steps, rate_weight))
        return found

    def rate_weight(self, quality: Tensor) -> Tensor:
        """See `LatentCodec.rate_weight`."""
        return self.config.rate_weight(quality)

    # Transforms

    @property
    def reach(self) -> tuple[int, int]:
        """See `TiledCodec.reach`."""
        fine, coarse = self.config.analysis_blocks
        synthesis_coarse, synthesis_fine = self.config.synthesis_blocks
        filtered = self.adaptive_filter is not None
        return coarse + -(-fine // 2), synthesis_coarse + -(-synthesis_fine // 2) + filtered

    def analyse(self, x: Tensor, quality: Tensor) -> Tensor:
        """See `TiledCodec.analyse`."""
        return in_bands(lambda part: self._analyse(part, quality), x, unit=16, halo=self.reach[0])

    def _analyse(self, x: Tensor, quality: Tensor) -> Tensor:
        h = F.pixel_unshuffle((x - PIXEL_MEAN) * PIXEL_GAIN, 8)
        h = self.to_fine(h.contiguous(memory_format=torch.channels_last))
        h = self.fine_analysis.overwrite(h, quality)
        h = self.to_latents(F.pixel_unshuffle(h, 2))
        latents: Tensor = self.coarse_analysis(h, quality)
        return latents

    def synthesise(self, latents: Tensor, quality: Tensor, filters: Sequence[Tensor | None] | None = None) -> Tensor:
        """See `LatentCodec.synthesise`."""
        filters = filters or [None] * len(latents)
        coarse, fine = self.config.synthesis_blocks
        halo = coarse + -(-fine // 2) + any(each is not None for each in filters)
        return in_bands(lambda part: self._synthesise(part, quality, filters), latents, unit=1, halo=halo)

    def _synthesise(self, latents: Tensor, quality: Tensor, filters: Sequence[Tensor | None]) -> Tensor:
        h = self.from_fine(self.to_eighths(latents, quality))
        x_hat = F.pixel_shuffle(h, 8).div_(PIXEL_GAIN).add_(PIXEL_MEAN)
        del h
        return x_hat if self.adaptive_filter is None else self.adaptive_filter.of_batch(x_hat, filters)

    def to_eighths(self, latents: Tensor, quality: Tensor) -> Tensor:
        """Components (B, 192, H/8, W/8) that `from_fine` takes to pixels, of latents (B, latents, H/16, W/16)."""
        h = latents.contiguous(memory_format=torch.channels_last)
        h = self.coarse_synthesis(h, quality)
        h = F.pixel_shuffle(self.from_latents(h), 2)
        return self.fine_synthesis.overwrite(h, quality)

    # Start of training

    @torch.no_grad()
    def start_from(self, blocks: Tensor) -> None:
        """Set the linear part to the principal components of blocks, gains and scales to fit; see `LatentCodec`.

        Components of 8x8 blocks at 1/8 (a rotation), then of their 2x2 groups at 1/16, those of most energy.

        Args:
            blocks: (N, 3, 16, 16) float32 in [0, 1], N several times 768.

        """
        c = self.config
        pixels = F.pixel_unshuffle((blocks - PIXEL_MEAN) * PIXEL_GAIN, 8)
        samples = pixels.permute(0, 2, 3, 1).flatten(0, 2)
        fine_basis, fine_mean, fine_deviation = principal_components(samples)
        self.to_fine.set_matrix(fine_basis.T, -(fine_mean @ fine_basis), levelling(samples.std(0), DEVIATION_MIN))
        fine_scale = levelling(fine_deviation, DEVIATION_MIN)
        self.from_fine.set_matrix(fine_basis, fine_mean, fine_scale)
        for stack in (self.fine_analysis, self.fine_synthesis):
            stack.set_input_scale(fine_scale)

        groups = F.pixel_unshuffle(self.to_fine(pixels), 2).flatten(1)
        basis, mean, deviation = principal_components(groups)
        basis, deviation = basis[:, : c.latents], deviation[: c.latents]
        usual = deviation.clamp(min=DEVIATION_MIN)
        self.deviation.copy_(usual[:, None, None])
        coarse_scale = levelling(deviation, DEVIATION_MIN)
        for stack in (self.coarse_analysis, self.coarse_synthesis):
            stack.set_input_scale(coarse_scale)
        self.to_latents.set_matrix(basis.T, -(mean @ basis), levelling(groups.std(0), DEVIATION_MIN))
        self.from_latents.set_matrix(basis, mean, coarse_scale)
        # At high rate the best step is Δ² = 12·3/(2 ln 2·λ) in grey levels (equal slopes of λ·Δ²/12/3 + bits).
        quality = torch.linspace(0, 200, ANCHORS)
        step = torch.sqrt(18 / (math.log(2) * c.rate_weight(quality))) * PIXEL_GAIN / 255
        self.log_gain.anchors.copy_(-torch.log(step[:, None]))
        self.log_inverse_gain.anchors.copy_(torch.log(step[:, None]))
        index = (torch.log(deviation[None] / step[:, None] / SCALE_MIN) / SCALE_STEP).clamp(-8, SCALES + 8)
        for p, context in enumerate(self.scale_context):
            assert isinstance(context, ScaleContext)
            own = index[:, : c.split] if p < 2 else index[:, c.split :]
            spread = [8.0 * k for k in range(-(c.mixture // 2), c.mixture - c.mixture // 2)]
            rest = [torch.zeros_like(own)] * (len(context.leave.bias[0]) // own.shape[1] - c.mixture)
            context.leave.bias.copy_(torch.cat([*(own + offset for offset in spread), *rest], 1))

    def finish_training(self, decoded: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Learn the filter of decoded pictures; see `LatentCodec.finish_training`."""
        if self.adaptive_filter is not None:
            learn_filter(self.adaptive_filter, decoded)


def _fitted_areas(height: int, width: int, quick: bool) -> list[tuple[slice, slice]]:
    """What a filter is fitted to, in latents: all of a picture, or of a large one a square in each quarter."""
    if height * width <= FITTED_LATENTS // (4 if quick else 1):
        return [(slice(0, height), slice(0, width))]

    def two(side: int) -> list[slice]:
        length = min(side, FITTED_SIDE // (2 if quick else 1))
        starts = [min(max(0, middle - length // 2), side - length) for middle in (side // 4, side * 3 // 4)]
        return [slice(start, start + length) for start in starts]

    return [(rows, columns) for rows in two(height) for columns in two(width)]
