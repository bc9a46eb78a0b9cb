"""Clips as sources of frames: what is known of all frames, then the frames and the packets beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nicodec.container import Colour, Stream, StreamPacket
from nicodec.errors import InputError
from nicodec.media.clip_planes import PlanarFrame, planar_from_rgb, to_rgb

__all__ = ["ClipFormat", "ClipItem", "FrameList", "FrameSource", "PlanarFrame", "from_rgb", "planar_of", "to_rgb"]


BT709 = Colour(primaries=1, transfer=1, matrix=1)


@dataclass(frozen=True)
class ClipFormat:
    """What is known of a clip before its first frame.

    Attributes:
        width, height: pixels of the frames as they are shown.
        time_base: seconds in one unit of their time stamps.
        rate: frames a second; None where it varies.
        colour: as in the file.
        sample_aspect: width over height of a pixel.
        streams: audio and subtitles that come with it.
        frames: how many there are, where the file says so.
        seconds: how long it lasts, where the file says so.

    """

    width: int
    height: int
    time_base: Fraction = Fraction(1, 25)
    rate: Fraction | None = Fraction(25)
    colour: Colour = BT709
    sample_aspect: Fraction = Fraction(1)
    streams: tuple[Stream, ...] = ()
    frames: int | None = None
    seconds: Fraction | None = None


ClipItem = PlanarFrame | StreamPacket


@runtime_checkable
class FrameSource(Protocol):
    """A clip that is read: its format, and its items in order of time."""

    @property
    def format(self) -> ClipFormat:
        """What is known of all frames."""

    def __iter__(self) -> Iterator[ClipItem]:
        """Give the frames in order of time and, about when they are due, the packets of the streams."""


@dataclass(frozen=True)
class FrameList:
    """Frames held in memory; a `FrameSource`."""

    frames: tuple[PlanarFrame, ...]
    format: ClipFormat

    def __iter__(self) -> Iterator[ClipItem]:
        """Give the frames."""
        return iter(self.frames)


def from_rgb(frames: Sequence[NDArray[np.uint8]], rate: Fraction = Fraction(25)) -> FrameList:
    """A clip of RGB frames, uint8 (H, W, 3), as BT.709 of limited range.

    Raises:
        InputError: there is none, or they are no such arrays of one size.

    """
    if not frames:
        raise InputError("give at least one frame, uint8 (H, W, 3)")
    if len({frame.shape for frame in frames}) > 1:
        raise InputError("the frames have several sizes; give those of one")
    planes = tuple(planar_of(frame, number, 1) for number, frame in enumerate(frames))
    height, width = planes[0].y.shape
    form = ClipFormat(width, height, 1 / rate, rate, frames=len(planes), seconds=len(planes) / rate)
    return FrameList(planes, form)


def planar_of(frame: NDArray[np.uint8], pts: int, duration: int) -> PlanarFrame:
    """An RGB frame, uint8 (H, W, 3), as BT.709 of limited range.

    Raises:
        InputError: it is no such array.

    """
    try:
        return planar_from_rgb(frame, pts, duration)
    except ValueError as error:
        raise InputError(str(error)) from error
