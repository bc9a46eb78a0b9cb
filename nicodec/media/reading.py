"""From whatever a user has to a `Picture`: files, Pillow images, arrays and tensors."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from nicodec.errors import InputError, LimitError, NicodecError
from nicodec.media import metadata
from nicodec.media.picture import LossyConversionWarning, Picture

DEFAULT_MAX_PIXELS = 178_956_970
"""The largest picture that is read unless the caller says otherwise; Pillow's own limit."""

_FLOAT_TOLERANCE = 1e-3
_HEAD_BYTES = 65536
_ARRAY_FORMS = "uint8 0..255 or float 0..1 of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
_TENSOR_FORMS = "uint8 0..255 or float 0..1 of shape (3, H, W), (1, H, W) or (1, 3, H, W)"


class _Losses:
    """What is lost on the way in; the grave ones are also warned of."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warned: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.notes.append(text)
        self.warned.append(text)


def read_picture(source: Any, *, max_pixels: int | None = DEFAULT_MAX_PIXELS) -> Picture:
    """Read a picture as 8-bit grey or RGB, with alpha and metadata.

    The EXIF orientation is applied. Palettes become RGB; 16-bit, float, CMYK, YCbCr, LAB and HSV pixels
    become 8-bit grey or RGB; of several frames the first is taken. Grey stays grey, RGB stays RGB, and pixels
    under alpha 0 keep their colours. An alpha plane that is opaque throughout is dropped.

    Args:
        source: a path, a binary file object (read from where it stands), the bytes of a picture file, a
            Pillow image (its current frame), a numpy array uint8 0..255 or float 0..1 of shape (H, W),
            (H, W, 1), (H, W, 3) or (H, W, 4), or a torch tensor uint8 0..255 or float 0..1 of shape (C, H, W)
            or (1, C, H, W) with C of 1, 3 or 4. A `Picture` is returned as it is.
        max_pixels: width x height may not be more; None for no limit. Files are checked before their pixels
            are decoded. Pillow's own limit plays no part (while a file is read, `PIL.Image.MAX_IMAGE_PIXELS`
            is set to this one).

    Returns:
        The picture; its arrays are writable and shared with nobody. `notes` says what was lost.

    Raises:
        InputError: the source is no picture, is broken, empty or unreadable, or has another type or range.
        LimitError: the picture has more than `max_pixels` pixels, or does not fit in memory.

    Warns:
        LossyConversionWarning: bit depth, colours or frames were lost; once for each such note.

    """
    losses = _Losses()
    if isinstance(source, Picture):
        _check_pixels("picture", source.width, source.height, max_pixels)
        return source
    if isinstance(source, np.ndarray):
        picture = _from_array(source, "array", _ARRAY_FORMS, max_pixels)
    elif _is_tensor(source):
        picture = _from_tensor(source, max_pixels)
    else:
        with _open(source, max_pixels) as (image, name, head), _decoding_errors(name, max_pixels):
            picture = _from_image(image, name, head, max_pixels, losses)
    for text in losses.warned:
        warnings.warn(text, LossyConversionWarning, stacklevel=2)
    return picture


# --- limits and errors --------------------------------------------------------------------------------------

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


def _check_pixels(name: str, width: int, height: int, max_pixels: int | None) -> None:
    if width <= 0 or height <= 0:
        raise InputError(f"{name}: {width}x{height} pixels are no picture; give at least 1x1")
    if max_pixels is not None and width * height > max_pixels:
        raise LimitError(
            f"{name}: {width}x{height} is {width * height} pixels, more than the limit of {max_pixels}; "
            "raise the limit if you trust the picture, or make it smaller first"
        )


@contextlib.contextmanager
def _decoding_errors(name: str, max_pixels: int | None) -> Iterator[None]:
    """Turn everything that Pillow raises for a bad picture into one line with a remedy."""
    try:
        with pillow_pixel_limit(max_pixels):
            yield
    except NicodecError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name}: not a picture that Pillow can read, or cut short; give a whole PNG, JPEG, WebP, AVIF "
            "or TIFF file, or convert it first (plugins such as pillow-heif add formats once registered)"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LimitError(
            f"{name}: more pixels than the limit of {max_pixels} ({_one_line(error)}); "
            "raise the limit if you trust the picture, or make it smaller first"
        ) from error
    except MemoryError as error:
        raise LimitError(f"{name}: the picture does not fit in memory; make it smaller first") from error
    except Exception as error:
        raise InputError(
            f"{name}: broken or cut short ({_one_line(error)}); fetch or export the picture again"
        ) from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


# --- opening ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _open(source: Any, max_pixels: int | None) -> Iterator[tuple[Image.Image, str, bytes]]:
    """Open an encoded picture; give the Pillow image, a name for messages and the file's first bytes."""
    with contextlib.ExitStack() as stack:
        if isinstance(source, Image.Image):
            yield source, "Pillow image", b""
            return
        if isinstance(source, (bytes, bytearray, memoryview)):
            name, file = "bytes", io.BytesIO(source)
        elif hasattr(source, "read"):
            name, file = _name_of_file(source), io.BytesIO(_read_all(source))
        elif isinstance(source, (str, os.PathLike)):
            name = os.fsdecode(source)
            file = stack.enter_context(_open_path(name))
        else:
            raise InputError(
                f"{type(source).__module__}.{type(source).__name__}: not a picture; give a path, a binary "
                "file, bytes, a Pillow image, a numpy array or a torch tensor"
            )
        with _decoding_errors(name, max_pixels):
            head = file.read(_HEAD_BYTES)
            if not head:
                raise InputError(f"{name}: empty; give a picture file")
            file.seek(0)
            image = stack.enter_context(Image.open(file))
            if image.format == "EPS":  # Pillow would hand the file to Ghostscript, which runs programs
                raise InputError(f"{name}: PostScript is not a picture of pixels; render it to PNG first")
        yield image, name, head


def _name_of_file(file: Any) -> str:
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else "file object"


def _read_all(file: Any) -> bytes:
    try:
        data = file.read()
    except Exception as error:
        reason = _one_line(error)
        raise InputError(f"{_name_of_file(file)}: cannot be read ({reason}); open it in mode 'rb'") from error
    if not isinstance(data, (bytes, bytearray)):
        raise InputError(f"{_name_of_file(file)}: gives {type(data).__name__}, not bytes; open it in mode 'rb'")
    return bytes(data)


def _open_path(name: str) -> BinaryIO:
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
        raise InputError(f"{name!r}: cannot be opened ({_one_line(error)}); check the path") from error
    if file.seekable():
        return file
    with file:
        return io.BytesIO(_read_all(file))


# --- Pillow images ------------------------------------------------------------------------------------------


def _from_image(image: Image.Image, name: str, head: bytes, max_pixels: int | None, losses: _Losses) -> Picture:
    _check_pixels(name, image.width, image.height, max_pixels)
    if getattr(image, "is_animated", False):
        which = "current" if not head else "first"
        losses.warn(f"Of several frames, pages or layers only the {which} one was kept.")
    rawmode = _rawmode(image)  # load() forgets it
    depth = _stored_depth(image, rawmode, head)
    image.load()
    info = image.info

    icc = info.get("icc_profile") or None
    if image.mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        image, icc = _to_rgb(image, icc, losses)
    elif depth > 8 and image.mode in ("L", "LA", "RGB", "RGBA", "RGBa", "RGBX"):
        losses.warn(f"The picture's {depth} bits a channel were reduced to 8.")
    pixels, alpha = _planes(image, rawmode, losses)
    if alpha is not None and alpha.min() == 255:
        alpha = None
    if icc and (misfit := metadata.icc_misfit(icc, pixels.shape[2])):
        losses.note(f"The colour profile was dropped: it {misfit}.")
        icc = None

    exif = _exif(image, info, losses)
    xmp = _xmp(info)
    orientation = 1
    if image.format != "TIFF":  # Pillow turns these itself
        orientation = (metadata.exif_orientation(exif) if exif else None) or (
            (metadata.xmp_orientation(xmp) if xmp else None) or 1
        )
    return Picture(
        pixels=_own(metadata.turn_upright(pixels, orientation)),
        alpha=None if alpha is None else _own(metadata.turn_upright(alpha, orientation)),
        icc=icc,
        exif=metadata.upright_exif(exif) if exif else None,
        xmp=metadata.upright_xmp(xmp) if xmp else None,
        notes=tuple(losses.notes),
    )


def _own(plane: np.ndarray) -> np.ndarray:
    """Make an array contiguous and writable."""
    return np.require(plane, requirements=["C", "W"])


def _rawmode(image: Image.Image) -> str:
    """Give the layout in the file, in Pillow's words ("RGB;16B"), or "" where it is not known."""
    tiles = getattr(image, "tile", None)
    args = tiles[0].args if tiles else ""
    if isinstance(args, tuple):
        args = args[0] if args else ""
    return args if isinstance(args, str) else ""


def _stored_depth(image: Image.Image, rawmode: str, head: bytes) -> int:
    """Give the bits a channel in the file, as far as that can be seen; 8 otherwise."""
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, (8,))
        return max(bits) if isinstance(bits, tuple) else bits
    if image.format == "PPM" and (tiles := getattr(image, "tile", None)):
        args = tiles[0].args
        if isinstance(args, tuple) and len(args) == 2 and isinstance(args[1], int):
            return args[1].bit_length()
    if image.format == "AVIF" and (start := head.find(b"av1C")) >= 0 and len(head) > start + 6:
        flags = head[start + 6]
        return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10
    if image.format == "JPEG2000" and (start := head.find(b"\xff\x4f\xff\x51")) >= 0 and len(head) > start + 42:
        return (head[start + 42] & 0x7F) + 1
    return 16 if ";16" in rawmode else 8


def _planes(image: Image.Image, rawmode: str, losses: _Losses) -> tuple[np.ndarray, np.ndarray | None]:
    """Give pixels uint8 (H, W, 1 or 3) and alpha uint8 (H, W) or None, for any mode but the colour spaces."""
    mode, key = image.mode, image.info.get("transparency")
    if mode in ("P", "PA"):
        image = image.convert("RGBA" if mode == "PA" or image.has_transparency_data else "RGB")
    elif mode in ("La", "RGBa"):
        image = image.convert(mode.upper())
    elif mode == "RGBX":
        image = image.convert("RGB")
    elif mode == "1":
        image = image.convert("L")

    if mode.startswith("I") or mode == "F":
        wide = np.array(image)
        grey = _grey_from_float(wide, losses) if mode == "F" else _grey_from_integers(image, wide, losses)
        alpha = None
        if isinstance(key, int) and mode != "F":
            alpha = np.where(wide == key, 0, 255).astype(np.uint8)
        return grey[:, :, None], alpha

    planes = np.array(image)
    if planes.dtype != np.uint8 or image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise InputError(f"picture of mode {mode}: not supported; convert it to RGB first")
    if image.mode == "L":
        if isinstance(key, int):
            key *= {"L;2": 85, "L;4": 17}.get(rawmode, 1)  # Pillow widens such pixels, and not the key
            return planes[:, :, None], np.where(planes == key, 0, 255).astype(np.uint8)
        return planes[:, :, None], None
    if image.mode == "LA" or rawmode.startswith("LA"):  # 16-bit grey with alpha comes as RGBA
        return planes[:, :, :1], planes[:, :, -1]
    if image.mode == "RGB":
        if isinstance(key, tuple) and len(key) == 3:
            shift = 8 if ";16" in rawmode else 0
            clear = (planes == np.array([part >> shift for part in key])).all(axis=2)
            return planes, np.where(clear, 0, 255).astype(np.uint8)
        return planes, None
    return planes[:, :, :3], planes[:, :, 3]


def _grey_from_integers(image: Image.Image, wide: np.ndarray, losses: _Losses) -> np.ndarray:
    """Scale 16-bit grey, which Pillow gives in mode I;16 or I, to 8 bits with rounding."""
    low, high = int(wide.min()), int(wide.max())
    if low < 0 or high > 65535:
        raise InputError(
            f"picture of 32-bit integers from {low} to {high}: only 0..65535 is understood; scale it first"
        )
    tags = getattr(image, "tag_v2", {})
    depth = tags.get(258, (16,))[0]
    white = 4095 if depth == 12 else 65535
    grey = (np.minimum(wide, white).astype(np.uint32) * 255 + white // 2) // white
    if tags.get(262) == 0 and image.mode != "I":  # TIFF with 0 for white, which Pillow turns for 8 bits only
        grey = 255 - grey
    losses.warn(f"Grey of {12 if white == 4095 else 16} bits was reduced to 8.")
    return grey.astype(np.uint8)


def _grey_from_float(wide: np.ndarray, losses: _Losses) -> np.ndarray:
    """Round float grey to 8 bits; it may be scaled to 0..1 or to 0..255."""
    low, high = float(wide.min()), float(wide.max())
    if not (low >= -_FLOAT_TOLERANCE and high <= 255 * (1 + _FLOAT_TOLERANCE)):
        raise InputError(f"picture of floats from {low:g} to {high:g}: give 0..1 or 0..255, without NaN")
    white = 1 if high <= 1 + _FLOAT_TOLERANCE else 255
    losses.warn(f"Grey floats, taken as 0..{white}, were rounded to 8 bits.")
    return np.rint(np.clip(wide / white, 0, 1) * 255).astype(np.uint8)


def _to_rgb(image: Image.Image, icc: bytes | None, losses: _Losses) -> tuple[Image.Image, bytes | None]:
    """Convert another colour space to RGB; give the RGB image and the profile that it is in."""
    mode = image.mode
    if mode == "CMYK" and icc:
        try:
            from PIL import ImageCms

            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(icc)),
                ImageCms.createProfile("sRGB"),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except Exception as error:  # no littlecms in this Pillow, or a broken profile
            reason = _one_line(error)
            losses.warn(f"CMYK was converted to RGB without its colour profile ({reason}): colours are approximate.")
        else:
            assert converted is not None  # None comes only where the image is changed in place
            losses.warn("CMYK was converted to sRGB through its colour profile.")
            return converted, None
        return image.convert("RGB"), None
    approximate = ": colours are approximate" if mode == "CMYK" else ""
    losses.warn(f"{mode} was converted to RGB{approximate}.")
    return image.convert("RGB"), icc


def _exif(image: Image.Image, info: dict[Any, Any], losses: _Losses) -> bytes | None:
    """Give the image's EXIF as a bare TIFF structure."""
    data = info.get("exif")
    try:
        if image.format == "TIFF":
            kept = metadata.descriptive_exif(image.getexif())
            return metadata.bare_exif(kept.tobytes()) if len(kept) else None
        if not data and (text := info.get("Raw profile type exif")):  # PNG files of older programs
            data = bytes.fromhex("".join(re.split(r"\s+", text.strip())[2:]))
        if isinstance(data, Image.Exif):
            data = data.tobytes()
    except Exception as error:
        losses.note(f"EXIF was dropped: it is broken ({_one_line(error)}).")
        return None
    exif = metadata.bare_exif(data) if data else None
    if data and not exif:
        losses.note("EXIF was dropped: it is broken.")
    return exif


def _xmp(info: dict[Any, Any]) -> bytes | None:
    data = info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
    if isinstance(data, str):
        data = data.encode()
    return data.rstrip(b"\0") or None


# --- arrays and tensors -------------------------------------------------------------------------------------


def _is_tensor(source: Any) -> bool:
    """Whether this is a torch tensor, without importing torch."""
    return hasattr(source, "detach") and any(
        kind.__module__.partition(".")[0] == "torch" for kind in type(source).__mro__
    )


def _from_tensor(tensor: Any, max_pixels: int | None) -> Picture:
    shape = tuple(tensor.shape)
    planes = tensor[0] if len(shape) == 4 and shape[0] == 1 else tensor
    if planes.ndim == 3 and planes.shape[0] in (1, 3, 4):
        planes = planes.permute(1, 2, 0)
    elif planes.ndim != 2:
        raise InputError(f"tensor of shape {shape}: give {_TENSOR_FORMS}")
    try:
        planes = planes.detach()
        if planes.is_floating_point():
            planes = planes.float()  # numpy has no bfloat16
        array = planes.cpu().numpy()
    except Exception as error:
        raise InputError(f"tensor: cannot be read ({_one_line(error)}); give {_TENSOR_FORMS}") from error
    return _from_array(array, "tensor", _TENSOR_FORMS, max_pixels)


def _from_array(array: np.ndarray, name: str, forms: str, max_pixels: int | None) -> Picture:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise InputError(f"{name} of shape {array.shape}: give {forms}")
    _check_pixels(name, array.shape[1], array.shape[0], max_pixels)
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= -_FLOAT_TOLERANCE and high <= 1 + _FLOAT_TOLERANCE):
            raise InputError(
                f"{name} of floats from {low:g} to {high:g}: floats must lie in 0..1, without NaN; "
                "divide by the value of white, or give uint8 0..255"
            )
        planes = np.rint(np.clip(array, 0, 1).astype(np.float32) * 255).astype(np.uint8)
    elif array.dtype == np.uint8:
        planes = array
    else:
        raise InputError(f"{name} of {array.dtype}: the range of white is not known; give {forms}")
    alpha = planes[:, :, 3] if planes.shape[2] == 4 else None
    if alpha is not None and alpha.min() == 255:
        alpha = None
    return Picture(
        pixels=np.array(planes[:, :, :3], order="C"),
        alpha=None if alpha is None else np.array(alpha, order="C"),
    )
