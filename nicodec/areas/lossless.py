"""Pixels without loss, in the smaller of two forms that are fixed for ever; the first byte tells which.

- 2F: VP8L, the bit stream of lossless WebP without WebP's headers (it begins with that byte itself).
- 01: bits of an index (1, 2, 4 or 8), number of colours less one, the colours (3 bytes each), one zlib stream
  (RFC 1950) of the rows' indices, the first pixel in the high bits, every row beginning a byte: as PNG does it.
  Where few colours repeat over long distances, VP8L's encoder misses it unless it may take a hundred times as long.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from nicodec.errors import CorruptError, InputError

VP8L, PACKED = 0x2F, 0x01

LENGTH_MIN = 5

AGAIN = "; fetch or copy the file again"

Pixels = NDArray[np.uint8]


def is_available() -> bool:
    """Whether Pillow was built with WebP, as its wheels are."""
    return bool(features.check("webp"))


def encode_lossless(pixels: Pixels, *, fast: bool = False) -> bytes:
    """Code (H, W, 3) pixels.

    Args:
        pixels: at most 16383 on a side.
        fast: some percent larger, for estimates.

    """
    smooth = _encode_vp8l(pixels, fast=fast)
    packed = None if fast else _encode_packed(pixels)
    return smooth if packed is None or len(smooth) <= len(packed) else packed


def lossless_at_least(parts: Pixels) -> NDArray[np.float64]:
    """Bits near those that parts of a picture (N, H, W, 3) take without loss, quickly: rather fewer in photographs.

    The entropy of differences between neighbours, or what LZ77 finds alike in a part and the two before it, whichever
    is less. Drawings take as little as a twentieth of it.
    """
    green = parts[..., 1]
    found: NDArray[np.float64] = np.zeros(len(parts))
    for plane in (green, parts[..., 0] - green, parts[..., 2] - green):
        own, left, up = plane[:, 1:, 1:], plane[:, 1:, :-1], plane[:, :-1, 1:]
        middle = (left >> 1) + (up >> 1) + (left & up & 1)
        found += np.minimum.reduce([_entropy((own - guess).reshape(len(parts), -1)) for guess in (left, up, middle)])
    deflate = zlib.compressobj(1)
    sizes = [len(deflate.compress(part.tobytes()) + deflate.flush(zlib.Z_SYNC_FLUSH)) for part in parts]
    least: NDArray[np.float64] = np.minimum(found, 8.0 * np.array(sizes))
    return least


def _entropy(values: Pixels) -> NDArray[np.float64]:
    """Bits of each row of (N, n) by how often each value is in it."""
    count = len(values)
    place = values + 256 * np.arange(count)[:, None]
    often = np.bincount(place.ravel(), minlength=256 * count).reshape(count, 256)
    bits: NDArray[np.float64] = -(often * np.log2(np.maximum(often, 1) / values.shape[1])).sum(1)
    return bits


def decode_lossless(data: bytes, height: int, width: int) -> Pixels:
    """Give back (height, width, 3) pixels.

    Raises:
        CorruptError: the data are no such picture; its size is looked at before anything is decoded.
        InputError: Pillow cannot read WebP here.

    """
    if len(data) >= LENGTH_MIN and data[0] == VP8L:
        return _decode_vp8l(data, height, width)
    if len(data) >= LENGTH_MIN and data[0] == PACKED:
        return _decode_packed(data, height, width)
    raise CorruptError("an area without loss does not begin as one" + AGAIN)


def _encode_vp8l(pixels: Pixels, *, fast: bool) -> bytes:
    file = io.BytesIO()
    quality, method = (50, 2) if fast else (100, 4)
    Image.fromarray(pixels).save(file, "WEBP", lossless=True, exact=True, quality=quality, method=method)
    data = file.getvalue()
    if data[12:16] != b"VP8L":
        raise RuntimeError("the WebP library wrote something else than a lossless picture without metadata")
    (length,) = struct.unpack("<I", data[16:20])
    return data[20 : 20 + length]


def _decode_vp8l(data: bytes, height: int, width: int) -> Pixels:
    (size,) = struct.unpack("<I", data[1:5])
    if (size & 0x3FFF, size >> 14 & 0x3FFF) != (width - 1, height - 1):
        raise CorruptError("an area without loss has another size than its place" + AGAIN)
    if not is_available():
        raise InputError(
            "the file needs a Pillow that reads WebP, as its wheels do: pip install --force-reinstall pillow"
        )
    chunk = b"VP8L" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    file = io.BytesIO(b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk)
    try:
        with Image.open(file, formats=("WEBP",)) as image:
            return np.array(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise CorruptError(f"an area without loss is damaged ({error}){AGAIN}") from error


def _bits_of(colours: int) -> int:
    """Bits of an index: 1, 2, 4 or 8."""
    return next(bits for bits in (1, 2, 4, 8) if colours <= 1 << bits)


def _encode_packed(pixels: Pixels) -> bytes | None:
    """None: there are more than 256 colours."""
    codes = pixels.astype(np.int32) @ np.array([65536, 256, 1], dtype=np.int32)
    colours, index = np.unique(codes, return_inverse=True)
    if len(colours) > 256:
        return None
    rows = index.reshape(codes.shape).astype(np.uint8)
    palette = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], 1).astype(np.uint8)
    forms = []
    for bits in {_bits_of(len(colours)), 8}:  # what repeats is found at every pixel where each has a byte
        data = zlib.compress(_packed(rows, bits).tobytes(), 9)
        forms.append(bytes([PACKED, bits, len(colours) - 1]) + palette.tobytes() + data)
    return min(forms, key=len)


def _packed(rows: Pixels, bits: int) -> Pixels:
    """Indices (H, W) as rows of bytes."""
    height, width = rows.shape
    padded = np.zeros((height, -(-width * bits // 8) * 8 // bits), dtype=np.uint8)
    padded[:, :width] = rows
    each_bit = padded[..., None] >> np.arange(bits - 1, -1, -1, dtype=np.uint8) & 1
    return np.packbits(each_bit.reshape(height, -1), axis=1)


def _decode_packed(data: bytes, height: int, width: int) -> Pixels:
    bits, count = data[1], data[2] + 1
    if bits not in (1, 2, 4, 8):
        raise CorruptError(f"an area without loss has {bits} bits a pixel{AGAIN}")
    palette = np.frombuffer(data[3 : 3 + 3 * count], dtype=np.uint8)
    length = height * -(-width * bits // 8)
    inflate = zlib.decompressobj()
    try:
        rows = inflate.decompress(data[3 + 3 * count :], length + 1)
    except zlib.error as error:
        raise CorruptError(f"an area without loss is damaged ({error}){AGAIN}") from error
    if len(rows) != length or not inflate.eof or inflate.unused_data or len(palette) != 3 * count:
        raise CorruptError("an area without loss has another size than its place" + AGAIN)
    each_bit = np.unpackbits(np.frombuffer(rows, dtype=np.uint8).reshape(height, -1), axis=1)
    digits = each_bit.reshape(height, -1, bits)[:, :width].astype(np.intp)
    index = (digits << np.arange(bits - 1, -1, -1)).sum(2)
    if index.max() >= count:
        raise CorruptError("an area without loss has colours that it does not list" + AGAIN)
    pixels: Pixels = palette.reshape(count, 3)[index]
    return pixels
