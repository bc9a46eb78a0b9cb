"""Clips out: Matroska, MP4 and MOV through PyAV, YUV4MPEG2 to a pipe, numbered pictures."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import av

from nicodec.container import StreamPacket
from nicodec.errors import OutputError
from nicodec.media.clip_planes import PlanarFrame, to_rgb, video_frame
from nicodec.media.clip_streams import add_to, copy_out
from nicodec.media.clips import ClipFormat, ClipItem
from nicodec.media.picture import LossyConversionWarning
from nicodec.media.reading import read_picture
from nicodec.media.writing import PICTURE_SUFFIXES, save_picture


@dataclass(frozen=True)
class Encoder:
    """How frames are coded in the file that is written.

    Attributes:
        codec: FFmpeg's name.
        help: what it is, in a few words.
        options: FFmpeg's, of the codec.
        formats: FFmpeg's names of the formats that hold it.
        odd_sizes: whether 4:2:0 may have an odd side.
        keeps_aspect: whether the pixels' aspect is in what it gives; PyAV writes it nowhere else.
        narrowest: least width in pixels.

    """

    codec: str
    help: str
    options: dict[str, str] = field(default_factory=dict)
    formats: tuple[str, ...] = ("matroska", "mp4", "mov")
    odd_sizes: bool = False
    keeps_aspect: bool = True
    narrowest: int = 1


LOSSLESS = "ffv1"
ENCODERS = {
    "x264": Encoder(
        "libx264", "H.264, plays everywhere; near-transparent (CRF 10)", {"crf": "10", "preset": "medium"}
    ),
    "x265": Encoder(
        "libx265",
        "HEVC, smaller and slower; near-transparent (CRF 10)",
        {"crf": "10", "preset": "medium", "x265-params": "log-level=error"},
        narrowest=64,  # it writes beyond its memory where frames are narrower than about 60 pixels (4.2)
    ),
    "x264-fast": Encoder(
        "libx264",
        "H.264 without delay, for players that take it as it comes",
        {"crf": "10", "preset": "ultrafast", "tune": "zerolatency"},
    ),
    LOSSLESS: Encoder("ffv1", "FFV1, without loss", {"level": "3", "slicecrc": "1"}, ("matroska",), True, False),
}
"""By name; the first is the default."""

DEFAULT_ENCODER = "x264"
FORMATS = {".mkv": "matroska", ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov"}
"""FFmpeg's names of the formats that are written, by suffix."""

Y4M_SUFFIX = ".y4m"


class ClipSink(Protocol):
    """What takes the items of a clip."""

    def write(self, item: ClipItem) -> None:
        """Take the next frame, or a packet of a stream.

        Raises:
            OutputError: it cannot be written.

        """

    def close(self) -> None:
        """Write what is left; without it the file is not whole."""


class MovieSink:
    """A file of video and the copied streams.

    Args:
        target: a path, or a file open for binary writing; MP4 and MOV need one that can seek.
        form: of the clip.
        container: FFmpeg's name of the file's format.
        encoder: a name of `ENCODERS`.

    Raises:
        OutputError: there is no such encoder, or the format cannot hold what it gives.

    Warns:
        LossyConversionWarning: a stream is left out that the format cannot hold.

    """

    def __init__(
        self, target: str | BinaryIO, form: ClipFormat, container: str = "matroska", encoder: str = DEFAULT_ENCODER
    ) -> None:
        if encoder not in ENCODERS:
            raise OutputError(f"encoder {encoder!r} is not known; give {', '.join(ENCODERS)}")
        chosen = ENCODERS[encoder]
        if container not in chosen.formats:
            names = " or ".join(suffix for suffix, name in FORMATS.items() if name in chosen.formats)
            raise OutputError(f"{encoder} does not go into {container}; write {names}")
        if form.width < chosen.narrowest:
            raise OutputError(
                f"{encoder} takes frames of at least {chosen.narrowest} pixels in width, these have {form.width}; "
                f"take {DEFAULT_ENCODER}"
            )
        self._form = form
        self._durations: dict[int, int] = {}
        if form.sample_aspect != 1 and not chosen.keeps_aspect:
            _warn(f"{encoder} does not keep that pixels are {form.sample_aspect} as wide as high; x264 does")
        self._to_full_chroma = not chosen.odd_sizes and bool(form.width % 2 or form.height % 2)
        with _av_errors():
            self._container: Any = av.open(target, "w", format=container)
            self._video = self._add_video(chosen)
            self._copied = [self._add_copied(number) for number in range(len(form.streams))]

    def _add_video(self, chosen: Encoder) -> Any:
        form = self._form
        stream = self._container.add_stream(chosen.codec, rate=form.rate or Fraction(25), options=chosen.options)
        stream.width, stream.height = form.width, form.height
        stream.pix_fmt = "yuv444p" if self._to_full_chroma else "yuv420p"
        stream.time_base = stream.codec_context.time_base = form.time_base
        context = stream.codec_context
        context.sample_aspect_ratio = form.sample_aspect
        context.color_range = 2 if form.colour.full_range else 1
        context.color_primaries = form.colour.primaries
        context.color_trc = form.colour.transfer
        context.colorspace = form.colour.matrix
        return stream

    def _add_copied(self, number: int) -> Any:
        described = self._form.streams[number]
        try:
            return add_to(self._container, described)
        except (ValueError, av.FFmpegError) as error:
            warnings.warn(
                f"stream {number + 1} ({described.type}, {described.codec}) is left out: {error}; "
                "another file format may hold it (.mkv, .mp4, .mov)",
                LossyConversionWarning,
                stacklevel=4,
            )
            return None

    def write(self, item: ClipItem) -> None:
        """See `ClipSink.write`."""
        with _av_errors():
            if isinstance(item, StreamPacket):
                stream = self._copied[item.stream - 1]
                if stream is not None:
                    self._container.mux(copy_out(item, self._form.streams[item.stream - 1], stream))
                return
            self._durations[item.pts] = item.duration
            frame = video_frame(item)
            if self._to_full_chroma:
                frame = _doubled(item)
            frame.pts, frame.time_base = item.pts, self._form.time_base
            self._mux(self._video.encode(frame))

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            duration = self._durations.pop(packet.pts, 0)
            if duration:
                packet.duration = duration
            self._container.mux(packet)

    def close(self) -> None:
        """See `ClipSink.close`."""
        with _av_errors():
            self._mux(self._video.encode(None))
            self._container.close()


def _doubled(frame: PlanarFrame) -> Any:
    """PyAV's frame with a chroma sample for each pixel, which is that of its square."""
    height, width = frame.y.shape
    u, v = (plane.repeat(2, axis=0).repeat(2, axis=1)[:height, :width] for plane in (frame.u, frame.v))
    made: Any = av.VideoFrame(width, height, "yuv444p")
    for plane, values in zip(made.planes, (frame.y, u, v), strict=True):
        rows = bytearray(plane.buffer_size)
        for row in range(height):
            rows[row * plane.line_size : row * plane.line_size + width] = values[row].tobytes()
        plane.update(bytes(rows))
    return made


class Y4mSink:
    """YUV4MPEG2, frame by frame: what every tool reads from a pipe. It has no time stamps and no sound.

    Warns:
        LossyConversionWarning: streams, or times that vary, are left out.

    """

    def __init__(self, file: BinaryIO, form: ClipFormat) -> None:
        self._file = file
        if form.streams:
            _warn(f"{len(form.streams)} streams (audio, subtitles) are left out of y4m; write .mkv to keep them")
        if form.rate is None:
            _warn("y4m has no time stamps: frames that come at a varying rate are all shown equally long")
        rate = form.rate or Fraction(25)
        aspect = form.sample_aspect
        self._head = (
            f"YUV4MPEG2 W{form.width} H{form.height} F{rate.numerator}:{rate.denominator} Ip"
            f" A{aspect.numerator}:{aspect.denominator} C420mpeg2"
            f" XCOLORRANGE={'FULL' if form.colour.full_range else 'LIMITED'}\n"
        ).encode()

    def write(self, item: ClipItem) -> None:
        """See `ClipSink.write`."""
        if isinstance(item, PlanarFrame):
            planes = b"".join(plane.tobytes() for plane in (item.y, item.u, item.v))
            self._file.write(self._head + b"FRAME\n" + planes)
            self._head = b""
            self._file.flush()

    def close(self) -> None:
        """See `ClipSink.close`."""
        self._file.write(self._head)
        self._file.flush()


class PicturesSink:
    """Numbered pictures, from 1 on: a name such as frames/%04d.png.

    Raises:
        OutputError: no such pictures can be written.

    """

    def __init__(self, pattern: str, form: ClipFormat, *, overwrite: bool = False) -> None:
        self._pattern, self._form, self._overwrite = pattern, form, overwrite
        self._count = 0
        if form.streams:
            _warn(f"{len(form.streams)} streams (audio, subtitles) have no place beside pictures; write .mkv")

    def write(self, item: ClipItem) -> None:
        """See `ClipSink.write`."""
        if isinstance(item, PlanarFrame):
            self._count += 1
            colour = self._form.colour
            rgb = to_rgb(item, full_range=colour.full_range, matrix=colour.matrix)
            save_picture(read_picture(rgb), self._pattern % self._count, overwrite=self._overwrite)

    def close(self) -> None:
        """See `ClipSink.close`."""


def is_pattern(name: str) -> bool:
    """Whether a file's name stands for numbered pictures."""
    return bool(re.search(r"%0?\d*d", name)) and Path(name).suffix.lower() in PICTURE_SUFFIXES


def open_sink(target: BinaryIO, suffix: str, form: ClipFormat, encoder: str = DEFAULT_ENCODER) -> ClipSink:
    """What writes a clip of this format into an open file.

    Args:
        target: open for binary writing.
        suffix: of the file's name, with the dot.
        form: of the clip.
        encoder: a name of `ENCODERS`; y4m has none.

    Raises:
        OutputError: clips of this suffix cannot be written.

    """
    suffix = suffix.lower()
    if suffix == Y4M_SUFFIX:
        return Y4mSink(target, form)
    if suffix not in FORMATS:
        known = ", ".join([*FORMATS, Y4M_SUFFIX])
        raise OutputError(
            f"{suffix or 'a name without a suffix'}: no clip can be written so; give {known} or %04d.png"
        )
    return MovieSink(target, form, FORMATS[suffix], encoder)


class _av_errors:
    """Turns errors of FFmpeg and of the system into OutputError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BrokenPipeError):
            return
        if isinstance(error, (av.FFmpegError, OSError, ValueError)):
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise OutputError(
                f"the clip cannot be written ({reason}); write .mkv, or choose another folder"
            ) from error


def _warn(text: str) -> None:
    warnings.warn(text, LossyConversionWarning, stacklevel=4)
