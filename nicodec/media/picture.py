"""The picture that every room exchanges: pixels of 8 or 16 bits, alpha and metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from nicodec.errors import InputError

Plane = np.ndarray[Any, np.dtype[Any]]
"""An array of samples; where it matters, the text beside it gives type and shape."""

EXIF_START = b"Exif\0\0"
"""What Pillow expects before EXIF."""


class LossyConversionWarning(UserWarning):
    """Something of the picture could not be kept: bit depth, colour space, further frames, or alpha."""


@dataclass(frozen=True, eq=False)
class Picture:
    r"""A picture with what belongs to it.

    Attributes:
        pixels: uint8 0..255 or uint16 0..65535, (H, W, 3) RGB or (H, W, 1) grey, rows from the top, upright.
            uint16 is what deeper sources give; the largest value is white in both.
        alpha: uint8 (H, W), 0 transparent to 255 opaque, not premultiplied; None where all is opaque.
        icc: the colour profile that `pixels` are in (RGB or GRAY, as they are); None means sRGB.
        exif: EXIF as a bare TIFF structure (starting "II" or "MM", without "Exif\0\0"), upright.
        xmp: the XMP packet in UTF-8.
        notes: what was lost on the way in, one sentence each.

    Raises:
        InputError: the arrays do not have these types and shapes.

    """

    pixels: Plane
    alpha: Plane | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        pixels, alpha = self.pixels, self.alpha
        known = pixels.dtype in (np.uint8, np.uint16)
        if not known or pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or pixels.size == 0:
            raise InputError(
                f"picture: pixels are {pixels.dtype} {pixels.shape}; give uint8 or uint16 (H, W, 3) or (H, W, 1)"
            )
        if alpha is not None and (alpha.dtype != np.uint8 or alpha.shape != pixels.shape[:2]):
            raise InputError(f"picture: alpha is {alpha.dtype} {alpha.shape}; give uint8 {pixels.shape[:2]}")

    @property
    def width(self) -> int:
        """Columns, in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Rows, in pixels."""
        return int(self.pixels.shape[0])

    @property
    def is_grey(self) -> bool:
        """Whether `pixels` has one channel."""
        return int(self.pixels.shape[2]) == 1

    def as_uint8(self) -> Plane:
        """Give the pixels as uint8 of the same shape, rounded; 8-bit pixels are given as they are, not copied."""
        return to_eight_bits(self.pixels)


def to_eight_bits(plane: Plane) -> Plane:
    """Round uint16 0..65535 to uint8 0..255; uint8 is given as it is."""
    if plane.dtype == np.uint8:
        return plane
    return ((plane.astype(np.uint32) + 128) // 257).astype(np.uint8)


def to_pil(picture: Picture) -> Image.Image:
    r"""Give the picture as a Pillow image, which has 8 bits a channel.

    Args:
        picture: the picture.

    Returns:
        An image of mode L, LA, RGB or RGBA that shares no memory with the picture; `info` holds
        `icc_profile`, `exif` (with the "Exif\0\0" that Pillow's writers expect) and `xmp`, where the picture
        has them.

    """
    planes = picture.as_uint8()
    if picture.alpha is not None:
        planes = np.dstack([planes, picture.alpha])
    image = Image.fromarray(planes[:, :, 0] if planes.shape[2] == 1 else planes)
    if picture.icc:
        image.info["icc_profile"] = picture.icc
    if picture.exif:
        image.info["exif"] = EXIF_START + picture.exif
    if picture.xmp:
        image.info["xmp"] = picture.xmp
    return image
