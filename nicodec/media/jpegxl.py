"""What the head of a JPEG XL file says, and its profile: the Pillow plugin tells too little of both.

The plugin decodes a picture while it opens it. So its size is read here first, and checked against the limit.
The layout is that of ISO/IEC 18181-1 (SizeHeader, ImageMetadata) and 18181-2 (boxes).
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

_CODESTREAM, _BOXES = b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n"
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIZE = ((9, 1), (13, 1), (18, 1), (30, 1))
_PREVIEW_BY_8 = ((0, 16), (0, 32), (5, 1), (9, 33))
_PREVIEW = ((6, 1), (8, 65), (10, 321), (12, 1345))
_WHOLE_BITS = ((0, 8), (0, 10), (0, 12), (6, 1))
_FLOAT_BITS = ((0, 32), (0, 16), (0, 24), (6, 1))
_TICKS = (
    ((0, 100), (0, 1000), (10, 1), (30, 1)),
    ((0, 1), (0, 1001), (8, 1), (10, 1)),
    ((0, 0), (3, 0), (16, 0), (32, 0)),
)


@dataclass(frozen=True)
class Head:
    """What a codestream says first.

    Attributes:
        width, height: in pixels, before the picture is turned upright.
        depth: bits a channel.
        animated: whether there are several frames.

    """

    width: int
    height: int
    depth: int
    animated: bool


def is_jpegxl(head: bytes) -> bool:
    """Whether these are the first bytes of a JPEG XL file."""
    return head.startswith((_CODESTREAM, _BOXES))


def read_head(data: bytes) -> Head | None:
    """Read the head of a whole JPEG XL file; None where there is none."""
    stream = data if data.startswith(_CODESTREAM) else _codestream(data)
    if stream is None:
        return None
    bits = _Bits(stream[2 : 2 + 64])
    width, height = _size(bits)
    if bits.take(1):  # all by default
        return Head(width, height, 8, False)
    animated = False
    if bits.take(1):  # extra fields
        bits.take(3)  # orientation
        if bits.take(1):
            _size(bits)  # intrinsic
        if bits.take(1):
            _preview(bits)
        if animated := bool(bits.take(1)):
            for choices in _TICKS:
                bits.choose(choices)
            bits.take(1)
    depth = bits.choose(_FLOAT_BITS) if bits.take(1) else bits.choose(_WHOLE_BITS)
    return Head(width, height, depth, animated)


def keeps_exif_orientation(image: Image.Image) -> bool:
    """Whether the orientation in the EXIF of an image of the plugin has still to be applied.

    JPEG XL's own is applied by its decoder, and EXIF's repeats it. Where the file is a JPEG in another form, the
    plugin gives that JPEG.
    """
    from pillow_jxl.JpegXLImagePlugin import JXLImageFile

    return isinstance(image, JXLImageFile) and bool(image.jpeg)


def code_points(icc: bytes) -> tuple[int, int, bool] | None:
    """Primaries, transfer and full range (H.273) of a profile that libjxl made of them; None for another profile."""
    if icc[4:8] != b"jxl ":
        return None
    for place in range(132, 132 + 12 * int.from_bytes(icc[128:132], "big"), 12):
        if icc[place : place + 4] == b"cicp":
            start = int.from_bytes(icc[place + 4 : place + 8], "big") + 8
            points = icc[start : start + 4]
            return (points[0], points[1], bool(points[3])) if len(points) == 4 else None
    return (1, 13, True) if "Gra_D65_Rel_SRG".encode("utf-16-be") in icc else None


def _codestream(data: bytes) -> bytes | None:
    """Find the (start of the) codestream among a file's boxes."""
    place = 0
    while place + 8 <= len(data):
        size, kind, head = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[place + 8 : place + 16], "big"), 16
        if kind in (b"jxlc", b"jxlp"):
            start = place + head + (4 if kind == b"jxlp" else 0)
            return data[start : start + 66]
        if size < head:
            return None  # it goes to the end of the file, or is broken
        place += size
    return None


class _Bits:
    """Bits of the lowest first; zeros after the end."""

    def __init__(self, data: bytes) -> None:
        self._left = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        value = self._left & ((1 << count) - 1)
        self._left >>= count
        return value

    def choose(self, choices: tuple[tuple[int, int], ...]) -> int:
        """A number in one of four forms: so many bits, and what is added to them."""
        count, offset = choices[self.take(2)]
        return self.take(count) + offset


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)
    height = 8 * (bits.take(5) + 1) if small else bits.choose(_SIZE)
    ratio = bits.take(3)
    if ratio:
        over, under = _RATIOS[ratio - 1]
        return height * over // under, height
    return (8 * (bits.take(5) + 1) if small else bits.choose(_SIZE)), height


def _preview(bits: _Bits) -> None:
    by_8 = bits.take(1)
    bits.choose(_PREVIEW_BY_8 if by_8 else _PREVIEW)
    if not bits.take(3):
        bits.choose(_PREVIEW_BY_8 if by_8 else _PREVIEW)
