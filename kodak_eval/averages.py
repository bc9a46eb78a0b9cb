"""From measurements to one curve a codec and metric, over the pictures that all of them share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kodak_eval.codecs.base import Codec
from kodak_eval.curves import Curve
from kodak_eval.measurement import Measurement

LEAST_SHARE = 0.5
"""A codec that fails on more than this share of the pictures is left out, not the pictures."""

EQUAL_DB = 58.92
"""PSNR of equal pictures, and the most that any counts as: what rounding to 8 bits makes of a real-valued picture."""


@dataclass(frozen=True)
class Averages:
    """Curves of one metric over one set of pictures.

    Attributes:
        metric: its name.
        curves: in the codecs' order; rates and qualities are arithmetic means over ``pictures``.
        pictures: those on which every codec of ``curves`` has the metric at every setting.
        left_out: reason by codec's name or picture's name of what is not in the means.

    """

    metric: str
    curves: tuple[Curve, ...]
    pictures: tuple[str, ...]
    left_out: dict[str, str]


def average(metric: str, codecs: Sequence[Codec], measurements: Iterable[Measurement]) -> Averages:
    """Average ``metric`` and the bits a pixel over the pictures that all codecs share.

    Equal pictures have infinite PSNR, and count as `EQUAL_DB`; where all are equal, the point is left out.
    """
    points = {(m.codec, m.setting, m.picture): m for m in measurements}
    pictures = list(dict.fromkeys(picture for _, _, picture in points))

    def has(codec: Codec, picture: str) -> bool:
        found = (points.get((codec.name, setting, picture)) for setting in codec.settings)
        return all(m is not None and not m.error and metric in m.values for m in found)

    left_out: dict[str, str] = {}
    good: dict[str, set[str]] = {}
    measurable = {picture for picture in pictures if any(has(codec, picture) for codec in codecs)}
    for codec in codecs:
        own = {picture for picture in measurable if has(codec, picture)}
        if own and len(own) >= LEAST_SHARE * len(measurable):
            good[codec.name] = own
        else:
            left_out[codec.name] = f"{metric} on {len(own)} of {len(pictures)} pictures only"
    shared = set.intersection(*good.values()) if good else set()
    if not shared:
        return Averages(metric, (), (), left_out)
    for picture in pictures:
        if picture not in shared:
            without = [codec.label for codec in codecs if codec.name in good and picture not in good[codec.name]]
            left_out[picture] = f"no {metric} from {', '.join(without)}"
    kept = [picture for picture in pictures if picture in shared]
    curves = [_curve(metric, codec, kept, points) for codec in codecs if codec.name in good]
    return Averages(metric, tuple(curve for curve in curves if curve.rates), tuple(kept), left_out)


def _curve(
    metric: str, codec: Codec, pictures: list[str], points: dict[tuple[str, float, str], Measurement]
) -> Curve:
    means: list[tuple[float, float, float]] = []
    for setting in codec.settings:
        row = [points[codec.name, setting, picture] for picture in pictures]
        rate = sum(m.bpp for m in row) / len(row)
        values = [m.values[metric] for m in row]
        if any(map(math.isfinite, values)):
            bound = EQUAL_DB if metric.startswith("psnr") else math.inf
            means.append((rate, sum(min(value, bound) for value in values) / len(row), setting))
    means.sort()
    rates, qualities, settings = zip(*means, strict=True) if means else ((), (), ())
    return Curve(codec.name, codec.label, rates, qualities, settings)
