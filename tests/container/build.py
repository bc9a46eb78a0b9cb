"""Files built by hand from their parts, so that tests can break any rule of the format."""

import zlib
from collections.abc import Sequence

from nicodec.container import Header, StoredPicture
from nicodec.container.varint import write_varint

MODEL = bytes.fromhex("01234567")
HEADER = Header(MODEL, width=300, height=2, quality=151)
PRELUDE = b"\x8fnic\x10" + MODEL + b"\xac\x02\x02\x97"
PAYLOAD = (2, b"\x34\x12\xc0\xff\xee")
FULL = StoredPicture(
    HEADER,
    payload=b"\xc0\xff\xee",
    symbol_checksum=0x1234,
    grey=True,
    alpha=b"\x89PNG",
    icc=b"profile" * 20,
    exif=b"II*\0",
    xmp=b"<x/>",
)


def build_section(tag: int, data: bytes) -> bytes:
    return write_varint(len(data) << 4 | tag) + data


def build_file(sections: Sequence[tuple[int, bytes]] = (PAYLOAD,), prelude: bytes = PRELUDE) -> bytes:
    """Return a file of any sections, with a right checksum."""
    return seal(prelude + b"".join(build_section(tag, data) for tag, data in sections))


def seal(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")
