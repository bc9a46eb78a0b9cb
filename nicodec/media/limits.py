"""How large a picture may be, and what is said of one that is too large or broken."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

from PIL import Image, UnidentifiedImageError

from nicodec.errors import InputError, LimitError, NicodecError

DEFAULT_MAX_PIXELS = 178_956_970
"""The largest picture that is read unless the caller says otherwise; Pillow's own limit."""

_limits_in_use: list[int] = []
_limits_lock = threading.Lock()
_pillow_limit_before: int | None = None


@contextlib.contextmanager
def pillow_pixel_limit(max_pixels: int | None) -> Iterator[None]:
    """Let pictures of up to `max_pixels` pass Pillow's decompression bomb checks, in this block.

    Pillow's limit is one global number: while several threads are in such blocks it is their largest, and
    when the last one leaves, it is again what it was.
    """
    global _pillow_limit_before
    limit = sys.maxsize if max_pixels is None else max(max_pixels, 1)
    with _limits_lock:
        if not _limits_in_use:
            _pillow_limit_before = Image.MAX_IMAGE_PIXELS
        _limits_in_use.append(limit)
        Image.MAX_IMAGE_PIXELS = max(_limits_in_use)
    try:
        yield
    finally:
        with _limits_lock:
            _limits_in_use.remove(limit)
            Image.MAX_IMAGE_PIXELS = max(_limits_in_use) if _limits_in_use else _pillow_limit_before


def check_pixels(name: str, width: int, height: int, max_pixels: int | None) -> None:
    """Refuse a picture that is empty or has more than `max_pixels` pixels; `name` is what messages call it.

    Raises:
        InputError: it is empty.
        LimitError: it is too large.

    """
    if width <= 0 or height <= 0:
        raise InputError(f"{name}: {width}x{height} pixels are no picture; give at least 1x1")
    if max_pixels is not None and width * height > max_pixels:
        raise LimitError(
            f"{name}: {width}x{height} is {width * height} pixels, more than the limit of {max_pixels}; "
            "raise the limit if you trust the picture, or make it smaller first"
        )


@contextlib.contextmanager
def decoding_errors(name: str, max_pixels: int | None) -> Iterator[None]:
    """Turn everything that Pillow raises for a bad picture into one line with a remedy."""
    try:
        with pillow_pixel_limit(max_pixels):
            yield
    except NicodecError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name}: not a picture that Pillow can read, or cut short; give a whole PNG, JPEG, WebP, AVIF "
            "or TIFF file, or convert it first"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LimitError(
            f"{name}: more pixels than the limit of {max_pixels} ({one_line(error)}); "
            "raise the limit if you trust the picture, or make it smaller first"
        ) from error
    except MemoryError as error:
        raise LimitError(f"{name}: the picture does not fit in memory; make it smaller first") from error
    except Exception as error:
        raise InputError(
            f"{name}: broken or cut short ({one_line(error)}); fetch or export the picture again"
        ) from error


def one_line(error: BaseException) -> str:
    """Give an exception's message on one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__
