"""From a `StoredPicture` to the bytes of a .nic file."""

from nicodec.container.format import (
    PICTURE_PACKETS_MAX,
    SYMBOL_CHECKSUM_BYTES,
    TRAILER_BYTES,
    AlphaCoding,
    Kind,
    Tag,
)
from nicodec.container.packets import write_packet
from nicodec.container.picture import Packet, StoredPicture
from nicodec.container.sections import (
    crc32,
    pack_all_metadata,
    write_header,
    write_packets_section,
    write_section,
)
from nicodec.container.varint import write_varint
from nicodec.errors import InputError


def write_picture(picture: StoredPicture) -> bytes:
    """Return the whole .nic file of `picture`.

    Raises:
        InputError: a section or packet is longer than 2^31 - 1 bytes, packets are missing (`picture.lost`), or
            there are more than 65535.

    """
    sections = pack_all_metadata(picture.icc, picture.exif, picture.xmp, picture.grey)
    if picture.alpha is not None:
        sections[Tag.ALPHA] = bytes([AlphaCoding.PNG]) + picture.alpha
    head = write_header(picture.header, Kind.PICTURE)
    head += b"".join(write_section(tag, sections[tag]) for tag in sorted(sections))
    if picture.packet_count:
        body = head + _write_packets(picture, head)
    else:
        body = head + write_section(Tag.PAYLOAD, _write_checksum(picture.symbol_checksum) + picture.payload)
    return body + crc32(body).to_bytes(TRAILER_BYTES, "little")


def _write_packets(picture: StoredPicture, head: bytes) -> bytes:
    count = len(picture.packets)
    if picture.lost:
        raise InputError(f"packets {picture.lost} of {picture.packet_count} are lost; encode the picture anew")
    if count > PICTURE_PACKETS_MAX:
        raise InputError(f"the picture has {count} packets, the most is {PICTURE_PACKETS_MAX}; make them longer")
    return write_packets_section(head, count) + b"".join(_write_packet(packet) for packet in picture.packets)


def _write_packet(packet: Packet) -> bytes:
    body = write_varint(packet.number) + _write_checksum(packet.symbol_checksum) + packet.data
    return write_packet(packet.type, body)


def _write_checksum(checksum: int) -> bytes:
    return checksum.to_bytes(SYMBOL_CHECKSUM_BYTES, "little")
