"""What a picture's file holds."""

from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise

from nicodec.container.format import (
    PICTURE_PACKETS_MAX,
    SYMBOL_CHECKSUM_BYTES,
    TAG_BITS,
    TRAILER_BYTES,
    Header,
    PacketTag,
    Tag,
)
from nicodec.container.varint import varint_size


class PacketType(IntEnum):
    """What the packets of a picture are, and so which of them are worth decoding.

    `LEVEL`: coarse to fine, each refines the ones before: every prefix is worth decoding. `PIECE`: decodable
    by itself: whatever is left after a loss is. `PART`: a part of one stream, written as it came: all are needed,
    in order.
    """

    LEVEL = PacketTag.LEVEL
    PIECE = PacketTag.PIECE
    PART = PacketTag.PART


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet of a picture: its range-coded bytes, checked by themselves.

    `number`: 0 to 65534, its place among the packets that were written, 0 first; `symbol_checksum`: 0 to 65535,
    computed by the codec over the packet's symbols. ValueError outside these ranges.
    """

    type: PacketType
    number: int
    data: bytes
    symbol_checksum: int

    def __post_init__(self) -> None:
        if not 0 <= self.number < PICTURE_PACKETS_MAX:
            raise ValueError(f"packet number {self.number}; give 0 to {PICTURE_PACKETS_MAX - 1}")
        check_symbol_checksum(self.symbol_checksum)


@dataclass(frozen=True)
class StoredPicture:
    """The content of a picture file: one payload or, of a family that writes them, packets.

    `payload`: the range-coded bytes; `symbol_checksum`: 0 to 65535, computed by the codec over its symbols;
    `grey`: the picture is to be shown as one channel; `alpha`: a PNG file of the alpha channel; `icc`,
    `exif` (from its TIFF header on), `xmp`: inflated metadata. None where the file has no such section.
    `packets`: in the order of their numbers; payload and symbol checksum are then empty and 0. `lost`: the
    numbers of the packets that a damaged file does not give; always empty unless read with `partial=True`.
    ValueError for a symbol checksum outside its range, for a payload beside packets, and for packets out of order.
    """

    header: Header
    payload: bytes = b""
    symbol_checksum: int = 0
    grey: bool = False
    alpha: bytes | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    packets: tuple[Packet, ...] = ()
    lost: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_symbol_checksum(self.symbol_checksum)
        if not self.packets and not self.lost:
            return
        if self.payload or self.symbol_checksum:
            raise ValueError("a picture has a payload or packets; give one of them")
        if sorted([packet.number for packet in self.packets] + list(self.lost)) != list(range(self.packet_count)):
            raise ValueError("the packets' numbers, with those of the lost ones, must be 0, 1, 2 and so on")
        if any(before.number > after.number for before, after in pairwise(self.packets)):
            raise ValueError("the packets are not in the order of their numbers; sort them")

    @property
    def packet_count(self) -> int:
        """The number of packets that the picture was written with."""
        return len(self.packets) + len(self.lost)

    @property
    def is_in_levels(self) -> bool:
        """Whether what there is of its packets are levels, and nothing else."""
        return bool(self.packets) and all(packet.type == PacketType.LEVEL for packet in self.packets)

    @property
    def levels(self) -> int:
        """The number of levels that are there, from the first one on without a gap."""
        return sum(packet.number == place for place, packet in enumerate(self.packets)) if self.is_in_levels else 0

    def first_levels(self, count: int) -> "StoredPicture":
        """The picture of its first `count` levels, 1 to `levels`; none of it is lost."""
        return replace(self, packets=self.packets[:count], lost=())

    @property
    def payload_bytes(self) -> int:
        """The range-coded bytes, in the payload or in all packets."""
        return len(self.payload) + sum(len(packet.data) for packet in self.packets)

    @property
    def overhead(self) -> int:
        """Bytes that the file of a picture with a payload takes beside it, without other sections: 19 to 31."""
        coded = len(self.payload) + SYMBOL_CHECKSUM_BYTES
        key = varint_size(coded << TAG_BITS | Tag.PAYLOAD)
        return self.header.size + key + SYMBOL_CHECKSUM_BYTES + TRAILER_BYTES


def check_symbol_checksum(checksum: int) -> None:
    """Raise ValueError for a checksum that does not fit in 16 bits."""
    if not 0 <= checksum <= 0xFFFF:
        raise ValueError(f"the symbol checksum is {checksum}; give 0 to 65535")
