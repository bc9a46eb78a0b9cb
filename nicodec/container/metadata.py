"""What ICC, EXIF and XMP sections hold: a coding byte, then the metadata, raw or deflated."""

import sys
import zlib
from collections.abc import Mapping

from nicodec.container.format import ALTERED, METADATA_TAGS, TOO_NEW, MetadataCoding, tag_name
from nicodec.container.limits import Limits
from nicodec.errors import CorruptError, FutureVersionError


def pack_metadata(metadata: bytes) -> bytes:
    """Return the section data of `metadata`, deflated where that is shorter than raw."""
    deflated = zlib.compress(metadata, 9)
    if len(deflated) < len(metadata):
        return bytes([MetadataCoding.DEFLATE]) + deflated
    return bytes([MetadataCoding.RAW]) + metadata


def unpack_metadata(sections: Mapping[int, memoryview], limits: Limits) -> dict[int, bytes]:
    """Return the metadata of those of `sections` (data by tag) that are ICC, EXIF or XMP.

    Raises LimitError where they hold more than `limits.metadata_bytes` together, of which at most one byte
    too many is ever inflated; CorruptError where one does not inflate; FutureVersionError for a coding that
    is not known.
    """
    metadata: dict[int, bytes] = {}
    total = 0
    for tag in METADATA_TAGS:
        if tag not in sections:
            continue
        coding, coded = split_coding(tag, sections[tag])
        if coding == MetadataCoding.RAW:
            limits.check_metadata(total + len(coded))
            metadata[tag] = bytes(coded)
        elif coding == MetadataCoding.DEFLATE:
            metadata[tag] = _inflate(tag, coded, limits, total)
        else:
            raise refuse_coding(tag, coding)
        total += len(metadata[tag])
    return metadata


def split_coding(tag: int, data: memoryview) -> tuple[int, memoryview]:
    """Return the coding byte of a section and what follows it; CorruptError where the section is empty."""
    if not data:
        raise CorruptError(f"the {tag_name(tag)} section is empty, it must name its coding; {ALTERED}")
    return data[0], data[1:]


def refuse_coding(tag: int, coding: int) -> FutureVersionError:
    """Return the error for a section `tag` whose coding byte `coding` is not known."""
    return FutureVersionError(
        f"the {tag_name(tag)} section has coding {coding}, which this reader does not know; {TOO_NEW}"
    )


def _inflate(tag: int, coded: memoryview, limits: Limits, before: int) -> bytes:
    """Inflate the zlib stream `coded`, where `before` bytes of the metadata limit are spent already."""
    room = limits.metadata_bytes - before + 1 if limits.metadata_bytes else sys.maxsize
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(coded, min(room, sys.maxsize))
    except zlib.error as error:
        raise CorruptError(f"the {tag_name(tag)} section does not inflate ({error}); {ALTERED}") from error
    limits.check_metadata(before + len(inflated))
    if not inflater.eof or inflater.unused_data:
        fault = "go on after it" if inflater.eof else "end inside it"
        raise CorruptError(
            f"the {tag_name(tag)} section must be one zlib stream, its {len(coded)} bytes {fault}; {ALTERED}"
        )
    return inflated
