"""Small clips of every kind, drawn through PyAV."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from nicodec.container import Stream, StreamPacket
from nicodec.media.clip_streams import add_to, copy_out

SOUND = Stream("audio", "pcm_s16le", Fraction(1, 48000), sample_rate=48000, layout="mono", language="eng")
WORDS = Stream("subtitle", "subrip", Fraction(1, 1000), language="deu")
SOUND_PACKETS = tuple(StreamPacket(1, bytes([n, 1] * 960), 960 * n, duration=960) for n in range(10))
WORDS_PACKETS = (
    StreamPacket(2, b"Guten Tag", 40, duration=100),
    StreamPacket(2, "für alle".encode(), 160, duration=90),
)


def picture(number: int, width: int = 48, height: int = 32) -> np.ndarray:
    """RGB of a frame: a ramp that moves."""
    y, x = np.mgrid[:height, :width]
    planes = (x * 5 + 6 * number, y * 7 + 90, 255 - x * 3 - 2 * number)
    return np.clip(np.stack([plane % 256 for plane in planes], -1), 16, 235).astype(np.uint8)


def draw(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    encoder: str = "ffv1",
    form: str = "yuv420p",
    source_form: str = "rgb24",
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    rate: Fraction = Fraction(25),
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    copied: Sequence[Stream] = (),
    packets: Sequence[StreamPacket] = (),
    tags: dict[str, int] | None = None,
    convert: bool = True,
) -> Path:
    """Write a clip; `frames` are arrays of `source_form`."""
    with av.open(str(path), "w") as file:
        container: Any = file
        stream = container.add_stream(encoder, rate=rate, options=options or {})
        height, width = frames[0].shape[:2]
        if source_form.startswith("yuv"):
            height = height * 2 // 3
        stream.width, stream.height, stream.pix_fmt = width, height, form
        stream.time_base = stream.codec_context.time_base = time_base
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        streams = [add_to(container, each) for each in copied]
        for packet in packets:
            container.mux(copy_out(packet, copied[packet.stream - 1], streams[packet.stream - 1]))
        for number, array in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(array, format=source_form)
            frame = frame.reformat(format=form, threads=1) if convert else frame
            frame.pts = number if pts is None else pts[number]
            frame.time_base = time_base
            for made in stream.encode(frame):
                container.mux(made)
        container.mux(stream.encode(None))
    return path


def turn(path: Path) -> None:
    """Let players turn an MP4's or MOV's frames by 90 degrees clockwise."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    data[place : place + 36] = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    path.write_bytes(data)
