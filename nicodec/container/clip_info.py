"""What a clip holds, in numbers."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from nicodec.container.clip import ClipHeader, ClipIndex, Stream
from nicodec.container.clip_reader import ClipReader, scan_index
from nicodec.container.limits import DEFAULT_LIMITS, Limits
from nicodec.container.source import Readable


@dataclass(frozen=True)
class ClipInfo:
    """The summary of a clip: what its header, its streams and its index say."""

    header: ClipHeader
    streams: tuple[Stream, ...]
    index: ClipIndex

    @property
    def frames(self) -> int:
        """The number of frames."""
        return self.index.frames

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame's time stamp to the end of the last frame."""
        return (self.index.end - self.index.start) * self.header.time_base

    @property
    def rate(self) -> Fraction | None:
        """Frames a second: the header's or, where it gives none, the mean; None for a clip that lasts no time."""
        return self.header.rate or (self.frames / self.duration if self.duration else None)

    @property
    def bit_rates(self) -> tuple[Fraction, ...]:
        """Bits a second of the frames and then of each stream, their packets' heads left out; none in no time."""
        return tuple(8 * count / self.duration for count in self.index.bytes) if self.duration else ()

    @property
    def gop_lengths(self) -> tuple[int, ...]:
        """The numbers of frames from each key frame to the next (of those that the index has)."""
        starts = [entry.number for entry in self.index.entries] + [self.frames]
        return tuple(after - before for before, after in pairwise(starts))


def clip_info(file: Readable, limits: Limits = DEFAULT_LIMITS, partial: bool = False) -> ClipInfo:
    """Return the summary of the clip in `file`: by its index where the file is seekable, else by reading all of it.

    With `partial` a clip that was cut short or damaged is summed up as far as it can be read. Raises as `ClipReader`.
    """
    reader = ClipReader(file, limits, partial)
    index = reader.read_index() if reader.seekable else scan_index(reader)
    return ClipInfo(reader.header, reader.streams, index)
