"""The bytes of what users give as a file."""

from __future__ import annotations

from typing import Any

from nicodec.errors import InputError


def read_bytes(data: Any) -> bytes:
    """Bytes of a path, of a binary file, or as they are.

    Raises:
        InputError: it cannot be read.

    """
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    if hasattr(data, "read"):
        return data.read()
    try:
        with open(data, "rb") as file:
            return file.read()
    except OSError as error:
        raise InputError(f"{data}: cannot be read ({error.strerror}); give a .nic file or its bytes") from error
