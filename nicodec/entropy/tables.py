"""Integer probability tables. They are data: read from the package, never computed when coding.

`gaussian_tables.npz` was written once by `python -m nicodec.entropy.tables`; running that again with another
C library could change an entry, and files already written would then be lost. A test pins its SHA-256.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources

import constriction
import numpy as np
from numpy.typing import NDArray

PRECISION_BITS = 24
TOTAL = 2**PRECISION_BITS
"""Frequencies of a table add up to this."""

SCALES = 64
SCALE_MIN, SCALE_MAX = 0.11, 256.0
SCALE_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALES - 1)
"""Scale i is SCALE_MIN * exp(SCALE_STEP * i). Symbols of scale 0 are zero and are not coded."""

DIGIT_BITS = 4
"""How far outside of its table a symbol is follows in digits of so many bits, each after a bit that tells of more."""

TAIL_DEVIATIONS = 6.1

WIDE_SHARE, WIDE_FACTOR = 0.2, 1.5
"""Latents' tables are mixtures of two Gaussians, the second with this share and so many times the first's deviation.

On held-out pictures such a shape took 0.19 to 0.36 % of the latents' bits off those of single Gaussians, a free
shape for each scale 0.25 to 0.47 % (CARD.md of models/hyperprior).
"""

NARROW = (1 - WIDE_SHARE + WIDE_SHARE * WIDE_FACTOR**2) ** -0.5
"""Deviation of the first, in those of the mixture."""

CDF_RANGE = 8
"""The stored standard normal distribution function covers ±8 deviations, in steps of 1/64."""


@dataclass(frozen=True, eq=False)
class Table:
    """Frequencies of the symbols -half_width..half_width and, last, of the escape.

    Attributes:
        half_width: R.
        frequencies: int64 (2R+2,), each at least 1, adding up to 2^24.

    """

    half_width: int
    frequencies: NDArray[np.int64]

    @cached_property
    def model(self) -> constriction.stream.model.Categorical:
        """The table as constriction takes it."""
        return as_model(self.frequencies)


def as_model(frequencies: NDArray[np.int64]) -> constriction.stream.model.Categorical:
    """Frequencies that add up to 2^24 as constriction takes them."""
    return constriction.stream.model.Categorical(as_probabilities(frequencies), perfect=False)


def as_probabilities(frequencies: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights from which constriction's `perfect=False` quantiser makes exactly these frequencies.

    It computes ⌊cumulative·(2^24 − n)/Σ⌋ + i: with frequency − 1 as weight the factor is 1 and nothing rounds.
    """
    return (frequencies - 1).astype(np.float64)


def gaussian_scale(index: int) -> float:
    """Standard deviation that entry `index` (0..63) stands for."""
    return SCALE_MIN * math.exp(SCALE_STEP * index)


@cache
def _stored(name: str) -> NDArray[np.int64]:
    with resources.files("nicodec.entropy").joinpath("gaussian_tables.npz").open("rb") as file:
        stored: NDArray[np.int64] = np.load(file)[name].astype(np.int64)
    return stored


@cache
def gaussian_tables() -> tuple[Table, ...]:
    """The 64 tables of zero-mean Gaussians, in the order of their scales."""
    return _tables(_stored("half_widths"), _stored("frequencies"))


@cache
def latent_tables() -> tuple[Table, ...]:
    """The 64 tables of zero-mean mixtures of a narrow and a wide Gaussian, with the same deviations."""
    return _tables(_stored("latent_half_widths"), _stored("latent_frequencies"))


@cache
def latent_costs() -> NDArray[np.float32]:
    """What symbols cost in bits by these tables, escapes with their digits: (64, M), by scale and magnitude.

    The last magnitude is just beyond the widest table.
    """
    widest = max(table.half_width for table in latent_tables())
    costs = np.empty((SCALES, widest + 2), dtype=np.float32)
    for row, table in zip(costs, latent_tables(), strict=True):
        bits = PRECISION_BITS - np.log2(table.frequencies[table.half_width :])
        row[: len(bits) - 1] = bits[:-1]
        outside = np.arange(len(row) - len(bits) + 1)
        digits = 1 + np.floor(np.log2(np.maximum(2 * outside, 1)) / DIGIT_BITS)
        row[len(bits) - 1 :] = bits[-1] + (1 + DIGIT_BITS) * digits
    return costs


def _tables(half_widths: NDArray[np.int64], flat: NDArray[np.int64]) -> tuple[Table, ...]:
    tables, start = [], 0
    for half_width in half_widths.tolist():
        size = 2 * half_width + 2
        tables.append(Table(half_width, flat[start : start + size]))
        start += size
    return tuple(tables)


def normal_cdf(points: NDArray[np.int64]) -> NDArray[np.int64]:
    """Φ·2^30 at points given in 1/16384 of a standard deviation: a stored table, linear between entries."""
    table = _stored("normal_cdf")
    points = np.clip(points + CDF_RANGE * 2**14, 0, 2 * CDF_RANGE * 2**14 - 1)
    entry, part = points >> 8, points & 255
    mixed: NDArray[np.int64] = (table[entry] * (256 - part) + table[entry + 1] * part) >> 8
    return mixed


def inverse_scales() -> NDArray[np.int64]:
    """(64,): 65536 over each Gaussian scale, rounded."""
    return _stored("inverse_scales")


def exponentials() -> NDArray[np.int64]:
    """(256,): 65536·exp(−d/16) for d = 0..255, rounded up to at least 1."""
    return _stored("exponentials")


def normalise(frequencies: NDArray[np.int64], total: int = TOTAL) -> NDArray[np.int64]:
    """Scale non-negative integers (..., n) to rows of at least 1 that add up to `total`, in integers only.

    What integer division leaves over goes to the largest entry of a row (the first of equals).
    """
    count = frequencies.shape[-1]
    sums = frequencies.sum(-1, keepdims=True)
    scaled = _divided(frequencies * (total - count), np.maximum(sums, 1)) + 1
    largest = scaled.argmax(-1)[..., None]
    rest = total - scaled.sum(-1, keepdims=True)
    np.put_along_axis(scaled, largest, np.take_along_axis(scaled, largest, -1) + rest, -1)
    return scaled


def _divided(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """A // b of non-negative integers, quotients below 2^50: floats guess it, integers mend it.

    It takes a third of the time of a processor's division of integers.
    """
    quotient: NDArray[np.int64] = (a / b).astype(np.int64)
    left = a - quotient * b
    quotient -= left < 0
    quotient += left >= b
    return quotient


def _frequencies(components: list[tuple[float, float]], half_width: int) -> NDArray[np.int64]:
    """Table of a mixture of zero-mean Gaussians, given as (share, deviation)."""

    def tail(x: float) -> float:
        return sum(share * 0.5 * math.erfc(x / (deviation * math.sqrt(2))) for share, deviation in components)

    side = [tail(n - 0.5) - tail(n + 0.5) for n in range(1, half_width + 1)]
    mass = [*reversed(side), 1 - 2 * tail(0.5), *side, 2 * tail(half_width + 0.5)]
    return normalise(np.array([round(m * 2**36) for m in mass], dtype=np.int64))


def _write_tables(path: str) -> None:
    scales = [gaussian_scale(index) for index in range(SCALES)]
    half_widths = [max(1, math.ceil(TAIL_DEVIATIONS * scale)) for scale in scales]
    latent_half_widths = [max(1, math.ceil(TAIL_DEVIATIONS * WIDE_FACTOR * NARROW * scale)) for scale in scales]
    gaussians = [_frequencies([(1.0, s)], r) for s, r in zip(scales, half_widths, strict=True)]
    latents = [
        _frequencies([(1 - WIDE_SHARE, NARROW * s), (WIDE_SHARE, WIDE_FACTOR * NARROW * s)], r)
        for s, r in zip(scales, latent_half_widths, strict=True)
    ]
    np.savez_compressed(
        path,
        half_widths=np.array(half_widths, dtype=np.int32),
        frequencies=np.concatenate(gaussians).astype(np.int32),
        latent_half_widths=np.array(latent_half_widths, dtype=np.int32),
        latent_frequencies=np.concatenate(latents).astype(np.int32),
        normal_cdf=np.array(
            [
                round(2**30 * 0.5 * math.erfc(-j / 64 / math.sqrt(2)))
                for j in range(-64 * CDF_RANGE, 64 * CDF_RANGE + 1)
            ],
            dtype=np.int32,
        ),
        inverse_scales=np.array([round(2**16 / gaussian_scale(i)) for i in range(SCALES)], dtype=np.int32),
        exponentials=np.array([max(1, round(2**16 * math.exp(-d / 16))) for d in range(256)], dtype=np.int32),
    )


if __name__ == "__main__":
    _write_tables("nicodec/entropy/gaussian_tables.npz")
