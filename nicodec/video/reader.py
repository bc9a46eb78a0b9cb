"""Reading a clip: in order, from a place on, or what is left of a damaged one."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from nicodec import container
from nicodec.codecs.clip import CodedFrame, Frame
from nicodec.container.source import Readable
from nicodec.entropy.coder import Stream
from nicodec.errors import CorruptError, StreamError, TruncatedError
from nicodec.loading import fast_float, usable_device
from nicodec.media.clip_planes import turned
from nicodec.media.clips import ClipFormat, ClipItem, PlanarFrame, to_rgb
from nicodec.video.models import clip_codec
from nicodec.zoo import find_model

B_FRAME = 2
"""Type of a frame that lies between others that are coded already; see `CodedFrame`."""


@dataclass(frozen=True)
class Loss:
    """Frames that were not given because the clip is damaged or cut short.

    Attributes:
        frames: their numbers in the order of coding; None where the clip is cut short, and nobody knows how many.
        start: seconds at which the last frame before them is shown; None where there is none.
        reason: what is wrong.

    """

    frames: range | None
    start: float | None
    reason: str

    def __str__(self) -> str:
        after = "from the start" if self.start is None else f"after {self.start:.3f} s"
        if self.frames is None:
            return f"the clip ends {after}: {self.reason}"
        if not self.frames:
            return f"a packet {after} is damaged: {self.reason}"
        count = len(self.frames)
        named = f"frame {self.frames[0]}" if count == 1 else f"frames {self.frames[0]} to {self.frames[-1]}"
        return f"{named} {after} {'is' if count == 1 else 'are'} left out: {self.reason}"


class VideoReader:
    """Reads a clip from a file or pipe; iterating gives its frames in order of time.

    Args:
        source: a file open for binary reading, or anything with `read`.
        limits: what the clip may ask for.
        partial: give the frames that are whole of a damaged clip; what is left out stands in `losses`.
        device: torch device that the networks run on.

    Attributes:
        header: size, rate, time base, colour and quality, as in the file.
        format: the same of the frames as they are given, upright, and the copied streams.
        losses: what was left out so far.

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
        partial: bool = False,
        device: str | torch.device = "cpu",
    ) -> None:
        self._packets = container.ClipReader(source, limits, partial)
        self._partial = partial
        self.header = self._packets.header
        self._device = usable_device(device)
        self._codec = clip_codec(find_model(self.header.model), self._device)
        self._turns = self.header.rotation // 90
        self.format = _format_of(self.header, self._packets.streams)
        self.losses: list[Loss] = []
        self._from_pts: int | None = None

    @property
    def offset(self) -> int:
        """Bytes of the file up to the packet that was read last."""
        return self._packets.offset

    def __iter__(self) -> Iterator[PlanarFrame]:
        """Give the frames.

        Raises:
            StreamError: a packet is damaged, the clip ends too early, or its symbols disagree.

        """
        return (item for item in self.items() if isinstance(item, PlanarFrame))

    def items(self) -> Iterator[ClipItem]:
        """Give the frames in order of time and, about when they are due, the packets of the copied streams.

        Raises:
            StreamError: as iterating.

        """
        walk = _Walk(self)
        for packet in self._packets:
            if isinstance(packet, container.StreamPacket):
                yield packet
            elif isinstance(packet, container.Damaged):
                yield from walk.pass_over(packet)
            else:
                yield from walk.decode(packet)
        yield from walk.finish()

    def decode(self, coded: Sequence[CodedFrame] | None, state: Any) -> tuple[list[PlanarFrame], Any]:
        """Give the frames that packets (None: the end) make ready, and the next state."""
        with fast_float(self._device):
            if coded is None:
                frames, state = self._codec.decode(None, state)
            else:
                frames, state = self._codec.decode_together(coded, state)
        return [turned(_planes(frame), self._turns) for frame in frames], state

    @property
    def at_once(self) -> int:
        """How many packets are decoded at once."""
        return self._codec.at_once((self.header.height, self.header.width))

    def start_decoding(self) -> Any:
        """Give the codec's state before a key frame."""
        return self._codec.start_decoding((self.header.height, self.header.width), self.header.quality)

    def seek(self, seconds: float) -> None:
        """Go on from the last key frame that is shown at this time or before; the source must be seekable.

        Raises:
            InputError: the source is a pipe, or the time is no number.
            StreamError: the index at the clip's end is damaged.

        """
        self._from_pts = self._packets.seek(seconds).pts

    def frame_at(self, seconds: float) -> PlanarFrame:
        """The frame that is shown at this time: the last that is due by then, or the first.

        Raises:
            InputError, StreamError: as `seek`.

        """
        self.seek(seconds)
        due = Fraction(seconds) / self.header.time_base
        found = None
        for frame in self:
            if found is not None and frame.pts > due:
                break
            found = frame
        if found is None:
            raise CorruptError("the clip has no frames; fetch or copy it again")
        return found

    def seconds_of(self, frame: PlanarFrame) -> float:
        """When a frame is shown."""
        return float(frame.pts * self.header.time_base)

    def as_array(self, frame: PlanarFrame) -> NDArray[np.uint8]:
        """A frame as RGB, uint8 (H, W, 3)."""
        return to_rgb(frame, full_range=self.header.colour.full_range, matrix=self.header.colour.matrix)

    def as_pil(self, frame: PlanarFrame) -> Image.Image:
        """A frame as a PIL image."""
        return Image.fromarray(self.as_array(frame))

    def as_tensor(self, frame: PlanarFrame) -> torch.Tensor:
        """A frame as float32 (3, H, W) in 0..1, on the reader's device."""
        return torch.from_numpy(self.as_array(frame)).permute(2, 0, 1).to(self._device).to(torch.float32) / 255

    @property
    def first_pts(self) -> int | None:
        """After `seek`: frames that are shown before this are not decoded, for their references were not read."""
        return self._from_pts

    @property
    def is_partial(self) -> bool:
        """Whether a damaged clip is read as far as it goes."""
        return self._partial


class _Walk:
    """One pass over a clip's packets: what to decode, and what is lost."""

    def __init__(self, reader: VideoReader) -> None:
        self._reader = reader
        self._state = reader.start_decoding()
        self._first_pts = reader.first_pts
        self._reason: str | None = None
        self._lost: list[int] = []
        self._last_pts: int | None = None
        self._cut: StreamError | None = None
        self._damage: str | None = None
        self._held: list[CodedFrame] = []

    def decode(self, packet: container.FramePacket) -> Iterator[PlanarFrame]:
        """Decode a packet, or leave it out where what it is predicted from is missing.

        B-frames are held back until there are others that can be decoded with them.
        """
        self._tell_of_damage()
        held = {coded.number for coded in self._held}
        if packet.is_key or not held.isdisjoint(packet.references):
            yield from self._let_go()
        if self._reason is not None:
            if not packet.is_key:
                self._lost.append(packet.number)
                return
            self._tell()
            self._state = self._reader.start_decoding()
            self._first_pts = packet.pts
        if self._first_pts is not None and packet.pts < self._first_pts:
            if self._reader.losses and self._reader.is_partial:
                self._add_leading(packet.number)
            return
        self._held.append(_coded(packet))
        if packet.type != B_FRAME or len(self._held) >= self._reader.at_once:
            yield from self._let_go()

    def _let_go(self) -> Iterator[PlanarFrame]:
        """Decode what is held back."""
        held, self._held = self._held, []
        if held:
            yield from self._pull(held)

    def _pull(self, coded: list[CodedFrame] | None) -> Iterator[PlanarFrame]:
        if self._reason is not None:
            self._lost += [each.number for each in coded or ()]
            return
        try:
            frames, self._state = self._reader.decode(coded, self._state)
        except StreamError as error:
            if not self._reader.is_partial:
                raise
            if coded is None:
                self._reason = str(error)
            elif len(coded) > 1:
                for each in coded:
                    yield from self._pull([each])
            else:
                yield from self._pull(None)  # what is decoded and waits for this frame
                self._reason = str(error)
                self._lost.append(coded[0].number)
            return
        for frame in frames:
            self._last_pts = frame.pts
            yield frame

    def pass_over(self, damaged: container.Damaged) -> Iterator[PlanarFrame]:
        """Note what is missing; give the frames that are decoded and wait for nothing that is."""
        if not damaged.frames:  # what comes next tells whether it was a frame
            if isinstance(damaged.error, TruncatedError):
                self._cut = damaged.error
            else:
                self._tell_of_damage()
                self._damage = str(damaged.error)
            return
        yield from self._let_go()
        yield from self._pull(None)
        self._reason = self._damage or str(damaged.error)
        self._damage = None
        self._lost += damaged.frames

    def finish(self) -> Iterator[PlanarFrame]:
        """Give the last frames."""
        yield from self._let_go()
        yield from self._pull(None)
        self._tell()
        self._tell_of_damage()
        if self._cut is not None:
            self._reader.losses.append(Loss(None, self._seconds(), str(self._cut)))

    def _tell(self) -> None:
        if self._reason is not None and self._lost:
            lost = range(self._lost[0], self._lost[-1] + 1)
            self._reader.losses.append(Loss(lost, self._seconds(), self._reason))
        self._reason, self._lost = None, []

    def _tell_of_damage(self) -> None:
        """Tell of a damaged packet that was no frame."""
        if self._damage is not None:
            self._reader.losses.append(Loss(range(0), self._seconds(), self._damage))
            self._damage = None

    def _add_leading(self, number: int) -> None:
        """A frame after a key frame that is shown before it, and whose other reference was lost."""
        last = self._reader.losses[-1]
        reason = "what it is predicted from is missing"
        if last.frames and last.reason == reason:
            self._reader.losses[-1] = Loss(range(last.frames[0], number + 1), last.start, reason)
        else:
            self._reader.losses.append(Loss(range(number, number + 1), self._seconds(), reason))

    def _seconds(self) -> float | None:
        return None if self._last_pts is None else float(self._last_pts * self._reader.header.time_base)


def _format_of(header: container.ClipHeader, streams: tuple[container.Stream, ...]) -> ClipFormat:
    width, height, aspect = header.width, header.height, header.sample_aspect
    if header.rotation in (90, 270):
        width, height, aspect = height, width, 1 / aspect
    return ClipFormat(width, height, header.time_base, header.rate, header.colour, aspect, streams)


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


def first_frame(data: bytes, limits: container.Limits = container.DEFAULT_LIMITS) -> PlanarFrame:
    """The first frame of a clip.

    Raises:
        CorruptError: it has none.

    """
    for frame in VideoReader(io.BytesIO(data), limits=limits):
        return frame
    raise CorruptError("the clip has no frames; fetch or copy it again")
