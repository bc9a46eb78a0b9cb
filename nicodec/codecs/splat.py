"""Gaussian splats: a picture fitted by a sum of Gaussians, in a file that explains itself (no trained model).

Order of the stream: a header of bytes (precision, background, Gaussians of each class, parameters of the tables),
then for each class the positions as counts in halved rectangles, then the attributes of all Gaussians, channel
by channel, in the order that the rectangles give.

A set has no order, and none is coded: a rectangle's count is split again and again into those of its halves, which
costs about log2(N!) bits less than a list. Source of the representation: Zhang et al., GaussianImage, 2024.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nicodec.codecs.base import PictureCodec, Progress, Watch
from nicodec.codecs.options import Options, option
from nicodec.entropy.coder import Coder, PictureReader, PictureWriter, Stream
from nicodec.entropy.priors import Tabled
from nicodec.entropy.tables import TOTAL, Table, gaussian_tables, inverse_scales, normalise
from nicodec.errors import SymbolMismatchError
from nicodec.splat import fitting
from nicodec.splat.fitting import Budget, Fit, fit
from nicodec.splat.gaussians import CLASSES, PRECISION_MAX, Gaussians, Steps, Symbols

COUNT_MAX = 65_534
"""Gaussians of a file."""

DENSITY_MIN, DENSITY_MAX = 0.00076, 0.05
"""Gaussians a pixel at quality 0 and 100."""

CHANNELS = 6
"""Attributes of a Gaussian: smaller scale, difference of the scales, shear, three colours."""

SMALL = 48
"""Counts up to this are split by a table of their own, larger ones by a Gaussian's."""

GATHERING = (1, 2, 3, 4, 6, 8, 12, 16)
"""Parameters of the beta-binomial law of splits: the smaller, the more Gaussians gather."""

WEIGHTS = 16
"""Unit of the weights of a mixture of two Gaussian tables."""

SAME = "the stream holds a number that no writer writes; the file was made by a different nicodec: report it"

WIDEST = 64
"""Bytes of the header that describe tables stay below this."""


@dataclass(frozen=True)
class SplatConfig:
    """There is nothing to configure."""


@dataclass(frozen=True)
class SplatOptions(Options):
    """What the fit can be asked for."""

    gaussians: int | None = option(
        None, "How many Gaussians, instead of what -q asks for.", low=1, high=COUNT_MAX, metavar="N"
    )
    seconds: float | None = option(
        None, "Fit for S seconds at most.", low=0.1, metavar="S", default_text="as long as the iterations take"
    )
    iterations: int = option(300, "Steps of the fit.", low=1, metavar="N")


@cache
def _byte_tables() -> tuple[Table]:
    return (Table(128, normalise(np.ones(258, dtype=np.int64))),)


@cache
def _split_tables(gathering: int) -> tuple[Table, ...]:
    """Tables of (left count − ⌊n/2⌋) for n = 0..SMALL, in exact integers, then those of Gaussians."""
    tables = []
    for n in range(SMALL + 1):
        half_width = (n + 1) // 2
        mass = [0] * (2 * half_width + 2)
        for left in range(n + 1):
            ways = math.comb(left + gathering - 1, left) * math.comb(n - left + gathering - 1, n - left)
            mass[left - n // 2 + half_width] = ways
        unit = max(1, sum(mass) >> 30)
        tables.append(Table(half_width, normalise(np.array([m // unit for m in mass], dtype=np.int64))))
    return (*tables, *gaussian_tables())


def _split_index(count: Tensor, gathering: int) -> Tensor:
    """Which of `_split_tables` a count has."""
    n = count.double().cpu().numpy()
    variance = n * (n + 2 * gathering) / (4 * (2 * gathering + 1))
    scales = 65536.0 / inverse_scales()
    large = np.searchsorted(scales * scales, variance).clip(1, len(scales) - 1) + SMALL + 1
    return torch.from_numpy(np.where(n <= SMALL, n, large).astype(np.int64)).to(count.device)


@cache
def _mixture_table(wide: int, narrower: int, weight: int) -> Table:
    """Mixture of two of the stored Gaussian tables, the second `narrower` by so many scales, `weight`/16 of it."""
    first, second = gaussian_tables()[max(1, wide - narrower)], gaussian_tables()[wide]
    frequencies = (WEIGHTS - weight) * second.frequencies
    shift = second.half_width - first.half_width
    frequencies[shift : shift + 2 * first.half_width + 1] += weight * first.frequencies[:-1]
    frequencies[-1] += weight * first.frequencies[-1]
    return Table(second.half_width, normalise(frequencies))


@cache
def _mixture_bits(narrower: int, weight: int) -> NDArray[np.float32]:
    """(WIDEST, 511): bits of the symbols −255..255 with every width."""
    bits = np.full((WIDEST, 511), 24.0 + 9.0, dtype=np.float32)
    for wide in range(1, WIDEST):
        table = _mixture_table(wide, narrower, weight)
        near = min(255, table.half_width)
        middle = table.frequencies[table.half_width - near : table.half_width + near + 1]
        bits[wide, 255 - near : 255 + near + 1] = 24 - np.log2(middle)
    return bits


class Splat(PictureCodec):
    """See the module's docstring."""

    Config = SplatConfig
    Options = SplatOptions
    needs_weights = False
    pixels_a_byte = 2**18

    here: Tensor

    def __init__(self, config: SplatConfig | None = None) -> None:
        super().__init__()
        self.config = config or SplatConfig()
        self.register_buffer("here", torch.zeros(1, dtype=torch.float32), persistent=False)

    # The one traversal

    def code_gaussians(self, coder: Coder, x: Fit | None, size: tuple[int, int]) -> Fit:
        """Hand every symbol to `coder`, in the order of the stream.

        Args:
            coder: what is done with the symbols.
            x: what was fitted, None when decoding.
            size: H, W in pixels.

        Returns:
            x with its Gaussians in the order of the stream.

        """
        device = self.here.device
        symbols = None if x is None else x.symbols
        head = None if x is None else [x.steps.precision, *(x.background * 255).round().int().tolist()]
        precision, *background = _code_bytes(coder, head, 4, device)
        if precision > PRECISION_MAX:
            raise SymbolMismatchError(SAME)
        steps = Steps(precision)

        counts = None
        if symbols is not None:
            held = torch.bincount(symbols.kind.long(), minlength=CLASSES).tolist()
            counts = [byte for n in held for byte in (n & 255, n >> 8)]
        counts = _code_bytes(coder, counts, 2 * CLASSES, device)
        kinds, cells, order = [], [], []
        for number in range(CLASSES):
            count, grid = counts[2 * number] + 256 * counts[2 * number + 1], steps.grid(number, size)
            own = None if symbols is None else torch.nonzero(symbols.kind == number)[:, 0]
            last = torch.tensor(grid, device=device) - 1
            points = None if symbols is None else symbols.cell[own].long().minimum(last)
            cell, sorting = _code_positions(coder, points, count, grid, device)
            kinds.append(torch.full((count,), float(number), dtype=torch.float32, device=device))
            cells.append(cell.float())
            if own is not None:
                order.append(own[sorting])
        kind, cell = torch.cat(kinds), torch.cat(cells)
        known = None if symbols is None else symbols.attributes[torch.cat(order)]
        attributes = _code_attributes(coder, known, kind)
        levels = torch.tensor(background, dtype=torch.float32, device=device)
        return Fit(Symbols(kind, cell, attributes), steps, levels / 255, size)

    def decode(self, streams: Sequence[tuple[Stream, ...]], size: tuple[int, int], quality: Tensor) -> Tensor:
        """See `PictureCodec.decode`."""
        return self.draw(streams, size, quality, size)

    def draw(
        self,
        streams: Sequence[tuple[Stream, ...]],
        size: tuple[int, int],
        quality: Tensor,
        draw_size: tuple[int, int],
    ) -> Tensor:
        """See `PictureCodec.draw`."""
        with torch.autocast(self.here.device.type, enabled=False):
            return torch.stack([self.decode_gaussians(stream, size).draw(draw_size) for (stream,) in streams])

    def decode_gaussians(self, stream: Stream, size: tuple[int, int]) -> Gaussians:
        """The Gaussians of a stream.

        Raises:
            SymbolMismatchError: the symbols read are not the symbols written.

        """
        coder = PictureReader(stream)
        fitted = self.code_gaussians(coder, None, size)
        coder.finish()
        return fitted.gaussians()

    # Encoding is fitting

    def encode(
        self, x: Tensor, quality: Tensor, options: SplatOptions, watch: Watch | None = None
    ) -> list[tuple[Stream, ...]]:
        """See `PictureCodec.encode`."""
        return [
            (self._encode_one(picture, int(half_steps), options, watch),)
            for picture, half_steps in zip(x, quality, strict=True)
        ]

    def _encode_one(self, x: Tensor, quality: int, options: SplatOptions, watch: Watch | None) -> Stream:
        count = options.gaussians or gaussians_for(quality, (x.shape[1], x.shape[2]))
        budget = Budget(options.iterations, options.seconds)
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
            fitted = fit(x.clone().float(), count, budget=budget, watch=_teller(watch))
        coder = PictureWriter()
        self.code_gaussians(coder, fitted, fitted.size)
        return coder.finish()


def _teller(watch: Watch | None) -> fitting.Watch | None:
    """What tells `watch` of a fit."""
    if watch is None:
        return None

    def tell(progress: fitting.Progress, gaussians: Callable[[], Gaussians]) -> None:
        text = f"{progress.count} Gaussians, {progress.psnr:.2f} dB, {progress.seconds:.0f} s"
        watch(Progress(progress.share, text, lambda: gaussians().draw()))

    return tell


def _code_attributes(coder: Coder, attributes: Tensor | None, kind: Tensor) -> Tensor:
    """(N, 6) attributes in steps; each class and channel has a table of its own, told before them."""
    kinds = kind.long()
    present = torch.unique(kinds).tolist()
    models = None if attributes is None else _choose_tables(attributes, kinds, present)
    centred = 1 + CHANNELS  # of each class: the middle of the first channel, and the width of every channel
    models = _code_bytes(coder, models, 2 * CHANNELS + centred * len(present), kind.device)
    shapes, rest = models[: 2 * CHANNELS], models[2 * CHANNELS :]
    if max(models, default=0) >= WIDEST or max(shapes[1::2]) > WEIGHTS:
        raise SymbolMismatchError(SAME)
    tables: list[Table] = []
    index = torch.zeros(len(kind), CHANNELS, dtype=torch.int64, device=kind.device)
    centre = torch.zeros(len(kind), CHANNELS, dtype=torch.float32, device=kind.device)
    for number, k in enumerate(present):
        middle, *widths = rest[centred * number : centred * (number + 1)]
        centre[kinds == k, 0] = float(middle)
        index[kinds == k] = torch.arange(len(tables), len(tables) + CHANNELS, device=kind.device)
        tables += [_mixture_table(max(1, w), shapes[2 * c], shapes[2 * c + 1]) for c, w in enumerate(widths)]
    value = None if attributes is None else (attributes - centre).T[None, :, None]
    return coder.code(value, Tabled(tables, index.T[None, :, None]))[0, :, 0].T + centre


def _choose_tables(attributes: Tensor, kinds: Tensor, present: list[int]) -> list[int]:
    """Shape of each channel's tables; then the middle of the first channel and all widths for each class."""
    values = attributes.cpu().numpy().astype(np.int64)
    middles: list[int] = []
    shapes: list[int] = []
    widths = np.ones((len(present), CHANNELS), dtype=np.int64)
    for k in present:
        own = values[(kinds == k).cpu().numpy()]
        middles.append(int(np.median(own[:, 0]).clip(0, WIDEST - 1)))
    for c in range(CHANNELS):
        histograms = np.zeros((511, len(present)), dtype=np.float32)
        for number, k in enumerate(present):
            own = values[(kinds == k).cpu().numpy(), c] - (middles[number] if c == 0 else 0)
            histograms[:, number] = np.bincount(own.clip(-255, 255) + 255, minlength=511)
        best = np.inf
        for narrower in (0, 4, 8, 12, 16):
            for weight in (4, 8, 12) if narrower else (0,):
                cost = _mixture_bits(narrower, weight) @ histograms
                if cost.min(0).sum() < best:
                    best, shape, width = cost.min(0).sum(), (narrower, weight), cost.argmin(0)
        shapes += shape
        widths[:, c] = width
    return shapes + [int(v) for middle, row in zip(middles, widths, strict=True) for v in (middle, *row)]


def gaussians_for(quality: int, size: tuple[int, int]) -> int:
    """Number of Gaussians for a quality in half steps 0..200 and a size H, W: 300 to 20,000 at 768x512."""
    density = DENSITY_MIN * (DENSITY_MAX / DENSITY_MIN) ** (quality / 200)
    count: int = round(density * size[0] * size[1])
    return max(1, min(COUNT_MAX, count))


def _code_bytes(coder: Coder, values: list[int] | None, count: int, device: torch.device) -> list[int]:
    """Code numbers 0..255, each equally likely."""
    value = None if values is None else torch.tensor(values, device=device).float().view(1, 1, 1, -1) - 128
    index = torch.zeros(1, 1, 1, count, dtype=torch.int64, device=device)
    found = [int(v) + 128 for v in coder.code(value, Tabled(_byte_tables(), index)).flatten().tolist()]
    if not all(0 <= v <= 255 for v in found):
        raise SymbolMismatchError(SAME)
    return found


def _code_positions(
    coder: Coder, points: Tensor | None, count: int, grid: tuple[int, int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Code a set of cells by the counts in rectangles that are halved until they are cells.

    Args:
        coder: what is done with the counts.
        points: int64 (N, 2), columns and rows; None when decoding.
        count: N.
        grid: columns and rows of cells.
        device: of the result.

    Returns:
        Cells (N, 2) in the order of the rectangles, and (when encoding) which point each one is.

    """
    order = torch.arange(count, device=device)
    if not count:
        return torch.zeros(0, 2, dtype=torch.int64, device=device), order
    gathering = None if points is None else [_best_gathering(points, grid)]
    (gathering_index,) = _code_bytes(coder, gathering, 1, device)
    if gathering_index >= len(GATHERING):
        raise SymbolMismatchError(SAME)
    gathering_value = GATHERING[gathering_index]
    low = torch.zeros(1, 2, dtype=torch.int64, device=device)
    high = torch.tensor([grid], device=device)
    held = torch.tensor([count], device=device)
    largest = list(grid)
    while max(largest) > 1:
        axis = int(largest[1] > largest[0])
        largest[axis] = (largest[axis] + 1) // 2
        middle = (low[:, axis] + high[:, axis] + 1) // 2
        divisible = high[:, axis] - low[:, axis] > 1
        value = left = None
        if points is not None:
            node = torch.repeat_interleave(torch.arange(len(held), device=device), held)
            goes_right = points[order, axis] >= middle[node]
            left = torch.zeros_like(held).index_add_(0, node, (~goes_right).long())
            order = order[torch.argsort(2 * node + goes_right, stable=True)]
            value = (left - held // 2).float().view(1, 1, 1, -1)
        prior = Tabled(
            _split_tables(gathering_value),
            _split_index(held, gathering_value).view(1, 1, 1, -1),
            divisible.view(1, 1, 1, -1),
        )
        left = coder.code(value, prior).flatten().long() + held // 2
        left = torch.where(divisible, left, held)
        if bool(((left < 0) | (left > held)).any()):
            raise SymbolMismatchError(SAME)
        new_low, new_high = low.clone(), high.clone()
        new_low[:, axis], new_high[:, axis] = middle, middle
        low, high = torch.stack([low, new_low], 1).flatten(0, 1), torch.stack([new_high, high], 1).flatten(0, 1)
        held = torch.stack([left, held - left], 1).flatten()
        kept = held > 0
        low, high, held = low[kept], high[kept], held[kept]
    return torch.repeat_interleave(low, held, dim=0), order


def _best_gathering(points: Tensor, grid: tuple[int, int]) -> int:
    """Index of the parameter that fits how much points gather, seen at rectangles of about 16 points."""
    side = max(1, int(math.sqrt(16 * grid[0] * grid[1] / max(1, len(points)))))
    columns = -(-grid[0] // (2 * side))
    number = torch.div(points, side, rounding_mode="floor")
    pair = torch.div(number[:, 0], 2, rounding_mode="floor") + columns * number[:, 1]
    both = torch.bincount(pair)
    left = torch.bincount(pair[number[:, 0] % 2 == 0], minlength=len(both))
    use = (both > 1) & (both <= SMALL)
    costs = []
    for gathering in GATHERING:
        tables = _split_tables(gathering)
        costs.append(
            -sum(
                math.log2(tables[n].frequencies[k - n // 2 + tables[n].half_width] / TOTAL)
                for n, k in zip(both[use].tolist(), left[use].tolist(), strict=True)
            )
        )
    return int(np.argmin(costs))
