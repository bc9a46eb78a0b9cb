"""What a file says of its colours, turned into an ICC profile, since that is how a `Picture` says it.

PNG has four ways (the first that is there counts: cICP, iCCP, sRGB, then gAMA with cHRM), AVIF and HEIF have code
points as cICP does, TIFF has tags. Code points are those of ITU-T H.273.
"""

from __future__ import annotations

import struct

from PIL import TiffImagePlugin

from nicodec.errors import InputError
from nicodec.media import jpegxl
from nicodec.media.icc import D65, SRGB, SRGB_CURVE, Curve, Primaries, grey_profile, rgb_profile
from nicodec.media.losses import Losses
from nicodec.media.opening import Opened

_ILLUMINANT_C, _THEATRE = (0.310, 0.316), (0.314, 0.351)
_SMPTE_170M = Primaries(D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_PRIMARIES = {
    1: SRGB,
    4: Primaries(_ILLUMINANT_C, (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: Primaries(D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: _SMPTE_170M,
    7: _SMPTE_170M,
    8: Primaries(_ILLUMINANT_C, (0.681, 0.319), (0.243, 0.692), (0.145, 0.049)),
    9: Primaries(D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: Primaries(_THEATRE, *_P3),
    12: Primaries(D65, *_P3),
    22: Primaries(D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
_VIDEO_CURVE = Curve(1 / 0.45, 1 / 1.09929682680944, 0.09929682680944 / 1.09929682680944, 1 / 4.5, 0.08124285829863)
_SMPTE_240M = Curve(1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4, 0.0913)
_CURVES = {
    1: _VIDEO_CURVE,
    4: Curve(2.2),
    5: Curve(2.8),
    6: _VIDEO_CURVE,
    7: _SMPTE_240M,
    8: Curve(1.0),
    13: SRGB_CURVE,
    14: _VIDEO_CURVE,
    15: _VIDEO_CURVE,
}
_HDR = {16: "PQ", 18: "HLG"}
_UNSPECIFIED = 2
_SRGB_POINTS = (1, 13)
_SRGB_GAMMA, _GAMMA_TOLERANCE, _XY_TOLERANCE = 0.45455, 0.0006, 0.0015
_TIFF_COLOUR_TAGS = (301, 318, 319)  # TransferFunction, WhitePoint, PrimaryChromaticities


def given_profile(opened: Opened, channels: int, icc: bytes | None, losses: Losses) -> bytes | None:
    """Give the profile of an image, built where its file gives its colours in another way.

    Args:
        opened: a loaded image.
        channels: 1 for grey pixels, 3 for RGB.
        icc: the profile that was found, or None.
        losses: is told what cannot be kept.

    Returns:
        A profile, or None for sRGB.

    Raises:
        InputError: the picture is HDR (PQ or HLG).

    """
    image, info, points = opened.image, opened.image.info, None
    if opened.cicp:
        points = opened.cicp[0], opened.cicp[1], opened.cicp[3] == 1
    elif icc is None and image.format == "AVIF":
        points = _avif_points(opened.head)
    elif icc is None and image.format == "HEIF" and (given := info.get("nclx_profile")):
        points = given["color_primaries"], given["transfer_characteristics"], True
    elif icc is not None and image.format == "JXL":
        points = jpegxl.code_points(icc)
    if points is not None:
        return _from_points(*points, channels, opened.name, losses)
    if icc is not None:
        return icc
    if "srgb" not in info and ("gamma" in info or "chromaticity" in info):  # only PNG files have these
        return _from_gamma(info.get("gamma"), info.get("chromaticity"), channels, losses)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and any(tag in image.tag_v2 for tag in _TIFF_COLOUR_TAGS):
        losses.warn("TIFF's own chromaticities or transfer function were dropped: the picture was taken as sRGB.")
    return None


def _avif_points(head: bytes) -> tuple[int, int, bool] | None:
    """Give primaries and transfer of AVIF's box of code points; libavif has seen to the range."""
    start = head.find(b"colrnclx")
    if start < 0 or len(head) < start + 14:
        return None
    primaries, transfer, _ = struct.unpack_from(">HHH", head, start + 8)
    return primaries, transfer, True


def _from_points(primaries: int, transfer: int, full: bool, channels: int, name: str, losses: Losses) -> bytes | None:
    if transfer in _HDR:
        raise InputError(
            f"{name}: an HDR picture ({_HDR[transfer]}), which 8-bit files cannot show; map it to a standard range "
            "first (tone mapping), and give that picture"
        )
    if not full:
        losses.warn("The picture's values are of narrow range (16 to 235), and were taken as 0 to 255.")
    primaries = 1 if primaries == _UNSPECIFIED else primaries
    transfer = 13 if transfer == _UNSPECIFIED else transfer
    if primaries not in _PRIMARIES or transfer not in _CURVES:
        losses.warn(f"Colours of code points {primaries} and {transfer} are not known, and were taken as sRGB.")
        return None
    if (primaries, transfer) == _SRGB_POINTS:
        return None
    words = f"H.273 {primaries}/{transfer}"
    return _build(_PRIMARIES[primaries], _CURVES[transfer], channels, words)


def _from_gamma(gamma: object, chromaticity: object, channels: int, losses: Losses) -> bytes | None:
    """Give the profile of PNG's gAMA (the encoder's exponent) and cHRM; nearly sRGB counts as sRGB."""
    curve, primaries = SRGB_CURVE, SRGB
    if isinstance(gamma, float) and not 0.01 <= gamma <= 10:
        losses.warn(f"A gamma of {gamma:g} makes no sense: the picture was taken as sRGB.")
        gamma = None
    if channels == 3 and isinstance(chromaticity, tuple) and len(chromaticity) == 8:
        given = Primaries(*zip(chromaticity[::2], chromaticity[1::2], strict=True))
        if any(abs(a - b) > _XY_TOLERANCE for a, b in zip(chromaticity, _flat(SRGB), strict=True)):
            primaries = given
    if isinstance(gamma, float) and (primaries is not SRGB or abs(gamma - _SRGB_GAMMA) > _GAMMA_TOLERANCE):
        curve = Curve(1 / gamma)
    if curve is SRGB_CURVE and primaries is SRGB:
        return None
    words = "PNG" + (f" gamma {gamma:g}" if gamma else "") + ("" if primaries is SRGB else " with its own primaries")
    try:
        return _build(primaries, curve, channels, words)
    except ValueError as error:
        losses.warn(f"The chromaticities make no sense ({error}): the picture was taken as sRGB.")
        return None


def _build(primaries: Primaries, curve: Curve, channels: int, words: str) -> bytes:
    return grey_profile(curve, words) if channels == 1 else rgb_profile(primaries, curve, words)


def _flat(primaries: Primaries) -> tuple[float, ...]:
    return (*primaries.white, *primaries.red, *primaries.green, *primaries.blue)
