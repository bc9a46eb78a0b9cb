"""nicodec: a learned picture codec with real files.

    data = nicodec.compress("photo.png", quality=50)
    image = nicodec.decompress(data)

Importing this package loads neither torch nor the weights; the first call does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nicodec import errors
from nicodec.clip_info import CopiedInfo, VideoInfo
from nicodec.reading import read_bytes

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from nicodec.container import Limits
    from nicodec.control import EncoderControl, Wish
    from nicodec.model import Model
    from nicodec.progressive import ProgressiveDecoder
    from nicodec.video import VideoReader, VideoWriter, compress_video, decompress_video

__version__ = "0.1.0"
__all__ = [
    "CopiedInfo",
    "EncoderControl",
    "Info",
    "ProgressiveDecoder",
    "VideoInfo",
    "VideoReader",
    "VideoWriter",
    "Wish",
    "compress",
    "compress_video",
    "decompress",
    "decompress_video",
    "errors",
    "info",
    "load",
    "truncate",
]
_VIDEO = ("VideoReader", "VideoWriter", "compress_video", "decompress_video")
_CONTROL = ("EncoderControl", "Wish")
_METADATA = ("icc", "exif", "xmp")

DEFAULT_CODEC = "hyperprior"
DEFAULT_CLIP_CODEC = "video"
LOSSLESS_CODEC = "lossless"


@dataclass(frozen=True)
class Info:
    """What a .nic file says of itself, without decoding it.

    Attributes:
        width, height: pixels.
        quality: 0..100.
        model: name of the model, or None if it is not installed.
        fingerprint: the model's four bytes in hexadecimal.
        grey, alpha: whether the picture is grey, whether it has an alpha plane.
        file_bytes: bytes of the file.
        bpp: bits of the whole file over pixels.
        sections: bytes of each part of the file.
        tiles: parts that are coded each for itself: 1, of a large picture more.
        packets: packets of the file; 0: it has one stream.
        levels: of a picture that is decoded coarse to fine, the bytes of the file up to the end of each level: a file
            that is cut there still gives it.

    """

    width: int
    height: int
    quality: float
    model: str | None
    fingerprint: str
    grey: bool
    alpha: bool
    file_bytes: int
    bpp: float
    sections: dict[str, int]
    tiles: int
    packets: int
    levels: tuple[int, ...]


def load(name: str | bytes | os.PathLike[str] = DEFAULT_CODEC, *, device: str | torch.device = "cpu") -> Model:
    """Load a model for repeated use; it shares no state with others, and threads may share it.

    With glibc, the process from then on keeps up to 1 GiB of what it frees (`nicodec.memory`).

    Args:
        name: an installed model (`nicodec models`), the folder of one, or a fingerprint of four bytes.
        device: torch device that the networks run on.

    Raises:
        UnknownModelError: no such model, or its weights cannot be read.
        DeviceError: there is no such device.

    """
    from nicodec.model import Model
    from nicodec.zoo import find_model

    return Model(find_model(name), device)


def compress(
    image: Any,
    quality: float | None = None,
    *,
    bpp: float | None = None,
    max_bytes: int | None = None,
    psnr: float | None = None,
    codec: str | os.PathLike[str] = DEFAULT_CODEC,
    device: str | torch.device = "cpu",
    **options: Any,
) -> bytes:
    """Compress a picture into the bytes of a .nic file.

    Args:
        image: a path, binary file, bytes, PIL image, uint8 array (H, W[, C]), or float tensor (3, H, W) in
            [0, 1].
        quality: 0 (smallest) to 100 (best), in half steps; 50 unless one of the other three is given.
        bpp: most bits a pixel of the whole file.
        max_bytes: most bytes of the whole file.
        psnr: least PSNR in dB (RGB, 8 bits).
        codec: name of a model, or its folder; "lossless" gives 8-bit pictures back as they were, at any quality.
        device: torch device that the networks run on.
        options: of the codec's encoder: `effort` of "hyperprior" (1 to 9; 9 takes one or two minutes a megapixel
            for files some percent smaller, 8 half as long; 1 to 3 half as long as the others, 7 among them, for
            files some percent larger), `gaussians`, `iterations` and `seconds` of "splat".

    Raises:
        QualityError: a number is out of range or cannot be reached, or there is no such option.
        InputError: not a picture.
        LimitError: too many pixels.
        UnknownModelError: no such model.
        DeviceError: there is no such device.

    """
    from nicodec import media
    from nicodec.shared import shared_model

    media.refuse_clip(image)
    return shared_model(codec, device).compress(image, quality, bpp=bpp, max_bytes=max_bytes, psnr=psnr, **options)


def decompress(
    data: Any,
    *,
    limits: Limits | None = None,
    draw_size: tuple[int, int] | None = None,
    crop: tuple[int, int, int, int] | None = None,
    partial: bool = False,
    repair: bool = False,
    upto: int | str | None = None,
    device: str | torch.device = "cpu",
) -> Image.Image:
    """Give the picture of a .nic file as a PIL image of mode L, LA, RGB or RGBA, metadata in its `info`.

    Args:
        data: the bytes of a file, a path, or a binary file.
        limits: what a file may ask for.
        draw_size: width, height to draw the picture at; for files of codecs that have no pixels of their own
            ("splat").
        crop: left, top, width, height of the part of the picture that is wanted; of a large one no more is decoded
            than that needs.
        partial: decode what is whole of a file of packets that was cut short or damaged.
        repair: the same, and fill in what is lost, where the codec can ("vqgan"); a warning tells how much.
        upto: of a file of levels, decode no more than the first so many (3), those that are whole in so many bytes
            of the file ("20kB"), or in so much of it ("30%").
        device: torch device that the networks run on.

    Raises:
        QualityError: a size is given for a codec that cannot draw at any; the crop is not inside the picture;
            `upto` has none of its forms, holds no level, or the file has none.
        InputError: there is no such file.
        StreamError: not a .nic file, truncated, altered, of a later version, or its symbols disagree.
        UnknownModelError: the model that wrote it is not installed.
        LimitError: it is larger than the limits allow.
        DeviceError: there is no such device.

    Warns:
        DamageWarning: a part of a damaged file is lost.

    """
    from nicodec import container
    from nicodec.upto import read_part

    limits = container.DEFAULT_LIMITS if limits is None else limits
    stored = read_part(read_bytes(data), limits, partial=partial or repair, upto=upto)
    from nicodec import media
    from nicodec.shared import shared_model

    model = shared_model(stored.header.model, device)
    return media.to_pil(model.decode_file(stored, limits, draw_size, crop, repair=repair))


def truncate(data: Any, max_bytes: int, *, strip: Iterable[str] = ()) -> bytes:
    """Make a smaller file of a picture in levels, whole and valid, without its last ones; nothing is coded anew.

    Args:
        data: the bytes of a file, a path, or a binary file; one that fits comes back as it is.
        max_bytes: most bytes of the whole file.
        strip: metadata to leave out: "icc", "exif", "xmp".

    Raises:
        QualityError: not even the first level fits; the message says how many bytes it needs.
        InputError: there is no such file, or it is too large and has no levels.
        StreamError: as `decompress`.

    """
    from nicodec import checks, container

    most, left_out = checks.whole_number("max_bytes", max_bytes, 1), {*strip}
    if unknown := left_out - {*_METADATA}:
        raise errors.QualityError(f"strip {sorted(unknown)}: give some of {', '.join(_METADATA)}")
    kept = {name: name not in left_out for name in _METADATA}
    return container.shorten_picture(read_bytes(data), most, **kept)


def info(data: Any) -> Info | VideoInfo:
    """Tell what a .nic file holds, without decoding it and without torch; a clip is read packet by packet.

    Args:
        data: the bytes of a file, a path, or a binary file.

    Raises:
        InputError: there is no such file.
        StreamError: as `decompress`.

    """
    from nicodec import container
    from nicodec.clip_info import about_clip, open_if_clip
    from nicodec.zoo import find_model

    def name_of(fingerprint: bytes) -> str | None:
        try:
            return find_model(fingerprint).name
        except errors.UnknownModelError:
            return None

    no_limits = container.Limits(0, 0, 0, 0)
    with open_if_clip(data) as clip:
        if clip is not None:
            return about_clip(clip, no_limits, name_of)
    raw = read_bytes(data)
    parsed = container.parse_picture(raw, no_limits)
    stored, header = parsed.picture, parsed.header
    return Info(
        width=header.width,
        height=header.height,
        quality=header.quality / 2,
        model=name_of(header.model),
        fingerprint=header.model.hex(),
        grey=stored.grey,
        alpha=stored.alpha is not None,
        file_bytes=len(raw),
        bpp=8 * len(raw) / (header.width * header.height),
        sections=parsed.sizes,
        tiles=max(1, sum(packet.type == container.PacketType.PIECE for packet in stored.packets)),
        packets=stored.packet_count,
        levels=tuple(span.stop for span in parsed.packet_spans[: stored.levels]),
    )


def __getattr__(name: str) -> Any:
    """Names of modules that load torch or numpy."""
    if name in _VIDEO:
        from nicodec import video

        return getattr(video, name)
    if name in _CONTROL:
        from nicodec import control

        return getattr(control, name)
    if name == "ProgressiveDecoder":
        from nicodec.progressive import ProgressiveDecoder

        return ProgressiveDecoder
    raise AttributeError(f"module 'nicodec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
