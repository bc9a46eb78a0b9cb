"""Reading a clip from a file or pipe, packet by packet."""

import io
from dataclasses import replace
from fractions import Fraction
from typing import Protocol, Self, runtime_checkable

from nicodec.container.clip import ClipIndex, FramePacket, IndexEntry, StreamPacket
from nicodec.container.clip_fields import unpack_copied, unpack_frame, unpack_index
from nicodec.container.clip_head import read_head
from nicodec.container.clip_index import IndexBuilder
from nicodec.container.format import (
    ALTERED,
    CUT_SHORT,
    TOO_NEW,
    TRAILER_BYTES,
    PacketTag,
    packet_name,
)
from nicodec.container.limits import DEFAULT_LIMITS, Limits
from nicodec.container.packets import Damaged, PacketReader, RawPacket
from nicodec.container.sections import check_trailer
from nicodec.container.source import Readable, Source
from nicodec.errors import CorruptError, FutureVersionError, InputError, LimitError, StreamError, TruncatedError

ClipItem = FramePacket | StreamPacket | Damaged

_END_SIZE_BYTES = 4
_TAIL_BYTES = _END_SIZE_BYTES + TRAILER_BYTES
_NO_FRAMES = range(0)


@runtime_checkable
class Seekable(Protocol):
    """A file that can go to another place."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to `offset`."""

    def tell(self) -> int:
        """Return the place."""

    def seekable(self) -> bool:
        """Tell whether `seek` works."""


class ClipReader:
    """Reads a clip from `file`, where it stands: header and streams at once, packets as they are iterated over.

    It reads no further than the packet that it gives, and keeps none. `header`, `streams`: what the clip says of
    itself.

    Args:
        file: anything that can `read(size)` bytes: a pipe or an open file.
        limits: what may be spent on it.
        partial: play what can be played. A damaged packet, frames that are missing, and the end of a clip that was
            cut short come as `Damaged` among the packets. A frame that refers to a missing one is given all the same:
            who decodes it must look at `Damaged.frames`, and waits for the next key frame. What comes before the
            packets must be whole.

    Raises:
        NotNicodecError, TruncatedError, CorruptError, FutureVersionError: what comes before the packets cannot be
            read.
        LimitError: its frames have more pixels, or it has more metadata, than `limits` allow.
        InputError: it is a picture, or `file` is open as text.

    """

    def __init__(self, file: Readable, limits: Limits = DEFAULT_LIMITS, partial: bool = False) -> None:
        self._file = file
        self._limits = limits
        self._partial = partial
        self._source = Source(file)
        self.header, self.streams = read_head(self._source, limits)
        self._base: int | None = None
        self._index: ClipIndex | None = None
        self._offset = self._source.offset
        self._waiting: FramePacket | None = None
        self._start_at(self._source, IndexEntry(0, 0, self._source.offset))
        self._is_continuous = True

    @property
    def seekable(self) -> bool:
        """Whether `seek` and `read_index` can work."""
        return isinstance(self._file, Seekable) and self._file.seekable()

    @property
    def offset(self) -> int:
        """Where the packet that was given last begins, in bytes from the clip's first."""
        return self._offset

    @property
    def end_offset(self) -> int:
        """How many bytes from the clip's first have been read: all of them, after the last packet."""
        return self._source.offset

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ClipItem:
        """Return the next packet.

        Raises:
            StopIteration: after the last, and after an error.
            TruncatedError: the file ends before the clip does.
            CorruptError: a packet is damaged, or the clip does not add up to what its end says.
            FutureVersionError: a packet of a kind that must not be skipped is unknown.
            LimitError: a packet is longer than the limits allow.

        """
        item: ClipItem | None = self._waiting
        self._waiting = None
        while item is None:
            if self._is_ended:
                raise StopIteration
            item = self._read()
        return item

    def read_index(self) -> ClipIndex:
        """Return the index at the clip's end; where it is damaged or cut off, with `partial`, one made by a scan.

        The place in the clip stays. Raises InputError where the file is not seekable, TruncatedError or CorruptError
        where the index is not there.
        """
        if self._index is None:
            file = self._open_seekable()
            place = file.tell()
            try:
                self._index = self._find_index(file)
            finally:
                file.seek(place)
        return self._index

    def seek(self, time: Fraction | float) -> IndexEntry:
        """Go to the last key frame that is shown at `time` seconds or before, or to the first; return its entry.

        The next packet is that frame. Raises as `read_index`; InputError for a clip without frames, and for a time
        that is no finite number.
        """
        try:
            units = Fraction(time) / self.header.time_base
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{time!r} is no time to go to; give seconds, as a number") from error
        entries = self.read_index().entries
        if not entries:
            raise InputError("the clip has no frames to go to; read it from its start")
        before = [entry for entry in entries if entry.pts <= units]
        entry = max(before, key=lambda entry: entry.pts) if before else entries[0]
        file = self._open_seekable()
        file.seek(self._base_of(file) + entry.offset)
        self._start_at(Source(file, entry.offset), entry)
        self._is_continuous = False
        return entry

    def _start_at(self, source: Source, entry: IndexEntry) -> None:
        self._source = source
        self._packets = PacketReader(source, self._limits)
        self._totals = IndexBuilder(len(self.streams))
        self._next_frame = entry.number
        self._needs_key = True
        self._packet_number = 0
        self._last_pts = entry.pts
        self._offset = source.offset
        self._waiting = None
        self._is_ended = False
        self._is_continuous = False

    def _read(self) -> ClipItem | None:
        """Return the next packet or damage; None where it is one to skip, or the end."""
        start = self._source.offset
        try:
            return self._interpret(self._read_packet())
        except FutureVersionError:
            self._is_ended = True
            raise
        except (StreamError, LimitError) as error:
            self._is_continuous = False
            if not self._partial:
                self._is_ended = True
                raise
            if self._source.offset == start:
                self._packets.skip_damage()
                self._packet_number += 1
            self._is_ended |= not self._source.need(1)
            self._offset = start
            return Damaged(start, self._source.offset - start, _NO_FRAMES, error)

    def _read_packet(self) -> RawPacket:
        try:
            packet = self._packets.read()
        except CorruptError as error:
            raise CorruptError(f"{self._where()}: {error}") from error
        self._offset = packet.offset
        self._packet_number += 1
        return packet

    def _where(self) -> str:
        if not self._next_frame:
            return f"packet {self._packet_number} (before any frame)"
        time = float(self._last_pts * self.header.time_base)
        return f"packet {self._packet_number} (after frame {self._next_frame - 1} at {time:.3f} s)"

    def _interpret(self, raw: RawPacket) -> ClipItem | None:
        what = f"packet {self._packet_number - 1} at byte {raw.offset}"
        if raw.tag == PacketTag.FRAME:
            frame = unpack_frame(raw.body, self.header, what)
            return self._accept(frame, raw.offset)
        if raw.tag == PacketTag.COPIED:
            packet = unpack_copied(raw.body, self.streams, what)
            self._totals.add(packet, raw.offset)
            return packet
        if raw.tag == PacketTag.END:
            return self._read_end(raw)
        if raw.tag % 2:
            return None
        raise FutureVersionError(
            f"{what} is of type {packet_name(raw.tag)}, which this reader does not know in a clip and must not skip;"
            f" {TOO_NEW}"
        )

    def _accept(self, frame: FramePacket, offset: int) -> FramePacket | Damaged:
        """Take a frame where it belongs; with `partial`, tell first which are missing before it."""
        missing = range(self._next_frame, frame.number)
        if frame.number < self._next_frame:
            raise CorruptError(f"frame {frame.number} comes where {self._next_frame} is next; {ALTERED}")
        if missing and not self._partial:
            raise self._missing(missing)
        if self._needs_key and not missing and not frame.is_key:
            raise CorruptError(f"frame {frame.number} must be a key frame, where a decoder starts; {ALTERED}")
        self._needs_key = False
        self._next_frame = frame.number + 1
        self._last_pts = frame.pts
        self._totals.add(frame, offset)
        if not missing:
            return frame
        self._waiting = frame
        self._is_continuous = False
        return Damaged(offset, 0, missing, self._missing(missing))

    def _missing(self, frames: range) -> CorruptError:
        named = f"frame {frames[0]} is" if len(frames) == 1 else f"frames {frames[0]} to {frames[-1]} are"
        return CorruptError(f"{named} missing at byte {self._offset}; {ALTERED}")

    def _read_end(self, raw: RawPacket) -> Damaged | None:
        """Read what follows the last packet, and compare the end with what has gone by."""
        source = self._source
        index = unpack_index(raw.body, len(self.streams))
        missing = range(self._next_frame, index.frames)
        if missing:
            if not self._partial:
                raise self._missing(missing)
            self._is_ended = True
            return Damaged(source.offset, 0, missing, self._missing(missing))
        if not source.need(_TAIL_BYTES):
            end = source.offset + len(source.buffer)
            raise TruncatedError(f"the file has only {end} bytes and ends inside its trailer; {CUT_SHORT}")
        size = int.from_bytes(source.drop(_END_SIZE_BYTES), "little")
        computed = source.crc32
        trailer = source.drop(TRAILER_BYTES)
        self._is_ended = True
        if size != raw.size:
            raise CorruptError(f"the end packet has {raw.size} bytes, the trailer says {size}; {ALTERED}")
        if source.need(1):
            raise CorruptError(f"bytes after the end of the clip, which is at byte {source.offset}; {ALTERED}")
        if self._is_continuous:
            check_trailer(computed, trailer)
            if replace(self._totals.build(), entries=index.entries) != index:
                raise CorruptError(f"the clip has not the packets that the index at its end counts; {ALTERED}")
        self._index = index
        return None

    def _open_seekable(self) -> Seekable:
        if isinstance(self._file, Seekable) and self._file.seekable():
            self._base_of(self._file)
            return self._file
        raise InputError("the clip comes from a pipe, in which no other place can be gone to; open it as a file")

    def _base_of(self, file: Seekable) -> int:
        """Return where in `file` the clip begins."""
        if self._base is None:
            self._base = file.tell() - self._source.offset - len(self._source.buffer)
        return self._base

    def _find_index(self, file: Seekable) -> ClipIndex:
        base = self._base_of(file)
        try:
            return self._load_index(file, base)
        except StreamError as error:
            if not self._partial:
                raise TruncatedError(f"the clip has no whole index at its end ({error}); {CUT_SHORT}") from error
        file.seek(base)
        return scan_index(ClipReader(file, self._limits, partial=True))

    def _load_index(self, file: Seekable, base: int) -> ClipIndex:
        end = file.seek(0, io.SEEK_END)
        tail = Source(file)
        if end - base >= _TAIL_BYTES:
            file.seek(end - _TAIL_BYTES)
        tail.need(_TAIL_BYTES)
        size = int.from_bytes(tail.buffer[:_END_SIZE_BYTES], "little")
        start = end - _TAIL_BYTES - size
        if start < base:
            raise CorruptError(f"the end packet should have {size} bytes, the clip has {end - base}; {ALTERED}")
        file.seek(start)
        raw = PacketReader(Source(file, start - base), self._limits).read()
        if raw.tag != PacketTag.END or raw.size != size:
            raise CorruptError(f"the last packet is no end packet of {size} bytes; {ALTERED}")
        return unpack_index(raw.body, len(self.streams))


def scan_index(reader: ClipReader) -> ClipIndex:
    """Read all packets of `reader` and return their index."""
    index = IndexBuilder(len(reader.streams))
    for item in reader:
        if not isinstance(item, Damaged):
            index.add(item, reader.offset)
    return index.build()
