"""Whether live anchors and their published curves agree: BD-rates of the same pairs, side by side.

A pair is compared over the qualities that all four of its curves reach, since BD-rate depends on them.
The live anchors run at their best settings; where the published curve was made with others, a variant
with those (``catalogue.VARIANTS``) is measured too, by PSNR alone, and ought to agree.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from kodak_eval.bdrate import compare
from kodak_eval.curves import Curve
from kodak_eval.errors import BdRateError

TOLERANCE = 6.0
"""Percentage points beyond which a difference of two BD-rates needs a stated cause."""


@dataclass(frozen=True)
class Twins:
    """One published curve, and the live codecs that stand for it.

    Attributes:
        published: its name in ``kodak_psnr.csv``.
        best: name of the anchor at its best settings.
        alike: name of the codec with the published curve's settings.
        settings: how ``best`` differs from what was published.
        encoder: how even ``alike`` may differ from it.

    """

    published: str
    best: str
    alike: str
    settings: str
    encoder: str


TWINS = (
    Twins(
        "JPEG",
        "jpeg",
        "jpeg-plain",
        "optimised Huffman tables and progressive scans, published without",
        "libjpeg-turbo's version",
    ),
    Twins(
        "JPEG 2000",
        "jpeg2000",
        "jpeg2000-plain",
        "9/7 wavelet on RGB, published with ffmpeg's 5/3 on 8-bit YCbCr 4:4:4",
        "OpenJPEG's version, and ffmpeg's colour conversion",
    ),
    Twins("WebP", "webp", "webp-m4", "method 6, published with 4", "libwebp's version"),
    Twins(
        "BPG 4:4:4 (x265)",
        "x265-444",
        "x265-444",
        "",
        "x265 of today and its bare stream, published with bpgenc's of 2018 (veryslow, constant QP) and BPG's header",
    ),
)


@dataclass(frozen=True)
class Agreement:
    """BD-rates in percent of one pair, published and live.

    Attributes:
        anchor, codec: names of the published curves; the rates are the codec's against the anchor's.
        published: by the published curves; None where BD-rate is refused.
        best: by the live anchors at their best settings; None where one was not measured.
        alike: by the live codecs with the published settings; None likewise.
        cause: of a difference above ``TOLERANCE`` points, or why there is no number; else empty.

    """

    anchor: str
    codec: str
    published: float | None
    best: float | None
    alike: float | None
    cause: str

    @property
    def best_gap(self) -> float | None:
        """Points between ``best`` and ``published``."""
        return _gap(self.best, self.published)

    @property
    def alike_gap(self) -> float | None:
        """Points between ``alike`` and ``published``."""
        return _gap(self.alike, self.published)


def _gap(live: float | None, published: float | None) -> float | None:
    return None if live is None or published is None else live - published


def agreements(measured: Iterable[Curve], published: Iterable[Curve]) -> list[Agreement]:
    """Return a row for each pair of published curves whose live anchors were measured.

    Args:
        measured: PSNR curves of live codecs, variants among them.
        published: PSNR curves of the same pictures.

    """
    live = {curve.name: curve for curve in measured}
    printed = {curve.name: curve for curve in published}
    rows = []
    for anchor, codec in itertools.combinations(TWINS, 2):
        if {anchor.published, codec.published} <= printed.keys():
            pairs = {
                "published": (printed[anchor.published], printed[codec.published]),
                "best": (live.get(anchor.best), live.get(codec.best)),
                "alike": (live.get(anchor.alike), live.get(codec.alike)),
            }
            whole = {kind: (a, b) for kind, (a, b) in pairs.items() if a is not None and b is not None}
            if len(whole) > 1:
                rows.append(_agreement(anchor, codec, whole))
    return rows


def _agreement(anchor: Twins, codec: Twins, whole: dict[str, tuple[Curve, Curve]]) -> Agreement:
    """Return the row of two curves each ``published``, and ``best`` or ``alike`` or both."""
    low = max(min(curve.qualities) for pair in whole.values() for curve in pair)
    high = min(max(curve.qualities) for pair in whole.values() for curve in pair)
    found: dict[str, float] = {}
    problems: list[str] = []
    for kind, (a, b) in whole.items():
        try:
            found[kind] = compare(a.rates, a.qualities, b.rates, b.qualities, within=(low, high)).percent
        except BdRateError as error:
            problems.append(f"{kind}: {error}")
    row = Agreement(
        anchor.published, codec.published, found.get("published"), found.get("best"), found.get("alike"), ""
    )
    causes = []
    if row.alike_gap is not None and abs(row.alike_gap) > TOLERANCE:
        causes = [f"{twins.published}: {twins.encoder}" for twins in (anchor, codec)]
    elif row.best_gap is not None and abs(row.best_gap) > TOLERANCE:
        causes = [f"{twins.published}: {twins.settings}" for twins in (anchor, codec) if twins.settings]
    return dataclasses.replace(row, cause="; ".join([*problems, *causes]))
