"""One measurement: a picture through a codec at a setting, its file's size, its decoded picture's metrics."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, field

import numpy as np

from kodak_eval.cache import Cache, Entry
from kodak_eval.codecs.base import Codec
from kodak_eval.datasets import DatasetPicture
from kodak_eval.metrics import METRICS, measure


@dataclass(frozen=True)
class Job:
    """What to measure.

    Attributes:
        picture: the original.
        codec: with its ``setting``.
        version: ``codec.version()``, asked once for all jobs.
        metrics: names in ``METRICS``.

    """

    picture: DatasetPicture
    codec: Codec
    setting: float
    version: str
    metrics: tuple[str, ...]

    def perform(self, cache: Cache) -> Measurement:
        """Measure, from the cache as far as it goes; whatever fails is named in the result."""
        result = Measurement(self.picture.name, self.codec.name, self.setting)
        try:
            _perform(self, cache, result)
        except Exception as error:  # a broken picture or encoder must not end the run
            result.error = f"{type(error).__name__}: {error}"
        return result

    def failed(self, reason: str) -> Measurement:
        """Return the measurement of a job whose process died."""
        return Measurement(self.picture.name, self.codec.name, self.setting, error=reason)

    def cache_key(self) -> str:
        """Return the cache's key of the encoded picture."""
        command = self.codec.command(self.setting)
        return Cache.key(self.picture.sha256, self.codec.name, self.version, command, self.setting)


@dataclass
class Measurement:
    """What came of a job.

    Attributes:
        picture, codec: names.
        setting: the codec's.
        size: bytes of the whole file; 0 where ``error`` is set.
        bpp: bits a pixel of the whole file.
        encode_seconds, decode_seconds: wall time, warm, of the run that filled the cache.
        values: metric by name; infinite PSNR means equal pictures.
        failures: reason by metric name.
        error: why there is no file or no decoded picture; empty where there is.
        cached: nothing was computed for it.

    """

    picture: str
    codec: str
    setting: float
    size: int = 0
    bpp: float = 0.0
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0
    values: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    error: str = ""
    cached: bool = False


def _perform(job: Job, cache: Cache, result: Measurement) -> None:
    key = job.cache_key()
    found = cache.load(key)
    original = decoded = None
    if found is None:
        original = job.picture.read()
        encoded, decoded, entry = _encode_and_decode(job, original)
    else:
        encoded, entry = found
    wanted = {name: METRICS[name].key() for name in job.metrics}
    lacking = [name for name, k in wanted.items() if k not in entry.values and k not in entry.failures]
    if lacking:
        original = job.picture.read() if original is None else original
        decoded = job.codec.decode(encoded) if decoded is None else decoded
        values, failures = measure(original, decoded, lacking)
        entry.values |= {wanted[name]: value for name, value in values.items()}
        entry.failures |= {wanted[name]: reason for name, reason in failures.items()}
    if lacking or found is None:
        cache.store(key, encoded, entry)
    result.size = len(encoded)
    result.bpp = 8 * len(encoded) / (job.picture.width * job.picture.height)
    result.encode_seconds, result.decode_seconds = entry.encode_seconds, entry.decode_seconds
    result.values = {name: entry.values[k] for name, k in wanted.items() if k in entry.values}
    result.failures = {name: entry.failures[k] for name, k in wanted.items() if k in entry.failures}
    result.cached = found is not None and not lacking


def _encode_and_decode(job: Job, original: np.ndarray) -> tuple[bytes, np.ndarray, Entry]:
    warm_up(job.codec, job.setting)
    start = time.perf_counter()
    encoded = job.codec.encode(original, job.setting)
    between = time.perf_counter()
    decoded = job.codec.decode(encoded)
    return encoded, decoded, Entry(between - start, time.perf_counter() - between)


@functools.lru_cache(maxsize=256)
def warm_up(codec: Codec, setting: float) -> None:
    """Run a codec once in this process on a small picture, so that loading is in no measured time."""
    ramp = np.linspace(0, 255, 64 * 64 * 3).astype(np.uint8).reshape(64, 64, 3)
    codec.decode(codec.encode(ramp, setting))
