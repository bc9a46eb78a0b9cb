"""One picture by several codecs: files of about one size, and what their first bytes give."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from kodak_eval.averages import EQUAL_DB
from kodak_eval.cache import Cache
from kodak_eval.matched import next_setting
from kodak_eval.measurement import Job
from kodak_eval.metrics import psnr_rgb
from kodak_eval.progressive.codecs import Levels, ProgressiveCodec

QUALITY = 80
"""Of the files in levels."""

SHARES = (0.03, 0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75, 0.9, 1.0)
"""Of their bytes, at which all are cut."""

STRIP_SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)
STRIP_SIDE = 360
"""Longest side of a picture in the strip."""

TRIES = 8
"""Files made of a codec until one has the wanted size, at most."""


@dataclass(frozen=True)
class Cut:
    """The first bytes of a file.

    Attributes:
        share: of the bytes of the file in levels.
        size: bytes.
        psnr: in dB; None where nothing is to be seen.
        made: PSNR of a file that the same codec makes of so many bytes, between measured ones; None where that is
            not known, or of another codec.
        image: AVIF, small; empty where there is no strip of it.

    """

    share: float
    size: int
    psnr: float | None
    made: float | None = None
    image: bytes = b""


@dataclass(frozen=True)
class CutFile:
    """A file and what its first bytes give.

    Attributes:
        picture, codec: names.
        against: name of the codec in levels whose size it has.
        label: of the codec.
        setting: of the codec.
        size: bytes of the whole file.
        cuts: by their shares.

    """

    picture: str
    codec: str
    against: str
    label: str
    setting: float
    size: int
    cuts: tuple[Cut, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain values, without images."""
        return asdict(self) | {
            "cuts": [{name: value for name, value in asdict(cut).items() if name != "image"} for cut in self.cuts]
        }


@dataclass(frozen=True)
class CutResult:
    """What came of a task: its files, or why there are none."""

    picture: str
    files: tuple[CutFile, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class CutTask:
    """Cuts a picture's file in levels, and others of its size at the same bytes.

    Attributes:
        job: picture and codec in levels, at ``QUALITY``.
        anchors: with their versions.
        known: (bits a pixel, PSNR) of whole files of the codec in levels, by measurement.
        strip: whether small pictures are made.

    """

    job: Job
    anchors: tuple[tuple[ProgressiveCodec, str], ...]
    known: tuple[tuple[float, float], ...]
    strip: bool

    def perform(self, cache: Cache) -> CutResult:
        """Do it; whatever fails is named in the result."""
        try:
            return CutResult(self.job.picture.name, tuple(self._files(cache)))
        except Exception as error:  # a broken picture or encoder must not end the run
            return self.failed(f"{type(error).__name__}: {error}")

    def failed(self, reason: str) -> CutResult:
        """Return the result that says so."""
        return CutResult(self.job.picture.name, error=reason)

    def _files(self, cache: Cache) -> list[CutFile]:
        codec = self.job.codec
        assert isinstance(codec, Levels)
        original = self.job.picture.read()
        file = _file_of(self.job, cache)
        sizes = [round(share * len(file)) for share in SHARES]
        found = [self._cut(self.job, codec, file, original, sizes)]
        for anchor, version in self.anchors:
            job = dataclasses.replace(self.job, codec=anchor, version=version)
            job = dataclasses.replace(job, setting=_setting_for(job, len(file), cache))
            found.append(self._cut(job, anchor, _file_of(job, cache), original, sizes))
        return found

    def _cut(
        self, job: Job, codec: ProgressiveCodec, file: bytes, original: np.ndarray, sizes: Sequence[int]
    ) -> CutFile:
        cuts = []
        for share, size in zip(SHARES, sizes, strict=True):
            pixels = codec.decode_prefix(file if share == 1 else file[:size])
            shown = self.strip and share in STRIP_SHARES and pixels is not None
            cuts.append(
                Cut(
                    share,
                    min(size, len(file)),
                    None if pixels is None else min(EQUAL_DB, psnr_rgb(original, pixels)),
                    self._made(8 * size / original[..., 0].size) if job is self.job else None,
                    _small(pixels) if shown else b"",
                )
            )
        against = self.job.codec.name
        return CutFile(job.picture.name, codec.name, against, codec.label, job.setting, len(file), tuple(cuts))

    def _made(self, bpp: float) -> float | None:
        points = sorted(self.known)
        if not points or not points[0][0] <= bpp <= points[-1][0]:
            return None
        rates, values = zip(*points, strict=True)
        return float(np.interp(np.log(bpp), np.log(rates), values))


def _file_of(job: Job, cache: Cache) -> bytes:
    measured = job.perform(cache)
    entry = cache.load(job.cache_key())
    if entry is None:
        raise RuntimeError(measured.error)
    return entry[0]


def _setting_for(job: Job, size: int, cache: Cache) -> float:
    """Return the codec's setting whose file comes nearest to so many bytes."""
    points: dict[float, float] = {}
    for _ in range(TRIES):
        setting = next_setting(points, size, job.codec.step, job.codec.limits)
        if setting is None:
            break
        points[setting] = len(_file_of(dataclasses.replace(job, setting=setting), cache))
    return min(points, key=lambda setting: abs(np.log(points[setting] / size)))


def _small(pixels: np.ndarray) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((STRIP_SIDE, STRIP_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "AVIF", quality=80, subsampling="4:4:4", speed=8, max_threads=1)
    return buffer.getvalue()
