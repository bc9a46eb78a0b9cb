"""From a `Picture` to the bytes of a .nic file."""

import zlib

from nicodec.container.format import (
    KIND_PICTURE,
    SECTION_MAX_BYTES,
    SIGNATURE,
    SYMBOL_CHECKSUM_BYTES,
    TAG_BITS,
    TRAILER_BYTES,
    VERSION,
    AlphaCoding,
    Header,
    Picture,
    Tag,
    tag_name,
)
from nicodec.container.metadata import pack_metadata
from nicodec.container.varint import write_varint
from nicodec.errors import InputError


def write_picture(picture: Picture) -> bytes:
    """Return the whole .nic file of `picture`; InputError where a section is longer than 2^31 - 1 bytes."""
    sections: dict[Tag, bytes] = {}
    for tag, metadata in ((Tag.ICC, picture.icc), (Tag.EXIF, picture.exif), (Tag.XMP, picture.xmp)):
        if metadata is not None:
            sections[tag] = pack_metadata(metadata)
    if picture.alpha is not None:
        sections[Tag.ALPHA] = bytes([AlphaCoding.PNG]) + picture.alpha
    if picture.grey:
        sections[Tag.GREY] = b""
    parts = [_write_header(picture.header)]
    parts += [_write_section(tag, sections[tag]) for tag in sorted(sections)]
    checksum = picture.symbol_checksum.to_bytes(SYMBOL_CHECKSUM_BYTES, "little")
    parts.append(_write_section(Tag.PAYLOAD, checksum + picture.payload))
    body = b"".join(parts)
    return body + zlib.crc32(body).to_bytes(TRAILER_BYTES, "little")


def _write_header(header: Header) -> bytes:
    return b"".join(
        (
            SIGNATURE,
            bytes([VERSION << 4 | KIND_PICTURE]),
            header.model,
            write_varint(header.width),
            write_varint(header.height),
            bytes([header.quality]),
        )
    )


def _write_section(tag: Tag, data: bytes) -> bytes:
    if len(data) > SECTION_MAX_BYTES:
        raise InputError(
            f"the {tag_name(tag)} section has {len(data)} bytes, the most is {SECTION_MAX_BYTES};"
            " drop it or give a smaller one"
        )
    return write_varint(len(data) << TAG_BITS | tag) + data
