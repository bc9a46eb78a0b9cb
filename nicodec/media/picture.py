"""The picture that every room exchanges: 8-bit pixels, alpha and metadata."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from nicodec.errors import InputError


class LossyConversionWarning(UserWarning):
    """Something of the picture could not be kept: bit depth, colour space, further frames, or alpha."""


@dataclass(frozen=True, eq=False)
class Picture:
    r"""An 8-bit picture with what belongs to it.

    Attributes:
        pixels: uint8, (H, W, 3) RGB or (H, W, 1) grey, 0..255, rows from the top, upright.
        alpha: uint8 (H, W), 0 transparent to 255 opaque, not premultiplied; None where all is opaque.
        icc: the colour profile that `pixels` are in (RGB or GRAY, as they are); None means sRGB.
        exif: EXIF as a bare TIFF structure (starting "II" or "MM", without "Exif\0\0"), upright.
        xmp: the XMP packet in UTF-8.
        notes: what was lost on the way in, one sentence each.

    Raises:
        InputError: the arrays do not have these types and shapes.

    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        pixels, alpha = self.pixels, self.alpha
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or pixels.size == 0:
            raise InputError(f"picture: pixels are {pixels.dtype} {pixels.shape}; give uint8 (H, W, 3) or (H, W, 1)")
        if alpha is not None and (alpha.dtype != np.uint8 or alpha.shape != pixels.shape[:2]):
            raise InputError(f"picture: alpha is {alpha.dtype} {alpha.shape}; give uint8 {pixels.shape[:2]}")

    @property
    def width(self) -> int:
        """Columns, in pixels."""
        return self.pixels.shape[1]

    @property
    def height(self) -> int:
        """Rows, in pixels."""
        return self.pixels.shape[0]

    @property
    def is_grey(self) -> bool:
        """Whether `pixels` has one channel."""
        return self.pixels.shape[2] == 1


def to_pil(picture: Picture) -> Image.Image:
    r"""Give the picture as a Pillow image.

    Args:
        picture: the picture.

    Returns:
        An image of mode L, LA, RGB or RGBA that shares no memory with the picture; `info` holds
        `icc_profile`, `exif` (with the "Exif\0\0" that Pillow's writers expect) and `xmp`, where the picture
        has them.

    """
    planes = picture.pixels
    if picture.alpha is not None:
        planes = np.dstack([planes, picture.alpha])
    image = Image.fromarray(planes[:, :, 0] if planes.shape[2] == 1 else planes)
    if picture.icc:
        image.info["icc_profile"] = picture.icc
    if picture.exif:
        image.info["exif"] = b"Exif\0\0" + picture.exif
    if picture.xmp:
        image.info["xmp"] = picture.xmp
    return image
