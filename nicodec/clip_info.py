"""What a clip's .nic file says of itself; importing this loads neither torch nor numpy."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nicodec.container import FramePacket, Limits

_LETTERS = "IPB"
_PATTERN_MAX = 64


@dataclass(frozen=True)
class CopiedInfo:
    """A stream that is copied in a clip.

    Attributes:
        type: "audio", "subtitle" or another word.
        codec: FFmpeg's name.
        language: ISO 639, or empty.
        packets: how many.
        bit_rate: bits a second; None for a clip that lasts no time.

    """

    type: str
    codec: str
    language: str
    packets: int
    bit_rate: float | None


@dataclass(frozen=True)
class VideoInfo:
    """What a clip's .nic file says of itself, without decoding it.

    Attributes:
        width, height: pixels.
        quality: 0..100.
        model: name of the model, or None if it is not installed.
        fingerprint: the model's four bytes in hexadecimal.
        frames: how many.
        seconds: from the first frame's time stamp to the end of the last.
        rate: frames a second, on average; None for a clip that lasts no time.
        is_variable: whether the frames' times are not those of one rate.
        gop_lengths: frames from each key frame to the next, in the order of coding.
        pattern: the types of the frames up to the second key frame, as they are shown: "IBBBP"; x for a type of the
            codec's own; at most 64 of them.
        types: how many frames are I, P, B and of another type.
        bit_rate: bits a second of the frames; None for a clip that lasts no time.
        streams: those that are copied.
        primaries, transfer, matrix: code points of ITU-T H.273.
        full_range: whether codes run from 0 to 255.
        sample_aspect: width over height of a pixel.
        rotation: degrees by which a viewer turns the frames.
        file_bytes: bytes of the file.
        bpp: bits of the whole file over pixels of all frames.

    """

    width: int
    height: int
    quality: float
    model: str | None
    fingerprint: str
    frames: int
    seconds: float
    rate: float | None
    is_variable: bool
    gop_lengths: tuple[int, ...]
    pattern: str
    types: tuple[int, int, int, int]
    bit_rate: float | None
    streams: tuple[CopiedInfo, ...]
    primaries: int
    transfer: int
    matrix: int
    full_range: bool
    sample_aspect: float
    rotation: int
    file_bytes: int
    bpp: float


def about_clip(file: Any, limits: Limits, name_of: Callable[[bytes], str | None]) -> VideoInfo:
    """Read a whole clip packet by packet, and say what it holds.

    Args:
        file: open for binary reading.
        limits: what the clip may ask for.
        name_of: gives a model's name by its fingerprint, None where it is not installed.

    Raises:
        StreamError: it is cut short, altered or of a later version.

    """
    from nicodec import container

    reader = container.ClipReader(file, limits)
    header = reader.header
    packets = [0] * (1 + len(reader.streams))
    sizes = [0] * (1 + len(reader.streams))
    keys: list[int] = []
    first_gop: list[tuple[int, str]] = []
    types = [0, 0, 0, 0]
    times: list[int] = []
    end = 0
    for item in reader:
        if isinstance(item, container.StreamPacket):
            packets[item.stream] += 1
            sizes[item.stream] += len(item.data)
        elif isinstance(item, container.FramePacket):
            packets[0] += 1
            sizes[0] += len(item.data)
            times.append(item.pts)
            end = max(end, item.pts + item.duration)
            types[min(item.type, 3)] += 1
            if item.is_key:
                keys.append(item.number)
            if len(keys) < 2 or item.pts < first_gop[-1][0]:
                first_gop.append(_letter(item))
    times.sort()
    seconds = float((end - times[0]) * header.time_base) if times else 0.0
    size = reader.end_offset
    return VideoInfo(
        width=header.width,
        height=header.height,
        quality=header.quality / 2,
        model=name_of(header.model),
        fingerprint=header.model.hex(),
        frames=len(times),
        seconds=seconds,
        rate=_rate(header, len(times), seconds),
        is_variable=_is_variable(times),
        gop_lengths=tuple(b - a for a, b in zip(keys, [*keys[1:], len(times)], strict=True)),
        pattern="".join(letter for _, letter in sorted(first_gop)[:_PATTERN_MAX]),
        types=(types[0], types[1], types[2], types[3]),
        bit_rate=8 * sizes[0] / seconds if seconds else None,
        streams=tuple(
            CopiedInfo(s.type, s.codec, s.language, packets[n], 8 * sizes[n] / seconds if seconds else None)
            for n, s in enumerate(reader.streams, 1)
        ),
        primaries=header.colour.primaries,
        transfer=header.colour.transfer,
        matrix=header.colour.matrix,
        full_range=header.colour.full_range,
        sample_aspect=float(header.sample_aspect),
        rotation=header.rotation,
        file_bytes=size,
        bpp=8 * size / (header.width * header.height * max(1, len(times))),
    )


def _letter(frame: FramePacket) -> tuple[int, str]:
    return frame.pts, _LETTERS[frame.type] if frame.type < len(_LETTERS) else "x"


def _rate(header: Any, frames: int, seconds: float) -> float | None:
    if header.rate is not None:
        return float(header.rate)
    return frames / seconds if seconds else None


def _is_variable(times: list[int]) -> bool:
    """Whether steps between frames differ by more than the rounding of time stamps."""
    steps = [after - before for before, after in pairwise(times)]
    return bool(steps) and max(steps) - min(steps) > max(1, round(0.002 * max(steps)))


@contextlib.contextmanager
def open_if_clip(data: object) -> Iterator[Any]:
    """The open file of a clip that is given as a path or bytes; None for anything else."""
    from nicodec import container
    from nicodec.errors import StreamError

    with contextlib.ExitStack() as stack:
        file: Any = None
        if isinstance(data, (bytes, bytearray, memoryview)):
            file = io.BytesIO(data)
        elif isinstance(data, (str, os.PathLike)) and os.path.isfile(data):
            with contextlib.suppress(OSError):
                file = stack.enter_context(open(data, "rb"))
        found = None
        if file is not None:
            with contextlib.suppress(StreamError):
                found = file if container.read_kind(file.read(5)) == container.Kind.CLIP else None
            file.seek(0)
        yield found
