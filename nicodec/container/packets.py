"""Packets as bytes: a head (key and its CRC-8), a body, a CRC-16 over all. Finding the next one after damage.

What a body means is in `picture.py` and `clip.py`; here a packet has a tag and bytes.
"""

from dataclasses import dataclass

from nicodec.container.checksums import CRC16_BYTES, crc8, crc16
from nicodec.container.format import ALTERED, CUT_SHORT, SECTION_MAX_BYTES, TAG_BITS, packet_name
from nicodec.container.limits import Limits
from nicodec.container.source import Source
from nicodec.container.varint import VARINT_MAX_BYTES, write_varint
from nicodec.errors import CorruptError, InputError, NicodecError, TruncatedError

HEAD_MAX_BYTES = VARINT_MAX_BYTES + 1
PACKET_MIN_BYTES = 1 + 1 + CRC16_BYTES

_TRAILERS_MAX_BYTES = 8
_SEARCH_STEP = 4096
_SEARCH_WORK_MAX = 1 << 28


@dataclass(frozen=True, slots=True)
class RawPacket:
    """A packet's tag and body, with its offset in the file and its size there."""

    tag: int
    body: bytes
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Damaged:
    """What a reader with `partial=True` gives in the place of what is lost.

    `offset` and `size`: the bytes passed over, from the start of the clip; `frames`: the numbers of the frames that
    are missing (known, and told in a `Damaged` of size 0, only once the next frame or the end is found); `error`:
    what a reader with `partial=False` would raise. After a damaged place come the packets after it; where the file
    was cut short, nothing.
    """

    offset: int
    size: int
    frames: range
    error: NicodecError


@dataclass(frozen=True, slots=True)
class _Head:
    tag: int
    start: int
    """Bytes before the body."""
    size: int
    """Bytes of the whole packet."""


def write_packet(tag: int, body: bytes) -> bytes:
    """Return the packet's bytes; InputError where the body is longer than 2^31 - 1 bytes."""
    if len(body) > SECTION_MAX_BYTES:
        raise InputError(
            f"the {packet_name(tag)} packet has {len(body)} bytes, the most is {SECTION_MAX_BYTES}; make it smaller"
        )
    key = write_varint(len(body) << TAG_BITS | tag)
    packet = b"".join((key, bytes([crc8(key)]), body))
    return packet + crc16(packet).to_bytes(CRC16_BYTES, "little")


class PacketReader:
    """Reads packets one after the other from `source`; `check` limits the size of their bodies."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self._source = source
        self._limits = limits

    def read(self) -> RawPacket:
        """Return the packet that the source stands at, and go past it.

        Raises:
            TruncatedError: the file ends before the packet does.
            CorruptError: its head or its body was altered.
            LimitError: its body is longer than the limits allow; nothing was allocated for it.

        In each case the source stays where it is.
        """
        source = self._source
        if not source.need(PACKET_MIN_BYTES):
            raise self._truncated("its last packet" if not source.buffer else "a packet's head")
        # A key of 4 or 5 bytes has a body of more than these.
        if min(source.buffer[:3]) > 0x7F and not source.need(HEAD_MAX_BYTES):
            raise self._truncated("a packet's head")
        head = self._head_at(0)
        if head is None:
            raise CorruptError(f"the head of the packet at byte {source.offset} was altered: fetch or copy it again")
        self._limits.check_packet(head.size - head.start - CRC16_BYTES)
        if not source.need(head.size):
            raise self._truncated(f"a {packet_name(head.tag)} packet of {head.size} bytes")
        if not self._is_whole(0, head):
            raise CorruptError(f"the {packet_name(head.tag)} packet at byte {source.offset} is damaged; {ALTERED}")
        offset = source.offset
        packet = source.drop(head.size)
        return RawPacket(head.tag, packet[head.start : -CRC16_BYTES], offset, head.size)

    def skip_damage(self) -> int:
        """Go past a damaged packet to the next whole one, or to the end; return the bytes passed over.

        Where the damaged packet's length leads to the head of another packet, it is believed. Else the next
        place is searched for at which a whole packet lies. 0 where the source stands at the file's end.
        """
        if not self._source.need(1):
            return 0
        head = self._head_at(0)
        if head is not None and not self._too_long(head) and self._source.need(head.size):
            follows = self._source.need(head.size + _TRAILERS_MAX_BYTES + 1)
            if not follows or self._head_at(head.size) is not None:
                self._source.drop(head.size)
                return head.size
        return self._search()

    def _search(self) -> int:
        source, start, work, position = self._source, self._source.offset, 0, 1
        while source.need(position + PACKET_MIN_BYTES):
            source.need(position + _SEARCH_STEP)
            last = len(source.buffer) - PACKET_MIN_BYTES
            while position <= last:
                head = self._head_at(position)
                if head is not None and not self._too_long(head) and source.need(position + head.size):
                    if self._is_whole(position, head):
                        source.drop(position)
                        return source.offset - start
                    work += head.size
                position += 1
                if work > _SEARCH_WORK_MAX:
                    break
            source.drop(position)
            position = 0
            if work > _SEARCH_WORK_MAX:
                break
        while source.need(1):
            source.drop(len(source.buffer))
        return source.offset - start

    def _head_at(self, position: int) -> _Head | None:
        """Return the head at `position` of the buffer, None where it is none or does not fit its CRC-8."""
        buffer, key = self._source.buffer, 0
        for index in range(min(VARINT_MAX_BYTES, len(buffer) - position - 1)):
            byte = buffer[position + index]
            key |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                start = index + 2
                check = position + index + 1
                if (byte == 0 and index > 0) or crc8(buffer[position:check]) != buffer[check]:
                    return None
                return _Head(key & (1 << TAG_BITS) - 1, start, start + (key >> TAG_BITS) + CRC16_BYTES)
        return None

    def _is_whole(self, position: int, head: _Head) -> bool:
        with memoryview(self._source.buffer) as view:
            end = position + head.size
            stored = int.from_bytes(view[end - CRC16_BYTES : end], "little")
            return crc16(view[position : end - CRC16_BYTES]) == stored

    def _too_long(self, head: _Head) -> bool:
        return 0 < self._limits.packet_bytes < head.size - head.start - CRC16_BYTES

    def _truncated(self, inside: str) -> TruncatedError:
        source = self._source
        end = source.offset + len(source.buffer)
        return TruncatedError(
            f"the file has only {end} bytes and ends inside {inside}; {CUT_SHORT}, or ask for what is whole"
            " (--partial, partial=True)"
        )
