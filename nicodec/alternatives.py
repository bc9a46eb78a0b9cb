"""Whether another format serves a picture better than the file that was made of it: for a warning that says so."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nicodec.media import Picture, to_pil

PIXELS_MIN = 64 * 64
"""Of smaller pictures, headers decide."""

MANY_BITS, MANY_BITS_DOUBLE = 0.35, 25.0
"""A pixel, at quality 0, and the quality that doubles it: photographs take less, so only beyond is JPEG tried."""

SLACK_DB = 0.5
"""By which JPEG must be better."""

BAND, BAND_EVERY = 64, 512
"""Rows of a picture from which its PNG's size is guessed, and how often such a band comes."""

SURELY_LARGER = 2.0
"""If the guess is so many times the file, no PNG is made."""


class RepairedWarning(UserWarning):
    """Parts of a picture were lost, and what is shown there was filled in."""


class PoorFitWarning(UserWarning):
    """Another format serves the picture better; the message names it."""


def better_served(picture: Picture, size: int, quality: float, decode: Callable[[], NDArray[np.uint8]]) -> str | None:
    """Tell what would serve a picture better than its file; None: nothing that was looked for.

    Args:
        picture: what was compressed; its metadata do not count.
        size: bytes of the file, without metadata.
        quality: 0..100, with which it was made.
        decode: gives the file's pixels, uint8 (H, W, 3 or 1); asked for only where the file is suspiciously large.

    """
    pixels = picture.width * picture.height
    if pixels < PIXELS_MIN:
        return None
    alone = Picture(picture.as_uint8(), picture.alpha)
    if picture.pixels.dtype == np.uint8 and _guessed_png(alone) < SURELY_LARGER * size:
        png = _png_size(to_pil(alone))
        if png <= size:
            return (
                f"the file takes {size} bytes, and PNG {png} without any loss; keep the picture as PNG, or ask for a "
                "lower quality"
            )
    if 8 * size > pixels * MANY_BITS * 2 ** (quality / MANY_BITS_DOUBLE):
        return _better_jpeg(alone.pixels, size, decode)
    return None


def _png_size(image: Image.Image) -> int:
    """Bytes of the picture's PNG, by a palette where that does."""
    colours = image.getcolors(256) if image.mode == "RGB" else None
    if colours:
        image = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=len(colours))
    return len(_saved(image, "PNG"))


def _guessed_png(picture: Picture) -> float:
    """Bytes of the picture's PNG, from a part of its rows, quickly."""
    tops = range(0, picture.height, BAND_EVERY)
    rows = np.concatenate([np.arange(top, min(top + BAND, picture.height)) for top in tops])
    part = Picture(picture.pixels[rows], None if picture.alpha is None else picture.alpha[rows])
    return len(_saved(to_pil(part), "PNG", compress_level=1)) * picture.height / len(rows)


def _better_jpeg(pixels: NDArray[np.uint8], size: int, decode: Callable[[], NDArray[np.uint8]]) -> str | None:
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    low, high = 0, 100  # the best quality of at most `size` bytes is in [low, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if len(_saved_jpeg(image, middle)) <= size else (low, middle)
    if not low:
        return None
    with Image.open(io.BytesIO(_saved_jpeg(image, low))) as decoded:
        other = _psnr(np.asarray(decoded).reshape(pixels.shape), pixels)
    own = _psnr(decode(), pixels)
    if other <= own + SLACK_DB:
        return None
    return f"{size} bytes give {own:.1f} dB, and JPEG at these bytes {other:.1f} dB; use JPEG, or a lossless format"


def _saved_jpeg(image: Image.Image, quality: int) -> bytes:
    return _saved(image, "JPEG", quality=quality, subsampling=0)


def _saved(image: Image.Image, format: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def _psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    error = float(np.mean((a.astype(np.float32) - b) ** 2))
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))
