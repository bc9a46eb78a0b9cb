"""Pictures in packets: written, read, cut, altered."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nicodec.container import (
    Limits,
    Packet,
    PacketType,
    PictureFile,
    StoredPicture,
    parse_picture,
    picture_reader,
    read_picture,
    section_sizes,
    write_picture,
)
from nicodec.container.packets import write_packet
from nicodec.container.sections import write_packets_section
from nicodec.errors import (
    CorruptError,
    FutureVersionError,
    InputError,
    LimitError,
    NicodecError,
    StreamError,
    TruncatedError,
)

from .build import FULL, HEADER, PAYLOAD, PRELUDE, build_file, build_section, seal
from .test_picture import ANY_SIZE, BLOBS, HEADERS


def build_packets(count: int, type_: PacketType = PacketType.LEVEL) -> tuple[Packet, ...]:
    return tuple(Packet(type_, n, bytes([n]) * (10 + n), 0x4560 + n) for n in range(count))


PICTURE = replace(FULL, payload=b"", symbol_checksum=0, packets=build_packets(5))
FILE = write_picture(PICTURE)
PACKETS_START = FILE.index(write_packet(PacketType.LEVEL, b"\0\x60\x45" + bytes(10)))
SIZES = [len(packet.data) + 8 for packet in PICTURE.packets]
ENDS = [PACKETS_START + sum(SIZES[: n + 1]) for n in range(5)]

PACKETS = st.lists(
    st.tuples(st.sampled_from(PacketType), st.binary(max_size=300), st.integers(0, 0xFFFF)), min_size=1, max_size=8
).map(lambda drawn: tuple(Packet(type_, n, data, checksum) for n, (type_, data, checksum) in enumerate(drawn)))
PACKET_PICTURES = st.builds(
    StoredPicture, HEADERS, grey=st.booleans(), alpha=BLOBS, icc=BLOBS, exif=BLOBS, xmp=BLOBS, packets=PACKETS
)


@settings(deadline=None)
@given(PACKET_PICTURES)
def test_round_trip(picture: StoredPicture) -> None:
    data = write_picture(picture)
    assert read_picture(data, ANY_SIZE) == picture
    assert read_picture(data, ANY_SIZE, partial=True) == picture
    assert sum(section_sizes(data).values()) == len(data)
    assert list(section_sizes(data))[-2:] == ["packets", "trailer"]
    assert picture.payload_bytes == sum(len(packet.data) for packet in picture.packets)


def test_overhead() -> None:
    """8 bytes a packet of up to 1020 bytes; 4 bytes for the packets' section in place of a payload's 5."""
    packets = tuple(Packet(PacketType.PIECE, n, bytes(900), 0) for n in range(10))
    size = len(write_picture(StoredPicture(HEADER, packets=packets)))
    assert size == HEADER.size + 4 + 10 * (900 + 8) + 4


@pytest.mark.parametrize("count", range(1, len(FILE)))
def test_every_truncation(count: int) -> None:
    with pytest.raises(TruncatedError, match="cut short"):
        read_picture(FILE[:count])
    with pytest.raises(TruncatedError):
        section_sizes(FILE[:count])
    if count < PACKETS_START:
        with pytest.raises(TruncatedError):
            read_picture(FILE[:count], partial=True)
        return
    whole = sum(end <= count for end in ENDS)
    picture = read_picture(FILE[:count], partial=True)
    assert picture == replace(PICTURE, packets=PICTURE.packets[:whole], lost=tuple(range(whole, 5)))
    assert picture.packet_count == 5


@pytest.mark.parametrize("position", range(len(FILE)))
def test_every_single_byte_change(position: int) -> None:
    for difference in range(1, 256, 2 if position < PACKETS_START else 17):
        changed = bytearray(FILE)
        changed[position] ^= difference
        with pytest.raises((StreamError, LimitError, InputError)):
            read_picture(changed)
        if position < PACKETS_START:
            with pytest.raises((StreamError, LimitError, InputError)):
                read_picture(changed, partial=True)
            continue
        hit = sum(end <= position for end in ENDS)
        left = tuple(packet for packet in PICTURE.packets if packet.number != hit)
        lost = (hit,) if hit < 5 else ()
        assert read_picture(changed, partial=True) == replace(PICTURE, packets=left, lost=lost)


@pytest.mark.parametrize("lost", [(0,), (2,), (4,), (0, 1), (1, 3), (0, 1, 2, 3, 4)])
def test_packets_taken_out(lost: tuple[int, ...]) -> None:
    starts = [PACKETS_START, *ENDS]
    data = FILE[:PACKETS_START] + b"".join(FILE[starts[n] : ENDS[n]] for n in range(5) if n not in lost) + FILE[-4:]
    with pytest.raises(StreamError):
        read_picture(data)
    left = tuple(packet for packet in PICTURE.packets if packet.number not in lost)
    assert read_picture(data, partial=True) == replace(PICTURE, packets=left, lost=lost)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_blocks_of_damage(data: st.DataObject) -> None:
    start = data.draw(st.integers(PACKETS_START, len(FILE)))
    junk = data.draw(st.binary(max_size=60))
    for changed in (FILE[:start] + junk + FILE[start + len(junk) :], FILE[:start] + junk + FILE[start:]):
        picture = read_picture(changed, partial=True)
        assert set(picture.packets) <= set(PICTURE.packets)
        assert len(picture.packets) + len(picture.lost) == 5


def test_fewer_levels_make_a_valid_file() -> None:
    for count in range(1, 6):
        smaller = replace(PICTURE, packets=PICTURE.packets[:count])
        assert read_picture(write_picture(smaller)) == smaller


def test_damage_is_named() -> None:
    changed = bytearray(FILE)
    changed[ENDS[1] + 6] ^= 1
    with pytest.raises(CorruptError, match=r"packet 2 of 5: the level packet at byte \d+ is damaged"):
        read_picture(changed)
    with pytest.raises(CorruptError, match="packet 2 of 5"):
        section_sizes(changed)


def test_one_payload_must_be_whole() -> None:
    data = write_picture(FULL)
    assert read_picture(data, partial=True) == FULL
    with pytest.raises(TruncatedError):
        read_picture(data[:-1], partial=True)
    changed = bytearray(data)
    changed[-6] ^= 1
    with pytest.raises(CorruptError):
        read_picture(changed, partial=True)


def test_bytes_after_the_end() -> None:
    with pytest.raises(CorruptError, match=f"1 bytes after the end of the picture, which is at byte {len(FILE)}"):
        read_picture(FILE + b"\0")


def build_packet(number: int, data: bytes = b"", tag: int = PacketType.PART) -> bytes:
    return write_packet(tag, bytes([number]) + b"\0\0" + data)


def build(packets: bytes, count: int, sections: bytes = b"") -> bytes:
    head = PRELUDE + sections
    return seal(head + write_packets_section(head, count) + packets)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (build(b"", 0), CorruptError, "it has 0 packets, it must have 1 to 65535"),
        (build(b"", 65536), CorruptError, "it has 65536 packets"),
        (build(b"", 1), CorruptError, "packet 0 of 1: the head"),
        (build(build_packet(0), 2), CorruptError, "packet 1 of 2: the head"),
        (build(build_packet(0) * 2, 1), CorruptError, "7 bytes after the end"),
        (build(build_packet(0) * 2, 2), CorruptError, "packet 1 of 2 has the number 0"),
        (build(build_packet(1), 2), CorruptError, "packet 0 of 2 has the number 1"),
        (build(build_packet(1), 1), CorruptError, "the number 1, the most is 0"),
        (build(write_packet(2, b""), 1), CorruptError, "a number that is broken"),
        (build(write_packet(2, b"\0\0"), 1), CorruptError, "where a field needs"),
        (
            build(build_packet(0, tag=0), 1),
            FutureVersionError,
            "is of type end, which this reader does not know",
        ),
        (build(build_packet(0, tag=10), 1), FutureVersionError, "is of type tag 10,"),
        (seal(PRELUDE + build_section(10, b"\1\0")), CorruptError, "the packets section has 2 bytes"),
        (seal(PRELUDE + build_section(10, b"\1\0\0") + build_packet(0)), CorruptError, "before the packets"),
        (seal(PRELUDE + build_section(10, b"\1\0\0\0") + build_packet(0)), CorruptError, "before the packets"),
    ],
)
def test_hostile_files(data: bytes, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_picture(data)


def test_unknown_skippable_packets_are_ignored() -> None:
    data = build(write_packet(9, b"new") + build_packet(0) + write_packet(3, b"") + build_packet(1), 2)
    assert [packet.number for packet in read_picture(data).packets] == [0, 1]
    assert sum(section_sizes(data).values()) == len(data)


def test_a_count_that_lies_costs_little() -> None:
    picture = read_picture(build(build_packet(0), 65535), partial=True)
    assert len(picture.packets) == 1
    assert len(picture.lost) == 65534


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    for whole in (build(data, 1), build(data, 300), FILE[:PACKETS_START] + data):
        for partial in (False, True):
            with contextlib.suppress(NicodecError):
                read_picture(whole, Limits(10_000, 1000), partial)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"payload": b"x"}, "a payload or packets"),
        ({"symbol_checksum": 1}, "a payload or packets"),
        ({"packets": build_packets(3)[1:]}, "must be 0, 1, 2"),
        ({"packets": build_packets(3) * 2}, "must be 0, 1, 2"),
        ({"packets": build_packets(3)[::-1]}, "not in the order"),
        ({"lost": (7,)}, "must be 0, 1, 2"),
    ],
)
def test_pictures_that_cannot_be(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PICTURE, **changes)


def test_packets_out_of_range() -> None:
    with pytest.raises(ValueError, match="give 0 to 65534"):
        Packet(PacketType.PIECE, 65535, b"", 0)
    with pytest.raises(ValueError, match="give 0 to 65535"):
        Packet(PacketType.PIECE, 0, b"", 0x10000)


def test_what_is_lost_is_not_written() -> None:
    with pytest.raises(InputError, match=r"packets \(4,\) of 5 are lost"):
        write_picture(replace(PICTURE, packets=PICTURE.packets[:4], lost=(4,)))


@pytest.mark.parametrize("data", [FILE, write_picture(FULL), build_file([(9, b"x"), PAYLOAD])])
def test_parsed_once(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    inflate = picture_reader.unpack_metadata
    monkeypatch.setattr(picture_reader, "unpack_metadata", lambda *given: calls.append(1) or inflate(*given))
    file = parse_picture(data)
    assert isinstance(file, PictureFile)
    assert not calls
    assert file.header == HEADER
    assert file.sizes == section_sizes(data)
    assert file.picture is file.picture
    assert file.picture == read_picture(data)
    assert len(calls) == 2


def test_parse_checks_limits() -> None:
    with pytest.raises(LimitError, match="300 x 2"):
        parse_picture(FILE, Limits(pixels=599))
