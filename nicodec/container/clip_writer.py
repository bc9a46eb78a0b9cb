"""Writing a clip to a file or pipe, as its packets come."""

import zlib
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from nicodec.container.clip import STREAMS_MAX, ClipHeader, FramePacket, Stream, StreamPacket
from nicodec.container.clip_fields import pack_clip_section, pack_copied, pack_frame, pack_index, pack_stream
from nicodec.container.clip_index import IndexBuilder
from nicodec.container.format import TRAILER_BYTES, Kind, PacketTag, Tag
from nicodec.container.packets import write_packet
from nicodec.container.sections import (
    pack_all_metadata,
    write_header,
    write_packets_section,
    write_section,
)
from nicodec.errors import InputError


class Writable(Protocol):
    """What a clip is written to: a pipe, a socket's file, an open file."""

    def write(self, data: bytes, /) -> int | None:
        """Write `data`, and tell how many bytes of it were taken (None: all)."""


class ClipWriter:
    """Writes a clip to `file`: its header and the descriptions of its streams at once, then packet by packet.

    `close` writes the index; without it the file counts as cut short. As a context manager it closes where the
    block ends without an exception. `file` itself is left open, and is never asked to seek.

    Raises:
        InputError: more than 200 streams, or metadata longer than 2^31 - 1 bytes.

    """

    def __init__(self, file: Writable, header: ClipHeader, streams: Sequence[Stream] = ()) -> None:
        if len(streams) > STREAMS_MAX:
            raise InputError(f"the clip has {len(streams)} copied streams, the most is {STREAMS_MAX}; leave some out")
        self.header = header
        self.streams = tuple(streams)
        self.offset = 0
        """Bytes written."""
        self._file = file
        self._crc32 = 0
        self._frames = 0
        self._index = IndexBuilder(len(streams))
        self._is_closed = False
        self._write(_pack_head(header, self.streams))

    def write(self, packet: FramePacket | StreamPacket) -> int:
        """Write a packet, and return how many bytes it took.

        Raises:
            InputError: a frame that is not the next by its number, a first frame that is no key, a stream that the
                clip does not have, or a body of more than 2^31 - 1 bytes.
            ValueError: the clip is closed.

        """
        if self._is_closed:
            raise ValueError("the clip is closed; write its packets before")
        if isinstance(packet, FramePacket):
            if packet.number != self._frames:
                raise InputError(f"frame {packet.number} came where {self._frames} is next; write them in order")
            if not packet.number and not packet.is_key:
                raise InputError("the first frame is no key; a clip begins with one")
            data = write_packet(PacketTag.FRAME, pack_frame(packet, self.header))
            self._frames += 1
        else:
            if packet.stream > len(self.streams):
                raise InputError(
                    f"a packet of stream {packet.stream}, the clip has {len(self.streams)}; describe it first"
                )
            data = write_packet(PacketTag.COPIED, pack_copied(packet, self.streams[packet.stream - 1]))
        self._index.add(packet, self.offset)
        self._write(data)
        return len(data)

    def close(self) -> None:
        """Write the index and the end; nothing where that was done already."""
        if self._is_closed:
            return
        self._is_closed = True
        end = write_packet(PacketTag.END, pack_index(self._index.build()))
        self._write(end + len(end).to_bytes(4, "little"))
        self._write(self._crc32.to_bytes(TRAILER_BYTES, "little"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()

    def _write(self, data: bytes) -> None:
        self._crc32 = zlib.crc32(data, self._crc32)
        self.offset += len(data)
        left = memoryview(data)
        while left:
            taken = self._file.write(bytes(left))
            left = left[len(left) if taken is None else taken :]


def _pack_head(header: ClipHeader, streams: tuple[Stream, ...]) -> bytes:
    sections = list(pack_all_metadata(header.icc, header.exif, header.xmp, header.grey).items())
    sections += [(Tag.STREAM, pack_stream(stream)) for stream in streams]
    sections.append((Tag.CLIP, pack_clip_section(header)))
    sections.sort(key=lambda section: section[0])
    head = write_header(header, Kind.CLIP) + b"".join(write_section(tag, data) for tag, data in sections)
    return head + write_packets_section(head, 0)
