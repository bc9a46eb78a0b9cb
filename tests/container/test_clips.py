"""Clips that are whole: written, read, sought in, summed up."""

import contextlib
import io
import os
import threading
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nicodec.container import (
    ClipReader,
    ClipWriter,
    Colour,
    FramePacket,
    FrameType,
    Kind,
    Limits,
    Stream,
    StreamPacket,
    clip_index,
    clip_info,
    read_header,
    read_kind,
)
from nicodec.errors import InputError, LimitError

from .build_clip import (
    ANY,
    AUDIO,
    HEADER,
    PACKETS,
    SUBTITLE,
    Pipe,
    build_clip,
    build_frame,
    clips,
    read_clip,
)

CLIP = build_clip()


@settings(max_examples=40, deadline=None)
@given(clips(), st.integers(1, 50))
def test_round_trip(clip, most: int) -> None:
    header, streams, packets = clip
    data = build_clip(packets, header, streams)
    reader = ClipReader(Pipe(data, most), ANY)
    assert (reader.header, reader.streams) == (header, streams)
    assert list(reader) == packets
    assert list(reader) == []
    assert list(ClipReader(io.BytesIO(data), ANY, partial=True)) == packets
    assert read_kind(data) is Kind.CLIP
    assert read_header(data, ANY).width == header.width


@settings(max_examples=40, deadline=None)
@given(clips())
def test_summary_by_index_and_by_scan(clip) -> None:
    header, streams, packets = clip
    data = build_clip(packets, header, streams)
    info = clip_info(io.BytesIO(data), ANY)
    assert info == clip_info(Pipe(data), ANY)
    frames = [packet for packet in packets if isinstance(packet, FramePacket)]
    assert info.frames == len(frames)
    assert info.index.bytes[0] == sum(len(frame.data) for frame in frames)
    assert len(info.index.bytes) == len(streams) + 1
    assert sum(info.gop_lengths) == len(frames)
    if frames:
        end = max(frame.pts + frame.duration for frame in frames)
        assert info.duration == (end - min(frame.pts for frame in frames)) * header.time_base
    else:
        assert info.duration == 0


def test_summary() -> None:
    info = clip_info(io.BytesIO(CLIP))
    assert info.index.frame_types == (2, 2, 1, 1)
    assert info.gop_lengths == (4, 2)
    assert info.index.packets == (6, 2, 1)
    assert info.index.bytes == (120, 14, 5)
    assert info.rate == Fraction(30000, 1001)
    assert info.bit_rates[1] == 14 * 8 / info.duration
    assert info.streams == (AUDIO, SUBTITLE)


def test_rate_of_a_clip_that_gives_none() -> None:
    header = replace(HEADER, rate=None)
    frames = [build_frame(n, pts=3000 * n, duration=3000) for n in range(5)]
    assert clip_info(io.BytesIO(build_clip(frames, header, ()))).rate == 30
    empty = clip_info(io.BytesIO(build_clip([], header, ())))
    assert empty.rate is None
    assert empty.bit_rates == ()


def test_overhead_of_a_frame() -> None:
    header = replace(HEADER, xmp=None)
    most = {0: 10, 1: 10, 130: 11, 300: 11}
    file = io.BytesIO()
    with ClipWriter(file, header) as writer:
        for number in range(301):
            size = writer.write(build_frame(number, data=bytes(500), is_key=number == 0))
            if number in most:
                assert size - 500 <= most[number]
    pyramid = io.BytesIO()
    with ClipWriter(pyramid, header) as writer:
        writer.write(build_frame(0))
        writer.write(build_frame(1))
        late = build_frame(2, data=bytes(100), type=FrameType.B, pts=HEADER.regular_pts(4), references=(0, 1))
        assert writer.write(late) - 100 <= 14


def test_regular_times_of_a_coarse_time_base() -> None:
    header = replace(HEADER, time_base=Fraction(1, 1000), rate=Fraction(30000, 1001))
    assert [header.regular_pts(n) for n in range(7)] == [0, 33, 67, 100, 133, 167, 200]
    assert [header.regular_duration(n) for n in range(3)] == [33, 34, 33]
    assert replace(header, rate=None).regular_pts(7) == 0


@pytest.mark.parametrize("partial", [False, True])
def test_seek(partial: bool) -> None:
    file = io.BytesIO(b"before" + CLIP)
    file.seek(6)
    reader = ClipReader(file, partial=partial)
    assert next(reader) == PACKETS[0]
    at_4 = float(HEADER.regular_pts(4) * HEADER.time_base)
    for time, first in ((at_4, 6), (at_4 - 1e-3, 0), (Fraction(10**9), 6), (-5, 0), (at_4 + 0.01, 6)):
        entry = reader.seek(time)
        assert entry.number == PACKETS[first].number
        assert next(reader) == PACKETS[first]
        assert reader.offset == entry.offset
        assert list(reader) == PACKETS[first + 1 :]


@pytest.mark.parametrize("time", [float("nan"), float("inf"), "soon", None])
def test_no_time_to_go_to(time: object) -> None:
    with pytest.raises(InputError, match="no time to go to"):
        ClipReader(io.BytesIO(CLIP)).seek(time)


def test_the_index_leaves_the_place() -> None:
    reader = ClipReader(io.BytesIO(CLIP))
    given = [next(reader)]
    assert reader.read_index().frames == 6
    assert given + list(reader) == PACKETS


def test_pipes_are_not_sought_in() -> None:
    reader = ClipReader(Pipe(CLIP))
    assert not reader.seekable
    for act in (lambda: reader.seek(0), reader.read_index):
        with pytest.raises(InputError, match="comes from a pipe"):
            act()
    with pytest.raises(InputError, match="no frames to go to"):
        ClipReader(io.BytesIO(build_clip([]))).seek(0)


def test_reads_no_further_than_the_packet_it_gives() -> None:
    pipe = Pipe(CLIP)
    sizes = io.BytesIO()
    writer = ClipWriter(sizes, HEADER, (AUDIO, SUBTITLE))
    reader = ClipReader(pipe)
    assert pipe.taken == writer.offset
    for packet in PACKETS:
        writer.write(packet)
        assert next(reader) == packet
        assert pipe.taken == writer.offset


def test_through_a_pipe_of_the_system() -> None:
    """The first frame comes out before the last goes in."""
    reading, writing = os.pipe()
    first_is_out = threading.Event()

    def write() -> None:
        with open(writing, "wb", buffering=0) as file, ClipWriter(file, HEADER) as writer:
            writer.write(build_frame(0, data=bytes(200_000)))
            assert first_is_out.wait(20)
            writer.write(build_frame(1))

    thread = threading.Thread(target=write)
    thread.start()
    with open(reading, "rb") as file:
        reader = ClipReader(file)
        assert next(reader).number == 0
        first_is_out.set()
        assert next(reader) == build_frame(1)
        assert list(reader) == []
    thread.join()


def test_a_writer_that_takes_little_at_a_time() -> None:
    class Slow(io.BytesIO):
        def write(self, data: bytes, /) -> int:
            return super().write(data[:7])

    file = Slow()
    with ClipWriter(file, HEADER, (AUDIO, SUBTITLE)) as writer:
        for packet in PACKETS:
            writer.write(packet)
    assert file.getvalue() == CLIP


def test_a_block_that_fails_leaves_a_clip_cut_short() -> None:
    file = io.BytesIO()
    with contextlib.suppress(KeyboardInterrupt), ClipWriter(file, HEADER) as writer:
        writer.write(build_frame(0))
        raise KeyboardInterrupt
    given = read_clip(file.getvalue(), partial=True)
    assert given[0] == build_frame(0)
    writer.close()  # the caller may still end it
    writer.close()
    assert read_clip(file.getvalue()) == [build_frame(0)]
    with pytest.raises(ValueError, match="the clip is closed"):
        writer.write(build_frame(1))


def test_the_index_of_very_many_key_frames_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_index, "INDEX_ENTRIES_MAX", 8)
    frames = [build_frame(n, is_key=True, type=0, references=()) for n in range(100)]
    data = build_clip(frames, streams=())
    reader = ClipReader(io.BytesIO(data))
    numbers = [entry.number for entry in reader.read_index().entries]
    assert numbers == list(range(0, 100, 16))
    reader.seek(HEADER.regular_pts(50) * HEADER.time_base)
    assert next(reader).number == 48


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rotation": 45}, "the rotation is 45 degrees"),
        ({"time_base": Fraction(0)}, "the time base is 0"),
        ({"time_base": Fraction(1, 2**31)}, "the time base is 1/2147483648"),
        ({"rate": Fraction(-25)}, "the frame rate is -25"),
        ({"rate": Fraction(1, 2**30)}, "lasts .* give a coarser time base"),
        ({"sample_aspect": Fraction(0)}, "the sample aspect ratio is 0"),
        ({"width": 0}, "the width is 0"),
    ],
)
def test_headers_out_of_range(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(HEADER, **changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: build_frame(-1), "the frame's number is -1"),
        (lambda: build_frame(1, type=256), "type 256"),
        (lambda: build_frame(1, pts=2**61), "the time stamp"),
        (lambda: build_frame(1, duration=-1), "the duration -1"),
        (lambda: build_frame(3, references=(3,)), "earlier frames"),
        (lambda: build_frame(9, references=tuple(range(7))), "at most 6"),
        (lambda: StreamPacket(0, b"", 0), "numbered from 1"),
        (lambda: StreamPacket(1, b"", 2**61), "the time stamp"),
        (lambda: StreamPacket(1, b"", 0, flags=32), "flags 32"),
        (lambda: Stream("audio", "aac", Fraction(0)), "the time base is 0"),
        (lambda: Stream("audio", "aac", Fraction(1), sample_rate=-1), "sample_rate is -1"),
        (lambda: Stream("audio", "aac", Fraction(1), parameters=(("b", ""), ("a", ""))), "in ascending order"),
        (lambda: ClipWriter(io.BytesIO(), HEADER, [AUDIO] * 201), "201 copied streams"),
    ],
)
def test_packets_and_streams_out_of_range(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_symbol_checksum_and_colour_out_of_range() -> None:
    with pytest.raises(ValueError, match="give 0 to 65535"):
        build_frame(0, symbol_checksum=-1)
    with pytest.raises(ValueError, match="colour matrix is 256"):
        Colour(matrix=256)


@pytest.mark.parametrize(
    ("packets", "message"),
    [
        ([build_frame(1)], "frame 1 came where 0 is next"),
        ([build_frame(0), build_frame(0)], "frame 0 came where 1 is next"),
        ([build_frame(0, is_key=False)], "the first frame is no key"),
        ([StreamPacket(3, b"", 0)], "a packet of stream 3, the clip has 2"),
    ],
)
def test_packets_that_do_not_belong(packets: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_clip(packets)


def test_a_picture_is_no_clip() -> None:
    from .build import build_file

    with pytest.raises(InputError, match="is a picture, a clip was asked for"):
        ClipReader(io.BytesIO(build_file() + bytes(20)))
    with pytest.raises(InputError, match="open it in binary mode"):
        ClipReader(io.StringIO("text"))


def test_pixel_and_packet_limits() -> None:
    with pytest.raises(LimitError, match="64 x 48"):
        ClipReader(Pipe(CLIP), Limits(pixels=64 * 48 - 1))
    most = max(len(packet.data) for packet in PACKETS) + 20
    assert list(ClipReader(Pipe(CLIP), Limits(pixels=64 * 48, packet_bytes=most))) == PACKETS
    with pytest.raises(LimitError, match="a packet takes"):
        list(ClipReader(Pipe(CLIP), Limits(packet_bytes=10)))
    with pytest.raises(LimitError, match="metadata"):
        ClipReader(Pipe(CLIP), Limits(metadata_bytes=20))
