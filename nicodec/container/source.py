"""The bytes of a file or pipe in order, read no further ahead than was asked for."""

import zlib
from typing import Protocol

from nicodec.errors import InputError

_CHUNK = 1 << 20


class Readable(Protocol):
    """What a clip is read from: a pipe, a socket's file, an open file."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""


class Source:
    """Bytes of `file` from where it stands; `offset` counts those dropped, from `offset` on."""

    def __init__(self, file: Readable, offset: int = 0) -> None:
        self.buffer = bytearray()
        self.offset = offset
        self.crc32 = 0
        """CRC-32 of the bytes that were dropped."""
        self._file = file
        self._at_end = False

    def need(self, count: int) -> bool:
        """Look `count` bytes ahead; tell whether there are so many.

        It reads in pieces, so that a lie about a length costs no more than what is there.
        """
        while len(self.buffer) < count and not self._at_end:
            piece = self._file.read(min(count - len(self.buffer), _CHUNK))
            if isinstance(piece, str):
                raise InputError("a file of text was given where a .nic file is read; open it in binary mode")
            self._at_end = not piece
            self.buffer += piece or b""
        return len(self.buffer) >= count

    def drop(self, count: int) -> bytes:
        """Return the next `count` bytes, which are in the buffer, and go past them."""
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        self.offset += count
        self.crc32 = zlib.crc32(taken, self.crc32)
        return taken
