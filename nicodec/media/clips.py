"""Clips in and out through PyAV: frames in YUV 4:2:0 with rational time stamps."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray

from nicodec.errors import InputError, OutputError


@dataclass(frozen=True)
class PlanarFrame:
    """A frame in YUV 4:2:0, 8 bits.

    Attributes:
        y: uint8 (H, W).
        u, v: uint8 (⌈H/2⌉, ⌈W/2⌉).
        pts: when it is shown, in units of the clip's time base.
        duration: in the same; 0 where it is not known.

    """

    y: NDArray[np.uint8]
    u: NDArray[np.uint8]
    v: NDArray[np.uint8]
    pts: int
    duration: int


@runtime_checkable
class FrameSource(Protocol):
    """Frames in order of time, and what is known of all of them.

    `width`, `height`: pixels; `time_base`: seconds in one unit of time stamps; `rate`: frames a second, None where it
    varies; `full_range`: whether codes run from 0 to 255; `matrix`: code point of ITU-T H.273, 2 where not known.
    """

    @property
    def width(self) -> int:
        """Pixels of a row."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def time_base(self) -> Fraction:
        """Seconds in one unit of time stamps."""

    @property
    def rate(self) -> Fraction | None:
        """Frames a second."""

    @property
    def full_range(self) -> bool:
        """Whether codes run from 0 to 255."""

    @property
    def matrix(self) -> int:
        """Code point of ITU-T H.273."""

    def __iter__(self) -> Iterator[PlanarFrame]:
        """Give the frames."""


class ClipFile:
    """The video stream of a file that PyAV opens; a `FrameSource`.

    Args:
        source: a path or the bytes of a file.

    Raises:
        InputError: there is no such file, or no video in it.

    """

    def __init__(self, source: str | os.PathLike[str] | bytes) -> None:
        self._name = "the clip" if isinstance(source, bytes) else os.fspath(source)
        opened: Any = io.BytesIO(source) if isinstance(source, bytes) else os.fspath(source)
        try:
            self._container = av.open(opened)
            stream = self._container.streams.video[0]
        except (av.FFmpegError, OSError, IndexError) as error:
            raise InputError(f"{self._name}: not a clip that can be read ({error}); give another file") from error
        self._stream: VideoStream = stream
        context = stream.codec_context
        self.width, self.height = context.width, context.height
        self.time_base = stream.time_base or Fraction(1, 1000)
        self.rate = stream.average_rate
        self.full_range = int(context.color_range) == 2
        self.matrix = int(context.colorspace)

    def __iter__(self) -> Iterator[PlanarFrame]:
        """Give the frames.

        Raises:
            InputError: the clip is broken.

        """
        try:
            for number, frame in enumerate(self._container.decode(self._stream)):
                pts = frame.pts if frame.pts is not None else number
                yield planar(frame, pts, frame.duration or 0)
        except av.FFmpegError as error:
            raise InputError(f"{self._name}: broken ({error}); give another file") from error
        finally:
            self._container.close()


@dataclass(frozen=True)
class FrameList:
    """Frames held in memory; a `FrameSource`."""

    frames: tuple[PlanarFrame, ...]
    width: int
    height: int
    time_base: Fraction
    rate: Fraction | None
    full_range: bool = False
    matrix: int = 1

    def __iter__(self) -> Iterator[PlanarFrame]:
        """Give the frames."""
        return iter(self.frames)


def from_rgb(frames: list[NDArray[np.uint8]], rate: Fraction = Fraction(25)) -> FrameList:
    """A clip of RGB frames, uint8 (H, W, 3), as BT.709 of limited range.

    Raises:
        InputError: there is none, or they are no such arrays of one size.

    """
    if not frames:
        raise InputError("give at least one frame, uint8 (H, W, 3)")
    if len({frame.shape for frame in frames}) > 1:
        raise InputError("the frames have several sizes; give those of one")
    height, width = frames[0].shape[:2]
    planes = tuple(planar_from_rgb(frame, number, 1) for number, frame in enumerate(frames))
    return FrameList(planes, width, height, 1 / rate, rate)


def planar_from_rgb(frame: NDArray[np.uint8], pts: int, duration: int) -> PlanarFrame:
    """An RGB frame, uint8 (H, W, 3), as BT.709 of limited range.

    Raises:
        InputError: it is no such array.

    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise InputError(f"a frame of {frame.dtype} {frame.shape}: give uint8 (H, W, 3)")
    return planar(VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"), pts, duration)


def to_rgb(frame: PlanarFrame, *, full_range: bool = False, matrix: int = 1) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) of a frame."""
    shown = _video_frame(frame)
    shown.colorspace = matrix
    shown.color_range = 2 if full_range else 1
    return np.asarray(shown.to_ndarray(format="rgb24"), dtype=np.uint8)


def planar(frame: VideoFrame, pts: int, duration: int) -> PlanarFrame:
    """The planes of PyAV's frame, brought to YUV 4:2:0 with 8 bits (RGB: by BT.709)."""
    if frame.format.name not in ("yuv420p", "yuvj420p"):
        matrix, levels = (Colorspace.ITU709, ColorRange.MPEG) if frame.format.is_rgb else (None, None)
        frame = frame.reformat(format="yuv420p", dst_colorspace=matrix, dst_color_range=levels)
    y, u, v = (_plane(plane) for plane in frame.planes)
    return PlanarFrame(y, u, v, pts, duration)


def _plane(plane: Any) -> NDArray[np.uint8]:
    rows = np.frombuffer(plane, dtype=np.uint8).reshape(-1, plane.line_size)
    return np.ascontiguousarray(rows[: plane.height, : plane.width])


def _video_frame(frame: PlanarFrame) -> VideoFrame:
    height, width = frame.y.shape
    made = VideoFrame(width, height, "yuv420p")
    for plane, values in zip(made.planes, (frame.y, frame.u, frame.v), strict=True):
        rows = np.zeros((plane.height, plane.line_size), dtype=np.uint8)
        rows[:, : plane.width] = values
        plane.update(rows.tobytes())
    return made


def write_clip(
    frames: Iterator[PlanarFrame],
    target: str | os.PathLike[str] | BinaryIO,
    *,
    time_base: Fraction,
    rate: Fraction | None,
    full_range: bool = False,
    matrix: int = 2,
    format: str | None = None,
) -> int:
    """Write frames as a clip without loss (FFV1, in Matroska unless the target's suffix says otherwise).

    Args:
        frames: in order of time.
        target: a path, or a file open for binary writing.
        time_base: seconds in one unit of their time stamps.
        rate: frames a second, as a hint; None: it varies.
        full_range: see `FrameSource`.
        matrix: see `FrameSource`.
        format: FFmpeg's name of the file's format; None takes it from the suffix, or "matroska" for a file object.

    Returns:
        The number of frames.

    Raises:
        OutputError: it cannot be written.

    """
    is_path = isinstance(target, (str, os.PathLike))
    opened: Any = os.fspath(target) if is_path else target  # type: ignore[arg-type]
    if format is None and (not is_path or not Path(opened).suffix):
        format = "matroska"
    count = 0
    try:
        with contextlib.closing(av.open(opened, "w", format=format)) as container:
            stream = container.add_stream("ffv1", rate=rate or Fraction(25))
            stream.pix_fmt = "yuv420p"
            stream.time_base = stream.codec_context.time_base = time_base
            stream.codec_context.color_range = 2 if full_range else 1
            stream.codec_context.colorspace = matrix
            for frame in frames:
                if count == 0:
                    stream.height, stream.width = frame.y.shape
                shown = _video_frame(frame)
                shown.pts, shown.time_base = frame.pts, time_base
                container.mux(stream.encode(shown))
                count += 1
            container.mux(stream.encode(None))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise OutputError(f"the clip cannot be written ({error}); write .mkv, or choose another folder") from error
    return count
