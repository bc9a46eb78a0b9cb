"""From the bytes of a .nic file to its `Header` or `StoredPicture`.

A whole file is read in this order: signature, version and kind, header, the bounds of every section and packet,
checksums, limits, and only then what the sections hold. So damage is told as damage, a later version is told as
such whatever its checksum, and a lie in a header is refused before anything is allocated for it.
"""

import io
from functools import cached_property

from nicodec.container.checksums import CRC16_BYTES
from nicodec.container.fields import FieldReader
from nicodec.container.format import (
    ALTERED,
    CUT_SHORT,
    PICTURE_PACKET_TAGS,
    PICTURE_PACKETS_MAX,
    PICTURE_TAGS,
    SYMBOL_CHECKSUM_BYTES,
    TOO_NEW,
    TRAILER_BYTES,
    AlphaCoding,
    Kind,
    Tag,
    packet_name,
    tag_name,
)
from nicodec.container.limits import DEFAULT_LIMITS, Limits
from nicodec.container.metadata import refuse_coding, split_coding, unpack_metadata
from nicodec.container.packets import PacketReader, RawPacket
from nicodec.container.picture import Packet, PacketType, StoredPicture
from nicodec.container.sections import (
    Section,
    check_grey,
    check_trailer,
    crc32,
    parse_header,
    parse_sections,
    read_packets_section,
    refuse_second,
    refuse_unknown,
)
from nicodec.container.source import Source
from nicodec.errors import CorruptError, FutureVersionError, QualityError, TruncatedError

_NO_LIMIT = Limits(0, 0, 0)


class PictureFile:
    """A picture's file, parsed and checked once; made by `parse_picture`.

    `header`: what it says of its picture. `sizes`: see `section_sizes`. `picture`: its content, unpacked when it is
    first asked for. `size`: bytes of the file. `packet_spans`: of each packet that is there, its bytes in the file.
    """

    def __init__(self, data: bytes, limits: Limits, partial: bool) -> None:
        if not isinstance(limits, Limits):
            raise QualityError(f"limits {limits!r}: give a nicodec.container.Limits")
        self._data = data
        self._limits = limits
        self.header, position = parse_header(data, Kind.PICTURE)
        self._sections = _parse_head(data, position, partial)
        last = self._sections[-1]
        self.size = len(data)
        self._packets: list[Packet] = []
        self._packet_count = 0
        self.packet_spans: list[range] = []
        self._packets_end = last.stop
        if last.tag == Tag.PACKETS:
            self._read_packets(last, partial)
        else:
            self._check_end()

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each part of the file, in file order; they add up to its size."""
        sizes = {"header": self._sections[0].key}
        for section in self._sections:
            name = tag_name(section.tag)
            sizes[name] = sizes.get(name, 0) + section.stop - section.key
        if self._packet_count:
            sizes["packets"] += self._packets_end - self._sections[-1].stop
        left = len(self._data) - self._packets_end
        return sizes | {"trailer": left} if left else sizes

    @cached_property
    def picture(self) -> StoredPicture:
        """The picture.

        Raises:
            CorruptError, FutureVersionError: its sections break a rule or need a newer reader.
            LimitError: it holds more metadata than the limits allow.

        """
        found = _select_known(self._data, self._sections)
        payload = found.get(Tag.PAYLOAD, memoryview(bytes(SYMBOL_CHECKSUM_BYTES)))
        if len(payload) < SYMBOL_CHECKSUM_BYTES:
            raise CorruptError(
                f"the payload has {len(payload)} bytes, its symbol checksum alone takes"
                f" {SYMBOL_CHECKSUM_BYTES}; {ALTERED}"
            )
        metadata = unpack_metadata(found, self._limits)
        given = {packet.number for packet in self._packets}
        return StoredPicture(
            header=self.header,
            payload=bytes(payload[SYMBOL_CHECKSUM_BYTES:]),
            symbol_checksum=int.from_bytes(payload[:SYMBOL_CHECKSUM_BYTES], "little"),
            grey=check_grey(found),
            alpha=_unpack_alpha(found[Tag.ALPHA]) if Tag.ALPHA in found else None,
            icc=metadata.get(Tag.ICC),
            exif=metadata.get(Tag.EXIF),
            xmp=metadata.get(Tag.XMP),
            packets=tuple(self._packets),
            lost=tuple(number for number in range(self._packet_count) if number not in given),
        )

    def _read_packets(self, last: Section, partial: bool) -> None:
        view = memoryview(self._data)
        self._packet_count = read_packets_section(view[last.start : last.stop], view[: last.stop - CRC16_BYTES])
        if not 1 <= self._packet_count <= PICTURE_PACKETS_MAX:
            raise CorruptError(
                f"the picture says that it has {self._packet_count} packets, it must have 1 to"
                f" {PICTURE_PACKETS_MAX}; {ALTERED}"
            )
        source = Source(io.BytesIO(view[last.stop :]), last.stop)
        reader = PacketReader(source, _NO_LIMIT)
        # The next number; every packet of the file has been read or lost when it reaches the count.
        number = 0
        while number < self._packet_count:
            start = source.offset
            try:
                packet = read_packet(reader, number, self._packet_count, partial)
            except (CorruptError, TruncatedError) as error:
                if not partial:
                    raise type(error)(f"{error}{self._what_is_left(error)}") from error
                if source.offset == start and not reader.skip_damage():
                    break
                continue
            if packet is not None:
                self._packets.append(packet)
                self.packet_spans.append(range(start, source.offset))
                number = packet.number + 1
        self._packets_end = source.offset
        if not partial:
            self._check_end()

    def _what_is_left(self, error: CorruptError | TruncatedError) -> str:
        """How a damaged file of packets can be decoded all the same, after what is said of the damage."""
        left = PictureFile(self._data, self._limits, True)._packets
        advice = [] if isinstance(error, TruncatedError) else ["--partial (partial=True) decodes what is whole"]
        if any(packet.type == PacketType.PIECE for packet in left):
            advice.append("--repair (repair=True) fills in what is lost, where the codec can")
        return "".join(f"; {text}" for text in advice if left)

    def _check_end(self) -> None:
        """Raise unless the trailer follows, and nothing after it."""
        end = self._packets_end + TRAILER_BYTES
        if len(self._data) < end:
            raise TruncatedError(f"the file has {len(self._data)} bytes, it should end at byte {end}; {CUT_SHORT}")
        if len(self._data) > end:
            raise CorruptError(
                f"{len(self._data) - end} bytes after the end of the picture, which is at byte {end}; {ALTERED}"
            )
        check_trailer(crc32(self._data[:-TRAILER_BYTES]), self._data[-TRAILER_BYTES:])


def parse_picture(data: bytes, limits: Limits = DEFAULT_LIMITS, partial: bool = False) -> PictureFile:
    """Parse the whole file `data` once: header, sizes and content come from the result.

    Args:
        data: the file.
        limits: what may be spent on it.
        partial: of a picture in packets that was cut short or damaged, take the packets that are whole
            (`StoredPicture.packets`; `StoredPicture.lost` has the numbers of the others). What comes before the
            packets must be whole. A picture with one payload must be whole in any case.

    Raises:
        NotNicodecError, TruncatedError, CorruptError, FutureVersionError: it cannot be read.
        LimitError: it has more pixels than `limits` allow.
        InputError: it is a clip.

    """
    file = PictureFile(bytes(data), limits, partial)
    limits.check_pixels(file.header.width, file.header.height)
    return file


def read_picture(data: bytes, limits: Limits = DEFAULT_LIMITS, partial: bool = False) -> StoredPicture:
    """Return the content of the whole file `data`.

    Raises as `parse_picture` (which tells what `partial` is) and `PictureFile.picture` do. Unknown sections that
    may be skipped are ignored. Whether the model is known is for the caller to find out.
    """
    return parse_picture(data, limits, partial).picture


def section_sizes(data: bytes) -> dict[str, int]:
    """Return the bytes of each part of the whole file `data`, in file order; they add up to its size.

    "header" comes first and "trailer" last. A section counts with its key, goes by its tag's name ("payload",
    "exif", "tag 9"), and sections of one tag are added; "packets" has all packets. Raises as `read_picture` does,
    but looks into no section and therefore lists unknown critical ones too.
    """
    return PictureFile(bytes(data), _NO_LIMIT, False).sizes


def _parse_head(data: bytes, position: int, partial: bool) -> list[Section]:
    """Return the bounds of the sections; they must end where the trailer begins, unless packets follow."""
    whole = len(data) - TRAILER_BYTES
    if partial:
        sections = parse_sections(data, position, len(data))
        if sections[-1].tag == Tag.PACKETS:
            return sections
    return parse_sections(data, position, whole)


def read_packet(reader: PacketReader, expected: int, count: int, partial: bool) -> Packet | None:
    """Read a packet, whose number should be `expected`; None where it is an unknown one that may be skipped."""
    try:
        raw = reader.read()
    except CorruptError as error:
        raise CorruptError(f"packet {expected} of {count}: {error}") from error
    if raw.tag not in PICTURE_PACKET_TAGS:
        if raw.tag % 2:
            return None
        raise FutureVersionError(
            f"packet {expected} of {count}, at byte {raw.offset}, is of type {packet_name(raw.tag)}, which this"
            f" reader does not know in a picture and must not skip; {TOO_NEW}"
        )
    return _unpack_packet(raw, expected, count, partial)


def _unpack_packet(raw: RawPacket, expected: int, count: int, partial: bool) -> Packet:
    fields = FieldReader(raw.body, f"packet {expected} of {count}")
    number = fields.varint(count - 1)
    checksum = int.from_bytes(fields.take(SYMBOL_CHECKSUM_BYTES), "little")
    if number < expected or (number > expected and not partial):
        raise fields.fault(f"the number {number}")
    return Packet(PacketType(raw.tag), number, fields.rest(), checksum)


def _select_known(data: bytes, sections: list[Section]) -> dict[int, memoryview]:
    """Return the data of the sections that this version knows; refuse unknown critical ones."""
    view = memoryview(data)
    found: dict[int, memoryview] = {}
    for section in sections:
        content = view[section.start : section.stop]
        if section.tag in found:
            raise refuse_second(section)
        refuse_unknown(section, content, PICTURE_TAGS)
        if section.tag in PICTURE_TAGS:
            found[section.tag] = content
    return found


def _unpack_alpha(data: memoryview) -> bytes:
    coding, coded = split_coding(Tag.ALPHA, data)
    if coding != AlphaCoding.PNG:
        raise refuse_coding(Tag.ALPHA, coding)
    return bytes(coded)
