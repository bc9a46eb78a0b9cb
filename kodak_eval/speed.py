"""Encode and decode times and peak memory, each codec warm and alone in a fresh process."""

from __future__ import annotations

import dataclasses
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kodak_eval.codecs.base import Codec
from kodak_eval.datasets import DatasetPicture
from nicodec.threads import use_threads

BUDGET_SECONDS = 20.0
"""Once a codec has been timed this long, it is not timed on further pictures."""


@dataclass(frozen=True)
class Speed:
    """Times of one codec at its middle setting, the whole path from pixels to bytes and back.

    Attributes:
        codec, label: the codec.
        setting: its setting.
        threads: given to the codec; encoders that cannot use them run on one.
        load_seconds: from nothing to the first small picture encoded and decoded, imports included.
        encode_seconds, decode_seconds: median over the pictures, warm, wall time a picture.
        megapixels: median size of the pictures timed.
        peak_mib: greatest resident memory of the process, MiB; 0 where the system is not Linux.
        extra_mib: that above what it was before the codec was touched.
        pictures: number of pictures timed.
        error: why there are no times; empty where there are.

    """

    codec: str
    label: str
    setting: float
    threads: int
    load_seconds: float = 0.0
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0
    megapixels: float = 0.0
    peak_mib: float = 0.0
    extra_mib: float = 0.0
    pictures: int = 0
    error: str = ""


def middle_setting(codec: Codec) -> float:
    """Return the setting that is timed."""
    return codec.settings[len(codec.settings) // 2]


def measure_speeds(
    codecs: Sequence[Codec],
    pictures: Sequence[DatasetPicture],
    *,
    threads: int,
    done: Callable[[Speed], None] = lambda speed: None,
) -> list[Speed]:
    """Time the codecs one after the other; nothing else should run on the machine.

    Args:
        codecs: each is timed at its middle setting.
        pictures: three or so are enough.
        threads: for torch, and for encoders that have such a setting.
        done: called after each codec.

    A codec that fails, or whose process dies, has its reason in ``Speed.error``.

    """
    speeds = []
    for codec in codecs:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, context) as pool:
            try:
                speed = pool.submit(_time_codec, codec, list(pictures), threads).result()
            except BrokenProcessPool:
                speed = _failed(codec, threads, "the process died (a crash, or no memory left)")
        speeds.append(speed)
        done(speed)
    return speeds


def _failed(codec: Codec, threads: int, reason: str) -> Speed:
    return Speed(codec.name, codec.label, middle_setting(codec), threads, error=reason)


def _peak_mib() -> float:
    """Return the process's greatest resident memory, 0 where only Linux would tell.

    Not ``ru_maxrss``: that is inherited from the parent across fork and exec.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def _time_codec(codec: Codec, pictures: list[DatasetPicture], threads: int) -> Speed:
    """Run in its own process."""
    try:
        return _timed(codec, pictures, threads)
    except Exception as error:  # named in the table, the run goes on
        return _failed(codec, threads, f"{type(error).__name__}: {error}")


def _timed(codec: Codec, pictures: list[DatasetPicture], threads: int) -> Speed:
    originals = [picture.read() for picture in pictures]
    setting = middle_setting(codec)
    if "threads" in {field.name for field in dataclasses.fields(codec)}:
        codec = dataclasses.replace(codec, threads=threads)
    before = _peak_mib()
    start = time.perf_counter()
    _limit_threads_if_torch(codec, threads)
    small = originals[0][:128, :128].copy()
    codec.decode(codec.encode(small, setting))
    load = time.perf_counter() - start
    times = [_time_once(codec, originals[0], setting)]
    if sum(times[0]) < BUDGET_SECONDS / 4:  # else what warms at full size is small beside the rest
        times = []
        begin = time.perf_counter()
        for original in originals:
            times.append(_time_once(codec, original, setting))
            if time.perf_counter() - begin > BUDGET_SECONDS:
                break
    encode, decode = zip(*times, strict=True)
    sizes = [original.shape[0] * original.shape[1] / 1e6 for original in originals[: len(times)]]
    return Speed(
        codec.name,
        codec.label,
        setting,
        threads,
        load,
        statistics.median(encode),
        statistics.median(decode),
        float(statistics.median(sizes)),
        _peak_mib(),
        _peak_mib() - before,
        len(encode),
    )


def _time_once(codec: Codec, original: np.ndarray, setting: float) -> tuple[float, float]:
    start = time.perf_counter()
    encoded = codec.encode(original, setting)
    between = time.perf_counter()
    decoded = codec.decode(encoded)
    end = time.perf_counter()
    if decoded.shape != original.shape:
        raise ValueError(f"decoded as {decoded.shape}, the original is {original.shape}")
    return between - start, end - between


def _limit_threads_if_torch(codec: Codec, threads: int) -> None:
    """Set torch's threads for codecs that use it; importing it is then part of their loading."""
    if codec.name.startswith(("nicodec-", "compressai-")):
        use_threads(threads)
