"""Bjøntegaard delta rate with piecewise cubic (PCHIP) interpolation of log-rate over quality.

Source: G. Bjøntegaard, VCEG-M33 (2001); the PCHIP variant of JCT-VC and JVET spreadsheets, as in the
package ``bjontegaard`` (method ``pchip``). Both curves are read as log10(rate) over quality and
integrated over the qualities that both reach; the result is the mean difference as a percentage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from kodak_eval.errors import BdRateError

LEAST_POINTS = 4
"""Points that a curve needs: what the method was defined for."""

SMALL_OVERLAP = 0.5
"""A common quality range below this share of the two curves' whole range deserves a warning."""


@dataclass(frozen=True)
class BdRate:
    """A BD-rate and what it was integrated over.

    Attributes:
        percent: mean change of rate at equal quality; negative is better than the anchor.
        low, high: the common range of quality, in the metric's unit.
        overlap: that range over the range that either curve covers, above 0 and up to 1.

    """

    percent: float
    low: float
    high: float
    overlap: float


def bd_rate(
    anchor_rate: Sequence[float], anchor_psnr: Sequence[float], rate: Sequence[float], psnr: Sequence[float]
) -> float:
    """Return the BD-rate in percent of the curve (``rate``, ``psnr``) against the anchor's.

    Args:
        anchor_rate: bits a pixel (or any rate above 0) of the anchor, at least 4 points in any order.
        anchor_psnr: its quality at each, dB or any measure where more is better.
        rate: rates of the curve under test.
        psnr: its qualities.

    Raises:
        BdRateError: a curve has under 4 points, is not strictly monotone, or the two share no quality.

    """
    return compare(anchor_rate, anchor_psnr, rate, psnr).percent


def compare(
    anchor_rate: Sequence[float],
    anchor_quality: Sequence[float],
    rate: Sequence[float],
    quality: Sequence[float],
    *,
    within: tuple[float, float] = (-math.inf, math.inf),
) -> BdRate:
    """Return the BD-rate with its range; arguments and errors as in ``bd_rate``.

    ``within`` narrows the range of quality, for BD-rates that are to be compared with each other.
    """
    anchor_quality_, anchor_log = _curve("the anchor", anchor_rate, anchor_quality)
    quality_, log = _curve("the tested curve", rate, quality)
    low = max(anchor_quality_[0], quality_[0], within[0])
    high = min(anchor_quality_[-1], quality_[-1], within[1])
    if high <= low:
        raise BdRateError(
            f"no common quality: the anchor spans {anchor_quality_[0]:.4g} to {anchor_quality_[-1]:.4g}, "
            f"the tested curve {quality_[0]:.4g} to {quality_[-1]:.4g}"
            + ("" if math.isinf(within[0]) else f", compared are {within[0]:.4g} to {within[1]:.4g}")
        )
    area = PchipInterpolator(quality_, log).integrate(low, high)
    anchor_area = PchipInterpolator(anchor_quality_, anchor_log).integrate(low, high)
    whole = max(anchor_quality_[-1], quality_[-1]) - min(anchor_quality_[0], quality_[0])
    percent = (10 ** ((area - anchor_area) / (high - low)) - 1) * 100
    return BdRate(float(percent), float(low), float(high), float((high - low) / whole))


def _curve(who: str, rate: Sequence[float], quality: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Quality ascending and log10 of rate, checked."""
    rates, qualities = np.asarray(rate, float), np.asarray(quality, float)
    if rates.shape != qualities.shape or rates.ndim != 1:
        raise BdRateError(f"{who} has {rates.size} rates but {qualities.size} qualities")
    if rates.size < LEAST_POINTS:
        raise BdRateError(f"{who} has {rates.size} points; BD-rate needs at least {LEAST_POINTS}")
    if not (np.all(np.isfinite(rates)) and np.all(np.isfinite(qualities)) and np.all(rates > 0)):
        raise BdRateError(f"{who} has a rate or quality that is not finite, or a rate of 0")
    order = np.argsort(rates)
    rates, qualities = rates[order], qualities[order]
    if not (np.all(np.diff(rates) > 0) and np.all(np.diff(qualities) > 0)):
        k = int(np.argmin((np.diff(rates) > 0) & (np.diff(qualities) > 0)))
        raise BdRateError(
            f"{who} is not monotone: quality {qualities[k]:.4g} at rate {rates[k]:.4g}, "
            f"then {qualities[k + 1]:.4g} at {rates[k + 1]:.4g}"
        )
    return qualities, np.log10(rates)
