"""The one interface that codecs of clips and all anchors share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from nicodec.media.clips import FrameList, PlanarFrame


class ClipCoder(Protocol):
    """A codec of clips with one setting that trades size for quality; a frozen dataclass."""

    @property
    def name(self) -> str:
        """Short id, as on the command line: ``x264-medium``."""

    @property
    def label(self) -> str:
        """Name in legends and tables."""

    @property
    def settings(self) -> tuple[float, ...]:
        """Settings of a default run, from the smallest file to the largest."""

    def version(self) -> str:
        """Return versions; a change of it makes cached results stale.

        Raises:
            CodecUnavailableError: it cannot run here.

        """

    def command(self, setting: float) -> str:
        """Return the command line that ``encode`` stands for, as text for the report."""

    def encode(self, clip: FrameList, setting: float) -> bytes:
        """Return the coded clip in whatever form ``decode`` takes."""

    def sizes(self, data: bytes) -> tuple[int, list[int]]:
        """Return the bytes of the whole stream, and those of each frame in order of time."""

    def decode(self, data: bytes) -> Iterator[PlanarFrame]:
        """Give the frames in order of time."""
