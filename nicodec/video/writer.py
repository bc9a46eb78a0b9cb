"""Writing a clip as its frames come."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import replace
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from nicodec import container
from nicodec.codecs.clip import CodedFrame, Frame, Wish
from nicodec.control import Coded, EncoderControl, Spent
from nicodec.errors import InputError
from nicodec.loading import fast_float, usable_device
from nicodec.media.clips import ClipFormat, PlanarFrame, planar_of
from nicodec.quality import HALF_STEPS_MAX, QUALITY_DEFAULT, Quality
from nicodec.video.models import clip_codec
from nicodec.zoo import find_model

FrameLike = PlanarFrame | NDArray[np.uint8] | Image.Image | torch.Tensor
"""What a frame may come as."""


class VideoWriter:
    """Writes a clip to a file or pipe as its frames come; a context manager.

    Args:
        target: a file open for binary writing, or anything with `write`; it is not asked to seek, nor closed.
        codec: name of a model of clips, or its folder.
        width, height: of the frames, pixels.
        rate: frames a second; None: it varies, and every frame says when it is shown.
        time_base: seconds in one unit of time stamps; one over the rate unless given.
        quality: 0 (smallest) to 100 (best).
        format: all of these and the colour, the pixels' aspect and the copied streams, in place of them.
        control: says what is wished for each frame.
        device: torch device that the networks run on.
        options: of the codec's encoder.

    Attributes:
        header: of the file.
        frames: taken so far.
        bytes: written so far.

    Raises:
        UnknownModelError, DeviceError, QualityError, InputError: an argument is none of these.

    """

    def __init__(
        self,
        target: Any,
        *,
        codec: str | os.PathLike[str],
        width: int = 0,
        height: int = 0,
        rate: Fraction | None = Fraction(25),
        time_base: Fraction | None = None,
        quality: float = QUALITY_DEFAULT,
        format: ClipFormat | None = None,
        control: EncoderControl | None = None,
        device: str | torch.device = "cpu",
        **options: Any,
    ) -> None:
        entry = find_model(codec)
        self._device = usable_device(device)
        self._codec = clip_codec(entry, self._device)
        half_steps = Quality.of(quality).half_steps
        if format is None:
            format = ClipFormat(width, height, time_base or 1 / (rate or Fraction(1000)), rate)
        self.header = container.ClipHeader(
            entry.fingerprint,
            format.width,
            format.height,
            half_steps,
            time_base=format.time_base,
            rate=format.rate,
            colour=format.colour,
            sample_aspect=format.sample_aspect,
        )
        chosen = self._codec.Options.of(entry.name, options)
        self._state = self._codec.start_encoding((format.height, format.width), half_steps, chosen)
        self._writer = container.ClipWriter(target, self.header, format.streams)
        self._streams = format.streams
        self._waiting: deque[tuple[Fraction, container.StreamPacket]] = deque()
        self._control = control
        if control is not None:
            control.start(format, half_steps)
        self._coded = self._coded_bytes = 0
        self._new: list[Coded] = []
        self._last_pts: int | None = None
        self.frames = 0

    @property
    def bytes(self) -> int:
        """Bytes written so far."""
        return self._writer.offset

    def write(self, item: FrameLike | container.StreamPacket) -> None:
        """Take the next frame in order of time, or a packet of a copied stream.

        Args:
            item: planes; RGB, uint8 (H, W, 3) or float tensor (3, H, W) in 0..1; a PIL image; or a packet.

        Raises:
            InputError: it is none of these, of another size, or not later than the frame before.

        """
        if isinstance(item, container.StreamPacket):
            self._waiting.append((self._time_of(item), item))
            return
        frame = self._planar(item)
        if frame.y.shape != (self.header.height, self.header.width):
            size = f"{frame.y.shape[1]}x{frame.y.shape[0]}"
            raise InputError(
                f"frame {self.frames} of {size} in a clip of {self.header.width}x{self.header.height};"
                " bring all to one size first"
            )
        if self._last_pts is not None and frame.pts <= self._last_pts:
            raise InputError(f"time stamp {frame.pts} after {self._last_pts}; give frames in order of time")
        self._last_pts = frame.pts
        y, u, v = (torch.from_numpy(p).to(self._device).to(torch.float32) / 255 for p in (frame.y, frame.u, frame.v))
        wish = self._wish(frame)
        self.frames += 1
        self._push(Frame(y, u, v, frame.pts, frame.duration, wish))

    def _planar(self, item: object) -> PlanarFrame:
        if isinstance(item, PlanarFrame):
            return item
        if isinstance(item, Image.Image):
            item = np.asarray(item.convert("RGB"))
        elif isinstance(item, torch.Tensor):
            if item.ndim != 3 or item.shape[0] != 3 or not item.is_floating_point():
                raise InputError(f"a tensor of {tuple(item.shape)} {item.dtype}: give floats (3, H, W) in 0..1")
            item = (item.detach().permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
        if not isinstance(item, np.ndarray):
            raise InputError(f"a {type(item).__name__} is no frame; give planes, RGB, a tensor or a PIL image")
        if self.header.rate is None:
            raise InputError("the clip's rate varies: give planes with their time stamps, or name a rate")
        return planar_of(item, self.header.regular_pts(self.frames), self.header.regular_duration(self.frames))

    def _wish(self, frame: PlanarFrame) -> Wish:
        if self._control is None:
            return Wish()
        wish = self._control.wish(frame, self._spent())
        if wish.importance is not None:
            expected = (-(-self.header.height // 16), -(-self.header.width // 16))
            if tuple(wish.importance.shape) != expected:
                raise InputError(f"a map of importance of {tuple(wish.importance.shape)}; give one of {expected}")
            wish = replace(wish, importance=wish.importance.to(self._device, torch.float32))
        quality = max(-self.header.quality, min(HALF_STEPS_MAX - self.header.quality, wish.quality))
        return replace(wish, quality=quality)

    def _spent(self) -> Spent:
        new, self._new = tuple(self._new), []
        return Spent(self.frames, self._coded, self._coded_bytes, new)

    def _push(self, frame: Frame | None) -> None:
        with fast_float(self._device):
            packets, self._state = self._codec.encode(frame, self._state)
        for coded in packets:
            self._copy_until(coded.pts * self.header.time_base)
            size = self._writer.write(_packet(coded))
            self._coded += 1
            self._coded_bytes += size
            if self._control is not None:
                self._new.append(Coded(coded.pts, size, coded.type, coded.is_key))

    def _time_of(self, packet: container.StreamPacket) -> Fraction:
        """When a packet is due; one without a time goes with the one before."""
        stream = self._streams[packet.stream - 1] if packet.stream <= len(self._streams) else None
        if stream is None:
            raise InputError(f"a packet of stream {packet.stream}; the clip has {len(self._streams)} of them")
        time = packet.pts if packet.dts is None else packet.dts
        before = self._waiting[-1][0] if self._waiting else Fraction(-(1 << 40))
        return before if time is None else time * stream.time_base

    def _copy_until(self, time: Fraction | None) -> None:
        """Write the packets that are due; all of them for None."""
        while self._waiting and (time is None or self._waiting[0][0] <= time):
            self._writer.write(self._waiting.popleft()[1])

    def close(self) -> None:
        """Write what is left, the index and the end."""
        self._push(None)
        self._copy_until(None)
        self._writer.close()
        if self._control is not None:
            self._control.finish(self._spent())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()


def _packet(coded: CodedFrame) -> container.FramePacket:
    return container.FramePacket(
        coded.number,
        coded.stream.data,
        coded.pts,
        coded.duration,
        coded.stream.checksum,
        coded.type,
        coded.is_key,
        coded.references,
    )
