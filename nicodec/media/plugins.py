"""Formats of pictures that Pillow reads with a package of its own for each: HEIC and JPEG XL.

The packages are extras of nicodec. They are imported when the first such picture is met.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import UnidentifiedImageError

from nicodec.errors import InputError
from nicodec.media import jpegxl

_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}


@dataclass(frozen=True)
class Format:
    """A format that needs a package.

    Attributes:
        name: what people call it.
        package: that reads it.
        extra: of nicodec, that brings the package.
        register: import the package and make it known to Pillow; ImportError where it is not installed.

    """

    name: str
    package: str
    extra: str
    register: Callable[[], None]


def _register_heic() -> None:
    from pillow_heif import register_heif_opener

    register_heif_opener()


def _register_jpegxl() -> None:
    import pillow_jxl  # noqa: F401 - it registers itself


HEIC = Format("HEIC", "pillow-heif", "heic", _register_heic)
JPEG_XL = Format("JPEG XL", "pillow-jxl-plugin", "jxl", _register_jpegxl)


def format_of(head: bytes) -> Format | None:
    """Tell by a file's first bytes which of these formats it has; None for another."""
    if jpegxl.is_jpegxl(head):
        return JPEG_XL
    if head[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[place : place + 4] for place in range(16, end, 4))}
    return HEIC if brands & _HEIC_BRANDS and not brands & _AVIF_BRANDS else None


@contextlib.contextmanager
def reading_plugin(head: bytes, name: str) -> Iterator[None]:
    """Have the plugin for a file at hand while it is opened; another that the user registered serves as well.

    Args:
        head: the file's first bytes.
        name: what messages call the file.

    Raises:
        InputError: the plugin is not installed.

    """
    needed, missing = format_of(head), False
    if needed is not None:
        try:
            needed.register()
        except ImportError:
            missing = True
    try:
        yield
    except UnidentifiedImageError as error:
        if needed is None or not missing:
            raise
        raise InputError(
            f"{name}: is a {needed.name} picture, which {needed.package} reads; install nicodec with its extra: "
            f"pip install '.[{needed.extra}]' in its folder, or {needed.package} alone"
        ) from error
