"""Truncated, altered and random files."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nicodec.container import Limits, read_header, read_picture, section_sizes, write_picture
from nicodec.errors import (
    CorruptError,
    InputError,
    LimitError,
    NicodecError,
    NotNicodecError,
    StreamError,
    TruncatedError,
)

from .build import FULL, PAYLOAD, PRELUDE, build_file, seal
from .test_picture import ANY_SIZE, PICTURES

FILE = write_picture(FULL)


@pytest.mark.parametrize("count", range(1, len(FILE)))
def test_every_truncation(count: int) -> None:
    with pytest.raises(TruncatedError, match="cut short"):
        read_picture(FILE[:count])
    with pytest.raises(TruncatedError):
        section_sizes(FILE[:count])
    if count < FULL.header.size:
        with pytest.raises(TruncatedError):
            read_header(FILE[:count])


@given(PICTURES, st.data())
def test_truncation_of_any_file(picture, data) -> None:
    file = write_picture(picture)
    with pytest.raises(TruncatedError):
        read_picture(file[: data.draw(st.integers(1, len(file) - 1))], ANY_SIZE)


def test_empty_file() -> None:
    with pytest.raises(NotNicodecError, match="the file is empty"):
        read_picture(b"")


@pytest.mark.parametrize("position", range(len(FILE)))
def test_every_single_byte_change(position: int) -> None:
    changed = bytearray(FILE)
    for difference in range(1, 256):
        changed[position] = FILE[position] ^ difference
        with pytest.raises((StreamError, LimitError, InputError)):  # InputError: it says that it is a clip
            read_picture(changed)


def test_payload_change_is_told_as_alteration() -> None:
    changed = bytearray(FILE)
    changed[-5] ^= 1
    with pytest.raises(CorruptError, match=r"checksum .* altered"):
        read_picture(changed)
    with pytest.raises(CorruptError, match="altered"):
        section_sizes(changed)


@pytest.mark.parametrize("tail", [b"\0", b"\n", FILE])
def test_bytes_after_the_end(tail: bytes) -> None:
    with pytest.raises(CorruptError, match=f"{len(tail)} bytes after the end .* at byte {len(FILE)}"):
        read_picture(FILE + tail)


def read_quietly(data: bytes) -> None:
    limits = Limits(pixels=10_000, metadata_bytes=1000)
    for read in (lambda: read_picture(data, limits), lambda: read_header(data), lambda: section_sizes(data)):
        with contextlib.suppress(NicodecError):
            read()


@given(st.binary(max_size=200))
@example(b"\x8f")
@example(PRELUDE)
def test_random_bytes(data: bytes) -> None:
    read_quietly(data)
    read_quietly(b"\x8fnic\x10" + data)
    read_quietly(PRELUDE + data)
    read_quietly(seal(PRELUDE + data))


@given(st.lists(st.tuples(st.integers(0, 15), st.binary(max_size=20)), max_size=6))
def test_random_sections(sections: list[tuple[int, bytes]]) -> None:
    read_quietly(build_file(sections))
    read_quietly(build_file([*sections, PAYLOAD]))


@given(st.binary(max_size=100), st.sampled_from([1, 3, 5]))
def test_random_metadata(data: bytes, tag: int) -> None:
    read_quietly(build_file([(tag, b"\1" + data), PAYLOAD]))
    read_quietly(build_file([(tag, b"\1\x78\xda" + data), PAYLOAD]))
