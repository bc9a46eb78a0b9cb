"""Gathering the index of a clip while its packets go by."""

from nicodec.container.clip import (
    INDEX_ENTRIES_MAX,
    ClipIndex,
    FramePacket,
    FrameType,
    IndexEntry,
    StreamPacket,
)


class IndexBuilder:
    """Counts what goes by; keeps an entry of every key frame, or of every second, fourth ... of very many."""

    def __init__(self, streams: int) -> None:
        self._types = [0, 0, 0, 0]
        self._start: int | None = None
        self._end: int | None = None
        self._packets = [0] * (streams + 1)
        self._bytes = [0] * (streams + 1)
        self._entries: list[IndexEntry] = []
        self._keys = 0
        self._step = 1

    def add(self, packet: FramePacket | StreamPacket, offset: int) -> None:
        """Count `packet`, which lies at byte `offset` of the clip."""
        stream = 0 if isinstance(packet, FramePacket) else packet.stream
        self._packets[stream] += 1
        self._bytes[stream] += len(packet.data)
        if isinstance(packet, StreamPacket):
            return
        self._types[min(packet.type, len(FrameType))] += 1
        end = packet.pts + packet.duration
        self._start = packet.pts if self._start is None else min(self._start, packet.pts)
        self._end = end if self._end is None else max(self._end, end)
        if packet.is_key:
            if self._keys % self._step == 0:
                self._add_entry(IndexEntry(packet.number, packet.pts, offset))
            self._keys += 1

    def build(self) -> ClipIndex:
        """Return the index of all that has gone by."""
        return ClipIndex(
            (self._types[0], self._types[1], self._types[2], self._types[3]),
            self._start or 0,
            self._end or 0,
            tuple(self._packets),
            tuple(self._bytes),
            tuple(self._entries),
        )

    def _add_entry(self, entry: IndexEntry) -> None:
        if len(self._entries) == INDEX_ENTRIES_MAX:
            del self._entries[1::2]
            self._step *= 2
        self._entries.append(entry)
