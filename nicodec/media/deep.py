"""Pictures of more than 8 bits a channel in colour, which Pillow reads as 8 bits, and some of them wrongly.

FFmpeg reads them in full. Where Pillow reads the upper bits rightly, the two are compared, and a file on which they
differ is left to Pillow. Where Pillow does not (JPEG 2000; TIFF of separate planes), FFmpeg's reading is all there
is, and a file that it cannot read is refused.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, TiffImagePlugin

from nicodec.errors import InputError
from nicodec.media import metadata
from nicodec.media.limits import one_line
from nicodec.media.losses import Losses
from nicodec.media.modes import Pixels, tell_of_kept_depth, widen
from nicodec.media.opening import Opened
from nicodec.media.picture import Plane, to_eight_bits

if TYPE_CHECKING:
    from av.video.plane import VideoPlane

_DEMUXERS = {"PNG": "png_pipe", "TIFF": "tiff_pipe", "JPEG2000": "j2k_pipe", "PPM": "ppm_pipe"}
_MODES = ("L", "LA", "RGB", "RGBX", "RGBA")
_TIFF_FILL_ORDER, _TIFF_ORIENTATION, _TIFF_PLANES, _TIFF_TILE_WIDTH, _TIFF_EXTRA = 266, 274, 284, 322, 338
_SEPARATE_PLANES, _LOWEST_BIT_FIRST, _PREMULTIPLIED = 2, 2, (1,)

# FFmpeg's pixel formats: the channels of a packed one; the places of R, G, B and A among the planes of others.
_PACKED = {"gray16": 1, "ya16": 2, "rgb48": 3, "rgba64": 4}
_PLANAR = {"gbrp16": (2, 0, 1), "gbrap16": (2, 0, 1, 3)}


@dataclass(frozen=True)
class DeepFile:
    """What has to be known of a deep file before Pillow loads it, since it forgets some of it then.

    Attributes:
        data: the file.
        format: Pillow's name of its format.
        depth: bits a channel, 9 to 16.
        orientation: 1 to 8, where Pillow turns the picture while it loads it.
        trusted: whether Pillow reads the upper 8 bits rightly.

    """

    data: bytes
    format: str
    depth: int
    orientation: int
    trusted: bool


def is_deep(image: Image.Image, depth: int) -> bool:
    """Whether an image is of the kind that this file is for."""
    known = 8 < depth <= 16 and image.format in _DEMUXERS and image.mode in _MODES
    return known and not (isinstance(image, TiffImagePlugin.TiffImageFile) and _is_odd(image))


def is_misread(image: Image.Image, depth: int) -> bool:
    """Whether Pillow reads even the upper 8 bits of this image wrongly, as far as that can be seen."""
    if depth <= 8 or image.mode not in (*_MODES, "CMYK", "RGBa"):
        return False
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return image.tag_v2.get(_TIFF_PLANES) == _SEPARATE_PLANES
    return image.format == "JPEG2000"


def refuse(opened: Opened, depth: int, reason: str) -> InputError:
    """Give the error for an image that neither Pillow nor FFmpeg reads rightly."""
    remedy = "convert it to PNG of 16 bits first, and give that file"
    if opened.from_user and opened.file is None:
        remedy = "give the file's path instead of the loaded image"
    return InputError(f"{opened.name}: {opened.image.format} of {depth} bits a channel ({reason}); {remedy}")


def before_loading(image: Image.Image, depth: int, data: bytes) -> DeepFile:
    """Note what is needed of an image that `is_deep` and is not loaded yet; `data` is its file."""
    orientation = 1
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        orientation = image.tag_v2.get(_TIFF_ORIENTATION, 1)
    assert image.format is not None
    return DeepFile(data, image.format, depth, orientation, not is_misread(image, depth))


def read_deep(file: DeepFile, opened: Opened, losses: Losses) -> Pixels | None:
    """Read a file in full depth.

    Args:
        file: what `before_loading` noted.
        opened: the same picture, loaded by Pillow.
        losses: is told what is still lost.

    Returns:
        The samples, or None where Pillow's 8 bits must do.

    Raises:
        InputError: Pillow reads such files wrongly, and FFmpeg does not read this one.

    """
    image = opened.image
    try:
        planes = _with_ffmpeg(file.data, _DEMUXERS[file.format])
    except _NotRead as error:
        if file.trusted:
            return None
        raise refuse(opened, file.depth, f"FFmpeg: {error}") from error
    if file.orientation in range(2, 9):
        planes = metadata.turn_upright(planes, file.orientation)
    if planes.shape[:2] != (image.height, image.width):
        if file.trusted:
            return None
        raise refuse(opened, file.depth, "its size is not clear")
    if file.trusted and not _agree(planes, image):
        return None
    if file.format == "JPEG2000":
        planes = widen(planes >> (16 - file.depth), file.depth)  # FFmpeg has moved the bits up
    colours = 1 if planes.shape[2] < 3 else 3
    has_alpha = planes.shape[2] in (2, 4) and (image.mode in ("LA", "RGBA") or "transparency" in image.info)
    tell_of_kept_depth(file.depth, losses)
    return Pixels(
        planes[:, :, :colours],
        to_eight_bits(planes[:, :, -1]) if has_alpha else None,
        image.info.get("icc_profile") or None,
    )


class _NotRead(Exception):
    """FFmpeg does not read this, for a reason of few words."""


def _with_ffmpeg(data: bytes, demuxer: str) -> Plane:
    """Give the first picture as uint16 (H, W, C), C of 1 to 4, as it lies in the file: no colours are changed."""
    import av  # here, since few pictures need it

    try:
        with av.open(io.BytesIO(data), mode="r", format=demuxer) as container:
            frame = next(container.decode(video=0))
            kind = frame.format.name
            order = {"le": "<u2", "be": ">u2"}.get(kind[-2:], "")
            if kind[:-2] in _PACKED and order:
                channels = _PACKED[kind[:-2]]
                wide = _samples(frame.planes[0], order, frame.height, frame.width * channels)
                return wide.reshape(frame.height, frame.width, channels)
            if kind[:-2] in _PLANAR and order:
                places = _PLANAR[kind[:-2]]
                return np.dstack([_samples(frame.planes[p], order, frame.height, frame.width) for p in places])
    except (av.FFmpegError, StopIteration, ValueError) as error:
        raise _NotRead(one_line(error)) from error
    raise _NotRead(f"pixels of kind {kind}")


def _samples(plane: VideoPlane, order: str, height: int, columns: int) -> Plane:
    """Copy a plane of FFmpeg's, whose rows are padded."""
    rows = np.frombuffer(bytes(plane), order)
    return rows.reshape(-1, plane.line_size // 2)[:height, :columns].astype(np.uint16)


def _agree(wide: Plane, image: Image.Image) -> bool:
    """Whether FFmpeg's samples are Pillow's to the last of its 8 bits, which may be rounded or not."""
    shallow = np.atleast_3d(np.array(image))
    if wide.shape[2] <= 2 and shallow.shape[2] == 4:  # grey and alpha as RGBA
        shallow = shallow[:, :, [0, 3]]
    channels = min(wide.shape[2], shallow.shape[2])
    upper = (wide[:, :, :channels] >> 8).astype(np.int16)
    return bool((np.abs(upper - shallow[:, :, :channels]) <= 1).all())


def _is_odd(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Whether a TIFF file is of a kind that FFmpeg takes for another: tiles, bits in reverse, premultiplied."""
    tags = image.tag_v2
    return (
        _TIFF_TILE_WIDTH in tags
        or tags.get(_TIFF_FILL_ORDER) == _LOWEST_BIT_FIRST
        or tags.get(_TIFF_EXTRA) == _PREMULTIPLIED
    )
