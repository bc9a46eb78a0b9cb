"""From a path, a file, bytes or a Pillow image to an open Pillow image and the file that it is in."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Protocol, runtime_checkable

from PIL import Image, ImageFile

from nicodec.errors import InputError
from nicodec.media import jpegxl, png
from nicodec.media.files import name_of_file
from nicodec.media.limits import check_pixels, decoding_errors, one_line, pillow_pixel_limit
from nicodec.media.losses import Losses
from nicodec.media.plugins import reading_plugin

_HEAD_BYTES = 65536


@dataclass(frozen=True)
class Opened:
    """A Pillow image, and where it is from.

    Attributes:
        image: open, and perhaps not loaded.
        name: what messages call it.
        file: the file that `image` will be loaded from, from its first byte; None for one that is loaded or was
            never in a file.
        head: the first 65,536 bytes of the file that `image` is from, as far as that is known; else empty.
        cicp: the four bytes of a PNG file's cICP chunk, or None.
        from_user: whether a user opened it, so that another frame than the first may be meant.

    """

    image: Image.Image
    name: str
    file: IO[bytes] | None
    head: bytes
    cicp: bytes | None = None
    from_user: bool = False

    def read_file(self) -> bytes:
        """Read the whole file, and leave it where it stood; empty without a file."""
        return b"" if self.file is None else _peek(self.file, -1)


@runtime_checkable
class _Readable(Protocol):
    def read(self, size: int = -1, /) -> Any:
        """Give bytes, if it is a binary file."""


@contextlib.contextmanager
def open_picture(source: object, name: str | None, max_pixels: int | None, losses: Losses) -> Iterator[Opened]:
    """Open an encoded picture for the time of a `with` block.

    Args:
        source: a path, a binary file object (read from where it stands), bytes, or a Pillow image.
        name: what messages call it; None for its path, or what it is.
        max_pixels: see `nicodec.media.read_picture`.
        losses: is told what is lost.

    Raises:
        InputError: there is no picture.
        LimitError: it has more pixels.

    """
    with contextlib.ExitStack() as stack:
        if isinstance(source, Image.Image):
            yield _opened_by_user(source, name or "Pillow image")
            return
        file: IO[bytes]
        if isinstance(source, (bytes, bytearray, memoryview)):
            name, file = name or "bytes", io.BytesIO(source)
        elif isinstance(source, (str, os.PathLike)):
            path = os.fsdecode(source)
            name, file = name or path, stack.enter_context(_open_path(path))
        elif isinstance(source, _Readable):
            name = name or name_of_file(source) or "file object"
            file = io.BytesIO(_read_all(source, name))
        else:
            raise InputError(
                f"{type(source).__module__}.{type(source).__name__}: not a picture; give a path, a binary "
                "file, bytes, a Pillow image, a numpy array or a torch tensor"
            )
        with decoding_errors(name, max_pixels):
            head = _peek(file, _HEAD_BYTES)
            if not head:
                raise InputError(f"{name}: empty; give a picture file")
            parts = png.PngFile()
            if head.startswith(png.SIGNATURE):
                parts = png.take_apart(_peek(file, -1), losses)
                file = io.BytesIO(parts.data)
            _check_jpegxl(file, head, name, max_pixels, losses)
            with reading_plugin(head, name):
                image = stack.enter_context(Image.open(file))
            if image.format == "EPS":  # Pillow would hand the file to Ghostscript, which runs programs
                raise InputError(f"{name}: PostScript is not a picture of pixels; render it to PNG first")
            image.info.update(parts.info)
        yield Opened(image, name, file, head, parts.cicp)


def pixel_count(path: str | os.PathLike[str]) -> int | None:
    """Pixels of the picture in a file, from its head; None where that cannot be told."""
    try:
        with pillow_pixel_limit(None), open(path, "rb") as file:
            head = _peek(file, _HEAD_BYTES)
            if jpegxl.is_jpegxl(head):
                about = jpegxl.read_head(_peek(file, -1))
                return about.width * about.height if about else None
            with reading_plugin(head, ""), Image.open(file) as image:
                return image.width * image.height
    except Exception:  # whatever Pillow makes of a broken file; reading it says it better
        return None


def _check_jpegxl(file: IO[bytes], head: bytes, name: str, max_pixels: int | None, losses: Losses) -> None:
    """Check a JPEG XL file before its plugin decodes it, and tell what the plugin does not give."""
    about = jpegxl.read_head(_peek(file, -1)) if jpegxl.is_jpegxl(head) else None
    if about is None:
        return
    check_pixels(name, about.width, about.height, max_pixels)
    if about.animated:
        losses.warn("Of several frames, pages or layers only the first one was kept.")


def _opened_by_user(image: Image.Image, name: str) -> Opened:
    """Give a user's image with its file, where that is still open and nothing was loaded from it.

    Of an image that is loaded, the file's head may still be there, and tells whether Pillow kept what was in it.
    """
    if not isinstance(image, ImageFile.ImageFile):
        return Opened(image, name, None, b"", from_user=True)
    if image.fp is not None and image.tile:
        try:
            head = _peek(image.fp, _HEAD_BYTES)
            cicp = png.find_cicp(_peek(image.fp, -1)) if image.format == "PNG" else None
        except (AttributeError, OSError, ValueError):  # closed, or it can read and no more: Pillow asks no more of it
            return Opened(image, name, None, b"", from_user=True)
        return Opened(image, name, image.fp, head, cicp, from_user=True)
    head = b""
    if image.filename and os.path.isfile(image.filename):
        with contextlib.suppress(OSError), open(image.filename, "rb") as file:
            head = file.read(_HEAD_BYTES)
    return Opened(image, name, None, head, from_user=True)


def _peek(file: IO[bytes], size: int) -> bytes:
    """Read a file's first bytes, all of them for -1, and leave it where it stood."""
    place = file.tell()
    file.seek(0)
    data = file.read(size)
    file.seek(place)
    return data


def _read_all(file: _Readable, name: str) -> bytes:
    try:
        data = file.read()
    except Exception as error:
        reason = one_line(error)
        raise InputError(f"{name}: cannot be read ({reason}); open it in mode 'rb'") from error
    if not isinstance(data, (bytes, bytearray)):
        raise InputError(f"{name}: gives {type(data).__name__}, not bytes; open it in mode 'rb'")
    return bytes(data)


def _open_path(name: str) -> IO[bytes]:
    try:
        file = open(name, "rb")  # noqa: SIM115 - the caller closes it
    except FileNotFoundError:
        raise InputError(f"{name!r}: no such file; check the path") from None
    except IsADirectoryError:
        raise InputError(f"{name}: is a folder; name a picture in it") from None
    except PermissionError as error:
        if os.path.isdir(name):  # Windows says so of folders
            raise InputError(f"{name}: is a folder; name a picture in it") from None
        raise InputError(f"{name}: reading is not allowed; change the file's permissions") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{name!r}: cannot be opened ({one_line(error)}); check the path") from error
    if file.seekable():
        return file
    with file:
        return io.BytesIO(_read_all(file, name))
