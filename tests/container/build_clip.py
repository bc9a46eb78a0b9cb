"""Clips for tests: a small one with all that a clip may have, strategies, and pipes."""

import io
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

from hypothesis import strategies as st

from nicodec.container import (
    ClipHeader,
    ClipItem,
    ClipReader,
    ClipWriter,
    Colour,
    FramePacket,
    FrameType,
    Limits,
    Stream,
    StreamPacket,
)
from nicodec.container.clip import TIME_MAX

from .build import MODEL

ClipPacket = FramePacket | StreamPacket
ANY = Limits(pixels=0)

HEADER = ClipHeader(
    MODEL,
    64,
    48,
    100,
    time_base=Fraction(1, 90000),
    rate=Fraction(30000, 1001),
    colour=Colour(1, 1, 1),
    sample_aspect=Fraction(4, 3),
    rotation=90,
    xmp=b"<x/>",
)
AUDIO = Stream(
    "audio", "aac", Fraction(1, 48000), b"\x11\x90", 48000, "stereo", "eng", 1, 1024, (("bit_rate", "128000"),)
)
SUBTITLE = Stream("subtitle", "subrip", Fraction(1, 1000))


def build_frame(number: int, **changes: object) -> FramePacket:
    """A frame of a low-delay clip with a key frame every 4."""
    key = number % 4 == 0
    frame = FramePacket(
        number,
        bytes([number % 256]) * 20,
        HEADER.regular_pts(number),
        HEADER.regular_duration(number),
        0x1230 + number % 256,
        FrameType.I if key else FrameType.P,
        key,
        () if key else (number - 1,),
    )
    return replace(frame, **changes)


PACKETS: list[ClipPacket] = [
    build_frame(0),
    StreamPacket(1, b"sound 0", 0, None, 1024),
    build_frame(1),
    StreamPacket(2, b"hello", 100, None, 900),
    build_frame(2, type=FrameType.B, references=(0, 1), pts=HEADER.regular_pts(3)),
    build_frame(3, type=9, pts=-7, duration=77),
    build_frame(4),
    StreamPacket(1, b"sound 1", 1024, 1000, 512, 3),
    build_frame(5),
]


def build_clip(
    packets: Iterable[ClipPacket] = PACKETS,
    header: ClipHeader = HEADER,
    streams: tuple[Stream, ...] = (AUDIO, SUBTITLE),
) -> bytes:
    """The whole file."""
    file = io.BytesIO()
    with ClipWriter(file, header, streams) as writer:
        for packet in packets:
            writer.write(packet)
    return file.getvalue()


class Pipe:
    """Bytes that can only be read in order, a few at a time; it remembers how many were asked for."""

    def __init__(self, data: bytes, most: int = 1 << 30) -> None:
        self._file = io.BytesIO(data)
        self._most = most
        self.taken = 0

    def read(self, size: int, /) -> bytes:
        assert size > 0
        data = self._file.read(min(size, self._most))
        self.taken += len(data)
        return data


def read_clip(data: bytes, partial: bool = False) -> list[ClipItem]:
    """All packets, through a pipe."""
    return list(ClipReader(Pipe(data), ANY, partial))


INTS32 = st.integers(1, 2**31 - 1)
FRACTIONS = st.builds(Fraction, st.integers(1, 1000), st.integers(1, 100_000)) | st.builds(Fraction, INTS32, INTS32)
METADATA = st.none() | st.binary(max_size=50)
TIMES = st.integers(-1000, 100_000) | st.integers(-TIME_MAX, TIME_MAX)
DURATIONS = st.integers(0, 5000) | st.integers(0, TIME_MAX)
TEXTS = st.text(max_size=8).filter(lambda text: text.isprintable())


def is_slow_enough(header: dict[str, object]) -> bool:
    """Whether a frame of the drawn rate lasts no more than 2^31 units."""
    rate, base = header["rate"], header["time_base"]
    return rate is None or 1 / (rate * base) <= 2**31


HEADERS = (
    st.fixed_dictionaries(
        {
            "model": st.binary(min_size=4, max_size=4),
            "width": INTS32,
            "height": INTS32,
            "quality": st.integers(0, 200),
            "time_base": FRACTIONS,
            "rate": st.none() | FRACTIONS,
            "colour": st.builds(Colour, *[st.integers(0, 255)] * 3, st.booleans()),
            "sample_aspect": FRACTIONS,
            "rotation": st.sampled_from([0, 90, 180, 270]),
            "grey": st.booleans(),
            "icc": METADATA,
            "exif": METADATA,
            "xmp": METADATA,
        }
    )
    .filter(is_slow_enough)
    .map(lambda fields: ClipHeader(**fields))
)
STREAMS = st.builds(
    Stream,
    TEXTS,
    TEXTS,
    FRACTIONS,
    st.binary(max_size=30),
    st.integers(0, 2**32 - 1),
    TEXTS,
    TEXTS,
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.dictionaries(TEXTS, TEXTS, max_size=3).map(lambda pairs: tuple(sorted(pairs.items()))),
)


@st.composite
def clips(draw: st.DrawFn) -> tuple[ClipHeader, tuple[Stream, ...], list[ClipPacket]]:
    """Any header, streams and packets that belong together."""
    header, streams = draw(HEADERS), tuple(draw(st.lists(STREAMS, max_size=3)))
    packets: list[ClipPacket] = []
    number = 0
    for of_frame in draw(st.lists(st.booleans(), max_size=12)):
        data = draw(st.binary(max_size=40))
        if of_frame or not streams:
            packets.append(
                FramePacket(
                    number,
                    data,
                    draw(st.just(header.regular_pts(number)) | TIMES),
                    draw(st.just(header.regular_duration(number)) | DURATIONS),
                    draw(st.integers(0, 0xFFFF)),
                    draw(st.integers(0, 3) | st.integers(0, 255)),
                    number == 0 or draw(st.booleans()),
                    tuple(draw(st.lists(st.integers(0, number - 1), max_size=6))) if number else (),
                )
            )
            number += 1
            continue
        pts = draw(st.none() | TIMES)
        stream = draw(st.integers(1, len(streams)))
        packets.append(
            StreamPacket(
                stream,
                data,
                pts,
                draw(st.none() | TIMES.filter(lambda dts, pts=pts: dts != pts)),
                draw(st.just(streams[stream - 1].packet_duration) | DURATIONS),
                draw(st.integers(0, 31)),
            )
        )
    return header, streams, packets
