"""One measurement: a clip through a codec at a setting."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from kodak_eval.cache import Cache, Entry
from kodak_eval.clips.base import ClipCoder
from kodak_eval.clips.sources import Clip
from kodak_eval.errors import EvaluationError
from kodak_eval.metrics import ms_ssim
from nicodec.media.clips import FrameList, PlanarFrame, to_rgb
from nicodec.video.passes import plane_psnr

METRICS = {
    "psnr_yuv": "PSNR, YUV 6:1:1 (dB)",
    "psnr_rgb": "PSNR, RGB (dB)",
    "ms_ssim": "MS-SSIM, RGB",
}
"""Label by name; each is the mean over the frames."""

_VERSION = "clip 1"


@dataclass
class ClipMeasurement:
    """What came of a job.

    Attributes:
        clip, codec: names.
        setting: the codec's.
        size: bytes of the whole stream.
        bpp: bits a pixel.
        bit_rate: bits a second.
        encode_fps, decode_fps: frames a second in the run that filled the cache.
        values: mean of each metric over the frames.
        series: of each frame: ``psnr_yuv`` in dB, and ``bits``.
        failures: reason by metric.
        error: why there is nothing; empty where there is.
        cached: nothing was computed for it.

    """

    clip: str
    codec: str
    setting: float
    size: int = 0
    bpp: float = 0.0
    bit_rate: float = 0.0
    encode_fps: float = 0.0
    decode_fps: float = 0.0
    values: dict[str, float] = field(default_factory=dict)
    series: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    error: str = ""
    cached: bool = False


@dataclass(frozen=True)
class ClipJob:
    """What to measure; see ``runner.Task``.

    Attributes:
        clip: the original.
        codec: with its ``setting``.
        version: ``codec.version()``, asked once for all jobs.
        metrics: names in ``METRICS``.

    """

    clip: Clip
    codec: ClipCoder
    setting: float
    version: str
    metrics: tuple[str, ...]

    def cache_key(self) -> str:
        """Return the cache's key of the coded clip."""
        source = f"{self.clip.sha256} {_VERSION} first {self.clip.most}"
        return Cache.key(source, self.codec.name, self.version, self.codec.command(self.setting), self.setting)

    def failed(self, reason: str) -> ClipMeasurement:
        """Return the measurement of a job whose process died."""
        return ClipMeasurement(self.clip.name, self.codec.name, self.setting, error=reason)

    def perform(self, cache: Cache) -> ClipMeasurement:
        """Measure, from the cache as far as it goes; whatever fails is named in the result."""
        result = ClipMeasurement(self.clip.name, self.codec.name, self.setting)
        try:
            self._perform(cache, result)
        except Exception as error:  # a broken clip or encoder must not end the run
            result.error = f"{type(error).__name__}: {error}"
        return result

    def _perform(self, cache: Cache, result: ClipMeasurement) -> None:
        key = self.cache_key()
        found = cache.load(key)
        if found is None:
            start = time.perf_counter()
            original = self.clip.read()
            start = time.perf_counter()
            data = self.codec.encode(original, self.setting)
            entry = Entry(time.perf_counter() - start, 0.0)
        else:
            data, entry = found
        lacking = [name for name in self.metrics if name not in entry.values and name not in entry.failures]
        if lacking:
            decoded, entry.decode_seconds = self._decode(data)
            _compare(self.clip.read(), decoded, lacking, entry)
            cache.store(key, data, entry)
        size, each = self.codec.sizes(data)
        result.size = size
        result.bpp = 8 * size / self.clip.pixels
        result.bit_rate = 8 * size / self.clip.seconds
        result.encode_fps = self.clip.frames / max(1e-9, entry.encode_seconds)
        result.decode_fps = self.clip.frames / max(1e-9, entry.decode_seconds)
        result.values = {name: entry.values[name] for name in self.metrics if name in entry.values}
        result.failures = {name: entry.failures[name] for name in self.metrics if name in entry.failures}
        result.series = {**entry.series, "bits": [8.0 * size for size in each]}
        result.cached = not lacking

    def _decode(self, data: bytes) -> tuple[list[PlanarFrame], float]:
        start = time.perf_counter()
        decoded = list(self.codec.decode(data))
        return decoded, time.perf_counter() - start


def _compare(original: FrameList, decoded: list[PlanarFrame], names: list[str], entry: Entry) -> None:
    if len(decoded) != len(original.frames):
        raise EvaluationError(f"{len(decoded)} frames were decoded of {len(original.frames)}")
    series: dict[str, list[float]] = {name: [] for name in names}
    colour = original.format.colour
    for a, b in zip(original.frames, decoded, strict=True):
        if a.y.shape != b.y.shape:
            raise EvaluationError(f"decoded as {b.y.shape}, but the original is {a.y.shape}")
        rgb: list[np.ndarray] = []
        if set(names) - {"psnr_yuv"}:
            rgb = [to_rgb(frame, full_range=colour.full_range, matrix=colour.matrix) for frame in (a, b)]
        for name in names:
            if name in entry.failures:
                continue
            try:
                series[name].append(_value(name, a, b, rgb))
            except EvaluationError as error:
                entry.failures[name] = str(error)
    for name in names:
        if name not in entry.failures:
            entry.values[name] = float(np.mean(series[name]))
    if "psnr_yuv" in series:
        entry.series["psnr_yuv"] = [round(value, 4) for value in series["psnr_yuv"]]


def _value(name: str, a: PlanarFrame, b: PlanarFrame, rgb: list[np.ndarray]) -> float:
    if name == "psnr_yuv":
        pairs = ((a.y, b.y, 6), (a.u, b.u, 1), (a.v, b.v, 1))
        return sum(weight * plane_psnr(x, y) for x, y, weight in pairs) / 8
    if name == "psnr_rgb":
        return plane_psnr(rgb[0], rgb[1])
    return ms_ssim(rgb[0], rgb[1])
