"""What is told while a clip is coded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ClipProgress:
    """How far it is.

    Attributes:
        what: "encoding", "decoding", or what a search is at.
        frames: done so far.
        of: how many there are, where that is known.
        seconds: of the clip, done so far.
        bytes: of the .nic file so far.

    """

    what: str
    frames: int
    of: int | None
    seconds: float
    bytes: int


Watch = Callable[[ClipProgress], None]
"""Told after each frame."""
