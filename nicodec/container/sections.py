"""What pictures and clips begin with: signature, version and kind, header, sections."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from nicodec.container.checksums import CRC16_BYTES, crc16
from nicodec.container.fields import FieldReader
from nicodec.container.format import (
    ALTERED,
    CUT_SHORT,
    DIMENSION_MAX,
    HEADER_MAX_BYTES,
    LAST_TAGS,
    MODEL_BYTES,
    QUALITY_MAX,
    SECTION_MAX_BYTES,
    SECTIONS_MAX,
    SIGNATURE,
    TAG_BITS,
    TOO_NEW,
    VERSION,
    Header,
    Kind,
    Tag,
    tag_name,
)
from nicodec.container.limits import DEFAULT_LIMITS, Limits
from nicodec.container.metadata import pack_metadata
from nicodec.container.varint import read_varint, write_varint
from nicodec.errors import (
    CorruptError,
    FutureVersionError,
    InputError,
    NicodecError,
    NotNicodecError,
    TruncatedError,
)

_REMEDIES = {Kind.PICTURE: "decompress it as a picture", Kind.CLIP: "decompress it as a clip"}


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its tag, the offset of its key, and the bounds of its data in the file."""

    tag: int
    key: int
    start: int
    stop: int


def is_nicodec(prefix: bytes) -> bool:
    """Tell whether a file that begins with `prefix` (4 bytes or more) has the signature of a .nic file."""
    return bytes(prefix[: len(SIGNATURE)]) == SIGNATURE


def read_kind(prefix: bytes) -> Kind:
    """Tell whether the file that begins with `prefix` (5 bytes or more) is a picture or a clip.

    Raises NotNicodecError, TruncatedError (of fewer bytes), CorruptError (version 0) or FutureVersionError.
    """
    data = bytes(prefix[: len(SIGNATURE) + 1])
    if not data:
        raise NotNicodecError("the file is empty (0 bytes), a .nic file is not; check where it came from")
    signature = data[: len(SIGNATURE)]
    if not SIGNATURE.startswith(signature):
        raise NotNicodecError(
            f"the file begins with {signature.hex(' ')}, a .nic file with {SIGNATURE.hex(' ')};"
            " this is another format: open it with the program that it belongs to"
        )
    if len(data) <= len(SIGNATURE):
        raise TruncatedError(f"the file has only {len(data)} bytes; {CUT_SHORT}")
    version, kind = data[len(SIGNATURE)] >> 4, data[len(SIGNATURE)] & 15
    if version > VERSION:
        raise FutureVersionError(
            f"the file has format version {version}, this reader knows versions up to {VERSION}; {TOO_NEW}"
        )
    if version == 0:
        raise CorruptError(f"the file has format version 0, which does not exist; {ALTERED}")
    try:
        return Kind(kind)
    except ValueError:
        raise FutureVersionError(
            f"the file is of kind {kind}, this reader reads pictures (0) and clips (1); {TOO_NEW}"
        ) from None


def read_header(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Return the header of the picture or clip that begins with `data`; its first 20 bytes are enough.

    The file's checksum is not tested. Raises StreamError where this is no file that this version reads,
    LimitError where it has more pixels than `limits` allow.
    """
    prefix = bytes(data[:HEADER_MAX_BYTES])
    header, _ = parse_header(prefix, read_kind(prefix))
    limits.check_pixels(header.width, header.height)
    return header


def parse_header(data: bytes, wanted: Kind) -> tuple[Header, int]:
    """Return the header and the offset of the first section; InputError where the file is of another kind."""
    kind = read_kind(data)
    if kind != wanted:
        raise InputError(
            f"the file is a {kind.name.lower()}, a {wanted.name.lower()} was asked for; {_REMEDIES[kind]}"
        )
    model_at = len(SIGNATURE) + 1
    width, position = read_varint(data, model_at + MODEL_BYTES, len(data))
    height, position = read_varint(data, position, len(data))
    for name, size in (("width", width), ("height", height)):
        if not 1 <= size <= DIMENSION_MAX:
            raise CorruptError(f"the {name} is {size} pixels, it must be 1 to {DIMENSION_MAX}; {ALTERED}")
    if position >= len(data):
        raise TruncatedError(f"the file has only {len(data)} bytes and ends inside its header; {CUT_SHORT}")
    quality = data[position]
    if quality > QUALITY_MAX:
        raise CorruptError(f"the quality is {quality} half steps, the most is {QUALITY_MAX}; {ALTERED}")
    return Header(data[model_at : model_at + MODEL_BYTES], width, height, quality), position + 1


def parse_sections(data: bytes | bytearray, position: int, end: int) -> list[Section]:
    """Return the bounds of the sections up to the last, the payload or the packets' own."""
    sections: list[Section] = []
    while len(sections) < SECTIONS_MAX:
        key, start = read_varint(data, position, end)
        section = Section(key & (1 << TAG_BITS) - 1, position, start, start + (key >> TAG_BITS))
        if section.stop > end:
            raise TruncatedError(
                f"the {tag_name(section.tag)} section at byte {position} should end at byte {section.stop} before a"
                f" trailer of {len(data) - end} bytes, the file has {len(data)} bytes; {CUT_SHORT}"
            )
        sections.append(section)
        position = section.stop
        if section.tag in LAST_TAGS:
            return sections
    raise no_last_section()


def no_last_section() -> CorruptError:
    """Return the error for a file of too many sections."""
    return CorruptError(
        f"no payload or packets among the first {SECTIONS_MAX} sections, the most there may be; {ALTERED}"
    )


def refuse_unknown(section: Section, data: memoryview, known: frozenset[Tag]) -> None:
    """Raise FutureVersionError where `section`, with its `data`, is critical and not among `known` tags."""
    if section.tag not in known and section.tag % 2 == 0:
        raise FutureVersionError(
            f"the file has a critical section of tag {_describe_tag(section.tag, data)}, which this reader"
            f" does not know here and must not skip; {TOO_NEW}"
        )


def refuse_second(section: Section) -> CorruptError:
    """Return the error for a known section that comes twice."""
    return CorruptError(
        f"the file has a second {tag_name(section.tag)} section at byte {section.key}, there may be one; {ALTERED}"
    )


def check_grey(found: Mapping[int, memoryview]) -> bool:
    """Tell whether there is a grey section; CorruptError where it is not empty."""
    if found.get(Tag.GREY):
        raise CorruptError(f"the grey section has {len(found[Tag.GREY])} bytes, it must be empty; {ALTERED}")
    return Tag.GREY in found


def read_packets_section(section: memoryview, head: bytes | memoryview) -> int:
    """Return the number of packets that a packets section states, 0 where it was not known.

    Args:
        section: the section's data.
        head: all bytes of the file before the CRC-16 that ends the section.

    Raises:
        CorruptError: `head` was altered, or the section is not a number and a CRC-16.

    """
    if len(section) <= CRC16_BYTES:
        raise CorruptError(f"the packets section has {len(section)} bytes, it has 3 or more; {ALTERED}")
    stored = int.from_bytes(section[-CRC16_BYTES:], "little")
    if crc16(head) != stored:
        raise CorruptError(
            f"the {len(head)} bytes before the packets have the checksum {crc16(head):04x}, the packets section says"
            f" {stored:04x}; the file was altered: fetch or copy it again"
        )
    fields = FieldReader(section[:-CRC16_BYTES], "the packets section")
    count = fields.varint()
    fields.finish()
    return count


def check_trailer(computed: int, trailer: bytes) -> None:
    """Raise CorruptError where `trailer`, the file's last 4 bytes, is not the CRC-32 `computed` of the rest."""
    stored = int.from_bytes(trailer, "little")
    if computed != stored:
        raise CorruptError(
            f"the file's bytes have the checksum {computed:08x}, its trailer says {stored:08x};"
            " the file was altered: fetch or copy it again"
        )


def crc32(data: bytes) -> int:
    """Return the CRC-32 of a trailer over `data`."""
    return zlib.crc32(data)


def write_header(header: Header, kind: Kind) -> bytes:
    """Return signature, version and kind, and the header."""
    return b"".join(
        (
            SIGNATURE,
            bytes([VERSION << 4 | kind]),
            header.model,
            write_varint(header.width),
            write_varint(header.height),
            bytes([header.quality]),
        )
    )


def write_section(tag: Tag, data: bytes) -> bytes:
    """Return a section; InputError where its data are longer than 2^31 - 1 bytes."""
    if len(data) > SECTION_MAX_BYTES:
        raise InputError(
            f"the {tag_name(tag)} section has {len(data)} bytes, the most is {SECTION_MAX_BYTES};"
            " drop it or give a smaller one"
        )
    return write_varint(len(data) << TAG_BITS | tag) + data


def write_packets_section(before: bytes, count: int) -> bytes:
    """Return the packets section that follows the bytes `before`, for `count` packets (0: not known yet)."""
    number = write_varint(count)
    key = write_varint(len(number) + CRC16_BYTES << TAG_BITS | Tag.PACKETS)
    return key + number + crc16(before + key + number).to_bytes(CRC16_BYTES, "little")


def pack_all_metadata(icc: bytes | None, exif: bytes | None, xmp: bytes | None, grey: bool) -> dict[Tag, bytes]:
    """Return the sections that pictures and clips share."""
    given = ((Tag.ICC, icc), (Tag.EXIF, exif), (Tag.XMP, xmp))
    sections = {tag: pack_metadata(metadata) for tag, metadata in given if metadata is not None}
    return sections | {Tag.GREY: b""} if grey else sections


def _describe_tag(tag: int, data: memoryview) -> str:
    """Return the tag's number with its name or, for an extended tag, the true number in its data."""
    if tag == Tag.EXTENDED_CRITICAL:
        try:
            true_tag, _ = read_varint(data, 0, len(data))
        except NicodecError:
            return f"{tag} (extended, without a number)"
        return f"{tag} (extended tag {true_tag})"
    return f"{tag} ({tag_name(tag)})" if tag in tuple(Tag) else str(tag)
