"""Pictures without loss, coarse to fine, in integers alone: every pixel comes back on every machine.

There is no network, and no model but the file's own. Every 32nd pixel of every 32nd row comes first, then those
halfway between, down to all. A pixel is predicted from those around it that are there already, of its own channel
and of the channels before it, by weights that the encoder fits to the picture and writes; how far the prediction may
be off, and with it the table of its residual, follows in the same way from how much these pixels differ and how far
they were off themselves. What a decoder computes are sums of whole numbers below 2^53, so their order plays no part.

The first levels are a picture, too: the missing pixels are drawn between the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nicodec.codecs.base import Packets, PictureCodec, Progress, Watch
from nicodec.entropy.coder import Coder, PictureReader, PictureWriter, Stream
from nicodec.entropy.priors import ScaleMixture

COARSEST = 32
"""Distance of the pixels that come first."""

CHANNELS = (1, 0, 2)
"""Green, red, blue: the order in which a pixel's channels come."""

UNIT = 1024
"""Weights are written in so many parts of 1."""

WEIGHT_MAX = 2**14

WORTH = 24
"""Weights are written anew where there are this many pixels for each of them, else those of the level before stay."""

BLOCK = 1 << 15
"""Pixels, in whole rows of a step, whose symbols are coded in one call: bounds memory, and is part of the format."""

FIRST_ERROR_MAX = 16
"""What the first pixels count at most as having been off."""

FLOOR = 6.0
"""Added to how much neighbours differ, where the encoder weighs how much a pixel counts in a fit."""

_NEAR = ((0, -1), (0, 1), (-1, 0), (1, 0))
_CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_KNIGHTS = ((-2, -1), (-2, 1), (2, -1), (2, 1), (-1, -2), (-1, 2), (1, -2), (1, 2))
_FAR = ((0, -3), (0, 3), (-3, 0), (3, 0))
_KNIGHTS_FAR = ((-3, -1), (-3, 1), (3, -1), (3, 1), (-1, -3), (-1, 3), (1, -3), (1, 3))

STEPS = (
    (1, 1, (*_CORNERS, *_KNIGHTS_FAR)),
    (0, 1, (*_NEAR, *_KNIGHTS, *_FAR)),
    (1, 0, (*_NEAR, *_CORNERS, *_KNIGHTS, *_FAR)),
)
"""Of a level of distance h: the first row and column of its pixels, which are 2h apart, and the neighbours (down,
right) that each is predicted from, in h; the first four are the nearest."""

PAIRS = ((0, 1), (2, 3), (0, 2), (1, 3))
"""Of neighbours whose differences tell how much there is to see."""

# fmt: off
THRESHOLDS = np.array([
    1, 3, 6, 13, 25, 44, 71, 108, 153, 205, 264, 327, 394, 466, 543, 628, 722, 827, 944, 1075, 1223, 1389, 1576,
    1787, 2024, 2293, 2596, 2939, 3327, 3764, 4259, 4818, 5451, 6166, 6975, 7889, 8923, 10092, 11414, 12910,
    14601, 16513, 18676, 21122, 23889, 27017, 30556, 34558, 39084, 44202, 49992, 56539, 63945, 72320, 81793,
    92507, 104625, 118331, 133833, 151367, 171200, 193635,
])
# fmt: on
"""Expected magnitudes of residuals, times `UNIT`, from which on the next table is used; the first is table 1."""

TABLE_OF_TABLES = 45
"""The table of a number of a table."""

Plane = NDArray[np.int16]
Numbers = NDArray[np.float64]
"""Whole numbers, but in what the encoder alone computes."""


@dataclass(frozen=True)
class LosslessConfig:
    """There is nothing to configure."""


class Lossless(PictureCodec):
    """Codes 8-bit pictures without loss; the quality plays no part."""

    Config = LosslessConfig
    needs_weights = False
    packets = Packets.LEVEL
    pixels_a_byte = 16_384

    def __init__(self, config: LosslessConfig | None = None) -> None:
        super().__init__()
        self.config = config or LosslessConfig()

    def encode(
        self, x: Tensor, quality: Tensor, options: Any, watch: Watch | None = None
    ) -> list[tuple[Stream, ...]]:
        """See `PictureCodec.encode`."""
        pixels = (x * 255).round().clamp(0, 255).to(torch.int16).cpu().numpy()
        return [_encode(each, watch) for each in pixels]

    def decode(self, streams: Sequence[tuple[Stream, ...]], size: tuple[int, int], quality: Tensor) -> Tensor:
        """See `PictureCodec.decode`."""
        return torch.stack([_decode(own, size) for own in streams]).to(quality.device)


def _encode(pixels: NDArray[np.int16], watch: Watch | None) -> tuple[Stream, ...]:
    walk, streams = _Walk(pixels.shape[1:], pixels), []
    for number, distance in enumerate(_distances()):
        writer = PictureWriter()
        walk.level(writer, distance)
        streams.append(writer.finish())
        if watch is not None:
            watch(Progress((number + 1) / len(_distances()), f"level {number + 1}"))
    return tuple(streams)


def _decode(streams: Sequence[Stream], size: tuple[int, int]) -> Tensor:
    walk, distance = _Walk(size, None), COARSEST
    for stream, distance in zip(streams, _distances(), strict=False):
        reader = PictureReader(stream)
        walk.level(reader, distance)
        reader.finish()
    return _grown(torch.from_numpy(walk.planes).float() / 255, distance)


def _distances() -> list[int]:
    """Of neighbouring pixels after each level."""
    return [COARSEST >> n for n in range(COARSEST.bit_length())]


def _grown(planes: Tensor, distance: int) -> Tensor:
    """(3, H, W), of which every pixel at this distance is there, with the others drawn between."""
    if distance == 1:
        return planes
    height, width = planes.shape[1:]
    few = planes[None, :, ::distance, ::distance]
    rows, columns = ((few.shape[axis] - 1) * distance + 1 for axis in (2, 3))
    drawn = F.interpolate(few, size=(rows, columns), mode="bilinear", align_corners=True)
    return F.pad(drawn, (0, width - columns, 0, height - rows), mode="replicate")[0]


class _Walk:
    """The one traversal of a picture, for encoder and decoder.

    Attributes:
        planes: (3, H, W), 0..255, filled level by level.
        errors: (3, H, W), magnitudes of the residuals.

    """

    def __init__(self, size: tuple[int, ...], truth: Plane | None) -> None:
        height, width = size
        self.truth = truth
        self.planes = np.zeros((3, height, width), dtype=np.int16)
        self.errors = np.zeros((3, height, width), dtype=np.int16)
        self.weights = {
            (step, channel): _first_weights(len(STEPS[step][2]), place)
            for step in range(len(STEPS))
            for place, channel in enumerate(CHANNELS)
        }

    def level(self, coder: Coder, distance: int) -> None:
        """Code the pixels that make the distance of neighbours so small."""
        if distance == COARSEST:
            self._first(coder)
            return
        height, width = self.planes.shape[1:]
        for step, (top, left, offsets) in enumerate(STEPS):
            rows = np.arange(top * distance, height, 2 * distance)
            columns = np.arange(left * distance, width, 2 * distance)
            if len(rows) and len(columns):
                for place, channel in enumerate(CHANNELS):
                    self._channel(coder, _Lattice(self, rows, columns, distance, offsets, place), (step, channel))

    def _first(self, coder: Coder) -> None:
        """Code the pixels at the largest distance, each less the one before it, red and blue less green."""
        places = np.s_[:, ::COARSEST, ::COARSEST]
        few = self.planes[places].astype(np.int64)
        values = None if self.truth is None else self.truth[places].astype(np.int64)
        green = CHANNELS[0]
        for channel in CHANNELS:
            less = np.full_like(few[green], 128) if channel == green else few[green]
            found = _coded_differences(coder, few.shape[1:], None if values is None else values[channel] - less)
            few[channel] = np.clip(found + less, 0, 255)
            self.errors[channel, ::COARSEST, ::COARSEST] = np.clip(np.abs(found), 0, FIRST_ERROR_MAX)
        self.planes[places] = few

    def _channel(self, coder: Coder, lattice: _Lattice, key: tuple[int, int]) -> None:
        """Code the pixels of a channel on a lattice."""
        channel, truth = key[1], None if self.truth is None else self.truth[key[1]]
        pixels, spread = self.weights[key]
        if len(lattice.rows) * len(lattice.columns) >= WORTH * (len(pixels) + len(spread)):
            fitted = (None, None) if truth is None else lattice.fit(truth)
            pixels, spread = _coded_weights(coder, pixels, fitted[0]), _coded_weights(coder, spread, fitted[1])
            self.weights[key] = pixels, spread
        for rows in lattice.blocks():
            near, differences = lattice.features(rows)
            expected = np.clip(np.floor((_sums(near, pixels) + UNIT // 2) / UNIT) + 128, 0, 255)
            index = 1 + np.searchsorted(THRESHOLDS, _sums(differences, spread), side="right")
            shape = (1, 1, len(rows), len(lattice.columns))
            place = np.ix_(rows, lattice.columns)
            value = None if truth is None else torch.from_numpy(truth[place] - expected.reshape(shape))
            symbols = coder.code(value, ScaleMixture(torch.from_numpy(index.reshape(shape)))).numpy()
            found = np.clip(expected + symbols.ravel(), 0, 255)
            self.planes[channel][place] = found.reshape(shape[2:])
            self.errors[channel][place] = np.abs(symbols).reshape(shape[2:])


@dataclass(frozen=True)
class _Lattice:
    """Pixels of a level that are coded together, of one channel.

    Attributes:
        walk: what is there so far.
        rows, columns: of the pixels.
        distance: from a pixel to its nearest neighbours.
        offsets: of the neighbours, in distances.
        place: of the channel in their order.

    """

    walk: _Walk
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    distance: int
    offsets: Sequence[tuple[int, int]]
    place: int

    def blocks(self) -> Iterator[NDArray[np.int64]]:
        """Some rows at a time."""
        step = max(1, BLOCK // len(self.columns))
        for start in range(0, len(self.rows), step):
            yield self.rows[start : start + step]

    def features(self, rows: NDArray[np.int64]) -> tuple[Numbers, Numbers]:
        """What pixels (P, values) and the spread of their residuals (P, magnitudes) are predicted from."""
        walk, own = self.walk, CHANNELS[self.place]
        places = self._places(rows)
        near = [walk.planes[own][place] for place in places]
        spread = [np.abs(near[a] - near[b]) for a, b in PAIRS]
        spread += [walk.errors[own][place] for place in places]
        here = np.ix_(rows, self.columns)
        for channel in CHANNELS[: self.place]:
            near += [walk.planes[channel][place] for place in (here, *places)]
            spread += [walk.errors[channel][place] for place in (here, *places[:4])]
        values = np.stack([each.ravel() for each in near], 1).astype(np.float64) - 128
        magnitudes = np.stack([each.ravel() for each in spread], 1).astype(np.float64)
        one = np.ones((len(values), 1))
        return np.concatenate([values, one], 1), np.concatenate([magnitudes, one], 1)

    def _places(self, rows: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Where each neighbour is, (R, C) each; beyond the border, the one opposite, else one of the level before."""
        height, width = self.walk.planes.shape[1:]
        known_rows, known_columns = (lines - lines % (2 * self.distance) for lines in (rows, self.columns))
        found = []
        for down, right in self.offsets:
            y, bad_y = _mirrored(rows, down * self.distance, height)
            x, bad_x = _mirrored(self.columns, right * self.distance, width)
            bad = bad_y[:, None] | bad_x[None, :]
            found.append(
                (
                    np.where(bad, known_rows[:, None], y[:, None]),
                    np.where(bad, known_columns[None, :], x[None, :]),
                )
            )
        return found

    def fit(self, truth: Plane) -> tuple[Numbers, Numbers]:
        """The weights that suit the picture best, in the encoder."""
        pixels = self._solved(truth, None)
        return pixels, self._solved(truth, pixels)

    def _solved(self, truth: Plane, pixels: Numbers | None) -> Numbers:
        """Weights of the pixels; with those, weights of the magnitudes of their residuals."""
        left: Any = 0.0
        right: Any = 0.0
        for rows in self.blocks():
            near, differences = self.features(rows)
            counts = 1 / np.square(FLOOR + differences[:, : len(PAIRS)].mean(1))
            target = truth[np.ix_(rows, self.columns)].ravel() - 128.0
            features = near
            if pixels is not None:
                target, features = np.abs(target - np.floor((near @ pixels + UNIT // 2) / UNIT)), differences
            left = left + features.T @ (features * counts[:, None])
            right = right + features.T @ (target * counts)
        solved = np.linalg.solve(left + 1e-3 * np.eye(len(left)), right)
        return np.clip(np.round(UNIT * solved), -WEIGHT_MAX, WEIGHT_MAX)


def _mirrored(lines: NDArray[np.int64], offset: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows or columns at an offset, at the opposite one where that is outside; and where both are."""
    moved = lines + offset
    moved = np.where((moved < 0) | (moved >= size), lines - offset, moved)
    return moved, (moved < 0) | (moved >= size)


def _first_weights(neighbours: int, place: int) -> tuple[Numbers, Numbers]:
    """Weights before any are written: the mean of the nearest, moved as green moves from its mean."""
    own = np.zeros(neighbours)
    own[:4] = UNIT // 4
    before = np.concatenate([[UNIT], -own])
    skipped = np.zeros((neighbours + 1) * max(0, place - 1))
    pixels = np.concatenate([own, before[: len(before) * (place > 0)], skipped, [0]])
    spread = np.zeros(len(PAIRS) + neighbours + 5 * place + 1)
    spread[: len(PAIRS) * (place == 0)] = UNIT // 16
    spread[len(PAIRS) : len(PAIRS) + 4] = UNIT // 6
    spread[-1] = UNIT // 32
    return pixels, spread


def _sums(features: Numbers, weights: Numbers) -> Numbers:
    """(P,) of (P, N) and (N,), whole numbers in any order of summation: below 2^53."""
    found: Numbers = features @ weights
    return found


def _coded_weights(coder: Coder, known: Numbers, wanted: Numbers | None) -> Numbers:
    """Code weights, less those that are known."""
    value = None if wanted is None else torch.from_numpy(wanted - known).float()[None, None, None]
    table = _coded_table(coder, value)
    symbols = coder.code(value, ScaleMixture(torch.full((1, 1, 1, len(known)), table)))
    weights: Numbers = np.clip(known + symbols.numpy().ravel(), -WEIGHT_MAX, WEIGHT_MAX)
    return weights


def _coded_differences(coder: Coder, shape: tuple[int, ...], plane: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Code a small plane, each value less the one to its left, the first of a row less the one above."""
    value = None
    if plane is not None:
        above = np.concatenate([[[0]], plane[:-1, :1]])
        differences = np.diff(plane, axis=1, prepend=above)
        value = torch.from_numpy(differences).float()[None, None]
    table = _coded_table(coder, value)
    symbols = coder.code(value, ScaleMixture(torch.full((1, 1, *shape), table))).numpy()[0, 0].astype(np.int64)
    symbols[:, 0] = np.cumsum(symbols[:, 0])
    return np.cumsum(symbols, axis=1)


def _coded_table(coder: Coder, value: Tensor | None) -> int:
    """Code which table suits symbols."""
    wanted = None
    if value is not None:
        mean = float(value.abs().mean())
        wanted = torch.full((1, 1, 1, 1), float(1 + np.searchsorted(THRESHOLDS, UNIT * mean, side="right")))
    found = coder.code(wanted, ScaleMixture(torch.full((1, 1, 1, 1), TABLE_OF_TABLES)))
    return int(np.clip(int(found), 1, 1 + len(THRESHOLDS)))
