"""The rules of FORMAT.md that a writer of ours never breaks."""

import tracemalloc
import zlib

import pytest

from nicodec.container import Kind, Limits, read_header, read_kind, read_picture, section_sizes
from nicodec.container.varint import write_varint
from nicodec.errors import (
    CorruptError,
    FutureVersionError,
    InputError,
    LimitError,
    NotNicodecError,
    TruncatedError,
)

from .build import MODEL, PAYLOAD, PRELUDE, build_file, build_section, seal


def prelude_of(width: bytes = b"\1", height: bytes = b"\1", quality: int = 0, version: int = 0x10) -> bytes:
    return b"\x8fnic" + bytes([version]) + MODEL + width + height + bytes([quality])


@pytest.mark.parametrize("foreign", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"n", b"\x8fnid\x10", bytes(40)])
def test_foreign_file(foreign: bytes) -> None:
    for read in (read_picture, read_header, section_sizes):
        with pytest.raises(NotNicodecError, match=f"begins with {foreign[:4].hex(' ')}, .* another format"):
            read(foreign)


@pytest.mark.parametrize("version", range(2, 16))
def test_future_version_is_told_before_anything_else(version: int) -> None:
    for data in (
        b"\x8fnic" + bytes([version << 4 | 3]),
        build_file(prelude=prelude_of(version=version << 4)),
    ):
        with pytest.raises(FutureVersionError, match=f"version {version}, .* install a newer nicodec"):
            read_picture(data)


def test_version_0() -> None:
    with pytest.raises(CorruptError, match="version 0"):
        read_picture(build_file(prelude=prelude_of(version=0)))


@pytest.mark.parametrize("kind", range(2, 16))
def test_unknown_kinds(kind: int) -> None:
    for read in (read_picture, read_header, read_kind):
        with pytest.raises(FutureVersionError, match=rf"of kind {kind}, this reader reads pictures \(0\) and clips"):
            read(prelude_of(version=0x10 | kind))


def test_a_clip_is_no_picture() -> None:
    clip = prelude_of(version=0x11)
    assert read_kind(clip) is Kind.CLIP
    assert read_kind(PRELUDE) is Kind.PICTURE
    assert read_header(clip) == read_header(prelude_of())
    for read in (read_picture, section_sizes):
        with pytest.raises(InputError, match="is a clip, a picture was asked for"):
            read(clip)


def test_kind_of_foreign_and_short_files() -> None:
    for data in (b"", b"\x89PNG\r"):
        with pytest.raises(NotNicodecError):
            read_kind(data)
    with pytest.raises(TruncatedError):
        read_kind(b"\x8fnic")


@pytest.mark.parametrize("size", [0, 2**31, 2**35 - 1])
@pytest.mark.parametrize("name", ["width", "height"])
def test_sizes_out_of_range(name: str, size: int) -> None:
    prelude = prelude_of(**{name: write_varint(size)})
    for read in (read_picture, read_header):
        with pytest.raises(CorruptError, match=f"the {name} is {size} pixels"):
            read(build_file(prelude=prelude))


@pytest.mark.parametrize("width", [b"\x81\0", b"\x80\x80\x80\x80\x80\1"])
def test_width_in_another_form(width: bytes) -> None:
    with pytest.raises(CorruptError, match="the number at byte 9"):
        read_picture(build_file(prelude=prelude_of(width=width)))


def test_overlong_key() -> None:
    with pytest.raises(CorruptError, match="fits in fewer"):
        read_picture(seal(PRELUDE + b"\x96\0" + build_section(*PAYLOAD)))


@pytest.mark.parametrize("quality", range(256))
def test_qualities(quality: int) -> None:
    data = build_file(prelude=prelude_of(quality=quality))
    if quality <= 200:
        assert read_picture(data).header.quality == quality
        return
    with pytest.raises(CorruptError, match=f"the quality is {quality} half steps"):
        read_picture(data)


@pytest.mark.parametrize("tag", [7, 9, 11, 13, 15])
def test_skippable_sections_are_ignored(tag: int) -> None:
    data = build_file([(tag, b"some"), (tag, b""), (6, b""), (tag, b"more"), PAYLOAD])
    assert read_picture(data) == read_picture(build_file([(6, b""), PAYLOAD]))
    assert section_sizes(data)["thumbnail" if tag == 7 else _name(tag)] == 5 + 1 + 5


def _name(tag: int) -> str:
    return {11: "stream", 15: "extended_skippable"}.get(tag, f"tag {tag}")


@pytest.mark.parametrize("tag", [0, 8, 12, 14])
def test_unknown_critical_sections_are_refused(tag: int) -> None:
    data = build_file([(tag, b""), PAYLOAD])
    with pytest.raises(FutureVersionError, match=f"critical section of tag {tag}.* install a newer nicodec"):
        read_picture(data)
    assert sum(section_sizes(data).values()) == len(data)


@pytest.mark.parametrize(
    ("tag", "content", "name"),
    [
        (8, b"", r"8 \(tiling\)"),
        (14, b"\xac\x02rest", r"14 \(extended tag 300\)"),
        (14, b"\x80", r"14 \(extended, without a number\)"),
    ],
)
def test_critical_sections_are_named(tag: int, content: bytes, name: str) -> None:
    with pytest.raises(FutureVersionError, match=f"of tag {name},"):
        read_picture(build_file([(tag, content), PAYLOAD]))


def test_alteration_is_told_before_an_unknown_critical_tag() -> None:
    data = bytearray(build_file([(12, b""), PAYLOAD]))
    data[-1] ^= 1
    with pytest.raises(CorruptError, match="altered"):
        read_picture(data)


@pytest.mark.parametrize("tag", [1, 3, 4, 5, 6])
def test_known_sections_come_once(tag: int) -> None:
    section = (tag, b"" if tag == 6 else b"\0")
    with pytest.raises(CorruptError, match=f"a second .* section at byte {len(PRELUDE) + len(section[1]) + 1},"):
        read_picture(build_file([section, section, PAYLOAD]))


def test_any_order_is_read() -> None:
    sections = [(6, b""), (5, b"\0<x/>"), (4, b"\0\x89PNG"), (1, b"\0icc")]
    assert read_picture(build_file([*sections, PAYLOAD])) == read_picture(build_file([*sections[::-1], PAYLOAD]))


def test_second_payload() -> None:
    with pytest.raises(CorruptError, match="6 bytes after the end"):
        read_picture(build_file([PAYLOAD, PAYLOAD]))


def test_no_payload() -> None:
    with pytest.raises(TruncatedError):
        read_picture(build_file([]))


@pytest.mark.parametrize("payload", [b"", b"\0"])
def test_payload_without_symbol_checksum(payload: bytes) -> None:
    with pytest.raises(CorruptError, match=f"the payload has {len(payload)} bytes"):
        read_picture(build_file([(2, payload)]))


def test_payload_of_nothing_but_its_checksum() -> None:
    assert read_picture(build_file([(2, b"\1\2")])).payload == b""


def test_grey_with_data() -> None:
    with pytest.raises(CorruptError, match="the grey section has 1 bytes, it must be empty"):
        read_picture(build_file([(6, b"\0"), PAYLOAD]))


@pytest.mark.parametrize("tag", [1, 3, 4, 5])
def test_section_without_coding(tag: int) -> None:
    with pytest.raises(CorruptError, match="must name its coding"):
        read_picture(build_file([(tag, b""), PAYLOAD]))


@pytest.mark.parametrize(("tag", "coding"), [(1, 2), (3, 255), (4, 1), (5, 7)])
def test_unknown_coding(tag: int, coding: int) -> None:
    with pytest.raises(FutureVersionError, match=f"has coding {coding}, .* install a newer nicodec"):
        read_picture(build_file([(tag, bytes([coding]) + b"data"), PAYLOAD]))


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"", "end inside it"),
        (b"garbage", "does not inflate"),
        (zlib.compress(b"profile" * 9)[:-1], "end inside it"),
        (zlib.compress(b"profile" * 9)[:-1] + b"\0", "does not inflate"),
        (zlib.compress(b"profile" * 9) + b"\0", "go on after it"),
    ],
)
def test_bad_deflate(stream: bytes, message: str) -> None:
    with pytest.raises(CorruptError, match=message):
        read_picture(build_file([(1, b"\1" + stream), PAYLOAD]))


def test_most_sections() -> None:
    filler = [(9, b"")]
    assert read_picture(build_file([*filler * 255, PAYLOAD])).payload
    with pytest.raises(CorruptError, match="no payload or packets among the first 256 sections"):
        read_picture(build_file([*filler * 256, PAYLOAD]))


def test_section_length_beyond_the_file() -> None:
    with pytest.raises(TruncatedError, match="the icc section at byte 13 should end at byte 2147483665"):
        read_picture(seal(PRELUDE + write_varint((2**31 - 1) << 4 | 1) + bytes(20)))


def test_pixel_limit() -> None:
    data = build_file(prelude=prelude_of(write_varint(100), write_varint(200)))
    for read in (read_picture, read_header):
        assert read(data, Limits(pixels=20_000))
        assert read(data, Limits(pixels=0))
        with pytest.raises(LimitError, match="100 x 200 = 20000 pixels, the limit is 19999"):
            read(data, Limits(pixels=19_999))


def test_default_pixel_limit() -> None:
    data = build_file(prelude=prelude_of(write_varint(2**31 - 1), write_varint(2**31 - 1)))
    for read in (read_picture, read_header):
        with pytest.raises(LimitError, match="the limit is 178956970"):
            read(data)
        assert read(data, Limits(pixels=0))


@pytest.mark.parametrize("coding", [b"\0", b"\1"])
def test_metadata_limit_holds_over_all_sections(coding: bytes) -> None:
    content = b"a" * 100
    stream = coding + (zlib.compress(content) if coding == b"\1" else content)
    data = build_file([(1, stream), (3, stream), (5, stream), PAYLOAD])
    for limit in (0, 300, 2**80):
        assert read_picture(data, Limits(metadata_bytes=limit)).xmp == content
    for limit in (1, 99, 100, 200, 299):
        with pytest.raises(LimitError, match=f"the limit is {limit}"):
            read_picture(data, Limits(metadata_bytes=limit))


def test_deflate_bomb_costs_little() -> None:
    bomb = zlib.compress(bytes(100_000_000), 9)
    data = build_file([(1, b"\1" + bomb), PAYLOAD])
    tracemalloc.start()
    try:
        with pytest.raises(LimitError, match="metadata"):
            read_picture(data)
        with pytest.raises(LimitError, match="metadata"):
            read_picture(data, Limits(metadata_bytes=1000))
        tracemalloc.reset_peak()
        with pytest.raises(LimitError, match="metadata"):
            read_picture(data, Limits(metadata_bytes=1000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_work_limit() -> None:
    limits = Limits(pixels_per_payload_byte=1000)
    limits.check_work(100, 100, 10)
    limits.check_work(1000, 1, 0)
    with pytest.raises(LimitError, match="101 x 100 = 10100 pixels in 10 bytes, the limit is 1000 pixels a byte"):
        limits.check_work(101, 100, 10)
    Limits().check_work(2**31 - 1, 2**31 - 1, 0)


@pytest.mark.parametrize("name", ["pixels", "metadata_bytes", "packet_bytes", "pixels_per_payload_byte"])
def test_negative_limit(name: str) -> None:
    with pytest.raises(ValueError, match=f"limit {name} is -1"):
        Limits(**{name: -1})
