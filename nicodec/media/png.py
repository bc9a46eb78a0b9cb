"""The chunks of a PNG file that Pillow refuses, drops, or inflates without need.

Texts, of which only XMP and old EXIF are of use here, can be many megabytes, and Pillow refuses a file whose text or
profile inflates to more than one. cICP it drops.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from nicodec.media.losses import Losses

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LONGEST = 1 << 24
"""The most bytes that a profile or a text may inflate to."""

_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_XMP, _EXIF = b"XML:com.adobe.xmp", b"Raw profile type exif"


@dataclass
class PngFile:
    """A PNG file in two parts.

    Attributes:
        data: the file without texts and profile.
        info: what was in them, under the names that Pillow's `info` has: `icc_profile`, `xmp`,
            `Raw profile type exif`.
        cicp: the four bytes of the cICP chunk, or None.

    """

    data: bytes = b""
    info: dict[str, Any] = field(default_factory=dict)
    cicp: bytes | None = None


def take_apart(data: bytes, losses: Losses) -> PngFile:
    """Take texts and profile out of a PNG file, which may be broken; then its rest stays as it is."""
    kept, png = [SIGNATURE], PngFile()
    end = len(SIGNATURE)
    for tag, start, end in _chunks(data):
        body = memoryview(data)[start + 8 : end - 4]
        if tag in _TEXTS:
            _take_text(tag, bytes(body), png.info, losses)
        elif tag == b"iCCP":
            _take_profile(bytes(body), png.info, losses)
        else:
            if tag == b"cICP" and len(body) == 4:
                png.cicp = bytes(body)
            kept.append(data[start:end])
    kept.append(data[end:])
    png.data = b"".join(kept)
    return png


def find_cicp(data: bytes) -> bytes | None:
    """Give the four bytes of a PNG file's cICP chunk, or None."""
    for tag, start, end in _chunks(data):
        if tag == b"cICP" and end - start == 16:
            return data[start + 8 : end - 4]
    return None


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Give tag, start and end of each chunk, up to one that is cut short."""
    start = len(SIGNATURE)
    while start + 12 <= len(data):
        length, tag = struct.unpack_from(">I4s", data, start)
        end = start + 12 + length
        if end > len(data):
            return
        yield tag, start, end
        start = end


def _take_text(tag: bytes, body: bytes, info: dict[str, Any], losses: Losses) -> None:
    keyword, _, rest = body.partition(b"\0")
    if keyword not in (_XMP, _EXIF):
        return
    packed = tag == b"zTXt"
    if packed:
        rest = rest[1:]
    elif tag == b"iTXt":
        packed = rest[:1] == b"\1"
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    text = _inflate(rest) if packed else rest[:LONGEST]
    name = "XMP" if keyword == _XMP else "EXIF"
    if text is None:
        losses.note(f"{name} was dropped: it is broken, or larger than {LONGEST >> 20} MiB.")
    elif keyword == _XMP:
        info["xmp"] = text
    else:
        info["Raw profile type exif"] = text.decode("latin-1")


def _take_profile(body: bytes, info: dict[str, Any], losses: Losses) -> None:
    _, _, rest = body.partition(b"\0")
    profile = _inflate(rest[1:]) if rest[:1] == b"\0" else None
    if profile is None:
        losses.note(f"The colour profile was dropped: it is broken, or larger than {LONGEST >> 20} MiB.")
    else:
        info["icc_profile"] = profile


def _inflate(data: bytes) -> bytes | None:
    """Inflate at most `LONGEST` bytes; None where there are more, or the data are broken."""
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(data, LONGEST)
    except zlib.error:
        return None
    return found if inflater.eof else None
