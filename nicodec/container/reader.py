"""From the bytes of a .nic file to its `Header` or `Picture`.

A whole file is read in this order: signature, version and kind, header, the bounds of every section, CRC-32,
limits, and only then what the sections hold. So damage is told as damage, a later version is told as such
whatever its checksum, and a lie in a header is refused before anything is allocated for it.
"""

import zlib
from dataclasses import dataclass

from nicodec.container.format import (
    ALTERED,
    CUT_SHORT,
    DIMENSION_MAX,
    HEADER_MAX_BYTES,
    KIND_CLIP,
    KIND_PICTURE,
    KNOWN_TAGS,
    MODEL_BYTES,
    QUALITY_MAX,
    SECTIONS_MAX,
    SIGNATURE,
    SYMBOL_CHECKSUM_BYTES,
    TAG_BITS,
    TOO_NEW,
    TRAILER_BYTES,
    VERSION,
    AlphaCoding,
    Header,
    Picture,
    Tag,
    tag_name,
)
from nicodec.container.limits import DEFAULT_LIMITS, Limits
from nicodec.container.metadata import refuse_coding, split_coding, unpack_metadata
from nicodec.container.varint import read_varint
from nicodec.errors import CorruptError, FutureVersionError, NicodecError, NotNicodecError, TruncatedError


@dataclass(frozen=True, slots=True)
class _Section:
    """One section: its tag, the offset of its key, and the bounds of its data in the file."""

    tag: int
    key: int
    start: int
    stop: int


def is_nicodec(prefix: bytes) -> bool:
    """Tell whether a file that begins with `prefix` (4 bytes or more) has the signature of a .nic file."""
    return bytes(prefix[: len(SIGNATURE)]) == SIGNATURE


def read_header(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Return the header of the file that begins with `data`; its first 20 bytes are enough.

    The file's checksum is not tested. Raises StreamError where this is no picture that this version reads,
    LimitError where it has more pixels than `limits` allow.
    """
    header, _ = _parse_header(bytes(data[:HEADER_MAX_BYTES]))
    limits.check_pixels(header.width, header.height)
    return header


def read_picture(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """Return the content of the whole file `data`.

    Raises NotNicodecError, TruncatedError, CorruptError or FutureVersionError where it cannot be read, and
    LimitError where it holds more pixels or metadata than `limits` allow. Unknown sections that may be
    skipped are ignored. Whether the model is known is for the caller to find out.
    """
    data = bytes(data)
    header, sections = _parse_file(data)
    limits.check_pixels(header.width, header.height)
    found = _select_known(data, sections)
    payload = found[Tag.PAYLOAD]
    if len(payload) < SYMBOL_CHECKSUM_BYTES:
        raise CorruptError(
            f"the payload has {len(payload)} bytes, its symbol checksum alone takes"
            f" {SYMBOL_CHECKSUM_BYTES}; {ALTERED}"
        )
    if found.get(Tag.GREY):
        raise CorruptError(f"the grey section has {len(found[Tag.GREY])} bytes, it must be empty; {ALTERED}")
    metadata = unpack_metadata(found, limits)
    return Picture(
        header=header,
        payload=bytes(payload[SYMBOL_CHECKSUM_BYTES:]),
        symbol_checksum=int.from_bytes(payload[:SYMBOL_CHECKSUM_BYTES], "little"),
        grey=Tag.GREY in found,
        alpha=_unpack_alpha(found[Tag.ALPHA]) if Tag.ALPHA in found else None,
        icc=metadata.get(Tag.ICC),
        exif=metadata.get(Tag.EXIF),
        xmp=metadata.get(Tag.XMP),
    )


def section_sizes(data: bytes) -> dict[str, int]:
    """Return the bytes of each part of the whole file `data`, in file order; they add up to its size.

    "header" comes first and "trailer" last. A section counts with its key, goes by its tag's name ("payload",
    "exif", "tag 9"), and sections of one tag are added. Raises as `read_picture` does, but looks into no
    section and therefore lists unknown critical ones too.
    """
    data = bytes(data)
    _, sections = _parse_file(data)
    sizes = {"header": sections[0].key}
    for section in sections:
        name = tag_name(section.tag)
        sizes[name] = sizes.get(name, 0) + section.stop - section.key
    sizes["trailer"] = TRAILER_BYTES
    return sizes


def _parse_file(data: bytes) -> tuple[Header, list[_Section]]:
    header, position = _parse_header(data)
    sections = _parse_sections(data, position)
    _check_crc(data)
    return header, sections


def _check_prelude(data: bytes) -> None:
    """Raise unless `data` begins with the signature, version and kind of a picture that can be read here."""
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
    if kind != KIND_PICTURE:
        what = "a clip" if kind == KIND_CLIP else "of an unknown kind"
        raise FutureVersionError(f"the file is {what} (kind {kind}), this reader reads pictures only; {TOO_NEW}")


def _parse_header(data: bytes) -> tuple[Header, int]:
    """Return the header and the offset of the first section."""
    _check_prelude(data)
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


def _parse_sections(data: bytes, position: int) -> list[_Section]:
    """Return the sections up to the payload, which ends where the trailer begins."""
    end = len(data) - TRAILER_BYTES
    sections: list[_Section] = []
    while len(sections) < SECTIONS_MAX:
        key, start = read_varint(data, position, end)
        section = _Section(key & (1 << TAG_BITS) - 1, position, start, start + (key >> TAG_BITS))
        name = tag_name(section.tag)
        if section.stop > end:
            raise TruncatedError(
                f"the {name} section at byte {position} should end at byte {section.stop} before a trailer of"
                f" {TRAILER_BYTES} bytes, the file has {len(data)} bytes; {CUT_SHORT}"
            )
        sections.append(section)
        position = section.stop
        if section.tag == Tag.PAYLOAD:
            if position < end:
                raise CorruptError(
                    f"{end - position} bytes after the end of the picture, which is at byte"
                    f" {position + TRAILER_BYTES}; {ALTERED}"
                )
            return sections
    raise CorruptError(f"no payload among the first {SECTIONS_MAX} sections, the most there may be; {ALTERED}")


def _check_crc(data: bytes) -> None:
    computed = zlib.crc32(memoryview(data)[:-TRAILER_BYTES])
    stored = int.from_bytes(data[-TRAILER_BYTES:], "little")
    if computed != stored:
        raise CorruptError(
            f"the file's bytes have the checksum {computed:08x}, its trailer says {stored:08x};"
            " the file was altered: fetch or copy it again"
        )


def _select_known(data: bytes, sections: list[_Section]) -> dict[int, memoryview]:
    """Return the data of the sections that this version knows; refuse unknown critical ones."""
    view = memoryview(data)
    found: dict[int, memoryview] = {}
    for section in sections:
        if section.tag in found:
            raise CorruptError(
                f"the file has a second {tag_name(section.tag)} section at byte {section.key},"
                f" there may be one; {ALTERED}"
            )
        if section.tag in KNOWN_TAGS:
            found[section.tag] = view[section.start : section.stop]
        elif section.tag % 2 == 0:
            raise FutureVersionError(
                f"the file has a critical section of tag {_describe_tag(data, section)}, which this reader"
                f" does not know and must not skip; {TOO_NEW}"
            )
    return found


def _describe_tag(data: bytes, section: _Section) -> str:
    """Return the tag's number with its name or, for an extended tag, the true number in its data."""
    if section.tag == Tag.EXTENDED_CRITICAL:
        try:
            true_tag, _ = read_varint(data, section.start, section.stop)
        except NicodecError:
            return f"{section.tag} (extended, without a number)"
        return f"{section.tag} (extended tag {true_tag})"
    return f"{section.tag} ({tag_name(section.tag)})" if section.tag == Tag.TILING else str(section.tag)


def _unpack_alpha(data: memoryview) -> bytes:
    coding, coded = split_coding(Tag.ALPHA, data)
    if coding != AlphaCoding.PNG:
        raise refuse_coding(Tag.ALPHA, coding)
    return bytes(coded)
