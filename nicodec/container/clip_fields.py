"""A clip's header, streams, packets and index as the bytes of sections and packet bodies, and back."""

from nicodec.container.clip import (
    FRAMES_MAX,
    INDEX_ENTRIES_MAX,
    PARAMETERS_MAX,
    STREAMS_MAX,
    ClipHeader,
    ClipIndex,
    Colour,
    FramePacket,
    FrameType,
    IndexEntry,
    Stream,
    StreamPacket,
)
from nicodec.container.fields import FieldReader, write_blob, write_fraction, write_long, write_signed
from nicodec.container.format import SYMBOL_CHECKSUM_BYTES, TOO_NEW, Header
from nicodec.container.varint import write_varint
from nicodec.errors import CorruptError, FutureVersionError, InputError

_FULL_RANGE = 4

_TYPE_OF_ITS_OWN = 3
_KEY, _HAS_PTS, _HAS_DURATION, _REFERENCES_SHIFT = 4, 8, 16, 5
_ONLY_THE_FRAME_BEFORE = 7

_FLAGS, _COPIED_PTS, _COPIED_DTS, _COPIED_DURATION = 31, 32, 64, 128


def pack_clip_section(header: ClipHeader) -> bytes:
    """Return the data of the clip section: what `Header` does not say."""
    colour = header.colour
    flags = header.rotation // 90 | (_FULL_RANGE if colour.full_range else 0)
    return b"".join(
        (
            write_fraction(header.time_base),
            write_fraction(header.rate),
            write_fraction(header.sample_aspect),
            bytes([colour.primaries, colour.transfer, colour.matrix, flags]),
        )
    )


def unpack_clip_section(
    data: memoryview,
    header: Header,
    grey: bool,
    icc: bytes | None,
    exif: bytes | None,
    xmp: bytes | None,
) -> ClipHeader:
    """Return the header of a clip from its clip section and what stands elsewhere."""
    fields = FieldReader(data, "the clip section")
    time_base, rate, aspect = fields.fraction(), fields.fraction_or_none(), fields.fraction()
    primaries, transfer, matrix, flags = fields.take(4)
    fields.finish()
    if flags > 7:
        raise FutureVersionError(f"the clip section has the flags {flags}, this reader knows 0 to 7; {TOO_NEW}")
    try:
        return ClipHeader(
            header.model,
            header.width,
            header.height,
            header.quality,
            time_base=time_base,
            rate=rate,
            colour=Colour(primaries, transfer, matrix, bool(flags & _FULL_RANGE)),
            sample_aspect=aspect,
            rotation=flags % 4 * 90,
            grey=grey,
            icc=icc,
            exif=exif,
            xmp=xmp,
        )
    except InputError as error:
        raise CorruptError(f"the clip section breaks a rule: {error}") from error


def pack_stream(stream: Stream) -> bytes:
    """Return the data of a stream section."""
    parts = [
        write_blob(stream.type.encode()),
        write_blob(stream.codec.encode()),
        write_fraction(stream.time_base),
        write_blob(stream.extradata),
        write_varint(stream.sample_rate),
        write_blob(stream.layout.encode()),
        write_blob(stream.language.encode()),
        write_varint(stream.disposition),
        write_varint(stream.packet_duration),
    ]
    for name, value in stream.parameters:
        parts += [write_blob(name.encode()), write_blob(value.encode())]
    return b"".join(parts)


def unpack_stream(data: memoryview) -> Stream:
    """Return the stream that a stream section describes."""
    fields = FieldReader(data, "a stream section")
    most = 0xFFFFFFFF
    type_, codec, time_base, extradata = fields.text(), fields.text(), fields.fraction(), fields.blob()
    rate, layout, language = fields.varint(most), fields.text(), fields.text()
    disposition, duration = fields.varint(most), fields.varint(most)
    parameters: list[tuple[str, str]] = []
    while fields.left and len(parameters) <= PARAMETERS_MAX:
        parameters.append((fields.text(), fields.text()))
    try:
        return Stream(
            type_, codec, time_base, extradata, rate, layout, language, disposition, duration, tuple(parameters)
        )
    except InputError as error:
        raise CorruptError(f"a stream section breaks a rule: {error}") from error


def pack_frame(packet: FramePacket, header: ClipHeader) -> bytes:
    """Return the body of a frame packet."""
    own_type = packet.type > FrameType.B
    flags = _TYPE_OF_ITS_OWN if own_type else packet.type
    parts = [bytes([packet.type])] if own_type else []
    parts.append(write_varint(packet.number))
    late, longer = packet.pts - header.regular_pts(packet.number), packet.duration
    if late:
        parts.append(write_signed(late))
    if longer != header.regular_duration(packet.number):
        parts.append(write_long(longer))
        flags |= _HAS_DURATION
    distances = tuple(packet.number - other for other in packet.references)
    count = _ONLY_THE_FRAME_BEFORE if distances == (1,) else len(distances)
    if count != _ONLY_THE_FRAME_BEFORE:
        parts += [write_varint(distance) for distance in distances]
    flags |= (_KEY if packet.is_key else 0) | (_HAS_PTS if late else 0) | count << _REFERENCES_SHIFT
    checksum = packet.symbol_checksum.to_bytes(SYMBOL_CHECKSUM_BYTES, "little")
    return b"".join((bytes([flags]), *parts, checksum, packet.data))


def unpack_frame(body: bytes, header: ClipHeader, what: str) -> FramePacket:
    """Return the frame whose packet has `body`; CorruptError, naming `what`, where a rule is broken."""
    fields = FieldReader(body, what)
    flags = fields.byte()
    type_ = flags % 4
    if type_ == _TYPE_OF_ITS_OWN:
        type_ = fields.byte()
        if type_ < _TYPE_OF_ITS_OWN:
            raise fields.fault(f"type {type_} where the codec's own, 3 or more, belongs")
    number = fields.varint(FRAMES_MAX - 1)
    late = fields.signed() if flags & _HAS_PTS else 0
    regular = header.regular_duration(number)
    duration = fields.long() if flags & _HAS_DURATION else regular
    if (flags & _HAS_PTS and not late) or (flags & _HAS_DURATION and duration == regular):
        raise fields.fault("a time that it should not need to state")
    count = flags >> _REFERENCES_SHIFT
    if count == _ONLY_THE_FRAME_BEFORE:
        distances = [1]
    else:
        distances = [fields.varint(number) for _ in range(count)]
        if distances == [1]:
            raise fields.fault("a reference that it should not need to state")
    checksum = int.from_bytes(fields.take(SYMBOL_CHECKSUM_BYTES), "little")
    try:
        return FramePacket(
            number,
            fields.rest(),
            header.regular_pts(number) + late,
            duration,
            checksum,
            type_,
            bool(flags & _KEY),
            tuple(number - distance for distance in distances),
        )
    except InputError as error:
        raise CorruptError(f"{what} breaks a rule: {error}") from error


def pack_copied(packet: StreamPacket, stream: Stream) -> bytes:
    """Return the body of a copied packet."""
    flags = packet.flags
    parts = []
    if packet.pts is not None:
        flags |= _COPIED_PTS
        parts.append(write_signed(packet.pts))
    if packet.dts is not None and packet.dts != packet.pts:
        flags |= _COPIED_DTS
        parts.append(write_signed(packet.dts))
    if packet.duration != stream.packet_duration:
        flags |= _COPIED_DURATION
        parts.append(write_long(packet.duration))
    return b"".join((write_varint(packet.stream), bytes([flags]), *parts, packet.data))


def unpack_copied(body: bytes, streams: tuple[Stream, ...], what: str) -> StreamPacket:
    """Return the packet of a copied stream; CorruptError, naming `what`, where a rule is broken."""
    fields = FieldReader(body, what)
    number = fields.varint(STREAMS_MAX)
    if not 1 <= number <= len(streams):
        raise fields.fault(f"stream {number}, the clip has streams 1 to {len(streams)}")
    flags = fields.byte()
    pts = fields.signed() if flags & _COPIED_PTS else None
    dts = fields.signed() if flags & _COPIED_DTS else None
    regular = streams[number - 1].packet_duration
    duration = fields.long() if flags & _COPIED_DURATION else regular
    if (dts is not None and dts == pts) or (flags & _COPIED_DURATION and duration == regular):
        raise fields.fault("a time that it should not need to state")
    try:
        return StreamPacket(number, fields.rest(), pts, dts, duration, flags & _FLAGS)
    except InputError as error:
        raise CorruptError(f"{what} breaks a rule: {error}") from error


def pack_index(index: ClipIndex) -> bytes:
    """Return the body of the end packet."""
    parts = [write_varint(count) for count in index.frame_types]
    parts += [write_signed(index.start), write_signed(index.end), write_varint(len(index.packets))]
    for packets, size in zip(index.packets, index.bytes, strict=True):
        parts += [write_long(packets), write_long(size)]
    parts.append(write_varint(len(index.entries)))
    before = IndexEntry(0, 0, 0)
    for entry in index.entries:
        parts.append(write_varint(entry.number - before.number))
        parts.append(write_signed(entry.pts - before.pts))
        parts.append(write_long(entry.offset - before.offset))
        before = entry
    return b"".join(parts)


def unpack_index(body: bytes, streams: int) -> ClipIndex:
    """Return the index of a clip of so many copied streams."""
    fields = FieldReader(body, "the index at the end")
    types = (fields.varint(), fields.varint(), fields.varint(), fields.varint())
    start, end = fields.signed(), fields.signed()
    count = fields.varint()
    if count != streams + 1:
        raise fields.fault(f"{count} streams, the frames' counted, where the clip has {streams + 1}")
    totals = [(fields.long(), fields.long()) for _ in range(count)]
    entries: list[IndexEntry] = []
    number = pts = offset = 0
    for _ in range(fields.varint(INDEX_ENTRIES_MAX)):
        number, pts, offset = number + fields.varint(), pts + fields.signed(), offset + fields.long()
        if entries and (number == entries[-1].number or offset == entries[-1].offset):
            raise fields.fault("two entries for one frame")
        entries.append(IndexEntry(number, pts, offset))
    fields.finish()
    return ClipIndex(types, start, end, tuple(p for p, _ in totals), tuple(b for _, b in totals), tuple(entries))
