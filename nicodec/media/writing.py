"""From a `Picture` to a picture file."""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import dataclass, field
from typing import IO, Any, cast

import numpy as np
from PIL import Image, PngImagePlugin

from nicodec.errors import OutputError
from nicodec.media.files import name_of_file, write_atomically
from nicodec.media.metadata import descriptive_exif, exif_density
from nicodec.media.picture import EXIF_START, LossyConversionWarning, Picture, Plane, to_pil
from nicodec.media.reading import read_picture
from nicodec.memory import release_freed_memory

LARGE_PIXELS = 2**22
"""Of a larger picture, what is not needed any more goes back to the system before its file is made."""

_XMP_TIFF_TAG = 700
_DPI_FORMATS = ("PNG", "JPEG")  # they have a density of their own beside EXIF


@dataclass(frozen=True)
class _Format:
    """How Pillow writes a format, and what the format can hold."""

    suffixes: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    alpha: bool = True
    metadata: bool = True
    grey_modes: tuple[str, ...] = ("L", "LA")  # those that stay grey, so that a grey profile still fits
    longest_exif: int | None = None
    longest_xmp: int | None = None
    in_order: bool = False  # written from its start to its end


_FORMATS = {
    "PNG": _Format((".png",), in_order=True),
    "JPEG": _Format(
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        {"quality": 95, "subsampling": "4:4:4", "optimize": True},
        alpha=False,
        longest_exif=65533 - 6,
        longest_xmp=65504,
    ),
    "WEBP": _Format((".webp",), {"lossless": True, "exact": True}, grey_modes=()),
    "AVIF": _Format((".avif",), {"quality": 95, "subsampling": "4:4:4"}, grey_modes=("L",)),
    "TIFF": _Format((".tif", ".tiff")),  # uncompressed: Pillow's compressing writer loses EXIF directories
    "JPEG2000": _Format((".jp2", ".j2k"), metadata=False),
    "BMP": _Format((".bmp",), alpha=False, metadata=False, in_order=True),
    "TGA": _Format((".tga",), metadata=False),
    "PPM": _Format((".ppm", ".pgm", ".pnm"), alpha=False, metadata=False, in_order=True),
}
_FORMAT_OF_SUFFIX = {suffix: name for name, form in _FORMATS.items() for suffix in form.suffixes}
PICTURE_SUFFIXES = tuple(_FORMAT_OF_SUFFIX)
"""The suffixes, lower-case with the dot, that `save_picture` knows."""


def save_picture(
    picture: Picture | Image.Image,
    target: str | os.PathLike[str] | IO[bytes],
    *,
    format: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write a picture file with its profile, EXIF and XMP.

    PNG, WebP, TIFF, JPEG 2000, BMP, TGA and PPM are written without loss; JPEG and AVIF at quality 95 with
    full colour resolution. A file is written whole or not at all; `nicodec.media.files` says how.

    Args:
        picture: the picture, or a Pillow image of any mode.
        target: a path, or a file object open for binary writing.
        format: a Pillow format name ("PNG") or a suffix ("png"); None takes it from the path's suffix.
        overwrite: whether an existing file may be replaced.

    Raises:
        OutputExistsError: the file exists and `overwrite` is not set.
        OutputError: the format is unknown or cannot hold this picture, or the target cannot be written.
        InputError: the Pillow image cannot be read.

    Warns:
        LossyConversionWarning: the format cannot hold the alpha plane (it is laid on white) or the metadata.

    """
    path = os.fsdecode(target) if isinstance(target, (str, bytes, os.PathLike)) else None
    name = _format_name(path if path is not None else name_of_file(target), format)
    if not isinstance(picture, Picture):
        picture = read_picture(picture, max_pixels=None)
    data = encode_picture(picture, name)
    if isinstance(target, (str, bytes, os.PathLike)):
        write_atomically(os.fsdecode(target), data, overwrite)
        return
    try:
        target.write(data)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise OutputError(f"the {name} picture cannot be written ({error}); give a file open in mode 'wb'") from error


def encode_picture(picture: Picture, format: str) -> bytes:
    """The bytes of a picture file, as `save_picture` writes them.

    Args:
        picture: the picture; where its caller keeps no reference to it, its pixels go before the file is made.
        format: a Pillow format name ("PNG") or a suffix ("png").

    Raises:
        OutputError: the format is unknown or cannot hold this picture.

    Warns:
        LossyConversionWarning: as `save_picture`.

    """
    name = _format_name(None, format)
    if name == "PPM" and picture.alpha is None:
        for loss in _losses_of_metadata(name, picture.icc, picture.exif, picture.xmp):
            warnings.warn(loss, LossyConversionWarning, stacklevel=2)
        return _ppm(picture.as_uint8())
    image = to_pil(picture)
    del picture
    if image.width * image.height > LARGE_PIXELS:
        release_freed_memory()
    out, losses = _encode(image, name)
    del image
    for loss in losses:
        warnings.warn(loss, LossyConversionWarning, stacklevel=2)
    return out.getvalue()


def _ppm(pixels: Plane) -> bytes:
    """A PPM or PGM file of uint8 (H, W, 3 or 1), as Pillow writes it, without an image between."""
    height, width, channels = pixels.shape
    head = f"P{6 if channels == 3 else 5}\n{width} {height}\n255\n".encode()
    return b"".join((head, np.ascontiguousarray(pixels).data))


class _Growing:
    """A file that is written from its start to its end. Unlike `BytesIO` it moves nothing as it grows."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Append bytes."""
        self._parts.append(bytes(data))
        return len(data)

    def getvalue(self) -> bytes:
        """All that was written."""
        return b"".join(self._parts)


def _format_name(path: object, format: str | None) -> str:
    """Find the format's Pillow name from what the caller said, else from the path's suffix."""
    if format is not None:
        asked = format.lower().lstrip(".")
        name = asked.upper() if asked.upper() in _FORMATS else _FORMAT_OF_SUFFIX.get("." + asked)
        asked = f"format {format!r}"
    else:
        suffix = os.path.splitext(path)[1].lower() if isinstance(path, str) else ""
        name = _FORMAT_OF_SUFFIX.get(suffix)
        asked = f"{path}: suffix {suffix!r}" if suffix else "a picture without a suffix or a format"
    if name is None:
        raise OutputError(f"{asked} cannot be written; use one of .png .jpg .webp .avif .tiff .jp2 .bmp .ppm")
    Image.init()
    if name not in Image.SAVE:
        raise OutputError(f"{name} cannot be written by this build of Pillow; write .png, or install another Pillow")
    return name


def _encode(image: Image.Image, name: str) -> tuple[_Growing | io.BytesIO, list[str]]:
    """Code what `to_pil` gave in a format; give the file and one sentence for each loss."""
    form, losses = _FORMATS[name], []
    icc, exif, xmp = (image.info.get(key) for key in ("icc_profile", "exif", "xmp"))
    exif = exif and exif.removeprefix(EXIF_START)
    if image.mode in ("LA", "RGBA") and not form.alpha:
        losses.append(f"{name} cannot hold transparency: the picture was laid on white; write PNG to keep it")
        image = _on_white(image)
    if not form.metadata:
        losses += _losses_of_metadata(name, icc, exif, xmp)
        icc = exif = xmp = None
    if icc and image.mode in ("L", "LA") and image.mode not in form.grey_modes:
        losses.append(
            f"{name} has no {image.mode} pixels: the grey colour profile was left out; write PNG to keep it"
        )
        icc = None
    if exif and form.longest_exif and len(exif) > form.longest_exif:
        losses.append(f"EXIF of {len(exif)} bytes does not fit in {name} and was left out; write PNG to keep it")
        exif = None
    if xmp and form.longest_xmp and len(xmp) > form.longest_xmp:
        losses.append(f"XMP of {len(xmp)} bytes does not fit in {name} and was left out; write PNG to keep it")
        xmp = None

    image.info.clear()  # so that what is passed below is all that is written
    form_options = dict(form.options)
    if name == "AVIF" and image.mode == "L":
        form_options["subsampling"] = "4:0:0"  # else Pillow stores it as colour
    while True:
        out = _Growing() if form.in_order else io.BytesIO()
        try:
            image.save(cast(IO[bytes], out), name, **form_options, **_metadata_options(name, icc, exif, xmp))
            return out, losses
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            if exif:  # some writers take EXIF apart, and it may be broken: the pixels matter more
                losses.append(f"EXIF cannot be written as {name} ({reason}) and was left out")
                exif = None
                continue
            size = f"{image.width}x{image.height}"
            raise OutputError(f"{size} cannot be written as {name} ({reason}); write PNG instead") from error


def _losses_of_metadata(name: str, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> list[str]:
    """What is said of metadata that a format cannot hold."""
    held = [label for label, part in (("the colour profile", icc), ("EXIF", exif), ("XMP", xmp)) if part]
    return [f"{name} files hold no metadata here: {', '.join(held)} left out; write PNG to keep it"] if held else []


def _metadata_options(name: str, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> dict[str, Any]:
    """Give the metadata the way that Pillow's writer of this format takes it."""
    options: dict[str, Any] = {}
    if icc:
        options["icc_profile"] = icc
    if exif and name in _DPI_FORMATS and (density := exif_density(exif)):
        options["dpi"] = density
    if name == "TIFF":
        tags = Image.Exif()
        if exif:
            tags.load(exif)
            tags = descriptive_exif(tags)
        if xmp:
            tags[_XMP_TIFF_TAG] = xmp
        options["exif"] = tags
        return options
    if exif:
        options["exif"] = EXIF_START + exif
    if xmp and name == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        options["pnginfo"] = text
    elif xmp:
        options["xmp"] = xmp
    return options


def _on_white(image: Image.Image) -> Image.Image:
    opaque = image.convert("L" if image.mode == "LA" else "RGB")
    white = Image.new(opaque.mode, image.size, "white")
    white.paste(opaque, mask=image.getchannel("A"))
    return white
