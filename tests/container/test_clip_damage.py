"""Clips that were cut, altered, or made to do harm."""

import contextlib
import io
import tracemalloc
import zlib
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nicodec.container import ClipReader, ClipWriter, Damaged, FramePacket, Limits, clip_info
from nicodec.container.clip_fields import pack_clip_section, pack_frame, pack_index
from nicodec.container.clip_index import IndexBuilder
from nicodec.container.format import PacketTag
from nicodec.container.packets import write_packet
from nicodec.container.sections import write_packets_section
from nicodec.container.varint import write_varint
from nicodec.errors import (
    CorruptError,
    FutureVersionError,
    InputError,
    LimitError,
    NicodecError,
    NotNicodecError,
    StreamError,
    TruncatedError,
)

from .build import MODEL, build_section
from .build_clip import HEADER, PACKETS, Pipe, build_clip, build_frame, read_clip

CLIP = build_clip()
FRAMES = [packet for packet in PACKETS if isinstance(packet, FramePacket)]


def head_size() -> int:
    return ClipReader(io.BytesIO(CLIP)).offset


HEAD = head_size()


def offsets() -> list[int]:
    reader = ClipReader(io.BytesIO(CLIP))
    return [reader.offset for _ in reader]


OFFSETS = offsets()
END = len(CLIP) - 8 - int.from_bytes(CLIP[-8:-4], "little")


@pytest.mark.parametrize("count", range(1, len(CLIP)))
def test_every_truncation(count: int) -> None:
    with pytest.raises(TruncatedError, match="cut short"):
        read_clip(CLIP[:count])
    with pytest.raises(TruncatedError, match="cut short"):
        clip_info(io.BytesIO(CLIP[:count]))
    if count < HEAD:
        with pytest.raises(TruncatedError):
            read_clip(CLIP[:count], partial=True)
        return
    given = read_clip(CLIP[:count], partial=True)
    whole = [packet for packet, end in zip(PACKETS, [*OFFSETS[1:], len(CLIP)], strict=True) if end <= count]
    assert [item for item in given if not isinstance(item, Damaged)] == PACKETS[: len(given) - 1][: len(PACKETS)]
    assert len(given) - 1 >= len(whole)
    assert isinstance(given[-1], Damaged)
    assert isinstance(given[-1].error, TruncatedError | CorruptError)
    info = clip_info(io.BytesIO(CLIP[:count]), partial=True)
    assert info.frames == sum(isinstance(item, FramePacket) for item in given)


def check_partial(data: bytes) -> None:
    """Whatever is given is as it was written, in order, and every frame that is not given is named."""
    given = read_clip(data, partial=True)
    packets = [item for item in given if not isinstance(item, Damaged)]
    damages = [item for item in given if isinstance(item, Damaged)]
    assert damages
    left = iter(PACKETS)
    assert all(packet in left for packet in packets)
    assert len(packets) >= len(PACKETS) - 1
    named = {number for damage in damages for number in damage.frames}
    missing = {frame.number for frame in FRAMES} - {p.number for p in packets if isinstance(p, FramePacket)}
    assert missing == named


@pytest.mark.parametrize("position", range(len(CLIP)))
def test_every_single_byte_change(position: int) -> None:
    for difference in (1, 2, 4, 8, 16, 32, 64, 128, 255):
        changed = bytearray(CLIP)
        changed[position] ^= difference
        with pytest.raises((StreamError, LimitError, InputError)):
            read_clip(changed)
        if position < HEAD:
            with pytest.raises((StreamError, LimitError, InputError)):
                read_clip(changed, partial=True)
        else:
            check_partial(bytes(changed))


@pytest.mark.parametrize("lost", range(len(PACKETS)))
def test_a_packet_taken_out(lost: int) -> None:
    data = CLIP[: OFFSETS[lost]] + CLIP[[*OFFSETS, END][lost + 1] :]
    with pytest.raises(CorruptError):
        read_clip(data)
    given = read_clip(data, partial=True)
    if isinstance(PACKETS[lost], FramePacket):
        assert [list(item.frames) for item in given if isinstance(item, Damaged)] == [[PACKETS[lost].number]]
    assert [item for item in given if not isinstance(item, Damaged)] == PACKETS[:lost] + PACKETS[lost + 1 :]


def test_damage_is_named() -> None:
    changed = bytearray(CLIP)
    changed[OFFSETS[4] + 12] ^= 1
    with pytest.raises(CorruptError, match=r"packet 4 \(after frame 1 at 0.033 s\): the frame packet at .* damaged"):
        read_clip(changed)
    given = read_clip(changed, partial=True)
    first, second = (item for item in given if isinstance(item, Damaged))
    assert (first.offset, first.size, list(first.frames)) == (OFFSETS[4], OFFSETS[5] - OFFSETS[4], [])
    assert list(second.frames) == [2]
    assert "frame 2 is missing" in str(second.error)
    assert given.index(second) == given.index(PACKETS[5]) - 1


def test_a_length_altered_costs_one_packet() -> None:
    changed = bytearray(CLIP)
    changed[OFFSETS[2]] ^= 0x30
    check_partial(bytes(changed))


def test_after_an_error_nothing_more_comes() -> None:
    changed = bytearray(CLIP)
    changed[OFFSETS[4] + 12] ^= 1
    reader = ClipReader(Pipe(changed))
    assert [next(reader) for _ in range(4)] == PACKETS[:4]
    with pytest.raises(CorruptError):
        next(reader)
    assert list(reader) == []


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_blocks_of_damage(data: st.DataObject) -> None:
    start = data.draw(st.integers(HEAD, len(CLIP) - 1))
    junk = data.draw(st.binary(max_size=60))
    for changed in (CLIP[:start] + junk + CLIP[start + len(junk) :], CLIP[:start] + junk + CLIP[start:]):
        given = [item for item in read_clip(changed, partial=True) if not isinstance(item, Damaged)]
        left = iter(PACKETS)
        assert all(packet in left for packet in given)
        if changed != CLIP:
            with pytest.raises(StreamError):
                read_clip(changed)


def test_zeros_are_no_packets() -> None:
    changed = CLIP[: OFFSETS[3]] + bytes(1000) + CLIP[OFFSETS[3] :]
    given = read_clip(changed, partial=True)
    assert [item for item in given if not isinstance(item, Damaged)] == PACKETS
    assert [item.size for item in given if isinstance(item, Damaged)] == [1000]


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes(data: bytes) -> None:
    for whole in (data, b"\x8fnic\x11" + data, CLIP[:20] + data, CLIP[:HEAD] + data):
        for partial in (False, True):
            with contextlib.suppress(NicodecError):
                list(ClipReader(Pipe(whole), Limits(10_000, 1000, 1000), partial))
            with contextlib.suppress(NicodecError):
                ClipReader(io.BytesIO(whole), Limits(10_000, 1000, 1000), partial).seek(1)


def test_empty_file_and_bytes_after_the_end() -> None:
    with pytest.raises(NotNicodecError):
        read_clip(b"")
    with pytest.raises(CorruptError, match="after the end of the clip"):
        read_clip(CLIP + b"\0")


def build_head(clip_section: bytes | None = None, extra: tuple[tuple[int, bytes], ...] = (), count: int = 0) -> bytes:
    """A head of any sections, with a right checksum."""
    sections = [*extra, *([] if clip_section is None else [(12, clip_section)])]
    head = b"\x8fnic\x11" + MODEL + b"\x40\x30\x64" + b"".join(build_section(tag, data) for tag, data in sections)
    return head + write_packets_section(head, count)


SECTION = pack_clip_section(HEADER)


def seal_clip(packets: list[bytes], builder: IndexBuilder | None = None) -> bytes:
    """A clip of any packets, with a right end."""
    end = write_packet(PacketTag.END, pack_index((builder or IndexBuilder(0)).build()))
    body = build_head(SECTION) + b"".join(packets) + end + len(end).to_bytes(4, "little")
    return body + zlib.crc32(body).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("head", "error", "message"),
    [
        (build_head(), CorruptError, "no clip section"),
        (build_head(SECTION, count=3), CorruptError, "it has 3 packets, it must leave that open"),
        (build_head(b"\0\1\1\1\1\1\1\1\1\1\0"), CorruptError, "a fraction of 0"),
        (build_head(b"\1\0\1\1\1\1\1\1\1\0"), CorruptError, "the fraction 1/0"),
        (build_head(b"\2\2\0\1\1\1\1\1\0"), CorruptError, "not in lowest terms"),
        (build_head(b"\1\1\0\0\1\1\1\0"), CorruptError, "a fraction of 0"),
        (build_head(b"\1\1\0\1\1\1\1\1\x08"), FutureVersionError, "the flags 8"),
        (build_head(b"\1\1\0\1\1\1\1\1\0\0"), CorruptError, "1 bytes after its last field"),
        (build_head(b"\1\1\0\1\1\1\1\1"), CorruptError, "where a field needs"),
        (
            build_head(b"\1\xff\xff\xff\xff\x07\1\xff\xff\xff\xff\x07\1\1\1\1\1\0"),
            CorruptError,
            "breaks a rule: a frame at",
        ),
        (build_head(SECTION, ((12, SECTION),)), CorruptError, "a second clip section"),
        (build_head(SECTION, ((4, b"\0"),)), FutureVersionError, r"critical section of tag 4 \(alpha\)"),
        (build_head(SECTION, ((2, b"\0"),)), FutureVersionError, r"critical section of tag 2 \(payload\)"),
        (build_head(SECTION, ((6, b"\0"),)), CorruptError, "the grey section"),
        (build_head(SECTION, ((11, b"\x05audio"),)), CorruptError, "a stream section has a number that is broken"),
        (build_head(SECTION, ((11, b"\1\xff"),)), CorruptError, "not UTF-8"),
        (build_head(SECTION, ((11, b"\xff\xff\xff\xff\x7f"),)), CorruptError, "where a field needs"),
    ],
)
def test_hostile_heads(head: bytes, error: type[Exception], message: str) -> None:
    for partial in (False, True):
        with pytest.raises(error, match=message):
            ClipReader(Pipe(head + bytes(20)), partial=partial)


def test_unknown_skippable_sections_and_packets_are_ignored() -> None:
    builder = IndexBuilder(0)
    builder.add(build_frame(0), 0)
    frame = write_packet(6, pack_frame(build_frame(0), HEADER))
    data = seal_clip([write_packet(9, b"new"), frame, write_packet(3, b"newer")], builder)
    assert read_clip(data) == [build_frame(0)]
    head = build_head(SECTION, ((9, b"new"), (13, b""), (13, b"")))
    assert ClipReader(Pipe(head + bytes(20))).header == replace(HEADER, xmp=None)


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("tag", [2, 4, 8, 10, 12, 14])
def test_unknown_critical_packets_are_refused(tag: int, partial: bool) -> None:
    with pytest.raises(FutureVersionError, match="must not skip"):
        read_clip(seal_clip([write_packet(tag, b"new")]), partial)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "where a field needs 1"),
        (b"\x03\x02\x00\0\0", "type 2 where the codec's own"),
        (b"\x0c\x00\x00\0\0", "a time that it should not need"),
        (b"\x14\x00\xbb\x17\0\0", "a time that it should not need"),
        (b"\x04\x00\0", "where a field needs"),
        (b"\x21\x00\x01\0\0", "the number 1, the most is 0"),
        (b"\x01\x00\0\0", "must be a key"),
        (b"\xe4\x00\0\0", "refers to"),
        (b"\x05\x01\0\0", "frame 0 is missing"),
        (b"\x0c\x00\xff\xff\xff\xff\xff\xff\xff\xff\x3f\0\0", "the time stamp"),
    ],
)
def test_hostile_frames(body: bytes, message: str) -> None:
    data = seal_clip([write_packet(6, body)])
    with pytest.raises(CorruptError, match=message):
        read_clip(data)
    assert isinstance(read_clip(data, partial=True)[0], Damaged)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\x00\0", "stream 0, the clip has streams 1 to 0"),
        (b"\x01\0", "stream 1, the clip has streams 1 to 0"),
        (b"", "a number that is broken"),
    ],
)
def test_hostile_copied_packets(body: bytes, message: str) -> None:
    with pytest.raises(CorruptError, match=message):
        read_clip(seal_clip([write_packet(1, body)]))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "a number that is broken"),
        (b"\0\0\0\0\0\0\0\0", "0 streams"),
        (b"\0\0\0\0\0\0\1\0\0\xff\xff\x7f", "the most is 65536"),
        (b"\0\0\0\0\0\0\1\0\0\2\1\0\1\0\0\0", "two entries for one frame"),
        (b"\0\0\0\0\0\0\1\1\0\0", "has not the packets"),
        (b"\1\0\0\0\0\0\1\1\0\0", "frame 0 is missing"),
        (b"\0\0\0\0\0\0\1\0\0\0\0", "1 bytes after"),
    ],
)
def test_hostile_ends(body: bytes, message: str) -> None:
    end = write_packet(PacketTag.END, body)
    data = build_head(SECTION) + end + len(end).to_bytes(4, "little")
    data += zlib.crc32(data).to_bytes(4, "little")
    with pytest.raises(CorruptError, match=message):
        read_clip(data)


def test_an_index_that_lies() -> None:
    builder = IndexBuilder(0)
    frames = [build_frame(n) for n in range(5)]
    packets = [write_packet(6, pack_frame(frame, HEADER)) for frame in frames]
    offset = len(build_head(SECTION))
    for frame, wrong in zip(frames, (0, 0, 0, 0, 1), strict=True):
        builder.add(frame, offset + wrong)
        offset += len(packets[frame.number])
    reader = ClipReader(io.BytesIO(seal_clip(packets, builder)))
    reader.seek(100)
    with pytest.raises(CorruptError, match="head of the packet at byte"):
        next(reader)
    assert list(reader) == []


def test_a_lie_about_a_length_costs_nothing() -> None:
    from nicodec.container.checksums import crc8

    key = write_varint((2**31 - 1) << 4 | 6)
    data = build_head(SECTION) + key + bytes([crc8(key)]) + bytes(100)
    section = b"\x8fnic\x11" + MODEL + b"\x40\x30\x64" + write_varint((2**31 - 1) << 4 | 5) + bytes(100)
    tracemalloc.start()
    try:
        with pytest.raises(LimitError, match="a packet takes 2147483647 bytes, the limit is 67108864"):
            read_clip(data)
        with pytest.raises(LimitError, match="metadata"):
            ClipReader(Pipe(section))
        with pytest.raises(TruncatedError):
            list(ClipReader(Pipe(data), Limits(0, 0, 0)))
        with pytest.raises(TruncatedError):
            ClipReader(Pipe(section), Limits(0, 0, 0))
        assert isinstance(read_clip(data, partial=True)[0].error, LimitError)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_a_search_through_false_heads_ends() -> None:
    """Junk in which every place looks like a packet's head: the work is bounded."""
    from nicodec.container.checksums import crc8

    key = write_varint(200_000 << 4 | 6)
    junk = (key + bytes([crc8(key)])) * 60_000
    given = read_clip(CLIP[: OFFSETS[3]] + b"\xff" + junk, partial=True)
    assert given[:3] == PACKETS[:3]
    assert isinstance(given[-1], Damaged)


def test_memory_does_not_grow_with_the_clip() -> None:
    """500 and 2000 frames of 10 kB through writer and reader: the same memory, far below the clip's size."""

    class Counter:
        def write(self, data: bytes, /) -> int:
            return len(data)

    def peak(frames: int) -> int:
        data = bytes(10_000)
        tracemalloc.start()
        try:
            with ClipWriter(Counter(), HEADER) as writer:
                for number in range(frames):
                    writer.write(build_frame(number, data=data, is_key=number % 50 == 0))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(500), peak(2000)
    assert many < few + 20_000
    assert many < 500_000


def test_memory_of_the_reader_does_not_grow(tmp_path) -> None:
    def peak(frames: int) -> int:
        path = tmp_path / f"{frames}.nic"
        with path.open("wb") as file, ClipWriter(file, HEADER) as writer:
            for number in range(frames):
                writer.write(build_frame(number, data=bytes(10_000), is_key=number % 50 == 0))
        tracemalloc.start()
        try:
            with path.open("rb") as file:
                assert sum(1 for _ in ClipReader(file)) == frames
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(300), peak(1200)
    assert many < few + 20_000
    assert many < 500_000


def test_fractions_of_seconds() -> None:
    reader = ClipReader(io.BytesIO(CLIP))
    assert reader.seek(Fraction(1, 3)).number == 4
