"""The encoder's choice of areas that are coded plainly (nicodec/areas): it looks at its own result.

Only pictures with areas that could gain are tried: such as have few colours, or much of what is finer than latents
have room for. These are coded as they are; then with the areas that would cost less, in bits and error, one way or
the other, and what costs least in all is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from nicodec.areas.lossless import encode_lossless, is_available, lossless_at_least
from nicodec.areas.plain import LATENT, LOSSLESS, RESIDUAL, Pixels, PlainAreas
from nicodec.areas.residual import AREA, brightness_of, coefficients_of, step_of, with_dead_zone
from nicodec.entropy.coder import Coder, LeastCost, Stream, StreamEncoder
from nicodec.entropy.priors import Prior

FILLED = 3
"""Beside the modes of a mask: a residual where the codec saw a smooth fill. It is written as RESIDUAL."""

COLOURS_MAX = 1024
"""Areas of more colours are not tried without loss."""

COLOURS_OF_A_QUARTER = 648
"""What a quarter of an area's pixels show of so many equally frequent colours, about."""

LIVELY = 2.0
"""Deviation in grey levels from which an area of few colours may gain."""

FINE_FROM, FINE_STEPS, FINE_LEVELS = 9, 0.35, 8.0
"""Bands of the DCT from that on are fine; areas may gain whose fine coefficients are so many steps and levels."""

PALETTES = (4, 8, 16, 32, 64, 128)
"""Drawn areas may be shown with so many colours."""

HOPE = 4.0
"""Areas are tried whose bits without loss are at most so many times their cost by blocks: fewer colours take less."""

DRAWN_COLOURS = 32
"""An area of at most so many colours may be of a drawing, of which the quick estimate is much too large."""

SURELY_MORE = 0.6
"""Times the quick estimate of an area's bits without loss, of which Kodak's photographs take 0.58 and mostly 1.0."""

FEWER_HELP = 6.0
"""Bits without loss over a codec's cost up to which fewer colours may turn the scale."""

SURE_GAIN = 0.01
"""Share of a picture's cost that a trial must promise."""

EMPTY_BITS = 1 / 250
"""A pixel: no codec with latents takes less."""

NEARLY = 1.1
"""Times the least cost: as good, if the error is less."""

SURELY_LESS = 0.4
"""Of what blocks cost: no codec with latents costs less, so nothing is tried where no loss does."""

CLASS_BITS = 3.0
"""What a residual's estimate counts for each block beside its coefficients."""


class Traversal(Protocol):
    """What of a codec with latents is needed here."""

    def code_latents(self, coder: Coder, x: Tensor | None, size: tuple[int, int], quality: Tensor) -> Tensor:
        """See `LatentCodec.code_latents`."""

    def code_filters(
        self, coders: Sequence[Coder], x: Tensor | None, latents: Tensor, quality: Tensor, *, fit: bool = True
    ) -> list[Tensor | None]:
        """See `LatentCodec.code_filters`."""

    def synthesise(self, latents: Tensor, quality: Tensor, filters: Sequence[Tensor | None] | None = None) -> Tensor:
        """See `LatentCodec.synthesise`."""

    def rate_weight(self, quality: Tensor) -> Tensor:
        """See `LatentCodec.rate_weight`."""


@dataclass(frozen=True)
class Plan:
    """How a picture is to be coded.

    Attributes:
        areas: what is coded plainly.
        x: what the codec is to see, (1, 3, H, W).
        stream: the whole stream, if the picture was tried.

    """

    areas: PlainAreas
    x: Tensor
    stream: Stream | None = None


@dataclass(frozen=True)
class _Proposal:
    """A way to code a picture: modes (rows, columns), `FILLED` among them; pixels (H, W, 3) to be without loss."""

    mode: Tensor
    pixels: Pixels


@dataclass(frozen=True)
class _Trial:
    """What a proposal gave.

    Attributes:
        proposal: the way.
        plan: the same.
        bits: the codec's own, by area.
        cost: of each area, bits and weighted error.
        total: the same of the file.
        error: its weighted error alone.

    """

    proposal: _Proposal
    plan: Plan
    bits: Tensor
    cost: Tensor
    total: float
    error: float


def plan_areas(codec: Traversal, x: Tensor, quality: Tensor, *, thorough: bool = True) -> Plan:
    """Choose which areas of a picture are coded plainly.

    Args:
        codec: the codec, in evaluation mode.
        x: (1, 3, H, W) in [0, 1].
        quality: (1,), half steps.
        thorough: whether symbols are of least cost, and a filter is fitted.

    """
    height, width = x.shape[2:]
    unchanged = Plan(PlainAreas.none((height, width)), x)
    if height % AREA or width % AREA:
        return unchanged
    pixels, rate_weight = _pixels(x), float(codec.rate_weight(quality))
    few, lively = _few_colours(pixels)
    if bool(few.all()) and not lively.any():
        whole = PlainAreas.of(torch.full_like(unchanged.areas.mode, LOSSLESS), pixels)
        if 8 * sum(map(len, whole.tiles)) <= EMPTY_BITS * height * width:
            return Plan(whole, x)
    fine = _fine_areas(x, rate_weight)
    if not few.all() and not ((few & lively) | fine).any():
        return unchanged
    by_blocks = _residual_costs(x, F.interpolate(F.avg_pool2d(x, AREA), scale_factor=AREA), rate_weight)
    drawn = few & (~lively | _hopeful(pixels, few & lively, HOPE * by_blocks))
    if not few.all() and not ((drawn & lively) | fine).any():
        return unchanged

    if bool(few.all()) and bool(drawn.all()):
        shown, lossless = _best_version(x, pixels, drawn, by_blocks, rate_weight)
        if float(lossless.sum()) < SURELY_LESS * float(by_blocks.sum()):
            return Plan(PlainAreas.of(torch.full_like(unchanged.areas.mode, LOSSLESS), shown), x)

    none = _Proposal(unchanged.areas.mode, pixels)
    plain, x_hat = _try(codec, x, none, quality, thorough)
    with_latents = (plain.bits + _residual_costs(x, x_hat, rate_weight)).masked_fill(~fine, torch.inf)
    del x_hat
    shown, lossless = _best_version(x, pixels, drawn, plain.cost, rate_weight)
    costs = torch.stack([plain.cost, lossless, with_latents, by_blocks.masked_fill(~fine, torch.inf)])
    trials = [plain]
    proposals = [_Proposal(mode, shown) for mode in _modes(costs)]
    if bool(few.all()):
        proposals.append(_Proposal(torch.full_like(none.mode, LOSSLESS), shown))
    for proposal in proposals:
        if all(not torch.equal(proposal.mode, other.proposal.mode) for other in trials):
            trials.append(_try(codec, x, proposal, quality, thorough)[0])
    if len(trials) > 1:  # each area as it was best
        place = torch.stack([trial.cost for trial in trials]).argmin(0, keepdim=True)
        mode = torch.stack([trial.proposal.mode for trial in trials]).gather(0, place)[0]
        if all(not torch.equal(mode, other.proposal.mode) for other in trials):
            trials.append(_try(codec, x, _Proposal(mode, shown), quality, thorough)[0])
    best = _near_best([(trial.total, trial.error) for trial in trials])
    return trials[best].plan


def write_planned(
    codec: Traversal,
    coder: StreamEncoder,
    x: Tensor,
    plans: Sequence[Plan],
    quality: Tensor,
    own: Callable[[Coder, Tensor, Tensor], Coder],
    *,
    fit: bool,
    show: bool = False,
) -> list[tuple[Tensor, Tensor | None]]:
    """Write pictures as their plans say: the areas, the codec's own symbols, its filters, the residuals.

    Args:
        codec: the codec, in evaluation mode.
        coder: writes a stream for each.
        x: (B, 3, H, W) in [0, 1].
        plans: theirs.
        quality: (B,), half steps.
        own: gives what the codec's own symbols are handed to, of a coder, what the codec sees, and its qualities.
        fit: whether filters are fitted.
        show: whether the codec's own pictures are wanted where no residual needs them.

    Returns:
        Of each picture the codec's own, (1, 3, H, W), black where it was not wanted or nothing of it is seen, and
        what `PlainAreas.lay_over` takes.

    """
    size = (x.shape[2], x.shape[3])
    for writer, plan in zip(coder.pictures, plans, strict=True):
        PlainAreas.code(writer, plan.areas, size)
    found: list[tuple[Tensor, Tensor | None]] = [(torch.zeros_like(x[:1]), None)] * len(plans)
    places = [n for n, plan in enumerate(plans) if not plan.areas.cover_all]
    if not places:
        return found
    part, qualities = coder.part(places), quality[places]
    seen = plans[places[0]].x if len(places) == 1 else torch.cat([plans[n].x for n in places])
    latents = codec.code_latents(own(part, seen, qualities), seen, size, qualities)
    filters = codec.code_filters(part.pictures, seen, latents, qualities, fit=fit)
    for number, place in enumerate(places):
        areas, one = plans[place].areas, slice(number, number + 1)
        if show or areas.have_residual:
            x_hat = codec.synthesise(latents[one], qualities[one], [filters[number]]).float()
            rate_weight = float(codec.rate_weight(qualities[one]))
            found[place] = x_hat, areas.code_residual(part.pictures[number], x[place], x_hat[0], rate_weight)
    return found


def _near_best(found: Sequence[tuple[float, float]]) -> int:
    """The place of the least error among (cost, error) that cost nearly the least.

    A few ways lie far apart in error: the cheapest at each quality would now and then look worse than at a lower one.
    """
    least = min(cost for cost, _ in found)
    return min((error, place) for place, (cost, error) in enumerate(found) if cost <= NEARLY * least)[1]


class _BitsMap(Coder):
    """Hands all to another coder, and adds its bits to a map where they go."""

    def __init__(self, inner: Coder, bits: Tensor) -> None:
        self._inner = inner
        self._bits = bits

    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        """See `Coder.code`."""
        symbols = self._inner.code(value, prior)
        bits = prior.bits(symbols)
        coded = prior.coded()
        if coded is not None:
            bits = bits * coded
        each = bits.sum(1, keepdim=True).float()
        mean = F.interpolate(each, size=self._bits.shape, mode="area")[0, 0].cpu()
        self._bits += mean * (each.numel() / self._bits.numel())
        return symbols


def _try(codec: Traversal, x: Tensor, proposal: _Proposal, quality: Tensor, thorough: bool) -> tuple[_Trial, Tensor]:
    """Code the picture so; gives the codec's own picture, too."""
    mode = proposal.mode
    seen = _filled(x, (mode == LOSSLESS) | (mode == FILLED))
    plan = Plan(PlainAreas.of(torch.where(mode == FILLED, RESIDUAL, mode), proposal.pixels), seen)
    bits = torch.zeros(mode.shape)

    def own(inner: Coder, seen: Tensor, quality: Tensor) -> Coder:
        return _BitsMap(LeastCost(inner) if thorough else inner, bits)

    coder, rate_weight = StreamEncoder(), float(codec.rate_weight(quality))
    ((x_hat, residual),) = write_planned(codec, coder, x, [plan], quality, own, fit=thorough, show=True)
    shown = plan.areas.lay_over(x_hat[0], residual, rate_weight)
    error = rate_weight * _errors(x[0], shown)
    cost = bits + error
    if residual is not None:
        cost[mode >= RESIDUAL] += _residual_bits(residual)
    if plan.areas.tiles:
        cost[mode == LOSSLESS] += 8 * sum(map(len, plan.areas.tiles)) / (mode == LOSSLESS).sum()
    (stream,) = coder.finish()
    whole = float(error.sum())
    return _Trial(proposal, replace(plan, stream=stream), bits, cost, 8 * len(stream.data) + whole, whole), x_hat


def _residual_bits(symbols: Tensor) -> Tensor:
    """An estimate of the bits of a residual's symbols (areas, blocks, 3, 64), (areas,)."""
    spread = symbols.square().mean(1)  # of each frequency in the area
    return symbols.shape[1] * (0.5 * torch.log2(1 + 12 * spread).sum((1, 2)) + CLASS_BITS)


def _errors(x: Tensor, x_hat: Tensor) -> Tensor:
    """Squared errors of each area of (3, H, W) in grey levels, summed, the mean of three colours: (rows, columns)."""
    found = []
    for top in range(0, x.shape[1], AREA):  # a strip at a time: large pictures
        rows = slice(top, top + AREA)
        error = (255 * (x[:, rows] - x_hat[:, rows].clamp(0, 1))).square().mean(0, keepdim=True)
        found.append(F.avg_pool2d(error, AREA)[0, 0] * AREA**2)
    return torch.stack(found).cpu()


def _pixels(x: Tensor) -> Pixels:
    """(H, W, 3)."""
    return np.ascontiguousarray((x[0] * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy())


def _area_of(pixels: Pixels, row: int, column: int) -> Pixels:
    return pixels[AREA * row : AREA * (row + 1), AREA * column : AREA * (column + 1)]


def _few_colours(pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Areas of few colours, and those of them that are not nearly flat, (rows, columns) bool."""
    rows, columns = pixels.shape[0] // AREA, pixels.shape[1] // AREA
    few, lively = np.zeros((2, rows, columns), dtype=np.bool_)
    if is_available():
        each = _colours_of(pixels).reshape(rows, AREA, columns, AREA).swapaxes(1, 2).reshape(rows, columns, AREA**2)
        few[:] = _count_different(each[..., ::4]) <= COLOURS_OF_A_QUARTER
        few[few] = _count_different(each[few]) <= COLOURS_MAX
        for row, column in zip(*np.nonzero(few), strict=True):
            lively[row, column] = _area_of(pixels, row, column).std() >= LIVELY
    return torch.from_numpy(few), torch.from_numpy(lively)


def _colours_of(pixels: Pixels) -> NDArray[np.int32]:
    """(..., 3) as numbers."""
    colours: NDArray[np.int32] = pixels[..., 0].astype(np.int32) << 16
    colours |= pixels[..., 1].astype(np.int32) << 8
    colours |= pixels[..., 2]
    return colours


def _count_different(numbers: NDArray[np.int32]) -> NDArray[np.intp]:
    """How many different ones there are in each row of (..., n)."""
    in_order = np.sort(numbers, axis=-1)
    found: NDArray[np.intp] = 1 + np.count_nonzero(in_order[..., 1:] != in_order[..., :-1], axis=-1)
    return found


def _fine_areas(x: Tensor, rate_weight: float) -> Tensor:
    """Areas with much that is finer than latents have room for, (rows, columns) bool."""
    n = torch.arange(8)
    fine = ((n[:, None] + n).flatten() >= FINE_FROM).to(x.device)
    found = []
    for top in range(0, x.shape[2], AREA):
        brightness = brightness_of(255 * x[0, :, top : top + AREA])[:, :, fine]
        found.append(brightness.square().mean((1, 2)).sqrt() > FINE_STEPS * step_of(rate_weight) + FINE_LEVELS)
    return torch.stack(found).cpu()


def _modes(costs: Tensor) -> list[Tensor]:
    """Modes (rows, columns), `FILLED` among them, that promise to cost less; costs: (4, rows, columns)."""
    found: list[Tensor] = []
    for allowed in ((LATENT, LOSSLESS), (LATENT, LOSSLESS, RESIDUAL, FILLED)):
        part = costs[list(allowed)]
        if float((costs[LATENT] - part.amin(0)).sum()) > SURE_GAIN * float(costs[LATENT].sum()):
            found.append(torch.tensor(allowed)[part.argmin(0)])
    return found


def _hopeful(pixels: Pixels, drawn: Tensor, bound: Tensor) -> Tensor:
    """Which drawn areas take fewer bits without loss than a bound; all are (rows, columns).

    Most photographs have some areas of few colours, and none that comes near: a look at them shows it in a tenth of
    the time.
    """
    if not drawn.any():
        return drawn
    chosen = drawn.numpy()
    rows, columns = chosen.shape
    parts = pixels.reshape(rows, AREA, columns, AREA, 3).swapaxes(1, 2)[chosen]
    colours = _count_different(_colours_of(parts).reshape(len(parts), AREA**2))
    if colours.min() > DRAWN_COLOURS and (SURELY_MORE * lossless_at_least(parts) >= bound[drawn].numpy()).all():
        return torch.zeros_like(drawn)
    return _lossless_bits(pixels, drawn) < bound


def _lossless_bits(pixels: Pixels, drawn: Tensor) -> Tensor:
    """An estimate of each area's share in the bits without loss of them all; infinite where it is not tried."""
    found = torch.full(drawn.shape, torch.inf)
    if not drawn.any():
        return found
    for row, column in drawn.nonzero().tolist():
        found[row, column] = 8 * len(encode_lossless(_area_of(pixels, row, column), fast=True))
    together = 8 * sum(map(len, PlainAreas.of(torch.where(drawn, LOSSLESS, LATENT), pixels, fast=True).tiles))
    return found * (together / found[drawn].sum())


def _best_version(
    x: Tensor, pixels: Pixels, drawn: Tensor, plain: Tensor, rate_weight: float
) -> tuple[Pixels, Tensor]:
    """The picture as it is, or with few colours in drawn areas: what costs least where it beats the codec.

    Args:
        x: the picture.
        pixels: the same, (H, W, 3).
        drawn: areas, (rows, columns) bool.
        plain: what they cost with the codec alone.
        rate_weight: λ.

    Returns:
        The pixels, and an estimate of what each area costs; infinite where it is not drawn.

    """
    infinite = torch.full(drawn.shape, torch.inf)
    drawn = drawn & (_lossless_bits(pixels, drawn) < FEWER_HELP * plain)
    if not drawn.any():
        return pixels, infinite
    mode = torch.where(drawn, LOSSLESS, LATENT)
    versions = [pixels, *(_with_few_colours(pixels, drawn, colours) for colours in PALETTES)]
    found = []
    for version in versions:
        error = rate_weight * float(_errors(x[0], _shown(version, x))[drawn].sum())
        found.append((8 * sum(map(len, PlainAreas.of(mode, version, fast=True).tiles)) + error, error))
    best = versions[_near_best(found)]
    together = 8 * sum(map(len, PlainAreas.of(mode, best).tiles))
    each = _lossless_bits(best, drawn)
    cost = each * (together / each[drawn].sum()) + rate_weight * _errors(x[0], _shown(best, x))
    return best, torch.where(drawn, cost, infinite)


def _shown(pixels: Pixels, x: Tensor) -> Tensor:
    """Pixels (H, W, 3) as (3, H, W) in [0, 1], where x is."""
    return torch.from_numpy(pixels).permute(2, 0, 1).to(x.device) / 255


def _with_few_colours(pixels: Pixels, drawn: Tensor, colours: int) -> Pixels:
    """The same with so many colours at most in all drawn areas together."""
    where = drawn.numpy().repeat(AREA, 0).repeat(AREA, 1)
    image = Image.fromarray(pixels[where][None])
    few = image.quantize(colours, method=Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE)
    version = pixels.copy()
    version[where] = np.array(few.convert("RGB"))[0]
    return version


def _residual_costs(x: Tensor, x_hat: Tensor, rate_weight: float) -> Tensor:
    """An estimate of bits and weighted errors of each area with a residual, (rows, columns)."""
    step = step_of(rate_weight)
    found = []
    for top in range(0, x.shape[2], AREA):
        rows = slice(top, top + AREA)
        values = coefficients_of(255 * (x[0, :, rows] - x_hat[0, :, rows].clamp(0, 1))) / step
        symbols = with_dead_zone(values)
        error = step**2 * (values - symbols).square().sum((1, 2, 3)) / 3
        found.append(_residual_bits(symbols) + rate_weight * error)
    return torch.stack(found).cpu()


def _filled(x: Tensor, where: Tensor) -> Tensor:
    """The picture with these areas (rows, columns) replaced by a smooth continuation of the others."""
    if not where.any():
        return x
    known = (~where).to(x.device, x.dtype)[None, None].repeat_interleave(AREA, 2).repeat_interleave(AREA, 3)
    return _pull(x * known, known)


def _pull(sums: Tensor, known: Tensor) -> Tensor:
    """Values where something is known, elsewhere those of half the size."""
    values = torch.where(known > 0, sums / known.clamp(min=1e-6), torch.full_like(sums, 0.5))
    if min(known.shape[2:]) <= 1 or bool((known > 0).all()):
        return values
    half = _pull(F.avg_pool2d(sums, 2, ceil_mode=True), F.avg_pool2d(known, 2, ceil_mode=True))
    coarse = F.interpolate(half, size=known.shape[2:], mode="bilinear", align_corners=False)
    return torch.where(known > 0, values, coarse)
