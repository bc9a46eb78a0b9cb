"""A model in memory: pictures and tensors to .nic bytes and back."""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from nicodec import checks, container, media
from nicodec.alternatives import PoorFitWarning, better_served
from nicodec.codecs.base import Packets, PictureCodec, Progress, Watch
from nicodec.codecs.options import Options
from nicodec.codecs.window import PixelSource, Window
from nicodec.damage import DamageWarning
from nicodec.entropy.coder import Stream
from nicodec.errors import CorruptError, InputError, QualityError
from nicodec.filling import fill_smoothly
from nicodec.loading import fast_float, usable_device
from nicodec.memory import keep_freed_memory
from nicodec.quality import HALF_STEPS_MAX, QUALITY_DEFAULT, Quality
from nicodec.reading import read_bytes
from nicodec.search import Attempt, Search, pieces_of, psnr_goal, size_goal
from nicodec.threads import guard_forks
from nicodec.upto import read_part
from nicodec.zoo import ModelEntry, find_model, load_codec

LOSSLESS_PSNR = 1000.0
"""Stands for the infinite PSNR of equal pictures, in dB."""

LUMA = (0.299, 0.587, 0.114)

_Job = Callable[[Quality, Watch | None], bytes]
"""Compresses a picture with a quality."""

SMALL_PIXELS = 2**20
"""What any file may draw; beyond, its bytes must be enough for so many (`PictureCodec.pixels_a_byte`)."""

TOLERANCE = 1e-3
"""How far outside of [0, 1] a tensor's values may lie; they are clamped."""


class Model:
    """A trained codec, loaded once for many pictures. Get one from `nicodec.load`.

    Several threads may use one at once. Two models share no state, even if they have the same weights.

    Attributes:
        entry: name, fingerprint and folder.
        device: where the networks run.
        codec: the network.

    """

    def __init__(self, entry: ModelEntry, device: str | torch.device = "cpu") -> None:
        keep_freed_memory()
        guard_forks()
        self.entry = entry
        self.device = usable_device(device)
        codec = load_codec(entry, self.device)
        if not isinstance(codec, PictureCodec):
            raise InputError(f"{entry.name} codes {codec.medium}s, not pictures; use nicodec.compress_video")
        self.codec = codec

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.entry.name

    # Pictures

    def compress(
        self,
        image: Any,
        quality: float | None = None,
        *,
        bpp: float | None = None,
        max_bytes: int | None = None,
        psnr: float | None = None,
        watch: Watch | None = None,
        **options: Any,
    ) -> bytes:
        """Compress a picture.

        Args:
            image: a path, binary file, bytes, PIL image, uint8 array (H, W[, C]), or float tensor (3, H, W) in
                [0, 1].
            quality: 0 (smallest) to 100 (best), in half steps; 50 unless given. At most one of the four:
            bpp: most bits a pixel, whole file.
            max_bytes: most bytes, whole file.
            psnr: least PSNR in dB (RGB, 8 bits).
            watch: told how a long encode goes.
            options: of the codec's encoder, see `nicodec.compress`.

        Returns:
            The bytes of a .nic file.

        Raises:
            QualityError: a number is out of range, or cannot be reached.
            InputError: not a picture.
            LimitError: too many pixels.

        Warns:
            PoorFitWarning: a PNG, or a JPEG of the file's size, would serve the picture better.

        """
        goals = {"quality": quality, "bpp": bpp, "max_bytes": max_bytes, "psnr": psnr}
        given = [name for name, value in goals.items() if value is not None]
        if len(given) > 1:
            raise QualityError(f"{' and '.join(given)} given: choose one")
        asked = self.codec.Options.of(self.name, options)
        fixed = Quality.of(QUALITY_DEFAULT if quality is None else quality)
        bpp = None if bpp is None else checks.number("bpp", bpp, 0, math.inf)
        max_bytes = None if max_bytes is None else checks.whole_number("max_bytes", max_bytes, 1)
        psnr = None if psnr is None else checks.number("psnr", psnr, 0, math.inf)
        picture = image if isinstance(image, media.Picture) else media.read_picture(image)
        job = functools.partial(self._compress, picture, asked)
        if bpp is not None:
            max_bytes = math.floor(min(bpp * picture.width * picture.height / 8, sys.maxsize))
        if max_bytes is not None:
            data = _search_size(job, max_bytes, picture.width * picture.height, watch)
        elif psnr is not None:
            data = self._search_psnr(picture, asked, psnr, watch)
        else:
            data = job(fixed, watch)
        self._warn_if_poor(picture, data)
        return data

    def _compress(self, picture: media.Picture, options: Options, quality: Quality, watch: Watch | None) -> bytes:
        half_steps = torch.tensor([quality.half_steps], device=self.device)
        with fast_float(self.device):
            streams = self.codec.encode_parts(self._source(picture), half_steps, options, watch)
        header = container.Header(self.entry.fingerprint, picture.width, picture.height, quality.half_steps)
        return self._file_of(
            header,
            streams,
            grey=picture.is_grey,
            alpha=None if picture.alpha is None else media.encode_alpha(picture.alpha),
            icc=picture.icc,
            exif=picture.exif,
            xmp=picture.xmp,
        )

    def _source(self, picture: media.Picture) -> PixelSource:
        """What gives a picture's pixels to the codec; grey is repeated."""
        pixels, white = picture.pixels, np.iinfo(picture.pixels.dtype).max

        def cut(window: Window) -> Tensor:
            part = pixels[window.top : window.bottom, window.left : window.right]
            x = torch.from_numpy(part.astype(np.int32) if white > 255 else part).permute(2, 0, 1)
            return (x.float() / white).expand(3, -1, -1).to(self.device)

        return PixelSource(self._padded(picture.height, picture.width), (picture.height, picture.width), cut)

    def _padded(self, height: int, width: int) -> tuple[int, int]:
        """H, W as they are coded."""
        align = self.codec.alignment
        return -(-height // align) * align, -(-width // align) * align

    def _warn_if_poor(self, picture: media.Picture, data: bytes) -> None:
        stored = container.read_picture(data, container.Limits(0, 0))
        size = len(data) - sum(len(part or b"") for part in (stored.icc, stored.exif, stored.xmp))
        advice = better_served(picture, size, stored.header.quality / 2, lambda: self._pixels(stored))
        if advice is not None:
            warnings.warn(advice, PoorFitWarning, stacklevel=3)

    def _encode(
        self, x: Tensor, qualities: Sequence[Quality], options: Options, watch: Watch | None = None
    ) -> list[tuple[Stream, ...]]:
        """Streams of pictures (B, 3, H, W) of any size."""
        height, width = self._padded(x.shape[2], x.shape[3])
        right, bottom = width - x.shape[3], height - x.shape[2]
        x = F.pad(x.to(self.device), (0, right, 0, bottom), mode="replicate")
        quality = torch.tensor([each.half_steps for each in qualities], device=self.device)
        with fast_float(self.device):
            return self.codec.encode(x, quality, options, watch)

    def _search_psnr(self, picture: media.Picture, options: Options, psnr: float, watch: Watch | None) -> bytes:
        """The smallest file whose PSNR is at least `psnr` dB."""
        goal = psnr_goal(psnr)
        pieces = pieces_of(picture.pixels)
        if pieces is not None:  # decoding takes as long as encoding here: two tries are four encodes
            search = Search(goal)
            search.run(self._psnr_attempt(search, media.Picture(pieces), options, psnr, None))
            goal = dataclasses.replace(goal, start=search.best_q, tries=2)
        search = Search(goal)
        data = search.run(self._psnr_attempt(search, picture, options, psnr, watch))
        if data is None:
            reached = math.floor(100 * (psnr + search.tries[-1][1])) / 100
            raise QualityError(
                f"{psnr:g} dB cannot be reached on this picture: quality 100 has {reached:.2f} dB; ask for no more"
            )
        return data

    def _psnr_attempt(
        self, search: Search, picture: media.Picture, options: Options, psnr: float, watch: Watch | None
    ) -> Attempt:
        """What a search for a PSNR tries."""

        def attempt(q: int) -> tuple[bytes, float]:
            data = self._compress(picture, options, Quality(HALF_STEPS_MAX - q), _watch_try(search, watch))
            decoded = self._pixels(container.read_picture(data, container.Limits(0, 0)))
            error = _mean_squared_error(decoded, picture.as_uint8())
            return data, (LOSSLESS_PSNR if error == 0 else 10 * math.log10(255**2 / error)) - psnr

        return attempt

    def decompress(
        self,
        data: Any,
        *,
        limits: container.Limits = container.DEFAULT_LIMITS,
        draw_size: tuple[int, int] | None = None,
        crop: tuple[int, int, int, int] | None = None,
        partial: bool = False,
        repair: bool = False,
        upto: int | str | None = None,
    ) -> Image.Image:
        """Give the picture of a .nic file that this model wrote; see `nicodec.decompress`."""
        picture = self.decompress_picture(
            data, limits=limits, draw_size=draw_size, crop=crop, partial=partial, repair=repair, upto=upto
        )
        return media.to_pil(picture)

    def decompress_picture(
        self,
        data: Any,
        *,
        limits: container.Limits = container.DEFAULT_LIMITS,
        draw_size: tuple[int, int] | None = None,
        crop: tuple[int, int, int, int] | None = None,
        partial: bool = False,
        repair: bool = False,
        upto: int | str | None = None,
    ) -> media.Picture:
        """Like `decompress`, with pixels, alpha and metadata apart."""
        stored = read_part(read_bytes(data), limits, partial=partial or repair, upto=upto)
        return self.decode_file(stored, limits, draw_size, crop, repair=repair)

    def decode_file(
        self,
        stored: container.StoredPicture,
        limits: container.Limits,
        draw_size: tuple[int, int] | None = None,
        crop: tuple[int, int, int, int] | None = None,
        *,
        repair: bool = False,
        watch: Watch | None = None,
    ) -> media.Picture:
        """Like `decompress_picture`, of a file that has been read; `watch` is told how far a large picture is.

        Warns:
            DamageWarning: packets of a damaged file are lost; what takes the places of pieces is a smooth fill, or
                what the codec takes for likely where it is to repair the file.

        """
        self._check_own(stored)
        self._check_work(stored, limits)
        if stored.lost and self.codec.packets == Packets.LEVEL:
            found = len(self._streams_of(stored))
            text = f"drawn from the first {found} of its {stored.packet_count} levels, the rest is damaged or missing"
            warnings.warn(text, DamageWarning, stacklevel=3)
        header = stored.header
        drawn = None if draw_size is None else checks.width_and_height("draw_size", draw_size)
        if drawn is not None:
            if crop is not None:
                raise QualityError("a crop and a size to draw at contradict each other; give one of them")
            limits.check_pixels(*drawn)
        window = Window.whole((header.height, header.width)) if crop is None else _crop_of(header, crop)
        if drawn is not None:
            pixels = self._drawn(stored, drawn)
        else:
            pixels = self._repaired(stored, window) if repair and stored.lost else self._pixels(stored, window, watch)
        alpha = None
        if stored.alpha is not None:
            alpha = media.decode_alpha(stored.alpha, header.width, header.height)
            if drawn is not None:
                alpha = np.asarray(Image.fromarray(alpha).resize(drawn))
            alpha = alpha[window.top : window.bottom, window.left : window.right] if drawn is None else alpha
        return media.Picture(pixels, alpha, stored.icc, stored.exif, stored.xmp)

    def _check_own(self, stored: container.StoredPicture) -> None:
        """Raise unless this model wrote the file."""
        if stored.header.model != self.entry.fingerprint:
            other = find_model(stored.header.model).name
            raise QualityError(
                f"the file was written by model {stored.header.model.hex()} ({other}), not by {self.name}; "
                "use nicodec.decompress, which finds the model"
            )

    def _check_work(self, stored: container.StoredPicture, limits: container.Limits) -> None:
        """Raise unless the file's bytes are enough for its pixels, and its packets for a picture."""
        header = stored.header
        if limits.pixels and header.width * header.height > SMALL_PIXELS:
            bound = dataclasses.replace(limits, pixels_per_payload_byte=self.codec.pixels_a_byte)
            first = len(stored.packets[0].data) if stored.is_in_levels else stored.payload_bytes
            bound.check_work(header.width, header.height, first)
        if stored.packet_count and not any(self._streams_of(stored)):
            raise CorruptError("the first packet is lost, and nothing can be drawn without it; fetch the file again")
        if stored.lost and self.codec.packets == Packets.PART:
            raise CorruptError(
                f"{len(stored.lost)} of the file's {stored.packet_count} parts are lost, and nothing can be drawn "
                "without all of them; fetch the file again"
            )

    def _pixels(
        self, stored: container.StoredPicture, window: Window | None = None, watch: Watch | None = None
    ) -> NDArray[np.uint8]:
        """uint8 (H, W, 3 or 1) of a window; None: of all the picture."""
        header = stored.header
        wanted = Window.whole((header.height, header.width)) if window is None else window
        quality = torch.tensor([header.quality], device=self.device)
        size = self._padded(header.height, header.width)
        pixels = np.empty((*wanted.size, 1 if stored.grey else 3), dtype=np.uint8)
        lost, done = [], 0
        with fast_float(self.device):
            for part, x in self.codec.decode_parts(self._streams_of(stored), size, quality, wanted):
                place = part.seen_from(wanted)
                if x is None:
                    lost.append(place)
                else:
                    pixels[place.top : place.bottom, place.left : place.right] = _levels(x, stored.grey)
                del x
                done += math.prod(part.size)
                if watch is not None:
                    watch(Progress(done / math.prod(wanted.size), ""))
        if lost:
            fill_smoothly(pixels, lost)
            places = ", ".join(
                f"{part.size[1]}x{part.size[0]} at {part.left + wanted.left},{part.top + wanted.top}" for part in lost
            )
            text = f"{len(lost)} of its parts are damaged and filled from around: {places}; fetch the file again"
            warnings.warn(text, DamageWarning, stacklevel=4)
        return pixels

    def _repaired(self, stored: container.StoredPicture, window: Window) -> NDArray[np.uint8]:
        """uint8 (H, W, 3 or 1) of a window of a file that has lost packets; a warning tells what is filled in."""
        header = stored.header
        size = self._padded(header.height, header.width)
        with fast_float(self.device):
            x, share = self.codec.repair(self._streams_of(stored), size, header.quality)
            pixels = _levels(window.of(x[0]), stored.grey)
        count = f"{len(stored.lost)} of {stored.packet_count}"
        text = f"{count} packets were lost: {share:.0%} of the picture is filled in; fetch the file again"
        warnings.warn(text, DamageWarning, stacklevel=4)
        return pixels

    def _drawn(self, stored: container.StoredPicture, drawn: tuple[int, int]) -> NDArray[np.uint8]:
        """uint8 (H, W, 3 or 1), drawn at a width and height."""
        header = stored.header
        quality = torch.tensor([header.quality], device=self.device)
        size = self._padded(header.height, header.width)
        with fast_float(self.device):
            x = self.codec.draw([self._whole_streams_of(stored)], size, quality, (drawn[1], drawn[0]))[0]
            return _levels(x, stored.grey)

    def _decode(self, files: Sequence[container.StoredPicture]) -> Tensor:
        """(B, 3, H, W) float32, about 0..1, of files of one size."""
        header = files[0].header
        quality = torch.tensor([stored.header.quality for stored in files], device=self.device)
        streams = [self._whole_streams_of(stored) for stored in files]
        x = self.codec.decode(streams, self._padded(header.height, header.width), quality)
        return x[:, :, : header.height, : header.width].float()

    def _streams_of(self, stored: container.StoredPicture) -> tuple[Stream | None, ...]:
        """The payload; or the packets: pieces with None for the lost ones, others up to the first that is lost."""
        if not stored.packet_count:
            return (Stream(stored.payload, stored.symbol_checksum),)
        streams = {packet.number: Stream(packet.data, packet.symbol_checksum) for packet in stored.packets}
        if self.codec.packets == Packets.PIECE:
            return tuple(streams.get(number) for number in range(stored.packet_count))
        return tuple(stream for place, (number, stream) in enumerate(streams.items()) if number == place)

    def _whole_streams_of(self, stored: container.StoredPicture) -> tuple[Stream, ...]:
        """The same without the lost ones."""
        return tuple(stream for stream in self._streams_of(stored) if stream is not None)

    def _file_of(self, header: container.Header, streams: tuple[Stream, ...], **sections: Any) -> bytes:
        """The bytes of a .nic file."""
        streams = self._long_enough(streams, header.width * header.height)
        if self.codec.packets is None or (self.codec.packets == Packets.PIECE and len(streams) == 1):
            (stream,) = streams
            sections |= {"payload": stream.data, "symbol_checksum": stream.checksum}
        else:
            kind = container.PacketType[self.codec.packets.name]
            sections["packets"] = tuple(
                container.Packet(kind, number, stream.data, stream.checksum) for number, stream in enumerate(streams)
            )
        return container.write_picture(container.StoredPicture(header=header, **sections))

    def _long_enough(self, streams: tuple[Stream, ...], pixels: int) -> tuple[Stream, ...]:
        """With so many zeros at an end, which mean nothing, as `_check_work` asks of a picture's bytes.

        Levels may be left out, so the first has them.
        """
        counted = 1 if self.codec.packets == Packets.LEVEL else len(streams)
        length = sum(len(stream.data) for stream in streams[:counted])
        if pixels <= SMALL_PIXELS or not self.codec.pixels_a_byte or pixels <= length * self.codec.pixels_a_byte:
            return streams
        last = streams[counted - 1]
        zeros = bytes(-(-pixels // self.codec.pixels_a_byte) - length)
        return (*streams[: counted - 1], Stream(last.data + zeros, last.checksum), *streams[counted:])

    # Tensors

    def encode_tensor(
        self, x: Tensor, quality: float | Sequence[float] = QUALITY_DEFAULT, **options: Any
    ) -> list[bytes]:
        """Compress a batch of pictures, all at once through the networks.

        Args:
            x: (B, 3, H, W), floats in [0, 1], on any device.
            quality: 0..100, one for all or one for each.
            options: of the codec's encoder, see `nicodec.compress`.

        Returns:
            The bytes of B .nic files.

        Raises:
            InputError: x is no such tensor.
            QualityError: a quality or an option is out of range.

        """
        asked = self.codec.Options.of(self.name, options)
        x = _checked_batch(x)
        qualities = _qualities(quality, len(x))
        height, width = x.shape[2:]
        return [
            self._file_of(container.Header(self.entry.fingerprint, width, height, each.half_steps), streams)
            for each, streams in zip(qualities, self._encode(x, qualities, asked), strict=True)
        ]

    def decode_tensor(self, files: Sequence[Any], *, limits: container.Limits = container.DEFAULT_LIMITS) -> Tensor:
        """Decompress a batch of files of one size, all at once through the networks.

        Args:
            files: B files: bytes, paths or binary files. Alpha and metadata are not looked at.
            limits: what each file may ask for.

        Returns:
            (B, 3, H, W) float32 in [0, 1] on the model's device, not rounded to 8 bits.

        Raises:
            InputError: there is no file, or their sizes differ.
            StreamError, QualityError, LimitError: as `nicodec.decompress`.

        """
        if isinstance(files, (str, bytes, bytearray)) or not isinstance(files, Sequence) or not files:
            raise InputError("give a list of at least one file: bytes, paths or binary files")
        stored = [container.read_picture(read_bytes(data), limits) for data in files]
        sizes = sorted({(each.header.width, each.header.height) for each in stored})
        if len(sizes) > 1:
            raise InputError(f"the files have several sizes, such as {sizes[0]} and {sizes[1]}; give those of one")
        for each in stored:
            self._check_own(each)
            self._check_work(each, limits)
        with fast_float(self.device):
            x = self._decode(stored)
            for number, each in enumerate(stored):
                if each.grey:
                    x[number] = _grey(x[number])
        return x.clamp(0, 1).clone()  # clone: not of inference mode, so that gradients may follow


def _search_size(job: _Job, max_bytes: int, pixels: int, watch: Watch | None) -> bytes:
    """The best quality whose file has at most `max_bytes`."""
    search, sizes = Search(size_goal(max_bytes, pixels)), [0]

    def attempt(q: int) -> tuple[bytes, float]:
        data = job(Quality(q), _watch_try(search, watch))
        sizes.append(len(data))
        return data, math.log(max(max_bytes, 1) / len(data))

    data = search.run(attempt)
    if data is None:
        raise QualityError(
            f"{max_bytes} bytes cannot be reached: the smallest file of this picture has {sizes[-1]}; scale the "
            "picture down, or drop its metadata"
        )
    return data


def _watch_try(search: Search, watch: Watch | None) -> Watch | None:
    """What tells `watch` of the next try of a search: of the whole, and that it is one of several."""
    if watch is None:
        return None
    done, most = len(search.tries), max(search.goal.tries, len(search.tries) + 1)

    def tell(progress: Progress) -> None:
        text = " ".join(filter(None, [f"try {done + 1} of at most {most}", progress.text]))
        watch(dataclasses.replace(progress, share=(done + progress.share) / most, text=text))

    tell(Progress(0.0, ""))
    return tell


def _levels(x: Tensor, grey: bool) -> NDArray[np.uint8]:
    """uint8 (h, w, 3 or 1) of (3, h, w)."""
    x = _grey(x.float()) if grey else x.float()
    levels = (x * 255).round_().clamp_(0, 255).to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())


def _mean_squared_error(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Of two pictures, some rows at a time: large pictures."""
    total = 0.0
    for top in range(0, len(a), 256):
        rows = slice(top, top + 256)
        total += float(np.square(a[rows].astype(np.float64) - b[rows]).sum())
    return total / a.size


def _crop_of(header: container.Header, crop: tuple[int, int, int, int]) -> Window:
    """What is wanted of a picture; QualityError where it is not all in there."""
    left, top, width, height = (checks.whole_number(f"crop[{n}]", crop[n], n // 2) for n in range(4))
    window = Window(top, left, top + height, left + width)
    if window.bottom > header.height or window.right > header.width:
        raise QualityError(
            f"the crop of {width}x{height} at {left},{top} is not inside the picture, which has "
            f"{header.width}x{header.height} pixels; give X,Y,W,H with X + W and Y + H at most these"
        )
    return window


def _grey(x: Tensor) -> Tensor:
    """(1, H, W) of (3, H, W)."""
    return (x * torch.tensor(LUMA, dtype=torch.float32, device=x.device)[:, None, None]).sum(0, keepdim=True)


def _checked_batch(x: object) -> Tensor:
    """A tensor that a user gave, as float32 (B, 3, H, W) within [0, 1]."""
    form = "give a float tensor (B, 3, H, W) in [0, 1]"
    if not isinstance(x, Tensor):
        raise InputError(f"a {type(x).__name__} is no tensor: {form}")
    if x.ndim != 4 or x.shape[1] != 3 or 0 in x.shape or not x.is_floating_point():
        raise InputError(f"{x.dtype} tensor of shape {tuple(x.shape)}: {form}")
    if x.layout != torch.strided or x.is_meta:
        raise InputError(f"tensor without values of its own ({x.layout}, {x.device}): {form}")
    x = x.detach().float()
    low, high = float(x.min()), float(x.max())
    if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):  # so that NaN is refused too
        raise InputError(f"tensor of values from {low:g} to {high:g}: {form}")
    return x.clamp(0, 1)


def _qualities(quality: object, count: int) -> list[Quality]:
    if isinstance(quality, Tensor) and quality.layout == torch.strided and not quality.is_meta:
        quality = quality.tolist()
    if isinstance(quality, (list, tuple)):
        if len(quality) != count:
            raise QualityError(f"{len(quality)} qualities for {count} pictures; give one for all, or one for each")
        return [Quality.of(each) for each in quality]
    return [Quality.of(quality)] * count
