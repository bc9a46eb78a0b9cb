"""Clips to .nic files and back, frame by frame.

    nicodec.compress_video("holiday.mp4", "holiday.nic", quality=50, codec="...")
    nicodec.decompress_video("holiday.nic", "holiday.mkv")

What a clip needs in memory does not grow with its length.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from nicodec import container
from nicodec.codecs.clip import ClipCodec, CodedFrame, Frame
from nicodec.container.source import Readable
from nicodec.entropy.coder import Stream
from nicodec.errors import CorruptError, InputError
from nicodec.loading import fast_float, usable_device
from nicodec.media.clips import ClipFile, FrameSource, PlanarFrame, from_rgb, planar_from_rgb, write_clip
from nicodec.media.files import open_atomically
from nicodec.quality import QUALITY_DEFAULT, Quality
from nicodec.threads import guard_forks
from nicodec.zoo import ModelEntry, find_model, load_codec


def _clip_codec(entry: ModelEntry, device: torch.device) -> ClipCodec:
    guard_forks()
    codec = load_codec(entry, device)
    if not isinstance(codec, ClipCodec):
        raise InputError(f"{entry.name} codes pictures, not clips; use nicodec.compress, or name another codec")
    return codec


class VideoWriter:
    """Writes a clip to a file or pipe as its frames come; a context manager.

    Args:
        target: a file open for binary writing, or anything with `write`; it is not asked to seek, nor closed.
        codec: name of a model of clips, or its folder.
        width, height: of the frames, pixels.
        rate: frames a second; None: it varies, and every frame says when it is shown.
        time_base: seconds in one unit of time stamps; one over the rate unless given.
        quality: 0 (smallest) to 100 (best).
        full_range, matrix: see `nicodec.media.clips.FrameSource`.
        device: torch device that the networks run on.
        options: of the codec's encoder.

    Raises:
        UnknownModelError, DeviceError, QualityError, InputError: an argument is none of these.

    """

    def __init__(
        self,
        target: Any,
        *,
        codec: str | os.PathLike[str],
        width: int,
        height: int,
        rate: Fraction | None = Fraction(25),
        time_base: Fraction | None = None,
        quality: float = QUALITY_DEFAULT,
        full_range: bool = False,
        matrix: int = 1,
        device: str | torch.device = "cpu",
        **options: Any,
    ) -> None:
        entry = find_model(codec)
        self._device = usable_device(device)
        self._codec = _clip_codec(entry, self._device)
        half_steps = Quality.of(quality).half_steps
        header = container.ClipHeader(
            entry.fingerprint,
            width,
            height,
            half_steps,
            time_base=time_base or 1 / (rate or Fraction(1000)),
            rate=rate,
            colour=container.Colour(matrix=matrix, full_range=full_range),
        )
        self._state = self._codec.start_encoding(
            (height, width), half_steps, self._codec.Options.of(entry.name, options)
        )
        self._writer = container.ClipWriter(target, header)
        self._taken = 0
        self.header = header

    def write(self, frame: PlanarFrame | NDArray[np.uint8] | Image.Image) -> None:
        """Take the next frame in order of time: planes, or RGB, uint8 (H, W, 3).

        Raises:
            InputError: it is no frame, or of another size.

        """
        if isinstance(frame, Image.Image):
            frame = np.asarray(frame.convert("RGB"))
        if isinstance(frame, np.ndarray):
            frame = planar_from_rgb(frame, *self._regular_time())
        if not isinstance(frame, PlanarFrame):
            raise InputError(f"a {type(frame).__name__} is no frame; give planes, an RGB array or a PIL image")
        if frame.y.shape != (self.header.height, self.header.width):
            size = f"{frame.y.shape[1]}x{frame.y.shape[0]}"
            raise InputError(f"a frame of {size} in a clip of {self.header.width}x{self.header.height}")
        y, u, v = (torch.from_numpy(p).to(self._device).to(torch.float32) / 255 for p in (frame.y, frame.u, frame.v))
        self._push(Frame(y, u, v, frame.pts, frame.duration))
        self._taken += 1

    def _regular_time(self) -> tuple[int, int]:
        return self.header.regular_pts(self._taken), self.header.regular_duration(self._taken)

    def _push(self, frame: Frame | None) -> None:
        with fast_float(self._device):
            packets, self._state = self._codec.encode(frame, self._state)
        for coded in packets:
            self._writer.write(
                container.FramePacket(
                    coded.number,
                    coded.stream.data,
                    coded.pts,
                    coded.duration,
                    coded.stream.checksum,
                    coded.type,
                    coded.is_key,
                    coded.references,
                )
            )

    def close(self) -> None:
        """Write what is left, the index and the end."""
        self._push(None)
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()


class VideoReader:
    """Reads a clip from a file or pipe; iterating gives its frames in order of time.

    Args:
        source: a file open for binary reading, or anything with `read`.
        limits: what the clip may ask for.
        device: torch device that the networks run on.

    Attributes:
        header: size, rate, time base, colour and quality.

    Raises:
        StreamError: not a clip, cut short, altered or of a later version.
        UnknownModelError: the model that wrote it is not installed.
        LimitError: it is larger than the limits allow.

    """

    def __init__(
        self,
        source: Readable,
        *,
        limits: container.Limits = container.DEFAULT_LIMITS,
        device: str | torch.device = "cpu",
    ) -> None:
        self._packets = container.ClipReader(source, limits)
        self.header = self._packets.header
        self._device = usable_device(device)
        self._codec = _clip_codec(find_model(self.header.model), self._device)

    def __iter__(self) -> Iterator[PlanarFrame]:
        """Give the frames.

        Raises:
            StreamError: a packet is damaged, the clip ends too early, or its symbols disagree.

        """
        state = self._codec.start_decoding((self.header.height, self.header.width), self.header.quality)
        for packet in self._packets:
            if not isinstance(packet, container.FramePacket):
                continue
            frames, state = self._pull(_coded(packet), state)
            yield from (_planes(frame) for frame in frames)
        frames, _ = self._pull(None, state)
        yield from (_planes(frame) for frame in frames)

    def _pull(self, coded: CodedFrame | None, state: Any) -> tuple[list[Frame], Any]:
        with fast_float(self._device):
            return self._codec.decode(coded, state)

    def seek(self, seconds: float) -> None:
        """Go on from the last key frame that is shown at this time or before; the source must be seekable."""
        self._packets.seek(seconds)


def _coded(packet: container.FramePacket) -> CodedFrame:
    return CodedFrame(
        packet.number,
        Stream(packet.data, packet.symbol_checksum),
        packet.pts,
        packet.duration,
        packet.type,
        packet.is_key,
        packet.references,
    )


def _planes(frame: Frame) -> PlanarFrame:
    y, u, v = (
        (plane.float() * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
        for plane in (frame.y, frame.u, frame.v)
    )
    return PlanarFrame(y, u, v, frame.pts, frame.duration)


def compress_video(
    source: str | os.PathLike[str] | bytes | FrameSource | list[NDArray[np.uint8]],
    target: str | os.PathLike[str] | BinaryIO | None = None,
    quality: float = QUALITY_DEFAULT,
    *,
    codec: str | os.PathLike[str],
    device: str | torch.device = "cpu",
    overwrite: bool = False,
    **options: Any,
) -> bytes | None:
    """Compress a clip.

    Args:
        source: a path or the bytes of a file that FFmpeg reads, frames (uint8 (H, W, 3), 25 a second), or a
            `FrameSource`.
        target: a path, a file open for binary writing, or None: the bytes are returned.
        quality: 0 (smallest) to 100 (best).
        codec: name of a model of clips, or its folder.
        device: torch device that the networks run on.
        overwrite: whether an existing file may be replaced.
        options: of the codec's encoder.

    Raises:
        InputError: not a clip.
        QualityError, UnknownModelError, DeviceError: an argument is none of these.
        OutputExistsError, OutputError: the target exists, or cannot be written.

    """
    if target is None:
        held = io.BytesIO()
        compress_video(source, held, quality, codec=codec, device=device, **options)
        return held.getvalue()
    frames = _frame_source(source)
    opened: contextlib.AbstractContextManager[Any] = contextlib.nullcontext(target)
    if isinstance(target, (str, os.PathLike)):
        opened = open_atomically(target, overwrite=overwrite)
    with (
        opened as file,
        VideoWriter(
            file,
            codec=codec,
            width=frames.width,
            height=frames.height,
            rate=frames.rate,
            time_base=frames.time_base,
            quality=quality,
            full_range=frames.full_range,
            matrix=frames.matrix,
            device=device,
            **options,
        ) as writer,
    ):
        for frame in frames:
            writer.write(frame)
    return None


def _frame_source(source: Any) -> FrameSource:
    if isinstance(source, (str, os.PathLike, bytes)):
        return ClipFile(source)
    if isinstance(source, (list, tuple)):
        return from_rgb([np.asarray(frame) for frame in source])
    if isinstance(source, FrameSource):
        return source
    raise InputError(f"a {type(source).__name__} is no clip; give a path, the bytes of a file, or frames")


def decompress_video(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    target: str | os.PathLike[str] | BinaryIO,
    *,
    limits: container.Limits = container.DEFAULT_LIMITS,
    device: str | torch.device = "cpu",
    overwrite: bool = False,
) -> int:
    """Decompress a clip into a video file without further loss (FFV1).

    Args:
        source: a path, the bytes of a .nic file, or a file open for binary reading.
        target: a path (.mkv), or a file open for binary writing.
        limits: what the clip may ask for.
        device: torch device that the networks run on.
        overwrite: whether an existing file may be replaced.

    Returns:
        The number of frames.

    Raises:
        StreamError, UnknownModelError, LimitError, DeviceError: as `VideoReader`.
        OutputExistsError, OutputError: the target exists, or cannot be written.

    """
    with contextlib.ExitStack() as stack:
        file: Any = source
        if isinstance(source, bytes):
            file = io.BytesIO(source)
        elif isinstance(source, (str, os.PathLike)):
            try:
                file = stack.enter_context(open(source, "rb"))
            except OSError as error:
                raise InputError(f"{os.fspath(source)}: cannot be read ({error.strerror})") from error
        reader = VideoReader(file, limits=limits, device=device)
        header = reader.header
        out: Any = target
        if isinstance(target, (str, os.PathLike)):
            out = stack.enter_context(open_atomically(target, overwrite=overwrite))
        return write_clip(
            iter(reader),
            out,
            time_base=header.time_base,
            rate=header.rate,
            full_range=header.colour.full_range,
            matrix=header.colour.matrix,
            format="matroska",
        )


def first_frame(data: bytes, limits: container.Limits = container.DEFAULT_LIMITS) -> PlanarFrame:
    """The first frame of a clip.

    Raises:
        CorruptError: it has none.

    """
    for frame in VideoReader(io.BytesIO(data), limits=limits):
        return frame
    raise CorruptError("the clip has no frames; fetch or copy it again")
