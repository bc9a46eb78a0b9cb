"""Rate-distortion curves, measured and published, and their BD-rate matrix."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources

from kodak_eval.bdrate import BdRate, compare
from kodak_eval.errors import BdRateError


@dataclass(frozen=True)
class Curve:
    """Quality over rate of one codec, averaged over a data set.

    Attributes:
        name: id; of a published curve, the name in its CSV.
        label: legend.
        rates: mean bits a pixel of the whole files, ascending.
        qualities: mean of the metric at each.
        settings: the encoder's setting at each; empty for published curves.
        source: where a published curve was printed; empty for measured ones.

    """

    name: str
    label: str
    rates: tuple[float, ...]
    qualities: tuple[float, ...]
    settings: tuple[float, ...] = ()
    source: str = ""

    @property
    def published(self) -> bool:
        """Whether the figures are somebody else's."""
        return bool(self.source)


PUBLISHED_METRICS = {"psnr": "kodak_psnr.csv"} | dict.fromkeys(("ms_ssim", "lpips", "dists"), "perceptual_rd.csv")
"""Metric to the file in ``kodak_eval/published`` that has curves of it."""


def published_curves(metric: str, dataset: str = "kodak") -> list[Curve]:
    """Return the published curves of ``metric`` on ``dataset``, dearest points last; [] where none is known.

    Points that do not rise in both rate and quality (scatter of per-point training) are left as
    printed; BD-rate refuses such curves by name.
    """
    file = PUBLISHED_METRICS.get(metric)
    if file is None or (file == "kodak_psnr.csv" and dataset != "kodak"):
        return []
    with (resources.files("kodak_eval") / "published" / file).open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    column = "psnr_rgb_db" if metric == "psnr" else metric
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows:
        if row.get("dataset", dataset) == dataset and row[column]:
            point = (float(row["bpp"]), float(row[column]))
            points.setdefault((row["codec"], row["source"]), []).append(point)
    curves = []
    for (codec, source), values in points.items():
        rates, qualities = zip(*sorted(values), strict=True)
        curves.append(Curve(codec, f"{codec}, published", rates, qualities, source=source))
    return curves


def bd_rate_matrix(
    curves: Sequence[Curve], anchors: Iterable[Curve] | None = None, *, higher_is_better: bool = True
) -> dict[str, dict[str, BdRate | str]]:
    """Return by anchor's and curve's label the BD-rate, or the reason why there is none."""
    sign = 1 if higher_is_better else -1
    matrix: dict[str, dict[str, BdRate | str]] = {}
    for anchor in curves if anchors is None else anchors:
        row = matrix.setdefault(anchor.label, {})
        for curve in curves:
            anchor_quality, quality = ([sign * q for q in c.qualities] for c in (anchor, curve))
            try:
                row[curve.label] = compare(anchor.rates, anchor_quality, curve.rates, quality)
            except BdRateError as error:
                row[curve.label] = str(error)
    return matrix
