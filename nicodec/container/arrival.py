"""A picture's file that arrives in pieces: its levels are there as soon as each is whole."""

import io
from dataclasses import replace

from nicodec.container.format import HEADER_MAX_BYTES, TRAILER_BYTES, Header, Kind, Tag
from nicodec.container.limits import DEFAULT_LIMITS, Limits
from nicodec.container.packets import PacketReader
from nicodec.container.picture import Packet, StoredPicture
from nicodec.container.picture_reader import PictureFile, parse_picture, read_packet
from nicodec.container.sections import parse_header, parse_sections
from nicodec.container.source import Source
from nicodec.errors import TruncatedError


class PictureArrival:
    """Takes the bytes of one file in order.

    `header`: what the file says of its picture, None until it is there. `picture`: what has come of it, None until
    its first packet is there or, of a picture with one payload, all of it; its `lost` packets are those that are
    yet to come. `is_complete`: the file's end is there, and its checksum holds.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.header: Header | None = None
        self.picture: StoredPicture | None = None
        self.is_complete = False
        self._limits = limits
        self._data = bytearray()
        self._end = 0
        """Bytes up to the end of the last packet that is there, or of the sections."""
        self._head: StoredPicture | None = None
        self._packets: list[Packet] = []

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return len(self._data)

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; tell whether more of the picture is there than before.

        Raises:
            NotNicodecError, CorruptError, FutureVersionError, LimitError, InputError: as soon as it shows.

        """
        if not data:
            return False
        self._data += data
        had = self.picture
        try:
            if self._head is None:
                self._read_head()
            if self._head is not None and self._head.lost:
                self._read_packets(self._head)
                if len(self._packets) == self._head.packet_count:
                    self._finish(self._end + TRAILER_BYTES)
        except TruncatedError:
            pass  # the rest is on its way
        return self.picture is not had

    def finish(self) -> StoredPicture:
        """Return the whole picture.

        Raises:
            TruncatedError: the file's end has not come.

        """
        if not self.is_complete or self.picture is None:
            raise TruncatedError(
                f"the file's end is not among the {len(self._data)} bytes that have come: feed the rest, or take the"
                " picture of what is there"
            )
        return self.picture

    def _read_head(self) -> None:
        """Read header and sections as soon as they are there; of a picture with one payload, the whole file."""
        self.header, position = parse_header(bytes(self._data[:HEADER_MAX_BYTES]), Kind.PICTURE)
        self._limits.check_pixels(self.header.width, self.header.height)
        last = parse_sections(self._data, position, len(self._data))[-1]
        if last.tag != Tag.PACKETS:
            self._finish(last.stop + TRAILER_BYTES)
            return
        self._head = PictureFile(bytes(self._data[: last.stop]), self._limits, partial=True).picture
        self._end = last.stop

    def _read_packets(self, head: StoredPicture) -> None:
        source = Source(io.BytesIO(memoryview(self._data)[self._end :]), self._end)
        reader, count = PacketReader(source, Limits(0, 0, 0)), len(self._packets)
        try:
            while len(self._packets) < head.packet_count:
                packet = read_packet(reader, len(self._packets), head.packet_count, partial=False)
                if packet is not None:
                    self._packets.append(packet)
                self._end = source.offset
        finally:
            if len(self._packets) > count:
                lost = tuple(range(len(self._packets), head.packet_count))
                self.picture = replace(head, packets=tuple(self._packets), lost=lost)

    def _finish(self, end: int) -> None:
        """Check the file as a whole, once the bytes up to its `end` are there."""
        if len(self._data) >= end:
            whole = parse_picture(bytes(self._data), self._limits).picture
            self.picture = whole if self.picture is None else self.picture
            self.is_complete = True
