"""What is lost while a picture is read."""

from __future__ import annotations


class Losses:
    """Sentences on what was lost, in order; the grave ones are also warned of.

    Attributes:
        notes: all of them.
        warned: the grave ones.

    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warned: list[str] = []

    def note(self, text: str) -> None:
        """Add a sentence on something that few will miss."""
        self.notes.append(text)

    def warn(self, text: str) -> None:
        """Add a sentence on something that is seen or missed."""
        self.notes.append(text)
        self.warned.append(text)
