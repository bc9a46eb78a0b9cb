"""Clips that FFmpeg reads, through PyAV: frames upright and in 8 bits, audio and subtitles as they are."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Protocol, runtime_checkable

import av
from av.video.frame import VideoFrame

from nicodec.container import Colour
from nicodec.errors import InputError
from nicodec.media.clip_planes import has_alpha, planar, turned
from nicodec.media.clip_streams import COPIED, copy_in, describe
from nicodec.media.clips import ClipFormat, ClipItem
from nicodec.media.picture import LossyConversionWarning

_UNSPECIFIED = 2
_RATES_ALIKE = Fraction(1, 50)
_HINT_MAX = 1 << 31


@runtime_checkable
class Pipe(Protocol):
    """A pipe opened for reading; `read1` returns what is there."""

    def read1(self, size: int = -1, /) -> bytes:
        """Return some bytes, none at the end."""


class _AsItComes:
    """A pipe as PyAV reads it: it waits for some bytes, never for all that could be had."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def read(self, size: int) -> bytes:
        """Return some bytes."""
        return self._pipe.read1(size)


class ClipFile:
    """The video stream of a file that PyAV opens, with its audio and subtitles; a `FrameSource`.

    Frames are turned upright, as `ffmpeg` does it; samples of more than 8 bits are rounded to 8.

    Args:
        source: a path, the bytes of a file, or a pipe, which is read as it comes.

    Attributes:
        format: what is known of all frames.

    Raises:
        InputError: there is no such file, no video in it, or the video is interlaced.

    Warns:
        LossyConversionWarning: alpha, or a stream of another type, is left out.

    """

    def __init__(self, source: str | os.PathLike[str] | bytes | Pipe) -> None:
        is_path = isinstance(source, (str, os.PathLike))
        self._name = os.fsdecode(source) if is_path else "the clip"  # type: ignore[arg-type]
        opened: Any = self._name
        if not is_path:
            opened = io.BytesIO(source) if isinstance(source, bytes) else _AsItComes(source)  # type: ignore[arg-type]
        try:
            self._container: Any = av.open(opened)
            self._stream = self._choose()
            self._stream.thread_type = "SLICE" if isinstance(opened, _AsItComes) else "AUTO"
            self._copied = [stream for stream in self._container.streams if self._is_copied(stream)]
            self._packets = self._container.demux([self._stream, *self._copied])
            self._items = self._demuxed()  # one walk for all: a packet may give several frames
            self._before: list[ClipItem | VideoFrame] = []
            first = self._first_frame()
        except (av.FFmpegError, OSError, IndexError) as error:
            remedy = "give another"
            if isinstance(opened, _AsItComes):
                remedy = "MP4 and MOV often have their index at the end: name the file, or pipe .mkv or .y4m"
            raise InputError(f"{self._name}: not a clip that can be read ({_reason(error)}); {remedy}") from error
        self._turns = -first.rotation // 90 % 4
        self._last_pts: int | None = None
        self.format = self._describe(first)
        self._warn_of_losses(first)

    def _choose(self) -> Any:
        found = [s for s in self._container.streams.video if not int(s.disposition) & 0x400]  # a cover is no clip
        if not found:
            raise InputError(f"{self._name}: has no video; give a clip")
        return found[0]

    def _is_copied(self, stream: Any) -> bool:
        return stream.type in COPIED and stream.codec_context is not None

    def _first_frame(self) -> VideoFrame:
        """The first frame; it and what came before it wait in `_before`."""
        for item in self._items:
            self._before.append(item)
            if isinstance(item, VideoFrame):
                return item
        raise InputError(f"{self._name}: has no frames; give another file")

    def _demuxed(self) -> Iterator[Any]:
        """Give decoded frames, and packets of other streams, as the file has them."""
        numbers = {stream.index: number for number, stream in enumerate(self._copied, 1)}
        for packet in self._packets:
            number = numbers.get(packet.stream.index)  # `stream_index` is not that of the last, empty packets
            if number is None:
                yield from packet.decode()
            elif packet.size:
                yield copy_in(packet, number)

    def _describe(self, first: VideoFrame) -> ClipFormat:
        stream = self._stream
        aspect = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
        width, height = first.width, first.height
        if self._turns % 2:
            width, height, aspect = height, width, 1 / aspect
        seconds = None
        if stream.duration:
            seconds = stream.duration * stream.time_base
        elif self._container.duration:
            seconds = Fraction(self._container.duration, av.time_base)
        rate = self._rate()
        frames = stream.frames or (round(seconds * rate) if seconds and rate else None)
        return ClipFormat(
            width,
            height,
            time_base=stream.time_base,
            rate=rate,
            colour=_colour(first),
            sample_aspect=aspect,
            streams=tuple(describe(other) for other in self._copied),
            frames=frames,
            seconds=seconds,
        )

    def _rate(self) -> Fraction | None:
        """The rate that most frames keep to; None where there is none."""
        mean, usual = self._stream.average_rate, self._stream.base_rate or self._stream.guessed_rate
        rate = usual if usual and mean and abs(usual / mean - 1) < _RATES_ALIKE else None
        return rate if rate and 1 / (rate * self._stream.time_base) <= _HINT_MAX else None

    def _warn_of_losses(self, first: VideoFrame) -> None:
        if has_alpha(first.format):
            self._warn("its alpha channel is left out")
        others = [s for s in self._container.streams if s is not self._stream and s not in self._copied]
        for stream in others:
            self._warn(f"stream {stream.index} ({stream.type}) is left out")

    def _warn(self, text: str) -> None:
        warnings.warn(f"{self._name}: {text}", LossyConversionWarning, stacklevel=4)

    def __iter__(self) -> Iterator[ClipItem]:
        """Give the items; a file is read once.

        Raises:
            InputError: the clip is broken or, from some frame on, interlaced.

        """
        count = 0
        try:
            for item in self._all_demuxed():
                if not isinstance(item, VideoFrame):
                    yield item
                    continue
                self._check(item, count)
                yield turned(planar(item, self._pts_of(item), max(0, item.duration or 0)), self._turns)
                count += 1
        except (av.FFmpegError, OSError) as error:
            text = f"{self._name}: broken after {count} frames ({_reason(error)}); give a whole file"
            raise InputError(f"{text}, or keep what is whole of it: ffmpeg -i IN -c copy OUT") from error
        finally:
            self._container.close()

    def _all_demuxed(self) -> Iterator[Any]:
        yield from self._before
        self._before = []
        yield from self._items

    def _check(self, frame: VideoFrame, number: int) -> None:
        if frame.interlaced_frame:
            raise InputError(
                f"{self._name}: frame {number} is interlaced, two pictures in one; "
                "make whole frames of it first: ffmpeg -i IN -vf bwdif OUT"
            )

    def _pts_of(self, frame: VideoFrame) -> int:
        """The frame's time stamp; where it has none, or one that does not ascend, the next that may be."""
        last = self._last_pts
        pts = frame.pts
        if pts is not None and frame.time_base and frame.time_base != self.format.time_base:
            pts = round(pts * frame.time_base / self.format.time_base)
        if pts is None:
            step = 1 / (self.format.rate * self.format.time_base) if self.format.rate else 1
            pts = 0 if last is None else last + max(1, round(step))
        if last is not None and pts <= last:
            warnings.warn(
                f"{self._name}: time stamp {pts} comes after {last}; it is moved behind it",
                LossyConversionWarning,
                stacklevel=4,
            )
            pts = last + 1
        self._last_pts = pts
        return int(pts)


def _colour(frame: VideoFrame) -> Colour:
    is_rgb = frame.format.is_rgb
    return Colour(
        primaries=_code(frame.color_primaries),
        transfer=_code(frame.color_trc),
        matrix=1 if is_rgb else _code(frame.colorspace),
        full_range=not is_rgb and (int(frame.color_range) == 2 or frame.format.name.startswith("yuvj")),
    )


def _code(value: Any) -> int:
    return int(value) if 0 < int(value) <= 255 else _UNSPECIFIED


def _reason(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
