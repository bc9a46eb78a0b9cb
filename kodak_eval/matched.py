"""Pictures for the report's viewer: each codec at the setting whose file comes nearest to one size."""

from __future__ import annotations

import dataclasses
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from kodak_eval.cache import Cache
from kodak_eval.measurement import Job, Measurement

TOLERANCE = 0.05
"""A file within this share of the wanted size is near enough."""

TRIES = 2
"""Files made beside the measured ones, at most."""

LARGEST_SIDE = 1280
"""Pictures with a longer side are shown by a crop of this size from their middle."""


@dataclass(frozen=True)
class Shown:
    """One picture by one codec as the viewer shows it.

    Attributes:
        picture, codec: names.
        measurement: at the setting that was found; None where nothing could be made.
        image: an AVIF 4:4:4 at quality 90 of the decoded pixels.

    """

    picture: str
    codec: str
    measurement: Measurement | None
    image: bytes


@dataclass(frozen=True)
class MatchTask:
    """Finds the setting for a size, starting from the sizes that were measured.

    Attributes:
        job: picture, codec and metrics; its setting does not count.
        bpp: the wanted bits a pixel.
        known: (setting, bits a pixel) of what was measured on this picture.

    """

    job: Job
    bpp: float
    known: tuple[tuple[float, float], ...]

    def perform(self, cache: Cache) -> Shown:
        """Search, decode the best and make its image; ``measurement`` is None where that fails."""
        codec = self.job.codec
        points = dict(self.known)
        for _ in range(TRIES):
            setting = next_setting(points, self.bpp, codec.step, codec.limits)
            if setting is None:
                break
            found = dataclasses.replace(self.job, setting=setting, metrics=()).perform(cache)
            if found.error:
                break
            points[setting] = found.bpp
        if not points:
            return self.failed("nothing could be encoded")
        best = dataclasses.replace(self.job, setting=_nearest(points, self.bpp))
        measurement = best.perform(cache)
        entry = cache.load(best.cache_key())
        if measurement.error or entry is None:
            return self.failed(measurement.error)
        return Shown(measurement.picture, measurement.codec, measurement, as_shown(codec.decode(entry[0])))

    def failed(self, reason: str) -> Shown:
        """Return an empty result."""
        return Shown(self.job.picture.name, self.job.codec.name, None, b"")


def _nearest(points: dict[float, float], bpp: float) -> float:
    return min(points, key=lambda setting: abs(np.log(points[setting] / bpp)))


def next_setting(points: dict[float, float], bpp: float, step: float, limits: tuple[float, float]) -> float | None:
    """Return the setting to try next, between the two known ones around ``bpp``, or None.

    None means: near enough already, the encoder's limit on one side, or no setting left between.

    Args:
        points: bits a pixel by setting.
        bpp: the wanted size.
        step: least difference of two settings.
        limits: settings of the smallest and the largest file.

    """
    below = {s: r for s, r in points.items() if r <= bpp}
    above = {s: r for s, r in points.items() if r > bpp}
    if points and abs(points[_nearest(points, bpp)] / bpp - 1) <= TOLERANCE:
        return None
    if not below or not above:
        limit = float(limits[1] if below else limits[0])
        return None if limit in points else limit
    s0, s1 = max(below, key=below.__getitem__), min(above, key=above.__getitem__)
    share = np.log(bpp / points[s0]) / np.log(points[s1] / points[s0])
    setting = float(s0 + share * (s1 - s0))
    setting = round(round(setting / step) * step, 6)
    if setting in points:
        inward = step if s1 > s0 else -step
        between = [s for s in (s0 + inward, s1 - inward) if min(s0, s1) < s < max(s0, s1)]
        setting = next((s for s in between if s not in points), setting)
    return None if setting in points else setting


def as_shown(pixels: np.ndarray, *, lossless: bool = False) -> bytes:
    """Return a file that browsers show: AVIF 4:4:4 at quality 90, or lossless WebP; cropped if large."""
    height, width = pixels.shape[:2]
    top, left = (max(0, (side - LARGEST_SIDE) // 2) for side in (height, width))
    image = Image.fromarray(pixels[top : top + LARGEST_SIDE, left : left + LARGEST_SIDE])
    buffer = io.BytesIO()
    if lossless:
        image.save(buffer, "WEBP", lossless=True, method=2)
    else:
        image.save(buffer, "AVIF", quality=90, subsampling="4:4:4", speed=8, max_threads=1)
    return buffer.getvalue()
