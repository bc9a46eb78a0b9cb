"""Everything that a run on clips found: curves, BD-rates, and ``results.json``."""

from __future__ import annotations

import csv
import math
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib import resources
from typing import Any

from kodak_eval.bdrate import BdRate, compare
from kodak_eval.clips.base import ClipCoder
from kodak_eval.clips.measurement import METRICS, ClipMeasurement
from kodak_eval.clips.sources import Clip
from kodak_eval.curves import Curve
from kodak_eval.errors import BdRateError
from kodak_eval.results import machine

FORMAT = "nicodec-eval-clips 1"


@dataclass
class ClipResults:
    """A finished run.

    Attributes:
        name: of the set.
        clips: what was measured.
        unread: reason by name of the files that are no clips.
        codecs: in the order of tables.
        versions: by codec's name.
        metrics: names; the first is that of BD-rates.
        measurements: every clip at every setting.
        missing: reason by name of the codecs that could not run.
        seconds: wall time.

    """

    name: str
    clips: list[Clip]
    unread: dict[str, str]
    codecs: list[ClipCoder]
    versions: dict[str, str]
    metrics: tuple[str, ...]
    measurements: list[ClipMeasurement]
    missing: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def curve(self, codec: ClipCoder, clip: str, metric: str) -> Curve:
        """Return quality over bits a pixel of one clip, rates ascending."""
        points = sorted(
            (m.bpp, m.values[metric], m.setting)
            for m in self.measurements
            if m.codec == codec.name and m.clip == clip and metric in m.values
        )
        rates, qualities, settings = zip(*points, strict=True) if points else ((), (), ())
        return Curve(codec.name, codec.label, rates, qualities, settings)

    def mean_curve(self, codec: ClipCoder, metric: str) -> Curve | None:
        """Return the mean over the clips that have all settings of a codec, setting by setting; None without any."""
        by_setting: dict[float, list[ClipMeasurement]] = {setting: [] for setting in codec.settings}
        for m in self.measurements:
            if m.codec == codec.name and metric in m.values:
                by_setting[m.setting].append(m)
        whole = set.intersection(*({m.clip for m in found} for found in by_setting.values()))
        whole &= self._measured_by_all(metric)
        if not whole:
            return None
        points = []
        for setting, found in by_setting.items():
            kept = [m for m in found if m.clip in whole]
            rate = sum(m.bpp for m in kept) / len(kept)
            points.append((rate, sum(m.values[metric] for m in kept) / len(kept), setting))
        rates, qualities, settings = zip(*sorted(points), strict=True)
        return Curve(codec.name, codec.label, rates, qualities, settings)

    def _measured_by_all(self, metric: str) -> set[str]:
        """Clips that every codec that has any has: means over others would not compare."""
        found: dict[str, set[str]] = {}
        for m in self.measurements:
            if metric in m.values:
                found.setdefault(m.codec, set()).add(m.clip)
        return set.intersection(*found.values()) if found else set()

    @cached_property
    def bd_rates(self) -> dict[str, dict[str, dict[str, BdRate | str]]]:
        """Return by names of anchor, codec and clip the BD-rate by the first metric, or why there is none.

        The clip ``mean`` is the mean of the clips' BD-rates.
        """
        metric = self.metrics[0]
        curves = {
            codec.name: {clip.name: self.curve(codec, clip.name, metric) for clip in self.clips}
            for codec in self.codecs
        }
        tables: dict[str, dict[str, dict[str, BdRate | str]]] = {}
        for anchor, of_anchor in curves.items():
            for codec, of_codec in curves.items():
                row = tables.setdefault(anchor, {}).setdefault(codec, {})
                for clip in self.clips:
                    row[clip.name] = _bd(of_anchor[clip.name], of_codec[clip.name])
                row["mean"] = _mean(row)
        return tables

    def failures(self) -> list[dict[str, str]]:
        """Return what failed, a row each."""
        rows = [{"clip": name, "codec": "", "what": "read", "reason": reason} for name, reason in self.unread.items()]
        seen = set()
        for m in self.measurements:
            problems = {"encode or decode": m.error} if m.error else m.failures
            for what, reason in problems.items():
                who = m.codec if m.error else ""
                if (m.clip, who, what) not in seen:
                    seen.add((m.clip, who, what))
                    rows.append({"clip": m.clip, "codec": who, "what": what, "reason": reason})
        return rows

    def speed(self, codec: ClipCoder) -> tuple[float, float]:
        """Return frames a second of encoder and decoder: the median over all measurements; nan without any."""
        found = [m for m in self.measurements if m.codec == codec.name and not m.error]
        if not found:
            return math.nan, math.nan
        middle = len(found) // 2
        return sorted(m.encode_fps for m in found)[middle], sorted(m.decode_fps for m in found)[middle]

    def nearest(self, codec: str, clip: str, bpp: float) -> ClipMeasurement | None:
        """Return the measurement whose size is nearest to so many bits a pixel, as a ratio."""
        found = [m for m in self.measurements if m.codec == codec and m.clip == clip and m.bpp and not m.error]
        return min(found, key=lambda m: abs(math.log(m.bpp / bpp)), default=None)


def _bd(anchor: Curve, curve: Curve) -> BdRate | str:
    try:
        return compare(*_rising(anchor), *_rising(curve))
    except BdRateError as error:
        return str(error)


def _rising(curve: Curve) -> tuple[list[float], list[float]]:
    """The points that rise in both: of the rest, dearer files of no better quality, there is nothing to integrate."""
    rates: list[float] = []
    qualities: list[float] = []
    for rate, quality in zip(curve.rates, curve.qualities, strict=True):
        if not rates or (rate > rates[-1] and quality > qualities[-1]):
            rates.append(rate)
            qualities.append(quality)
    return rates, qualities


def _mean(row: dict[str, BdRate | str]) -> BdRate | str:
    found = [value for value in row.values() if isinstance(value, BdRate)]
    if not found:
        return "no clip has a BD-rate"
    if len(found) < len(row):
        lacking = ", ".join(name for name, value in row.items() if not isinstance(value, BdRate))
        return f"not all clips have one: {lacking}"
    parts = [(b.percent, b.low, b.high, b.overlap) for b in found]
    means = [sum(values) / len(found) for values in zip(*parts, strict=True)]
    return BdRate(means[0], means[1], means[2], min(b.overlap for b in found))


def published() -> list[dict[str, str]]:
    """Return others' BD-rates of video codecs, a row each, with their sources."""
    with (resources.files("kodak_eval") / "published" / "video_bdrate.csv").open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def as_json(results: ClipResults) -> dict[str, Any]:
    """Return the results as plain values."""
    return {
        "format": FORMAT,
        "name": results.name,
        "seconds": results.seconds,
        "machine": machine(),
        "clips": [
            {
                "name": clip.name,
                "width": clip.width,
                "height": clip.height,
                "frames": clip.frames,
                "rate": float(clip.rate),
                "sha256": clip.sha256,
            }
            for clip in results.clips
        ],
        "metrics": {name: METRICS[name] for name in results.metrics},
        "codecs": {
            codec.name: {
                "label": codec.label,
                "version": results.versions[codec.name],
                "commands": {f"{setting:g}": codec.command(setting) for setting in codec.settings},
                "fps": [None if math.isnan(value) else value for value in results.speed(codec)],
            }
            for codec in results.codecs
        },
        "missing": results.missing,
        "curves": {
            metric: [asdict(curve) for codec in results.codecs if (curve := results.mean_curve(codec, metric))]
            for metric in results.metrics
        },
        "bd_rates": {
            anchor: {
                codec: {
                    clip: asdict(value) if isinstance(value, BdRate) else {"reason": value}
                    for clip, value in row.items()
                }
                for codec, row in rows.items()
            }
            for anchor, rows in results.bd_rates.items()
        },
        "published": published(),
        "failures": results.failures(),
        "measurements": [asdict(m) for m in results.measurements],
    }
