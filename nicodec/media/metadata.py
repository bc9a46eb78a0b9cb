"""EXIF, XMP and ICC as byte strings: the normal form, the orientation, and whether a profile fits the pixels.

EXIF is patched in place and never written anew, since maker notes hold offsets that would break.
"""

from __future__ import annotations

import re
import struct

import numpy as np
from PIL import ExifTags, Image

ORIENTATION_TAG = 0x0112
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
    order = "<" if exif[:1] == b"I" else ">"
    try:
        (directory,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, directory)
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind = struct.unpack_from(order + "HH", exif, entry)
            layout = {1: "B", 3: "H", 4: "I"}.get(kind)
            if tag == ORIENTATION_TAG and layout:
                layout = order + layout
                return entry + 8, layout, struct.unpack_from(layout, exif, entry + 8)[0]
    except struct.error:  # the directory lies outside: broken EXIF has no orientation
        pass
    return None


def xmp_orientation(xmp: bytes) -> int | None:
    """Read the orientation, 1..8, from an XMP packet; None where there is none."""
    match = _XMP_ORIENTATION.search(xmp)
    return int(match[2]) if match else None


def upright_xmp(xmp: bytes) -> bytes:
    """Set the orientation in an XMP packet to 1, where there is one; every other byte stays."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def turn_upright(plane: np.ndarray, orientation: int) -> np.ndarray:
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
