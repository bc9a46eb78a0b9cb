"""From PyAV's frames to planes of 8 bits in YUV 4:2:0, and back.

Planes of more bits are rounded once, after chroma has been brought to a quarter; none is dithered. Chroma samples sit
where MPEG has them: between two rows, on the left column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

THREADS = 1
"""Of FFmpeg's converter. Left to choose, it takes several, which leave samples unwritten now and then.

With PyAV 18.1 these are 8 of row 24 in 34x50 pixels.
"""


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


def planar(frame: VideoFrame, pts: int, duration: int) -> PlanarFrame:
    """The planes of PyAV's frame, brought to YUV 4:2:0 with 8 bits (RGB: by BT.709, limited range)."""
    if frame.format.name in ("yuv420p", "yuvj420p"):
        y, u, v = (_plane(plane, 8) for plane in frame.planes)
        return PlanarFrame(y, u, v, pts, duration)
    frame = _to_plain_planes(frame)
    full = int(frame.color_range) == int(ColorRange.JPEG) or frame.format.name.startswith("yuvj")
    bits = frame.format.components[0].bits
    planes = [_plane(plane, bits) for plane in frame.planes[:3]]
    height, width = planes[0].shape
    y = _to_8_bits(planes[0].astype(np.float32), bits, full)
    if len(planes) < 3:
        grey = np.full((-(-height // 2), -(-width // 2)), 128, np.uint8)
        return PlanarFrame(y, grey, grey, pts, duration)
    u, v = (_to_8_bits(_quarter(plane.astype(np.float32), height, width), bits, full) for plane in planes[1:])
    return PlanarFrame(y, u, v, pts, duration)


def _to_plain_planes(frame: VideoFrame) -> VideoFrame:
    """The frame in planes of Y, U and V (and alpha) of native byte order, without loss of precision."""
    form = frame.format
    if form.is_rgb:
        return frame.reformat(
            format="yuv444p16le", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=THREADS
        )
    if _is_plain(form):
        return frame
    return frame.reformat(format=_PLAIN.get(form.name, "yuv444p16le"), threads=THREADS)


_PLAIN = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "p010le": "yuv420p10le",
    "p010be": "yuv420p10le",
    "p016le": "yuv420p16le",
}
"""Formats of other orders, and the planes that hold just the same samples."""


def _is_plain(form: VideoFormat) -> bool:
    is_separate = len({component.plane for component in form.components}) == len(form.components)
    return is_separate and form.name.startswith(("yuv4", "yuvj4", "yuva4", "gray")) and not form.name.endswith("be")


def _quarter(plane: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """A chroma plane of a frame of this size at half the rows and columns: ⌈H/2⌉ x ⌈W/2⌉."""
    rows, columns = -(-height // 2), -(-width // 2)
    if plane.shape[1] < columns:  # 4:1:1 and 4:1:0
        plane = plane.repeat(2, axis=1)[:, :columns]
    if plane.shape[0] < rows:
        plane = plane.repeat(2, axis=0)[:rows]
    if plane.shape[1] != columns:
        padded = np.pad(plane, ((0, 0), (1, 1)), mode="edge")
        plane = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:])[:, ::2] * np.float32(0.25)
    if plane.shape[0] != rows:
        even = np.pad(plane, ((0, plane.shape[0] % 2), (0, 0)), mode="edge")
        plane = (even[::2] + even[1::2]) * np.float32(0.5)
    return plane[:rows, :columns]


def _to_8_bits(plane: NDArray[np.float32], bits: int, full: bool) -> NDArray[np.uint8]:
    scale = 255 / ((1 << bits) - 1) if full else 1 / (1 << (bits - 8))
    rounded: NDArray[np.uint8] = np.clip(np.floor(plane * scale + 0.5), 0, 255).astype(np.uint8)
    return rounded


def _plane(plane: Any, bits: int) -> NDArray[Any]:
    """The samples of PyAV's plane, (rows, columns)."""
    kind = np.dtype("<u2") if bits > 8 else np.dtype(np.uint8)
    rows = np.frombuffer(plane, dtype=kind).reshape(-1, plane.line_size // kind.itemsize)
    return np.ascontiguousarray(rows[: plane.height, : plane.width])


def has_alpha(form: VideoFormat) -> bool:
    """Whether frames of this format have an alpha channel."""
    return any(component.is_alpha for component in form.components)


def turned(frame: PlanarFrame, quarter_turns: int) -> PlanarFrame:
    """The frame turned clockwise so many times by 90 degrees."""
    if not quarter_turns % 4:
        return frame
    y, u, v = (np.ascontiguousarray(np.rot90(plane, -quarter_turns)) for plane in (frame.y, frame.u, frame.v))
    return PlanarFrame(y, u, v, frame.pts, frame.duration)


def video_frame(frame: PlanarFrame) -> VideoFrame:
    """PyAV's frame of these planes, without times and colour."""
    height, width = frame.y.shape
    made = VideoFrame(width, height, "yuv420p")
    for plane, values in zip(made.planes, (frame.y, frame.u, frame.v), strict=True):
        rows = np.zeros((plane.height, plane.line_size), dtype=np.uint8)
        rows[:, : plane.width] = values
        plane.update(rows.tobytes())
    return made


def planar_from_rgb(frame: NDArray[np.uint8], pts: int, duration: int) -> PlanarFrame:
    """An RGB frame, uint8 (H, W, 3), as BT.709 of limited range.

    Raises:
        ValueError: it is no such array.

    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        raise ValueError(f"a frame of {frame.dtype} {frame.shape}: give uint8 (H, W, 3)")
    return planar(VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"), pts, duration)


def to_rgb(frame: PlanarFrame, *, full_range: bool = False, matrix: int = 1) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) of a frame; a matrix that is not known (2) counts as BT.601, as in FFmpeg."""
    shown = video_frame(frame)
    shown.colorspace = matrix
    shown.color_range = 2 if full_range else 1
    return np.asarray(shown.to_ndarray(format="rgb24", threads=THREADS), dtype=np.uint8)
