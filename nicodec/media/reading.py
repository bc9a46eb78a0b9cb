"""From whatever a user has to a `Picture`."""

from __future__ import annotations

import re
import warnings
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image, ImageFile, PpmImagePlugin, TiffImagePlugin

from nicodec.media import deep, jpegxl, metadata
from nicodec.media.arrays import from_array, from_tensor, is_tensor
from nicodec.media.colour import given_profile
from nicodec.media.gainmap import has_gain_map, xmp_without_gain_map
from nicodec.media.limits import DEFAULT_MAX_PIXELS, check_pixels, decoding_errors, one_line, pillow_pixel_limit
from nicodec.media.losses import Losses
from nicodec.media.modes import DEEP_RAW_MODES, Pixels, pixels_of
from nicodec.media.opening import Opened, open_picture
from nicodec.media.picture import LossyConversionWarning, Picture, Plane

__all__ = ["DEFAULT_MAX_PIXELS", "pillow_pixel_limit", "read_picture"]

_TIFF_BITS = 258

_TURNED = ("TIFF", "HEIF")
"""Pictures of these formats are upright when Pillow or its plugin has loaded them."""


def read_picture(source: Any, *, max_pixels: int | None = DEFAULT_MAX_PIXELS, name: str | None = None) -> Picture:
    """Read a picture as grey or RGB of 8 or 16 bits, with alpha and metadata.

    The EXIF orientation is applied. Palettes become RGB, and so do CMYK, YCbCr, LAB and HSV; of several frames
    the first is taken. Grey stays grey, RGB stays RGB, and pixels under alpha 0 keep their colours. An alpha
    plane that is opaque throughout is dropped.

    Pictures of more than 8 bits a channel, and floats, become 16 bits of 0..65535. Integers (mode I) and floats
    (mode F) that do not say what white is are scaled so that 0 is black and their largest value, which is taken
    as at least 255 or 1, is white; the warning says so. A Pillow image of 16-bit colour that was loaded has 8.

    Colours that a file gives without an ICC profile (PNG's gAMA, cHRM and cICP, AVIF's code points) become one;
    HDR pictures (PQ, HLG) are refused, gain maps dropped. A density (JFIF, pHYs) other than 72 and 96 dpi is
    kept as EXIF's resolution where there is no EXIF.

    Args:
        source: a path, a binary file object (read from where it stands), the bytes of a picture file, a
            Pillow image (its current frame), a numpy array uint8 0..255, uint16 0..65535 or float 0..1 of shape
            (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), or a torch tensor of these types of shape (C, H, W) or
            (1, C, H, W) with C of 1, 3 or 4. A `Picture` is returned as it is.
        max_pixels: width x height may not be more; None for no limit. Files are checked before their pixels
            are decoded. Pillow's own limit plays no part (while a file is read, `PIL.Image.MAX_IMAGE_PIXELS`
            is set to this one).
        name: what messages call the picture; None for its path, or what it is.

    Returns:
        The picture; its arrays are writable and shared with nobody. `notes` says what was lost.

    Raises:
        InputError: the source is no picture, is broken, empty or unreadable, has another type or range, is HDR,
            or is a deep picture that cannot be read rightly.
        LimitError: the picture has more than `max_pixels` pixels, or does not fit in memory.

    Warns:
        LossyConversionWarning: bit depth, colours or frames were lost; once for each such note.

    """
    losses = Losses()
    if isinstance(source, Picture):
        check_pixels(name or "picture", source.width, source.height, max_pixels)
        return source
    if isinstance(source, np.ndarray):
        picture = from_array(source, max_pixels)
    elif is_tensor(source):
        picture = from_tensor(source, max_pixels)
    else:
        with (
            open_picture(source, name, max_pixels, losses) as opened,
            decoding_errors(opened.name, max_pixels),
        ):
            picture = _from_image(opened, max_pixels, losses)
    for text in losses.warned:
        warnings.warn(text, LossyConversionWarning, stacklevel=2)
    return picture


def _from_image(opened: Opened, max_pixels: int | None, losses: Losses) -> Picture:
    image = opened.image
    check_pixels(opened.name, image.width, image.height, max_pixels)
    if _is_animated(image):
        which = "current" if opened.from_user else "first"
        losses.warn(f"Of several frames, pages or layers only the {which} one was kept.")
    pixels = _load(opened, losses)
    alpha = pixels.alpha
    if alpha is not None and alpha.min() == 255:
        alpha = None
    channels = pixels.colour.shape[2]
    icc = pixels.icc
    if icc and (misfit := metadata.icc_misfit(icc, channels)):
        losses.note(f"The colour profile was dropped: it {misfit}.")
        icc = None
    icc = given_profile(opened, channels, icc, losses)

    exif, xmp = _exif(image, image.info, losses), _xmp(image.info)
    if image.format != "TIFF" and (density := metadata.density(image.info)):  # TIFF's is in the EXIF already
        if exif is None:
            exif = metadata.density_exif(*density)
        elif not metadata.has_density(exif):
            losses.note(f"The density ({density[0]:g} x {density[1]:g}) was dropped: the picture's EXIF has none.")
    if has_gain_map(image, opened.head, xmp):
        losses.warn("The gain map was dropped: the picture is kept in its standard range.")
        if xmp and not (xmp := xmp_without_gain_map(xmp)):
            losses.note("XMP was dropped: it describes the gain map.")
    orientation = 1
    if image.format not in _TURNED and (image.format != "JXL" or jpegxl.keeps_exif_orientation(image)):
        orientation = (metadata.exif_orientation(exif) if exif else None) or (
            (metadata.xmp_orientation(xmp) if xmp else None) or 1
        )
    return Picture(
        pixels=_own(metadata.turn_upright(pixels.colour, orientation)),
        alpha=None if alpha is None else _own(metadata.turn_upright(alpha, orientation)),
        icc=icc,
        exif=metadata.upright_exif(exif) if exif else None,
        xmp=metadata.upright_xmp(xmp) if xmp else None,
        notes=tuple(losses.notes),
    )


def _load(opened: Opened, losses: Losses) -> Pixels:
    """Load the image, and give its samples in the depth of its file."""
    image = opened.image
    rawmode = _rawmode(image)  # load() forgets it
    depth = _stored_depth(opened, rawmode)
    deep_file = None
    if deep.is_deep(image, depth) and opened.file is not None and image.tell() == 0:
        deep_file = deep.before_loading(image, depth, opened.read_file())
    elif deep.is_misread(image, depth):
        raise deep.refuse(opened, depth, "Pillow reads them wrongly")
    image.load()
    wide = deep.read_deep(deep_file, opened, losses) if deep_file else None
    return wide or pixels_of(image, rawmode, depth, losses)


def _own(plane: Plane) -> Plane:
    """Make an array contiguous and writable."""
    return np.require(plane, requirements=["C", "W"])


@runtime_checkable
class _Sequence(Protocol):
    """A Pillow image of a format that can have several frames."""

    is_animated: bool


def _is_animated(image: Image.Image) -> bool:
    return isinstance(image, _Sequence) and image.is_animated


def _rawmode(image: Image.Image) -> str:
    """Give the layout in the file, in Pillow's words ("RGB;16B"), or "" where it is not known."""
    args = _decoder_arguments(image)
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def _decoder_arguments(image: Image.Image) -> object:
    return image.tile[0][3] if isinstance(image, ImageFile.ImageFile) and image.tile else ""


def _stored_depth(opened: Opened, rawmode: str) -> int:
    """Give the bits a channel in the file, as far as that can be seen; 8 otherwise."""
    image, head = opened.image, opened.head
    if image.format == "JXL" and (about := jpegxl.read_head(opened.read_file())):
        return about.depth
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(_TIFF_BITS, 8)
        return max(bits) if isinstance(bits, tuple) else int(bits)
    if isinstance(image, PpmImagePlugin.PpmImageFile):
        args = _decoder_arguments(image)
        if isinstance(args, tuple) and len(args) == 2 and isinstance(args[1], int):
            return args[1].bit_length()
    if image.format == "AVIF" and (start := head.find(b"av1C")) >= 0 and len(head) > start + 6:
        flags = head[start + 6]
        return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    if image.format == "JPEG2000" and (start := head.find(b"\xff\x4f\xff\x51")) >= 0:
        return _codestream_depth(head[start:])
    if image.format == "PNG" and len(head) > 24:
        return 16 if head[24] == 16 else 8
    return 16 if rawmode in DEEP_RAW_MODES else 8


def _codestream_depth(head: bytes) -> int:
    """Give the bits of the deepest component of a JPEG 2000 codestream."""
    components = int.from_bytes(head[40:42], "big")
    return max(((depth & 0x7F) + 1 for depth in head[42 : 42 + 3 * components : 3]), default=8)


def _exif(image: Image.Image, info: dict[Any, Any], losses: Losses) -> bytes | None:
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
        losses.note(f"EXIF was dropped: it is broken ({one_line(error)}).")
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
