"""The bytes of what users give as a file."""

from __future__ import annotations

import os
from typing import Any, Protocol, runtime_checkable

from nicodec.errors import InputError


@runtime_checkable
class Readable(Protocol):
    """A file open for reading."""

    def read(self) -> Any:
        """The rest of the file."""


def read_bytes(data: object) -> bytes:
    """Bytes of a path, of a binary file, or as they are.

    Raises:
        InputError: it is none of these, or cannot be read.

    """
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    if isinstance(data, (str, os.PathLike)):
        try:
            with open(data, "rb") as file:
                return file.read()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise InputError(f"{data!r}: cannot be read ({reason}); give a .nic file or its bytes") from error
    if isinstance(data, Readable):
        try:
            found = data.read()
        except (OSError, ValueError) as error:
            raise InputError(f"the file cannot be read ({error}); open it in mode 'rb'") from error
        if isinstance(found, (bytes, bytearray, memoryview)):
            return bytes(found)
        raise InputError(f"the file gives {type(found).__name__}, not bytes; open it in mode 'rb'")
    raise InputError(f"a {type(data).__name__} is no file; give the bytes of a .nic file, a path, or a binary file")
