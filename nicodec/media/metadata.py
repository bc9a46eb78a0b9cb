"""EXIF, XMP and ICC as byte strings: the normal form, the orientation, and whether a profile fits the pixels.

EXIF is patched in place and never written anew, since maker notes hold offsets that would break.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from PIL import ExifTags, Image

from nicodec.media.picture import Plane

ORIENTATION_TAG = 0x0112
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
# Tags of a TIFF file that describe the photograph; the others describe how its pixels are stored.
_DESCRIPTIVE_TAGS = {
    0x010E,  # ImageDescription
    0x010F,  # Make
    0x0110,  # Model
    0x011A,  # XResolution
    0x011B,  # YResolution
    0x0128,  # ResolutionUnit
    0x0131,  # Software
    0x0132,  # DateTime
    0x013B,  # Artist
    0x013C,  # HostComputer
    0x4746,  # Rating
    0x4749,  # RatingPercent
    0x8298,  # Copyright
    0x9C9B,  # XPTitle
    0x9C9C,  # XPComment
    0x9C9D,  # XPAuthor
    0x9C9E,  # XPKeywords
    0x9C9F,  # XPSubject
}
_DESCRIPTIVE_IFDS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation\s*(?:=\s*["']|>)\s*)([1-8])""")


def bare_exif(data: bytes) -> bytes | None:
    r"""Give EXIF in its normal form.

    Args:
        data: EXIF bytes, with or without the "Exif\0\0" that JPEG files put before them.

    Returns:
        The TIFF structure alone, or None where `data` is not one.

    """
    data = re.sub(rb"^(Exif\0\0)+", b"", data)
    return data if data[:4] in (b"II*\0", b"MM\0*") and len(data) > 8 else None


def exif_orientation(exif: bytes) -> int | None:
    """Read the orientation, 1..8, from bare EXIF; None where there is none or it cannot be read."""
    found = _find_orientation(exif)
    return found[2] if found and 1 <= found[2] <= 8 else None


def upright_exif(exif: bytes) -> bytes:
    """Set the orientation in bare EXIF to 1, where there is one; every other byte stays."""
    found = _find_orientation(exif)
    if found is None:
        return exif
    offset, layout, _ = found
    patched = bytearray(exif)
    struct.pack_into(layout, patched, offset, 1)
    return bytes(patched)


def _find_orientation(exif: bytes) -> tuple[int, str, int] | None:
    """Find the main directory's orientation: its offset, its struct layout and its value."""
    order = _order(exif)
    for tag, kind, place in _entries(exif):
        layout = {1: "B", 3: "H", 4: "I"}.get(kind)
        if tag == ORIENTATION_TAG and layout:
            layout = order + layout
            return place, layout, struct.unpack_from(layout, exif, place)[0]
    return None


def _order(exif: bytes) -> str:
    return "<" if exif[:1] == b"I" else ">"


def _entries(exif: bytes) -> Iterator[tuple[int, int, int]]:
    """Give tag, type and the place of the value of each entry of the main directory, as far as it is there."""
    order = _order(exif)
    try:
        (directory,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, directory)
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, _, _ = struct.unpack_from(order + "HHII", exif, entry)
            yield tag, kind, entry + 8
    except struct.error:  # the directory lies outside: the EXIF is broken
        return


def density(info: Mapping[Any, Any]) -> tuple[float, float, int] | None:
    """Give the density that Pillow found in a file.

    Args:
        info: the image's.

    Returns:
        Across, down and EXIF's unit (2: dots an inch; 1: none, so that only the pixels' shape is meant); None
        where there is none, or only one that programs write for none: 72 or 96 dpi, or square pixels.

    """
    for name, unit in (("dpi", 2), ("aspect", 1), ("jfif_density", 1)):
        if name == "jfif_density" and info.get("jfif_unit") != 0:
            continue
        found = info.get(name)
        if not isinstance(found, tuple) or len(found) != 2:
            continue
        try:
            x, y = float(found[0]), float(found[1])
        except (TypeError, ValueError, ZeroDivisionError):
            continue
        if not (0 < x < 1e6 and 0 < y < 1e6):
            continue
        neutral = x == y if unit == 1 else round(x) == round(y) and round(x) in (72, 96)
        return None if neutral else (x, y, unit)
    return None


def density_exif(across: float, down: float, unit: int) -> bytes:
    """Build bare EXIF of 66 bytes that gives a density and nothing else; see `density`."""
    entries = struct.pack("<HHII", _X_RESOLUTION, 5, 1, 50) + struct.pack("<HHII", _Y_RESOLUTION, 5, 1, 58)
    entries += struct.pack("<HHIHH", _RESOLUTION_UNIT, 3, 1, unit, 0)
    values = struct.pack("<4I", round(across * 1000), 1000, round(down * 1000), 1000)
    return b"II*\0" + struct.pack("<IH", 8, 3) + entries + struct.pack("<I", 0) + values


def exif_density(exif: bytes) -> tuple[float, float] | None:
    """Read a density in dots an inch from bare EXIF; None where there is none or another unit."""
    order, found = _order(exif), dict[int, float]()
    try:
        for tag, kind, place in _entries(exif):
            if tag in (_X_RESOLUTION, _Y_RESOLUTION) and kind == 5:
                numerator, denominator = struct.unpack_from(
                    order + "II", exif, struct.unpack_from(order + "I", exif, place)[0]
                )
                found[tag] = numerator / denominator
            elif tag == _RESOLUTION_UNIT and kind == 3:
                found[tag] = struct.unpack_from(order + "H", exif, place)[0]
    except (struct.error, ZeroDivisionError):
        return None
    scale = {2: 1.0, 3: 2.54}.get(int(found.get(_RESOLUTION_UNIT, 2)))
    if scale is None or _X_RESOLUTION not in found or _Y_RESOLUTION not in found:
        return None
    across, down = found[_X_RESOLUTION] * scale, found[_Y_RESOLUTION] * scale
    return (across, down) if across > 0 and down > 0 else None


def has_density(exif: bytes) -> bool:
    """Whether bare EXIF gives a density, in any unit."""
    return any(tag == _X_RESOLUTION for tag, _, _ in _entries(exif))


def xmp_orientation(xmp: bytes) -> int | None:
    """Read the orientation, 1..8, from an XMP packet; None where there is none."""
    match = _XMP_ORIENTATION.search(xmp)
    return int(match[2]) if match else None


def upright_xmp(xmp: bytes) -> bytes:
    """Set the orientation in an XMP packet to 1, where there is one; every other byte stays."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def turn_upright(plane: Plane, orientation: int) -> Plane:
    """Turn an array (H, W) or (H, W, C) of the given EXIF orientation, 1..8, so that its top is up."""
    if orientation in (5, 6, 7, 8):
        plane = plane.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        plane = plane[:, ::-1]
    if orientation in (3, 4, 7, 8):
        plane = plane[::-1]
    return plane


def descriptive_exif(exif: Image.Exif) -> Image.Exif:
    """Copy what describes the photograph, without the orientation or how a TIFF stores its pixels."""
    kept = Image.Exif()
    for tag in _DESCRIPTIVE_TAGS:
        if tag in exif:
            kept[tag] = exif[tag]
    for ifd in _DESCRIPTIVE_IFDS:
        content = dict(exif.get_ifd(ifd))
        content.pop(ExifTags.IFD.Interop, None)  # an offset into the old structure
        if content:
            kept.get_ifd(ifd).update(content)  # Pillow's TIFF writer looks there,
            kept[ifd] = content  # but only for tags that it finds here
    return kept


def icc_misfit(icc: bytes, channels: int) -> str | None:
    """Say why a colour profile cannot describe these pixels.

    Args:
        icc: the profile.
        channels: 1 for grey pixels, 3 for RGB pixels.

    Returns:
        A phrase for "the profile was dropped: it ...", or None where the profile fits.

    """
    if len(icc) < 132 or icc[36:40] != b"acsp":
        return "is broken"
    space = icc[16:20].decode("latin-1").strip()
    kept = "GRAY" if channels == 1 else "RGB"
    return None if space == kept else f"is for {space} pixels and the picture is kept as {kept}"
