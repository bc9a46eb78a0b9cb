"""The alpha plane as bytes: lossless, and small for the usual masks.

A grey PNG of 1 bit, where the plane has only 0 and 255, or of 8 bits, without interlace, made of IHDR, IDAT and IEND
chunks alone. The container says which coding it is.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from nicodec.errors import CorruptError
from nicodec.media.reading import pillow_pixel_limit

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_START = _PNG_SIGNATURE + b"\0\0\0\rIHDR"


def encode_alpha(alpha: np.ndarray) -> bytes:
    """Code an alpha plane without loss.

    Args:
        alpha: uint8 (H, W), 0..255, not empty.

    Returns:
        The bytes of a PNG file.

    Raises:
        ValueError: the array has another type or shape.

    """
    if alpha.dtype != np.uint8 or alpha.ndim != 2 or alpha.size == 0:
        raise ValueError(f"alpha is {alpha.dtype} {alpha.shape}; give uint8 (H, W), not empty")
    image = Image.fromarray(np.ascontiguousarray(alpha))
    if bool(((alpha == 0) | (alpha == 255)).all()):
        image = image.convert("1", dither=Image.Dither.NONE)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def decode_alpha(png: bytes, width: int, height: int) -> np.ndarray:
    """Decode an alpha plane.

    Args:
        png: what `encode_alpha` returned.
        width: the picture's columns.
        height: the picture's rows.

    Returns:
        uint8 (height, width), writable.

    Raises:
        CorruptError: it is no such PNG, the size is not the picture's, or the data are broken. The size is checked
            before anything of that size is allocated.

    """
    remedy = "fetch the file again from where it came"
    if not png.startswith(_PNG_START) or len(png) < 33:
        raise CorruptError(f"alpha plane: not a PNG; {remedy}")
    *size, depth, colour, _, _, interlace = struct.unpack_from(">IIBBBBB", png, len(_PNG_START))
    if size != [width, height]:
        raise CorruptError(f"alpha plane: {size[0]}x{size[1]} on a picture of {width}x{height}; {remedy}")
    if depth not in (1, 8) or colour != 0 or interlace != 0:
        raise CorruptError(f"alpha plane: a PNG of {depth} bits, colour type {colour}, is not allowed; {remedy}")
    if not _is_whole(png):
        raise CorruptError(f"alpha plane: broken or cut short; {remedy}")
    try:
        with pillow_pixel_limit(width * height), Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            return np.array(image.convert("L"))
    except Exception as error:
        reason = " ".join(str(error).split())
        raise CorruptError(f"alpha plane: broken PNG ({reason}); {remedy}") from error


def _is_whole(png: bytes) -> bool:
    """Whether a PNG is IHDR, IDAT chunks and IEND, each with its right CRC, and nothing else."""
    tags, start = [], len(_PNG_SIGNATURE)
    while start < len(png):
        if len(png) - start < 12:
            return False
        length, tag = struct.unpack_from(">I4s", png, start)
        end = start + 12 + length
        if end > len(png) or zlib.crc32(png[start + 4 : end - 4]) != int.from_bytes(png[end - 4 : end], "big"):
            return False
        tags.append(tag)
        start = end
    return len(tags) >= 3 and tags[0] == b"IHDR" and tags[-1] == b"IEND" and set(tags[1:-1]) == {b"IDAT"}
