"""Reading what comes before the packets of a clip, from a pipe as well."""

from nicodec.container.checksums import CRC16_BYTES
from nicodec.container.clip import STREAMS_MAX, ClipHeader, Stream
from nicodec.container.clip_fields import unpack_clip_section, unpack_stream
from nicodec.container.format import (
    ALTERED,
    CLIP_TAGS,
    CUT_SHORT,
    HEADER_MAX_BYTES,
    SECTIONS_MAX,
    TAG_BITS,
    Kind,
    Tag,
    tag_name,
)
from nicodec.container.limits import Limits
from nicodec.container.metadata import unpack_metadata
from nicodec.container.sections import (
    Section,
    check_grey,
    no_last_section,
    parse_header,
    read_packets_section,
    refuse_second,
    refuse_unknown,
)
from nicodec.container.source import Source
from nicodec.container.varint import VARINT_MAX_BYTES, read_varint
from nicodec.errors import CorruptError, TruncatedError


def read_head(source: Source, limits: Limits) -> tuple[ClipHeader, tuple[Stream, ...]]:
    """Read what comes before the packets, and go past it."""
    source.need(HEADER_MAX_BYTES)  # the shortest head of a clip is longer
    header, position = parse_header(bytes(source.buffer[:HEADER_MAX_BYTES]), Kind.CLIP)
    sections = _read_sections(source, position, limits)
    data = source.drop(sections[-1].stop)
    view = memoryview(data)
    last = view[sections[-1].start :]
    count = read_packets_section(last, view[: len(data) - CRC16_BYTES])
    if count:
        raise CorruptError(f"the clip says that it has {count} packets, it must leave that open (0); {ALTERED}")
    limits.check_pixels(header.width, header.height)
    found: dict[int, memoryview] = {}
    streams: list[Stream] = []
    for section in sections[:-1]:
        content = view[section.start : section.stop]
        refuse_unknown(section, content, CLIP_TAGS)
        if section.tag == Tag.STREAM:
            if len(streams) == STREAMS_MAX:
                raise CorruptError(f"the clip has more than {STREAMS_MAX} streams, the most there may be; {ALTERED}")
            streams.append(unpack_stream(content))
        elif section.tag in found:
            raise refuse_second(section)
        elif section.tag in CLIP_TAGS:
            found[section.tag] = content
    if Tag.CLIP not in found:
        raise CorruptError(f"the clip has no clip section; {ALTERED}")
    metadata = unpack_metadata(found, limits)
    clip = unpack_clip_section(
        found[Tag.CLIP],
        header,
        grey=check_grey(found),
        icc=metadata.get(Tag.ICC),
        exif=metadata.get(Tag.EXIF),
        xmp=metadata.get(Tag.XMP),
    )
    return clip, tuple(streams)


def _read_sections(source: Source, position: int, limits: Limits) -> list[Section]:
    """Return the bounds of the sections, the packets' own being the last, once all of them are in the buffer."""
    sections: list[Section] = []
    total = 0
    while len(sections) < SECTIONS_MAX:
        _need_varint(source, position)
        key, start = read_varint(source.buffer, position, len(source.buffer))
        section = Section(key & (1 << TAG_BITS) - 1, position, start, start + (key >> TAG_BITS))
        if section.tag == Tag.PACKETS and section.stop - start > VARINT_MAX_BYTES + CRC16_BYTES:
            raise CorruptError(
                f"the packets section has {section.stop - start} bytes, the most is"
                f" {VARINT_MAX_BYTES + CRC16_BYTES}; {ALTERED}"
            )
        total += section.stop - start
        limits.check_metadata(total)
        if not source.need(section.stop):
            raise TruncatedError(
                f"the {tag_name(section.tag)} section at byte {position} should end at byte {section.stop}, the file"
                f" has {len(source.buffer)} bytes; {CUT_SHORT}"
            )
        sections.append(section)
        position = section.stop
        if section.tag == Tag.PACKETS:
            return sections
    raise no_last_section()


def _need_varint(source: Source, position: int) -> None:
    """Look as far ahead as the number at `position` goes, and no further."""
    for end in range(position + 1, position + VARINT_MAX_BYTES + 1):
        if not source.need(end) or source.buffer[end - 1] <= 0x7F:
            return
