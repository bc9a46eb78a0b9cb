"""What imagecodecs' calls of libjxl leave out: progressive files, and pictures of files that were cut short.

The library is the one that imagecodecs carries, or the system's; it is called by ctypes. Constants and the layout of
structures are those of its headers (`jxl/encode.h`, `jxl/decode.h`, `jxl/codestream_header.h`), version 0.7 to 0.11.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
from pathlib import Path

import numpy as np

from kodak_eval.errors import CodecUnavailableError

_EFFORT, _QPROGRESSIVE_AC, _PROGRESSIVE_DC = 0, 18, 19
_SUCCESS, _MORE = 0, 2
"""What encoder and decoder return; `_MORE`: room for output, or input."""
_IMAGE_WANTED, _BASIC_INFO, _FRAME_PASS, _WHOLE_IMAGE = 5, 0x40, 0x8000, 0x1000
_PASSES = 3
_INFO_WIDTH, _INFO_HEIGHT, _INFO_BITS, _INFO_KEEP_COLOURS = 1, 2, 3, 9
"""Places in JxlBasicInfo, as 32-bit words."""


class _PixelFormat(ctypes.Structure):
    _fields_ = (
        ("channels", ctypes.c_uint32),
        ("type", ctypes.c_int),
        ("endianness", ctypes.c_int),
        ("align", ctypes.c_size_t),
    )


_RGB8 = _PixelFormat(3, 2, 0, 0)
_Words = ctypes.c_uint32 * 256
"""More room than JxlBasicInfo or JxlColorEncoding take."""


@functools.cache
def _library() -> ctypes.CDLL:
    """Return libjxl.

    Raises:
        CodecUnavailableError: it is not found.

    """
    try:
        import imagecodecs

        imagecodecs.jpegxl_version()  # loads what libjxl itself needs
        home = Path(imagecodecs.__file__).parent
        folders = (home.with_name("imagecodecs.libs"), home / ".dylibs")
        found = [str(path) for folder in folders for path in sorted(folder.glob("*jxl[-.]*"))]
    except (ImportError, AttributeError):
        found = []
    for name in (*found, ctypes.util.find_library("jxl")):
        if name is not None:
            try:
                library = ctypes.CDLL(name)
                pointers = (library.JxlEncoderCreate, library.JxlEncoderFrameSettingsCreate, library.JxlDecoderCreate)
            except (OSError, AttributeError):
                continue
            for function in pointers:
                function.restype = ctypes.c_void_p
            return library
    raise CodecUnavailableError("progressive JPEG XL needs libjxl: pip install imagecodecs, whose wheels carry it")


def version() -> str:
    """Return the library's version; CodecUnavailableError where there is none."""
    number = int(_library().JxlEncoderVersion())
    return f"libjxl {number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def encode(pixels: np.ndarray, distance: float, effort: int) -> bytes:
    """Return a bare codestream of (H, W, 3) uint8 sRGB that is progressive as `cjxl -p` makes it."""
    library, pixels = _library(), np.ascontiguousarray(pixels)
    encoder = ctypes.c_void_p(library.JxlEncoderCreate(None))
    try:
        info, colours = _Words(), _Words()
        library.JxlEncoderInitBasicInfo(info)
        info[_INFO_HEIGHT], info[_INFO_WIDTH] = pixels.shape[:2]
        info[_INFO_BITS], info[_INFO_KEEP_COLOURS] = 8, 0
        _must(library.JxlEncoderSetBasicInfo(encoder, info))
        library.JxlColorEncodingSetToSRGB(colours, 0)
        _must(library.JxlEncoderSetColorEncoding(encoder, colours))
        settings = ctypes.c_void_p(library.JxlEncoderFrameSettingsCreate(encoder, None))
        _must(library.JxlEncoderSetFrameDistance(settings, ctypes.c_float(distance)))
        for option, value in ((_EFFORT, effort), (_QPROGRESSIVE_AC, 1), (_PROGRESSIVE_DC, 1)):
            _must(library.JxlEncoderFrameSettingsSetOption(settings, option, ctypes.c_int64(value)))
        place, size = ctypes.c_void_p(pixels.ctypes.data), ctypes.c_size_t(pixels.nbytes)
        _must(library.JxlEncoderAddImageFrame(settings, ctypes.byref(_RGB8), place, size))
        library.JxlEncoderCloseInput(encoder)
        return _output(library, encoder)
    finally:
        library.JxlEncoderDestroy(encoder)


def _output(library: ctypes.CDLL, encoder: ctypes.c_void_p) -> bytes:
    parts, buffer = [], ctypes.create_string_buffer(1 << 20)
    while True:
        place, room = ctypes.c_void_p(ctypes.addressof(buffer)), ctypes.c_size_t(len(buffer))
        status = library.JxlEncoderProcessOutput(encoder, ctypes.byref(place), ctypes.byref(room))
        parts.append(buffer.raw[: len(buffer) - room.value])
        if status != _MORE:
            _must(status)
            return b"".join(parts)


def decode_what_is_there(data: bytes) -> np.ndarray | None:
    """Return (H, W, 3) uint8 of a codestream, whole or cut short; None where there is nothing to see yet.

    Raises:
        RuntimeError: libjxl cannot decode it.

    """
    library = _library()
    decoder = ctypes.c_void_p(library.JxlDecoderCreate(None))
    try:
        _must(library.JxlDecoderSubscribeEvents(decoder, _BASIC_INFO | _FRAME_PASS | _WHOLE_IMAGE))
        library.JxlDecoderSetProgressiveDetail(decoder, _PASSES)
        _must(library.JxlDecoderSetInput(decoder, data, ctypes.c_size_t(len(data))))
        pixels, info = None, _Words()
        while True:
            status = library.JxlDecoderProcessInput(decoder)
            if status == _BASIC_INFO:
                _must(library.JxlDecoderGetBasicInfo(decoder, info))
            elif status == _IMAGE_WANTED:
                pixels = np.zeros((info[_INFO_HEIGHT], info[_INFO_WIDTH], 3), dtype=np.uint8)
                place, size = ctypes.c_void_p(pixels.ctypes.data), ctypes.c_size_t(pixels.nbytes)
                _must(library.JxlDecoderSetImageOutBuffer(decoder, ctypes.byref(_RGB8), place, size))
            elif status == _MORE:
                return pixels if pixels is not None and library.JxlDecoderFlushImage(decoder) == _SUCCESS else None
            elif status == _SUCCESS:
                return pixels
            elif status not in (_FRAME_PASS, _WHOLE_IMAGE):
                raise RuntimeError(f"libjxl cannot decode this (status {status})")
    finally:
        library.JxlDecoderDestroy(decoder)


def _must(status: int) -> None:
    if status != _SUCCESS:
        raise RuntimeError(f"libjxl refuses a call (status {status})")
