from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nicodec.container import (
    Header,
    Limits,
    StoredPicture,
    is_nicodec,
    read_header,
    read_picture,
    section_sizes,
    write_picture,
)
from nicodec.container import sections as sections_module
from nicodec.container.format import HEADER_MAX_BYTES
from nicodec.errors import InputError, QualityError

from .build import FULL, HEADER, MODEL, build_file

SIZES = st.integers(1, 2**31 - 1)
BLOBS = st.none() | st.binary(max_size=300) | st.binary(max_size=8).map(lambda part: part * 100)
HEADERS = st.builds(Header, st.binary(min_size=4, max_size=4), SIZES, SIZES, st.integers(0, 200))
PICTURES = st.builds(
    StoredPicture,
    HEADERS,
    st.binary(max_size=300),
    st.integers(0, 0xFFFF),
    grey=st.booleans(),
    alpha=BLOBS,
    icc=BLOBS,
    exif=BLOBS,
    xmp=BLOBS,
)
ANY_SIZE = Limits(pixels=0)


@given(PICTURES)
def test_round_trip(picture: StoredPicture) -> None:
    data = write_picture(picture)
    assert is_nicodec(data)
    assert read_picture(data, ANY_SIZE) == picture
    assert read_header(data, ANY_SIZE) == picture.header
    assert read_header(data[:HEADER_MAX_BYTES], ANY_SIZE) == picture.header
    assert sum(section_sizes(data).values()) == len(data)
    assert section_sizes(data)["header"] == picture.header.size


@given(HEADERS, st.integers(0, 200_000))
def test_overhead(header: Header, count: int) -> None:
    picture = StoredPicture(header, bytes(count), 0)
    assert picture.overhead == len(write_picture(picture)) - count
    assert 19 <= picture.overhead <= 31


def test_fixed_cost_of_kodak() -> None:
    picture = StoredPicture(Header(MODEL, 768, 512, 100), bytes(30_000), 0)
    assert len(write_picture(picture)) - 30_000 == 23
    assert picture.overhead == 23


def test_the_payload_is_last_and_the_rest_ascends() -> None:
    assert list(section_sizes(write_picture(FULL))) == [
        "header",
        "icc",
        "exif",
        "alpha",
        "xmp",
        "grey",
        "payload",
        "trailer",
    ]


def test_metadata_takes_the_shorter_coding() -> None:
    long, short = b"profile" * 100, b"<x/>"
    sizes = section_sizes(write_picture(replace(FULL, icc=long, xmp=short)))
    assert sizes["icc"] < len(long) // 5
    assert sizes["xmp"] == 1 + 1 + len(short)


def test_empty_metadata_is_not_absent_metadata() -> None:
    picture = replace(FULL, icc=b"", exif=None)
    assert read_picture(write_picture(picture)) == picture


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_read(kind: type) -> None:
    data = kind(write_picture(FULL))
    assert read_picture(data) == FULL
    assert read_header(data) == FULL.header
    assert is_nicodec(data)
    assert type(read_picture(data).header.model) is bytes


@pytest.mark.parametrize("prefix", [b"", b"\x8fni", b"\x89PNG", b"nic\x8f"])
def test_foreign_prefixes(prefix: bytes) -> None:
    assert not is_nicodec(prefix)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"width": 0}, InputError, "the width is 0 pixels"),
        ({"height": 2**31}, InputError, "the height is 2147483648 pixels"),
        ({"quality": -1}, QualityError, "give a quality of 0 to 100"),
        ({"quality": 201}, QualityError, "the quality is 201 half steps"),
        ({"model": b"abc"}, ValueError, "has 3 bytes; give 4"),
    ],
)
def test_header_out_of_range(changes: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        replace(HEADER, **changes)


@pytest.mark.parametrize("checksum", [-1, 0x10000])
def test_symbol_checksum_out_of_range(checksum: int) -> None:
    with pytest.raises(ValueError, match="give 0 to 65535"):
        replace(FULL, symbol_checksum=checksum)


def test_section_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections_module, "SECTION_MAX_BYTES", 100)
    with pytest.raises(InputError, match="the payload section has 103 bytes, the most is 100"):
        write_picture(replace(FULL, payload=bytes(101)))


def test_writer_agrees_with_the_hand_built_file() -> None:
    assert write_picture(StoredPicture(HEADER, b"\xc0\xff\xee", 0x1234)) == build_file()
