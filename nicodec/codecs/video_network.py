"""The codec of clips: motion, and frames coded on the condition of what their references predict.

    references ─ moved by vectors ─┬─ p₀, p₁ ─ context (1/8) ─┬─ mask, correction ─ prediction p
    their memory ─ moved ──────────┘                         └─ context (1/16)
    x − p ─┬ unshuffle 8 ─ blocks with context ─ unshuffle 2 ─ 1x1 ─ blocks with context ─┬ y ─ ×gain(quality)
           └ unshuffle 16 ─ 1x1 ──────────────────────────────────────────────────────────┘
        y_s ─ hyper_analysis ─ [z] ─┬─ mean_hyper ─ + context (float) ────────────────── μ of each pass
                                    └─ scale_hyper ─┐
        symbols of the references, moved ───────────┴─ scales (integers) ─────── scale index of each pass
    x̂ = p + (shuffle 8 ─ blocks with context ─ shuffle 2 ─ 1x1 ─ blocks with context ─ ŷ) + (shuffle 16 ─ 1x1 ─ ŷ),
    and a new memory

Planes are unshuffled to one grid at 1/8: Y by 8, U and V by 4, 96 channels. Every branch starts at zero: an untrained
network codes the difference of frame and prediction by the principal components that `start_from` is given.

References are the decoded frames at 8 bits, as every decoder has them. A frame without references is coded as a
picture by the model that `VideoConfig.intra` names.
Sources: conditional coding, DCVC (Li et al. 2021); memory beside the frame, HyTIP (2025); blocks at 1/8, DCVC-RT
(Jia et al. 2025); contexts in passes, see `hyperprior`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec.codecs.base import Codec
from nicodec.codecs.hyper_latents import code_hyper_latents, index_of
from nicodec.codecs.latent import LatentCodec
from nicodec.codecs.video_planes import (
    GRID,
    Planes,
    from_grid,
    planes_to_rgb,
    rgb_to_planes,
    squares,
    to_codes,
    to_grid,
    weighted_error,
)
from nicodec.entropy.coder import Coder, RateEstimator
from nicodec.entropy.factorized import FactorizedModel
from nicodec.entropy.priors import Prior, ScaleMixture
from nicodec.exact.layers import ACTIVATION_MAX, ExactPointwise
from nicodec.exact.symbols import magnitude_features, signed_features
from nicodec.layers.blocks import Basis, BlockStack, Pointwise
from nicodec.layers.contexts import HyperContext, MeanContext, ScaleContext, learn, pass_channels, passes
from nicodec.layers.hyper import HyperAnalysis, MeanHyper, ScaleHyper
from nicodec.layers.quality import QualityTable
from nicodec.motion.choice import LeastCostChoice
from nicodec.motion.compensation import (
    Phases,
    compensate,
    halved,
    moved_smoothly,
    phases,
)
from nicodec.motion.field import CELL, REACH, Motion, blocks_of, moved_to_nearest
from nicodec.motion.search import find_motion, price_of
from nicodec.motion.vectors import VectorCoder, continued_from

ALIGNMENT = 64
MARGIN = REACH + CELL
"""Pixels around a plane of luma that vectors may look at; half as many around chroma."""

DISTANCE_UNIT = 16


@dataclass(frozen=True)
class VideoConfig:
    """Sizes of the network; those of `models/video` are in its recipe."""

    latents: int = 256
    coarse_latents: int = 192
    """The first of them. The others are what these leave out: of the difference, and added to it, by matrices."""
    split: int = 48
    context: int = 64
    """Channels of the context at 1/8."""
    coarse_context: int = 96
    """The same at 1/16."""
    memory: int = 32
    """Channels that travel with every decoded frame, at 1/8."""
    hyper: int = 128
    hyper_latents: int = 48
    hyper_context: int = 64
    scale_hyper: int = 64
    scale_context: int = 128
    vector_width: int = 32
    """Of the networks that pick the vectors' tables."""
    context_blocks: int = 2
    analysis_blocks: tuple[int, int] = (2, 2)
    synthesis_blocks: tuple[int, int] = (2, 3)
    lambda_min: float = 0.0006
    lambda_max: float = 0.15
    intra: str = "493db1c1"
    """Fingerprint of the model of pictures that codes frames without references."""

    def rate_weight(self, quality: Tensor) -> Tensor:
        """λ of L = λ·255²·MSE + bpp for quality in half steps: log-linear; see `weighted_error`."""
        t = quality.to(torch.float32) / 200
        return self.lambda_min * (self.lambda_max / self.lambda_min) ** t


@dataclass(frozen=True)
class Reference:
    """What a batch of decoded frames is to frames that are predicted from it.

    Attributes:
        planes: 8 bits of precision.
        memory: (B, memory, H/8, W/8).
        magnitudes: (B, latents, H/16, W/16), of its symbols: integers, or real multiples of 1/16 in training.
        quality: int64 (B,), half steps.
        intra: whether it was coded as a picture.
        motion: of its own; None where it has none.
        distance: of its first reference, in frames, negative into the past.

    """

    planes: Planes
    memory: Tensor
    magnitudes: Tensor
    quality: Tensor
    intra: bool
    motion: Motion | None = None
    distance: int = 0


@dataclass(frozen=True)
class Prepared:
    """The phases of a reference's planes, those of U and then those of V as one batch."""

    y: Phases
    uv: Phases


def prepare(planes: Planes) -> Prepared:
    """Filter a reference once for all that is predicted from it."""
    return Prepared(phases(planes.y, MARGIN), phases(torch.cat([planes.u, planes.v]), MARGIN // 2))


@dataclass(frozen=True)
class Coded:
    """What is left of a coded frame.

    Attributes:
        reference: what later frames may refer to.
        planes: before they are rounded.
        moved: what the motion alone predicts, in the grid.

    """

    reference: Reference
    planes: Planes
    moved: Tensor


class VideoNetwork(Codec):
    """The network of frames with references; see the module's docstring for the diagram."""

    Config = VideoConfig
    config: VideoConfig
    deviation: Tensor

    def __init__(self, config: VideoConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or VideoConfig()
        if not c.split < c.coarse_latents <= c.latents:
            raise ValueError("of the latents, more than split and not more than all are coarse_latents")
        fine, coarse = GRID + c.context, c.coarse_latents + c.coarse_context
        self.vectors = VectorCoder(c.vector_width)
        self.to_context = Pointwise(2 * GRID + 2 * c.memory + EXTRAS, c.context)
        self.context = BlockStack(c.context, c.context_blocks)
        self.from_context = Pointwise(c.context, 2 * GRID, zero=True)
        self.to_coarse_context = Pointwise(4 * c.context, c.coarse_context)

        self.to_fine = Basis(GRID, GRID)
        self.fine_analysis = BlockStack(fine, c.analysis_blocks[0], scaled=True)
        self.to_latents = Basis(4 * fine, c.coarse_latents)
        self.coarse_analysis = BlockStack(coarse, c.analysis_blocks[1], scaled=True)
        self.coarse_synthesis = BlockStack(coarse, c.synthesis_blocks[0], scaled=True)
        rest = c.latents - c.coarse_latents
        self.to_rest, self.from_rest = Basis(4 * GRID, rest), Basis(rest, 4 * GRID)
        self.from_latents = Basis(c.latents + c.coarse_context, 4 * fine)
        self.fine_synthesis = BlockStack(fine, c.synthesis_blocks[1], scaled=True)
        self.from_fine = Basis(GRID, GRID)
        self.to_memory = Pointwise(fine, c.memory, zero=True)
        self.first_memory = Pointwise(GRID, c.memory)

        self.log_gain = QualityTable(c.latents)
        self.log_inverse_gain = QualityTable(c.latents)
        self.register_buffer("deviation", torch.ones(c.latents, 1, 1, dtype=torch.float32))
        self.hyper_analysis = HyperAnalysis(coarse, c.hyper, c.hyper_latents)
        half = c.hyper_latents // 2
        self.z_model = FactorizedModel(half)
        self.hyper_context = nn.ModuleList(
            HyperContext(known, c.hyper_context, own) for own, known in pass_channels(c.hyper_latents, half)[1:]
        )
        self.mean_hyper = MeanHyper(c.hyper_latents, c.hyper)
        self.mean_from_context = Pointwise(c.coarse_context, c.hyper)
        self.scale_hyper = ScaleHyper(c.hyper_latents, c.scale_hyper)
        self.scale_from_references = ExactPointwise(2 * c.coarse_latents + EXACT_EXTRAS, c.scale_hyper)
        channels = pass_channels(c.latents, c.split)
        self.mean_context = nn.ModuleList(MeanContext(c.hyper, known, own) for own, known in channels)
        self.scale_context = nn.ModuleList(
            ScaleContext(2 * c.scale_hyper, known, c.scale_context, own, 1) for own, known in channels
        )

    def rate_weight(self, quality: Tensor) -> Tensor:
        """λ of a frame, (B,), for quality (B,) in half steps."""
        return self.config.rate_weight(quality)

    # References

    def first_reference(self, planes: Planes, quality: Tensor, *, intra: bool = True) -> Reference:
        """What frames are to others that were coded as pictures, or whose memory is to be new."""
        c, (height, width) = self.config, planes.y.shape[2:]
        memory = self.first_memory(to_grid(planes))
        zeros = planes.y.new_zeros(len(planes.y), c.latents, height // 16, width // 16)
        return Reference(planes, memory, zeros, quality, intra)

    @torch.no_grad()
    def coded_as_picture(self, codec: LatentCodec, planes: Planes, quality: Tensor) -> Planes:
        """What a picture codec makes of frames, at 8 bits; nothing is written."""
        size = (planes.y.shape[2], planes.y.shape[3])
        coder = RateEstimator(noise=False)
        latents = codec.code_latents(coder, planes_to_rgb(planes), size, quality)
        return to_codes(rgb_to_planes(codec.synthesise(latents, quality)))

    @torch.no_grad()
    def differences(self, planes: Planes, first: Planes, quality: Tensor) -> Tensor:
        """Squares of 16 pixels of frames less what one reference predicts of them, (N, 96, 2, 2), in the grid."""
        _, prediction = self._predicted(planes, first, quality)
        return squares(to_grid(planes) - prediction)

    @torch.no_grad()
    def left_out(self, planes: Planes, first: Planes, quality: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and what latents that are not even rounded leave out of them, (N, 96, 2, 2) in the grid."""
        context, prediction = self._predicted(planes, first, quality)
        coarse_context = self.to_coarse_context(F.pixel_unshuffle(context, 2))
        difference = to_grid(planes) - prediction
        latents = self._analyse(difference, context, coarse_context, quality)
        grid, _ = self._synthesise(latents, prediction, context, coarse_context, quality)
        return squares(difference), squares(to_grid(planes) - grid)

    def _predicted(self, planes: Planes, first: Planes, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Features at 1/8, and what one reference predicts of frames."""
        prepared = prepare(first)
        motion = find_motion(planes.y, [(first.y, prepared.y)], price_of(self.rate_weight(quality))).motion()
        reference = self.first_reference(first, quality)
        context, prediction, _ = self._context(motion, [(reference, prepared)] * 2, (1, 1), quality)
        return context, prediction

    # The one traversal

    def code_motion(
        self,
        coder: Coder,
        x: Planes | None,
        references: Sequence[tuple[Reference, Prepared]],
        distances: Sequence[int],
        quality: Tensor,
        price: Tensor | None = None,
    ) -> Motion:
        """Find the motion of a batch of frames, and hand it to `coder`; see `code_frame`.

        Args:
            coder: what is done with the symbols.
            x: the frames; None when decoding.
            references: one or two.
            distances: in frames, to each of them: negative into the past.
            quality: int64 (B,), half steps 0..200.
            price: see `Search`; None: by the quality.

        """
        continued = self._continued(references, distances)
        chooser = None
        if x is not None:
            sources = [(reference.planes.y.detach(), prepared.y.detach()) for reference, prepared in references]
            price = price_of(self.rate_weight(quality)) if price is None else price
            chooser = LeastCostChoice(find_motion(x.y, sources, price, continued))
        motion: Motion = self.vectors(coder, chooser, continued, tuple(abs(d) for d in distances), quality)
        return motion

    def _continued(self, references: Sequence[tuple[Reference, Prepared]], distances: Sequence[int]) -> Tensor:
        """Vectors (B, F, 2, H/16, W/16) to the references, by the motion of the nearest that has any."""
        order = sorted(range(len(references)), key=lambda n: (abs(distances[n]), n))
        for reference, _ in (references[n] for n in order):
            if reference.motion is not None:
                vectors = blocks_of(reference.motion.of(0))
                return torch.stack([continued_from(vectors, reference.distance, d) for d in distances], 1)
        height, width = references[0][0].planes.y.shape[2:]
        shape = (len(references[0][0].quality), len(references), 2, height // 16, width // 16)
        return torch.zeros(shape, dtype=torch.int64, device=references[0][0].planes.y.device)

    def code_frame(
        self,
        coder: Coder,
        x: Planes | None,
        motion: Motion,
        references: Sequence[tuple[Reference, Prepared]],
        distances: Sequence[int],
        quality: Tensor,
        inside: Tensor | None = None,
        tell: Callable[[bool | None], bool] | None = None,
    ) -> Coded:
        """Hand every symbol of a batch of frames to `coder`, its motion apart.

        Args:
            coder: what is done with the symbols.
            x: the frames; None when decoding.
            motion: of them.
            references: one or two.
            distances: in frames, to each of them: negative into the past.
            quality: int64 (B,), half steps 0..200.
            inside: of each square of 8 pixels whether it counts, 0 or 1, (1, 1, H/8, W/8): where it does not, an
                encoder takes the prediction for the frame. None: all count.
            tell: hands over whether one frame's still blocks are copied, which an encoder decides by error: called
                with the decision, or None when decoding, where there are such blocks. None: they never are.

        """
        first_distance = distances[0]
        if len(references) == 1:
            references, distances = [*references, *references], [*distances, *distances]
        distances = [abs(d) for d in distances]
        context, prediction, moved = self._context(motion, references, distances, quality)
        coarse_context = self.to_coarse_context(F.pixel_unshuffle(context, 2))
        gain, inverse_gain = self.log_gain(quality).exp(), self.log_inverse_gain(quality).exp()
        y = z = None
        if x is not None:
            difference = to_grid(x) - prediction
            if inside is not None:
                difference = difference * inside
            y = self._analyse(difference, context, coarse_context, quality)
            y = y * gain
            seen = torch.asinh(y[:, : self.config.coarse_latents])
            z = self.hyper_analysis(torch.cat([seen, coarse_context], 1), quality)

        rows, columns = coarse_context.shape[2:]
        z_shape = (len(quality), self.config.hyper_latents, rows // 4, columns // 4)
        z_hat = code_hyper_latents(
            coder, z, z_shape, quality, self.z_model, self.hyper_context, training=self.training
        )
        mean_features = self.mean_hyper(z_hat, quality) + F.silu(self.mean_from_context(coarse_context))
        exact = self._exact_features(motion, [r for r, _ in references], distances, quality)
        scale_features = torch.cat(
            [
                self.scale_hyper(signed_features(z_hat, self.training), quality),
                self.scale_from_references(exact, quality),
            ],
            1,
        )
        scale_in, scale_out = self.deviation * gain, inverse_gain / self.deviation
        y_hat: list[Tensor] = []
        magnitudes: list[Tensor] = []
        shape = (len(quality), self.config.latents, rows, columns)
        for number, (own, where) in enumerate(passes(shape, self.config.split, z_hat.device)):
            mean = self.mean_context[number](mean_features, y_hat, quality).float() * scale_in[:, own]
            scales = self.scale_context[number](scale_features, magnitudes, quality)
            symbols = coder.code(None if y is None else y[:, own] - mean, self._y_prior(scales, where))
            learn(y_hat, number, (symbols + mean) * scale_out[:, own] * where)
            learn(magnitudes, number, magnitude_features(symbols, self.training))
        latents = torch.cat(y_hat, 1) * self.deviation
        grid, memory = self._synthesise(latents, prediction, context, coarse_context, quality)
        planes = from_grid(grid)
        decoded = to_codes(planes)
        symbols = torch.cat(magnitudes, 1).detach()
        if tell is not None:
            still = without_motion(motion) & (symbols.amax(1, keepdim=True) == 0)
            if bool(still.any()):
                still = still.repeat_interleave(2, 2).repeat_interleave(2, 3)
                copied = to_codes(from_grid(torch.where(still, moved, grid)))
                better = None if x is None else bool(weighted_error(x, copied) < weighted_error(x, decoded))
                decoded = copied if tell(better) else decoded
        memory = memory + self.first_memory(to_grid(decoded))
        return Coded(Reference(decoded, memory, symbols, quality, False, motion, first_distance), planes, moved)

    def _context(
        self,
        motion: Motion,
        references: Sequence[tuple[Reference, Prepared]],
        distances: Sequence[int],
        quality: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Features at 1/8, the prediction in the grid, and what the motion alone predicts."""
        same = references[0][0] is references[1][0]
        moved, memories = [], []
        for number, (reference, prepared) in enumerate(references[:1] if same else references):
            vectors = motion.of(number)
            y = compensate(prepared.y, vectors, CELL)
            u, v = compensate(prepared.uv, halved(vectors).repeat(2, 1, 1, 1), CELL // 2).chunk(2)
            moved.append(to_grid(Planes(y, u, v)))
            memories.append(moved_smoothly(reference.memory, vectors))
        one, other = moved[0], moved[-1]
        half_weight = motion.weight.to(torch.float32) / 2
        if same:
            first, apart = one, torch.zeros_like(one)
        else:
            share = _smooth_share(half_weight)
            apart = one - other
            first = other + share * apart
        extras = self._extras(half_weight, [r for r, _ in references], distances, quality)
        h = self.to_context(torch.cat([first, apart, memories[0], memories[-1], extras], 1))
        context = self.context(h, quality)
        mask, correction = self.from_context(context).chunk(2, 1)
        return context, torch.addcmul(first + correction, mask, apart), first

    def _extras(
        self, half_weight: Tensor, references: Sequence[Reference], distances: Sequence[int], quality: Tensor
    ) -> Tensor:
        """Channels (B, EXTRAS, H/8, W/8) that tell how the references lie."""
        shape = (-1, 1, *half_weight.shape[2:])
        parts = [half_weight]
        for reference, distance in zip(references, distances, strict=True):
            better = (reference.quality - quality).to(torch.float32) / 40
            parts.append(better[:, None, None, None].expand(shape))
            parts.append(torch.full_like(half_weight, distance / 4))
            parts.append(torch.full_like(half_weight, float(reference.intra)))
        return torch.cat(parts, 1)

    def _exact_features(
        self, motion: Motion, references: Sequence[Reference], distances: Sequence[int], quality: Tensor
    ) -> Tensor:
        """What the scales may know beside this frame's symbols: (B, channels, H/16, W/16), all integers."""
        unit = 1 / 16 if self.training else 1.0
        weight = motion.weight
        of_blocks = weight[..., ::2, ::2] + weight[..., 1::2, ::2] + weight[..., ::2, 1::2] + weight[..., 1::2, 1::2]
        parts = [8.0 * unit * of_blocks]
        for number, (reference, distance) in enumerate(zip(references, distances, strict=True)):
            vectors = motion.of(number)
            magnitudes = reference.magnitudes[:, : self.config.coarse_latents]
            parts.append(moved_to_nearest(magnitudes, vectors))
            parts.append(magnitude_features(_roughness(vectors).float(), self.training))
            better = reference.quality - quality
            for value in (better, -better):
                known = value.clamp(0, ACTIVATION_MAX).to(torch.float32) * unit
                parts.append(known[:, None, None, None].expand(-1, 1, *of_blocks.shape[2:]))
            known = torch.full_like(parts[0], min(ACTIVATION_MAX, DISTANCE_UNIT * distance) * unit)
            parts += [known, torch.full_like(known, 64 * unit * reference.intra)]
        return torch.cat(parts, 1)

    def _analyse(self, difference: Tensor, context: Tensor, coarse_context: Tensor, quality: Tensor) -> Tensor:
        h = torch.cat([self.to_fine(difference), context], 1)
        h = self.fine_analysis(h, quality)
        h = torch.cat([self.to_latents(F.pixel_unshuffle(h, 2)), coarse_context], 1)
        h = self.coarse_analysis(h, quality)[:, : self.config.coarse_latents]
        return torch.cat([h, self.to_rest(F.pixel_unshuffle(difference, 2))], 1)

    def _synthesise(
        self, latents: Tensor, prediction: Tensor, context: Tensor, coarse_context: Tensor, quality: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The frame in the grid, and what is new of the memory."""
        coarse, rest = latents.tensor_split([self.config.coarse_latents], 1)
        h = self.coarse_synthesis(torch.cat([coarse, coarse_context], 1), quality)
        h = F.pixel_shuffle(self.from_latents(torch.cat([h, rest], 1)), 2)
        h = torch.cat([h[:, :GRID], h[:, GRID:] + context], 1)
        h = self.fine_synthesis(h, quality)
        grid = prediction + self.from_fine(h[:, :GRID]) + F.pixel_shuffle(self.from_rest(rest), 2)
        return grid, self.to_memory(h)

    def _y_prior(self, parameters: Tensor, where: Tensor) -> Prior:
        index = parameters[:, 0]
        return ScaleMixture(index if self.training else index_of(index), where)

    # Start of training

    def load_initial(self, tensors: dict[str, Tensor]) -> None:
        """See `Codec.load_initial`; weights of fewer latents do, and `start_rest` starts the others."""
        state = self.state_dict()
        self.load_exported({k: _enlarged(v, state[k]) if k in state else v for k, v in tensors.items()})

    def lacking(self) -> int:
        """How many of the last latents stand for nothing yet."""
        return int((self.deviation == 0).sum())


EXTRAS = 7
EXACT_EXTRAS = 11
"""Channels beside the moved magnitudes; see `_exact_features`."""


def _smooth_share(half_weight: Tensor) -> Tensor:
    """What the first reference counts, (B, 96, H/8, W/8) in the grid, smooth between the middles of the cells."""
    y = F.interpolate(half_weight, scale_factor=CELL, mode="bilinear", align_corners=False)
    half = F.interpolate(half_weight, scale_factor=CELL // 2, mode="bilinear", align_corners=False)
    chroma = F.pixel_unshuffle(half, CELL // 2)
    return torch.cat([F.pixel_unshuffle(y, CELL), chroma, chroma], 1)


def without_motion(motion: Motion) -> Tensor:
    """Which blocks of 16 pixels have no motion, (B, 1, H/16, W/16)."""
    return F.max_pool2d(motion.vectors.abs().amax((1, 2)).to(torch.float32)[:, None], 2) == 0


def _roughness(vectors: Tensor) -> Tensor:
    """How much the vectors of each block's cells differ from those to the right and below: (B, 1, H/16, W/16)."""
    down = (vectors - torch.cat([vectors[..., 1:, :], vectors[..., -1:, :]], -2)).abs().sum(1, keepdim=True)
    right = (vectors - torch.cat([vectors[..., 1:], vectors[..., -1:]], -1)).abs().sum(1, keepdim=True)
    most = torch.maximum(down, right)
    most = torch.maximum(most[..., ::2, :], most[..., 1::2, :])
    return torch.maximum(most[..., ::2], most[..., 1::2])


def _enlarged(tensor: Tensor, like: Tensor) -> Tensor:
    """A tensor with zeros after it in every dimension in which it is the smaller one."""
    if tensor.ndim != like.ndim or any(a > b for a, b in zip(tensor.shape, like.shape, strict=True)):
        return tensor
    whole = tensor.new_zeros(like.shape)
    whole[tuple(slice(n) for n in tensor.shape)] = tensor
    return whole
