"""The network of `vqgan` and `mcquic`: a picture as indices of codebooks on three grids, coarse to fine.

    x ─ unshuffle 8 ─ blocks ─ unshuffle 2 ─ 1x1 ─ blocks ─ y            (transforms as those of `hyperprior`)
                      (1/8)                   (1/16)        │
        what is left of y ─ squares of 4x4 ─ basis ─ code of 1/64 ─ basis ─┐
        what is left then ─ squares of 2x2 ─ basis ─ code of 1/32 ─ basis ─┤ +
        what is left then ────────────────── basis ─ code of 1/16 ─ basis ─┤ and further codes of 1/16
                                                                           ▼
    x̂ ─ shuffle 8 ─ blocks ─ shuffle 2 ─ 1x1 ─ blocks ───────────────────  ŷ

Each level is a codebook with a code that adds nothing; its choice weighs error against bits, at a price that falls
with the quality, so that one set of codebooks serves all of the range. Levels join as the quality rises. A single
grid of 1/16 spends most of its bits on the mean of every block: on three grids half of the bits give the same error
(docs/experiments-vqgan.md).
Sources: VQGAN, Esser et al. 2021; residual codes on grids of falling size, VAR, Tian et al. 2024; residual stages
that each decode, ProGIC 2026; entropy-constrained choice, Chou et al. 1989.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec.entropy.frequencies import IndexFrequencies
from nicodec.entropy.indices import GROUP
from nicodec.exact.anchors import ANCHOR_SPACING, ANCHORS, QUALITY_STEPS, between_anchors
from nicodec.layers.bands import in_bands
from nicodec.layers.blocks import Basis, BlockStack, sum_of_bases
from nicodec.layers.components import levelling, principal_components
from nicodec.layers.index_context import IndexContext, enlarged, places
from nicodec.layers.quality import QualityTable
from nicodec.quantize.base import from_rows, to_rows
from nicodec.quantize.priced import PricedQuantiser, PricedSettings, share_of_use

PIXEL_MEAN, PIXEL_GAIN = 0.45, 4.0
"""Pixels are centred and scaled to about unit variance."""

DEVIATION_MIN = 0.15
"""Fainter components are levelled as if they had this deviation."""

ALIGNMENT = 64

COARSE_SHARE = 0.5
"""Of the price: on coarse grids, whose errors later levels can still mend."""


@dataclass(frozen=True)
class CodesConfig:
    """Sizes of the network; those of `models/vqgan` are in its recipe."""

    latents: int = 320
    analysis_blocks: tuple[int, int] = (5, 5)
    synthesis_blocks: tuple[int, int] = (4, 4)
    factors: tuple[int, ...] = (4, 2, 1, 1, 1, 1)
    """Of each level: side of the squares of latents that a code stands for."""
    codes: tuple[int, ...] = (1024, 2048, 4096, 1024, 1024, 1024)
    channels: tuple[int, ...] = (32, 48, 64, 64, 64, 64)
    first: tuple[int, ...] = (0, 6, 16, 40, 90, 140)
    """Of each level: the quality in half steps from which it is coded."""
    embedding: int = 24
    """Channels that a code has in the networks of the prior."""
    context: int = 96
    """Width of those networks."""
    context_bits: int = 16
    """Of each integer weight of their last layers, 8 or 16: of some networks a tenth of all bytes."""
    price_max: float = 64.0
    """Squared error of latents that a bit is worth at quality 0, and below at quality 100."""
    price_min: float = 0.12
    start_price: float = 1.0
    """The same while codebooks start."""
    decay: float = 0.995
    """Of the averages that codebooks follow in training."""
    own_bases: bool = False
    """Whether each level has components of its own, those of most energy that are left; if not, levels of one grid
    with as many channels share them."""

    def __post_init__(self) -> None:
        counts = {len(each) for each in (self.factors, self.codes, self.channels, self.first)}
        if len(counts) != 1 or not self.factors or self.first[0] != 0:
            raise ValueError("factors, codes, channels and first are one of each level, the first level from 0 on")
        if any(codes > GROUP and codes % GROUP for codes in self.codes):
            raise ValueError(f"codes {self.codes}: give at most {GROUP}, or multiples of it")

    def price(self, quality: int) -> float:
        """Squared error that a bit is worth at a quality in half steps: log-linear."""
        return float(self.price_max * (self.price_min / self.price_max) ** (quality / QUALITY_STEPS))

    def levels(self, quality: int) -> int:
        """How many levels are coded at a quality in half steps."""
        return sum(first <= quality for first in self.first)

    def ends(self, quality: int) -> list[int]:
        """How many levels there are at each place where a file may be cut, the last one the file's own end."""
        return [self.levels(quality)]


class Level(nn.Module):
    """A codebook, what latents are to it, how often its codes are used, and what neighbours tell of them."""

    basis: Tensor

    def __init__(self, config: CodesConfig, number: int) -> None:
        super().__init__()
        self.factor, self.codes = config.factors[number], config.codes[number]
        channels, inside = config.channels[number], config.latents * self.factor**2
        self.register_buffer("basis", torch.zeros(channels, inside))
        self.leave = Basis(channels, inside)
        start_price = config.start_price * (COARSE_SHARE if self.factor > 1 else 1.0)
        settings = PricedSettings(codes=self.codes, decay=config.decay, start_price=start_price, revive=False)
        self.quantiser = PricedQuantiser(channels, settings)
        self.frequencies = IndexFrequencies(self.codes)
        parents = number * config.embedding
        self.context = IndexContext(self.codes, config.embedding, parents, config.context, config.context_bits)

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of its indices, of a picture of H, W pixels."""
        return size[0] // 16 // self.factor, size[1] // 16 // self.factor

    def features(self, latents: Tensor) -> Tensor:
        """(B, channels, H/f, W/f) of latents (B, latents, H, W)."""
        grouped = latents if self.factor == 1 else F.pixel_unshuffle(latents, self.factor)
        return F.conv2d(grouped, self.basis[:, :, None, None])

    def latents(self, features: Tensor) -> Tensor:
        """(B, latents, H, W) of what codes stand for."""
        grouped = self.leave(features)
        return grouped if self.factor == 1 else F.pixel_shuffle(grouped, self.factor)

    def choose(self, features: Tensor, quality: Sequence[int], config: CodesConfig) -> Tensor:
        """Indices (B, H, W) of features (B, channels, H, W), each picture at its quality."""
        share = COARSE_SHARE if self.factor > 1 else 1.0
        found = []
        for one, half_steps in zip(torch.split(features.detach(), 1), quality, strict=True):
            price = share * config.price(half_steps) * self.frequencies.bits(half_steps)
            found.append(from_rows(self.quantiser.choose(to_rows(one), price)[:, None], one.shape)[:, 0])
        return torch.cat(found)

    def values(self, indices: Tensor) -> Tensor:
        """What codes (B, H, W) stand for, (B, channels, H, W)."""
        return self.quantiser.codebook[indices].movedim(-1, 1)


class CodeNetwork(nn.Module):
    """Transforms and levels; see the module's docstring."""

    def __init__(self, config: CodesConfig) -> None:
        super().__init__()
        c = self.config = config
        self.to_fine = Basis(192, 192)
        self.fine_analysis = BlockStack(192, c.analysis_blocks[0], scaled=True)
        self.to_latents = Basis(768, c.latents)
        self.coarse_analysis = BlockStack(c.latents, c.analysis_blocks[1], scaled=True)
        self.log_scale = QualityTable(c.latents)
        self.coarse_synthesis = BlockStack(c.latents, c.synthesis_blocks[0], scaled=True)
        self.from_latents = Basis(c.latents, 768)
        self.fine_synthesis = BlockStack(192, c.synthesis_blocks[1], scaled=True, float32=1)
        self.from_fine = Basis(192, 192)
        self.levels = nn.ModuleList(Level(c, number) for number in range(len(c.factors)))

    def each_level(self) -> Iterator[Level]:
        """The levels, coarse to fine."""
        for level in self.levels:
            assert isinstance(level, Level)
            yield level

    # Transforms

    def analyse(self, x: Tensor, quality: Tensor) -> Tensor:
        """Latents (B, latents, H/16, W/16) of pictures (B, 3, H, W)."""
        fine, coarse = self.config.analysis_blocks
        return in_bands(lambda part: self._analyse(part, quality), x, unit=16, halo=coarse + -(-fine // 2))

    def _analyse(self, x: Tensor, quality: Tensor) -> Tensor:
        h = F.pixel_unshuffle((x - PIXEL_MEAN) * PIXEL_GAIN, 8)
        h = self.fine_analysis(self.to_fine(h.contiguous(memory_format=torch.channels_last)), quality)
        latents: Tensor = self.coarse_analysis(self.to_latents(F.pixel_unshuffle(h, 2)), quality)
        return latents.float() * self.log_scale(quality).exp()

    def synthesise(self, latents: Tensor, quality: Tensor) -> Tensor:
        """Pictures (B, 3, H, W), about 0..1 and not clamped, of latents (B, latents, H/16, W/16)."""
        coarse, fine = self.config.synthesis_blocks
        return in_bands(lambda part: self._synthesise(part, quality), latents, unit=1, halo=coarse + -(-fine // 2))

    def _synthesise(self, latents: Tensor, quality: Tensor) -> Tensor:
        h = self.coarse_synthesis(latents.contiguous(memory_format=torch.channels_last), quality)
        h = F.pixel_shuffle(self.from_latents(h), 2)
        h = self.from_fine(self.fine_synthesis(h, quality))
        return F.pixel_shuffle(h, 8) / PIXEL_GAIN + PIXEL_MEAN

    # Codes

    @torch.no_grad()
    def indices(self, latents: Tensor, quality: int) -> list[Tensor]:
        """What an encoder sends for latents (B, latents, H, W): of each level that the quality has, (B, H/f, W/f)."""
        left, found = latents, []
        for level in list(self.each_level())[: self.config.levels(quality)]:
            chosen = level.choose(level.features(left), [quality] * len(latents), self.config)
            found.append(chosen)
            left = left - level.latents(level.values(chosen))
        return found

    def latents(self, indices: Sequence[Tensor]) -> Tensor:
        """Latents (B, latents, H, W) of the indices of the first levels."""
        parts = []
        for factor, group in groupby(zip(self.each_level(), indices, strict=False), lambda each: each[0].factor):
            levels, own = zip(*group, strict=True)
            values = [level.values(each) for level, each in zip(levels, own, strict=True)]
            grouped = sum_of_bases([level.leave for level in levels], values)
            parts.append(grouped if factor == 1 else F.pixel_shuffle(grouped, factor))
        return functools.reduce(torch.add, parts)

    def parents(self, indices: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """What the context of the next level sees of its grid: places, and the features of decoded levels.

        Args:
            indices: of the levels that are decoded, (B, H, W) each, or none.
            size: of the next level's grid.

        Returns:
            (B or, of the first level, 1; channels; rows, columns).

        """
        levels = list(self.each_level())
        level = levels[len(indices)]
        where = places(size, level.basis.device)[None] * level.context.one
        features = [
            enlarged(other.context.embedded(own), other.factor // level.factor)
            for other, own in zip(levels, indices, strict=False)
        ]
        return torch.cat([where.expand(len(each), -1, -1, -1) for each in features[:1] or [where]] + features, 1)

    # Start of training

    @torch.no_grad()
    def start_transforms(self, blocks: Tensor) -> None:
        """Set the linear part to the principal components of blocks, as in `Hyperprior.start_from`.

        Args:
            blocks: (N, 3, 16, 16) float32 in [0, 1], N several times 768.

        """
        pixels = F.pixel_unshuffle((blocks - PIXEL_MEAN) * PIXEL_GAIN, 8)
        samples = pixels.permute(0, 2, 3, 1).flatten(0, 2)
        basis, mean, deviation = principal_components(samples)
        self.to_fine.set_matrix(basis.T, -(mean @ basis), levelling(samples.std(0), DEVIATION_MIN))
        self.from_fine.set_matrix(basis, mean, levelling(deviation, DEVIATION_MIN))
        for stack in (self.fine_analysis, self.fine_synthesis):
            stack.set_input_scale(levelling(deviation, DEVIATION_MIN))
        groups = F.pixel_unshuffle(self.to_fine(pixels), 2).flatten(1)
        basis, mean, deviation = (part[..., : self.config.latents] for part in principal_components(groups))
        mean = groups.mean(0)
        for stack in (self.coarse_analysis, self.coarse_synthesis):
            stack.set_input_scale(levelling(deviation, DEVIATION_MIN))
        self.to_latents.set_matrix(basis.T, -(mean @ basis), levelling(groups.std(0), DEVIATION_MIN))
        self.from_latents.set_matrix(basis, mean, levelling(deviation, DEVIATION_MIN))

    @torch.no_grad()
    def take_transforms(self, other: nn.Module, lowest: int, highest: int) -> int:
        """Take parameters of the same names and shapes from another codec, and what depends on the quality anew.

        Args:
            other: a codec whose transforms have these names.
            lowest: half steps of its quality that quality 0 begins as.
            highest: the same of quality 100.

        Returns:
            How many tensors were taken.

        """
        theirs, taken = other.state_dict(), 0
        quality = torch.linspace(lowest, highest, ANCHORS).round().to(torch.int64)
        for name, own in self.state_dict().items():
            given = theirs.get(name)
            if given is None or given.shape != own.shape or name.startswith("levels."):
                continue
            if name.endswith(".anchors"):
                given = between_anchors(given.float(), quality)[:, :, 0, 0]
            own.copy_(given)
            taken += 1
        gains = [theirs.get(f"{name}.anchors") for name in ("log_gain", "log_inverse_gain")]
        fit = [gain for gain in gains if gain is not None and gain.shape == self.log_scale.anchors.shape]
        if len(fit) == 2:  # what their decoder takes is not what their analysis gives
            self.log_scale.anchors.copy_(between_anchors((fit[0] + fit[1]).float(), quality)[:, :, 0, 0])
        return taken

    @torch.no_grad()
    def start_levels(self, latents: Tensor) -> None:
        """Bases as principal components, and codebooks as k-means, of latents and of what each level leaves of them.

        Levels that have a basis are left as they are.

        Args:
            latents: (N, latents, H, W), sides multiples of the largest factor.

        """
        left, before = latents.float(), None
        for level in self.each_level():
            if level.basis.any():
                chosen = level.choose(level.features(left), [START_QUALITY] * len(left), self.config)
                left, before = left - level.latents(level.values(chosen)), level
                continue
            alike = before is not None and before.factor == level.factor and before.basis.shape == level.basis.shape
            if before is not None and alike and not self.config.own_bases:
                level.basis.copy_(before.basis)
            else:
                grouped = left if level.factor == 1 else F.pixel_unshuffle(left, level.factor)
                level.basis.copy_(_components(to_rows(grouped), len(level.basis)))
            scale = torch.ones(len(level.basis), device=left.device)
            level.leave.set_matrix(level.basis.T, torch.zeros(level.basis.shape[1], device=left.device), scale)
            features = level.features(left)
            level.quantiser.start(_sample(to_rows(features), START_ROWS))
            _start_frequencies(level, _sample(to_rows(features), START_COUNTED), self.config)
            chosen = level.choose(features, [START_QUALITY] * len(features), self.config)
            _start_context(level)
            left, before = left - level.latents(level.values(chosen)), level


START_ROWS, START_COMPONENT_ROWS = 60_000, 20_000
"""Features that a codebook, and a basis, starts from."""

START_COUNTED, START_COUNTS = 6000, 4
"""Features whose choices are counted at the start, and how often: each time at the prices of the count before."""

START_QUALITY = 140
"""In half steps: the price at which what is left for the next level is found at the start."""


def _sample(rows: Tensor, count: int) -> Tensor:
    return rows if len(rows) <= count else rows[torch.randperm(len(rows), device=rows.device)[:count]]


def _components(rows: Tensor, count: int) -> Tensor:
    """Principal directions (count, C) of rows (N, C) about zero; zero rows where there are fewer."""
    rows = _sample(rows, START_COMPONENT_ROWS)
    _, _, directions = torch.svd_lowrank(rows, q=min(count + 8, *rows.shape), niter=3)
    found = torch.zeros(count, rows.shape[1], device=rows.device)
    kept = min(count, directions.shape[1])
    found[:kept] = directions.T[:kept]
    return found


def _start_frequencies(level: Level, rows: Tensor, config: CodesConfig) -> None:
    """How often codes are chosen at each anchor's price, which depends on how often they are chosen."""
    for anchor in range(ANCHORS):
        quality = anchor * ANCHOR_SPACING
        price = config.price(quality) * (COARSE_SHARE if level.factor > 1 else 1.0)
        for _ in range(START_COUNTS):
            chosen = level.quantiser.choose(rows, price * level.frequencies.bits(quality))
            level.frequencies.shares[anchor] = share_of_use(chosen, level.codes)


def _start_context(level: Level) -> None:
    """What the prior sees of a code at first: its first components, of about unit size; what it says: frequencies."""
    level.context.leave.bias.copy_(torch.log(level.frequencies.shares * 0.98 + 0.02 / level.codes))
    table = level.context.embedding.table
    codes = level.quantiser.codebook[:, : table.shape[1]]
    scale = level.quantiser.codebook.std(0).amax().clamp(min=1e-6)
    kept = min(table.shape[1], codes.shape[1])
    table[:, :kept] = 3 * torch.asinh(codes[:, :kept] / scale * 2)
