"""Gain maps: a second picture in the file that makes an HDR picture of the first.

They are dropped, with what XMP says of them: a picture that claims a gain map which it has not misleads its readers.
"""

from __future__ import annotations

import re

from PIL import Image, JpegImagePlugin

_NAMESPACE = rb"http://ns\.adobe\.com/hdr-gain-map/1\.0/"
_CONTAINER = rb"http://ns\.google\.com/photos/1\.0/container/"
_ISO_21496 = b"urn:iso:std:iso:ts:21496:-1"
_AVIF_BRAND = b"tmap"


def has_gain_map(image: Image.Image, head: bytes, xmp: bytes | None) -> bool:
    """Whether an image came with a gain map.

    Args:
        image: opened by Pillow.
        head: the file's first bytes; empty where there is no file.
        xmp: its XMP packet.

    """
    if xmp and re.search(_NAMESPACE, xmp):
        return True
    if image.format == "HEIF" and any("gainmap" in kind.lower() for kind in image.info.get("aux", ())):
        return True
    if image.format in ("AVIF", "HEIF"):
        return _AVIF_BRAND in head[8 : int.from_bytes(head[:4], "big")]
    applications = image.applist if isinstance(image, JpegImagePlugin.JpegImageFile) else []
    return any(content.startswith(_ISO_21496) for _, content in applications)


def xmp_without_gain_map(xmp: bytes) -> bytes | None:
    """Remove from an XMP packet what describes a gain map and the pictures in the file; None where that fails."""
    for namespace, emptied in ((_NAMESPACE, rb"[\w.-]+"), (_CONTAINER, rb"Directory")):
        found = re.search(rb"""xmlns:([\w.-]+)\s*=\s*["']%s["']""" % namespace, xmp)
        if not found:
            continue
        prefix = re.escape(found[1])
        name = prefix + b":" + emptied
        xmp = re.sub(rb"<(%s)(?:\s[^<>]*)?/>" % name, b"", xmp)
        xmp = re.sub(rb"<(%s)(?:\s[^<>]*)?>.*?</\1\s*>" % name, b"", xmp, flags=re.DOTALL)
        xmp = re.sub(rb"""\s+%s\s*=\s*(?:"[^"]*"|'[^']*')""" % name, b"", xmp)
        if re.search(rb"[<\s/]%s:" % prefix, xmp):
            return None
        xmp = re.sub(rb"""\s+xmlns:%s\s*=\s*(?:"[^"]*"|'[^']*')""" % prefix, b"", xmp)
    return xmp
