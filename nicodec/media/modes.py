"""Pillow's modes, each by a rule of its own: pixels that are grey or RGB, alpha, and the profile that they are in.

Raw modes are Pillow's names for the layout in a file. They say what a mode does not: how many bits a channel had,
and whether an image of mode RGBA was grey.

Most modes say what white is. I (32-bit integers) and F (floats) do not, and neither do most files that give them.
There white is the largest value, and at least 255 in I and 1 in F; black is 0. The warning says what was taken.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, TiffImagePlugin

from nicodec.errors import InputError
from nicodec.media.limits import one_line
from nicodec.media.losses import Losses
from nicodec.media.picture import Plane

DEEP_RAW_MODES = frozenset(
    f"{layout};16{order}" for layout in ("LA", "RGB", "RGBX", "RGBA", "RGBa", "CMYK") for order in "BLN"
)
"""Layouts of 16 bits a channel that Pillow reads as 8. Those of grey alone keep their depth."""

GREY_ALPHA_RAW_MODES = frozenset(f"LA;16{order}" for order in "BLN")
"""Layouts of grey and alpha that Pillow reads as RGBA."""

_SHALLOW_GREY = {"L;2": 85, "L;4": 17}
"""Raw modes whose pixels Pillow widens to 8 bits, and not the transparent colour; and by how much."""

_TIFF_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0


@dataclass(frozen=True)
class Pixels:
    """The samples of an image.

    Attributes:
        colour: uint8 or uint16 (H, W, 1) grey or (H, W, 3) RGB.
        alpha: uint8 (H, W), or None.
        icc: the profile that `colour` is in, or None.

    """

    colour: Plane
    alpha: Plane | None = None
    icc: bytes | None = None


def pixels_of(image: Image.Image, rawmode: str, depth: int, losses: Losses) -> Pixels:
    """Give the samples of a loaded image.

    Args:
        image: of any mode that Pillow makes.
        rawmode: the layout in its file, in Pillow's words ("RGB;16B"); "" where it is not known.
        depth: the bits a channel in its file; 8 where it is not known.
        losses: is told what Pillow or the conversion has lost.

    Raises:
        InputError: the mode is not known, or values are below zero, infinite or NaN.

    """
    rule = _RULES.get(image.mode)
    if rule is None:
        raise InputError(f"picture of mode {image.mode}: not supported; convert it to RGB first")
    return rule(image, rawmode, depth, losses)


def _grey(image: Image.Image, rawmode: str, depth: int, losses: Losses) -> Pixels:
    """1 and L: grey, with a transparent value perhaps."""
    icc, key = _icc(image), image.info.get("transparency")
    _tell_of_depth(depth, losses)
    plane = np.array(image.convert("L"))
    alpha = None
    if isinstance(key, int):
        alpha = _opaque_unless(plane == key * _SHALLOW_GREY.get(rawmode, 1))
    return Pixels(plane[:, :, None], alpha, icc)


def _grey_alpha(image: Image.Image, rawmode: str, depth: int, losses: Losses) -> Pixels:
    """LA, and La, which has its grey multiplied by alpha."""
    icc = _icc(image)
    _tell_of_depth(depth, losses)
    planes = np.array(image.convert("LA") if image.mode == "La" else image)
    return Pixels(planes[:, :, :1], planes[:, :, 1], icc)


def _palette(image: Image.Image, rawmode: str, depth: int, losses: Losses) -> Pixels:
    """P and PA."""
    icc = _icc(image)
    if image.mode == "PA" or image.has_transparency_data:
        planes = np.array(image.convert("RGBA"))
        return Pixels(planes[:, :, :3], planes[:, :, 3], icc)
    return Pixels(np.array(image.convert("RGB")), None, icc)


def _rgb(image: Image.Image, rawmode: str, depth: int, losses: Losses) -> Pixels:
    """RGB, with a transparent colour perhaps, and RGBX, whose fourth channel means nothing."""
    icc, key = _icc(image), image.info.get("transparency")
    _tell_of_depth(depth, losses)
    planes = np.array(image.convert("RGB"))
    alpha = None
    if isinstance(key, tuple) and len(key) == 3:
        if depth > 8 or max(key) > 255:
            losses.warn("A transparent colour of 16 bits a channel was dropped, since Pillow keeps 8 of them.")
        else:
            alpha = _opaque_unless((planes == np.array(key)).all(axis=2))
    return Pixels(planes, alpha, icc)


def _rgba(image: Image.Image, rawmode: str, depth: int, losses: Losses) -> Pixels:
    """RGBA, and RGBa, which has its colours multiplied by alpha."""
    icc = _icc(image)
    _tell_of_depth(depth, losses)
    planes = np.array(image.convert("RGBA") if image.mode == "RGBa" else image)
    channels = 1 if rawmode in GREY_ALPHA_RAW_MODES else 3
    return Pixels(planes[:, :, :channels], planes[:, :, 3], icc)


def _colour_space(image: Image.Image, rawmode: str, depth: int, losses: Losses) -> Pixels:
    """YCbCr and HSV, which are other words for RGB, and LAB, which becomes sRGB."""
    losses.warn(f"{image.mode} was converted to RGB.")
    return Pixels(np.array(image.convert("RGB")), None, None if image.mode == "LAB" else _icc(image))


def _cmyk(image: Image.Image, rawmode: str, depth: int, losses: Losses) -> Pixels:
    _tell_of_depth(depth, losses)
    icc = _icc(image)
    if not icc:
        losses.warn("CMYK was converted to RGB: colours are approximate.")
        return Pixels(np.array(image.convert("RGB")))
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
        assert converted is not None  # None comes only where the image is changed in place
    except Exception as error:  # no littlecms in this Pillow, or a broken profile
        reason = one_line(error)
        losses.warn(f"CMYK was converted to RGB without its colour profile ({reason}): colours are approximate.")
        return Pixels(np.array(image.convert("RGB")))
    losses.warn("CMYK was converted to sRGB through its colour profile.")
    return Pixels(np.array(converted))


def _grey16(image: Image.Image, rawmode: str, depth: int, losses: Losses) -> Pixels:
    """I;16 in every byte order: white is 65535, unless the file says that it had fewer bits."""
    stored = np.array(image)
    wide = stored.astype(np.uint16)
    if image.format == "TIFF" and depth == 12:
        wide = widen(np.minimum(wide, 4095), 12)
    elif image.format == "JPEG2000" and 8 < depth < 16:
        wide = widen(wide >> (16 - depth), depth)  # Pillow has moved the bits up
    if _tiff_tag(image, _TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO:  # Pillow turns such for 8 bits only
        wide = 65535 - wide
    tell_of_kept_depth(depth if 8 < depth < 16 else 16, losses)
    return Pixels(wide[:, :, None], _opaque_unless_key(image, stored), _icc(image))


def _integers(image: Image.Image, rawmode: str, depth: int, losses: Losses) -> Pixels:
    """I: the module's text says what white is."""
    wide = np.array(image)
    low, high = int(wide.min()), int(wide.max())
    if low < 0:
        raise InputError(f"picture of integers from {low} to {high}: none may be below 0; scale it first")
    if image.format == "PPM" and high <= 65535:  # Pillow has scaled these
        white = 65535
        tell_of_kept_depth(depth if depth > 8 else 16, losses)
    else:
        white = max(255, high)
        losses.warn(
            f"Integers do not say what white is: {white} was taken; to choose it yourself, scale the picture to "
            "16 bits of 0..65535. Files decode to 8 bits."
        )
    scaled = np.rint(wide * (65535 / white)).astype(np.uint16)
    return Pixels(scaled[:, :, None], _opaque_unless_key(image, wide), _icc(image))


def _floats(image: Image.Image, rawmode: str, depth: int, losses: Losses) -> Pixels:
    """F: the module's text says what white is."""
    wide = np.array(image)
    low, high = float(wide.min()), float(wide.max())
    if not (low >= -1e-3 and high < np.inf):
        raise InputError(f"picture of floats from {low:g} to {high:g}: scale it to 0..1, without NaN or infinity")
    white = max(1.0, high)
    losses.warn(
        f"Floats do not say what white is: they were taken as 0..{white:g}; to choose it yourself, scale the picture "
        "to 0..1. Files decode to 8 bits."
    )
    scaled = np.rint(np.clip(wide.astype(np.float64) / white, 0, 1) * 65535).astype(np.uint16)
    return Pixels(scaled[:, :, None], None, _icc(image))


_Rule = Callable[[Image.Image, str, int, Losses], Pixels]
_RULES: dict[str, _Rule] = {
    "1": _grey,
    "L": _grey,
    "LA": _grey_alpha,
    "La": _grey_alpha,
    "P": _palette,
    "PA": _palette,
    "RGB": _rgb,
    "RGBX": _rgb,
    "RGBA": _rgba,
    "RGBa": _rgba,
    "CMYK": _cmyk,
    "YCbCr": _colour_space,
    "HSV": _colour_space,
    "LAB": _colour_space,
    "I": _integers,
    "I;16": _grey16,
    "I;16L": _grey16,
    "I;16B": _grey16,
    "I;16N": _grey16,
    "F": _floats,
}
MODES = tuple(_RULES)
"""The modes that are understood."""


def widen(plane: Plane, depth: int) -> Plane:
    """Scale values of 0..2^depth - 1 (depth 1 to 16) to uint16 0..65535, rounded."""
    white = (1 << depth) - 1
    return ((plane.astype(np.uint32) * 65535 + white // 2) // white).astype(np.uint16)


def tell_of_kept_depth(depth: int, losses: Losses) -> None:
    """Say what is still lost of a picture whose every bit was read."""
    losses.warn(f"The picture's {depth} bits a channel are compressed in full; .nic files decode to 8 bits.")


def _tell_of_depth(depth: int, losses: Losses) -> None:
    if depth > 8:
        losses.warn(f"The picture's {depth} bits a channel were reduced to 8.")


def _icc(image: Image.Image) -> bytes | None:
    return image.info.get("icc_profile") or None


def _opaque_unless(clear: Plane) -> Plane:
    return np.where(clear, 0, 255).astype(np.uint8)


def _opaque_unless_key(image: Image.Image, plane: Plane) -> Plane | None:
    key = image.info.get("transparency")
    return _opaque_unless(plane == key) if isinstance(key, int) else None


def _tiff_tag(image: Image.Image, tag: int) -> object:
    return image.tag_v2.get(tag) if isinstance(image, TiffImagePlugin.TiffImageFile) else None
