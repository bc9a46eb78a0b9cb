"""One pass of an encoder over a clip, or over its beginning."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np
import torch

from nicodec.control import Coded, EncoderControl, Spent, Together, Wish
from nicodec.media.clips import ClipFormat, ClipItem, FrameSource, PlanarFrame
from nicodec.video.progress import ClipProgress, Watch
from nicodec.video.reader import VideoReader
from nicodec.video.writer import VideoWriter

Stop = Callable[[], bool]
"""Says whether the clip is to end here."""

TRIAL_FRAMES = 16
"""Frames of a clip's beginning that a search tries qualities on."""


@dataclass
class Job:
    """What is coded, and how; goals say at which quality.

    Attributes:
        reopen: opens the source.
        can_reopen: whether it can be read more than once.
        codec, device, options, control, watch, stop: as `compress_video` takes them.

    """

    reopen: Callable[[], FrameSource]
    can_reopen: bool
    codec: str | os.PathLike[str]
    device: str | torch.device
    options: dict[str, Any]
    control: EncoderControl | None = None
    watch: Watch | None = None
    stop: Stop | None = None

    def source(self) -> FrameSource:
        """The source, from its start."""
        return self.reopen()

    def writer(
        self, file: Any, half_steps: int, form: ClipFormat, extra: EncoderControl | None = None
    ) -> VideoWriter:
        """A writer into `file` whose control is the user's, and `extra`."""
        own = copy.deepcopy(self.control)
        controls = [control for control in (own, extra) if control is not None]
        return VideoWriter(
            file,
            codec=self.codec,
            quality=half_steps / 2,
            format=form,
            control=controls[0] if len(controls) == 1 else Together(*controls) if controls else None,
            device=self.device,
            **self.options,
        )

    def tell(self, what: str, writer: VideoWriter, form: ClipFormat, seconds: float) -> None:
        """Tell who watches how far it is."""
        if self.watch is not None:
            self.watch(ClipProgress(what, writer.frames, form.frames, seconds, writer.bytes))


@dataclass(frozen=True)
class Beginning:
    """A source whose first items were taken already; a `FrameSource`."""

    format: ClipFormat
    first: list[ClipItem]
    rest: Iterator[ClipItem]

    def __iter__(self) -> Iterator[ClipItem]:
        """Give the items."""
        yield from self.first
        yield from self.rest


@dataclass(frozen=True)
class FirstFrames:
    """The frames that begin a clip; a `FrameSource`, as often as wanted."""

    beginning: Beginning

    @property
    def format(self) -> ClipFormat:
        """Of the clip, without its streams."""
        return replace(self.beginning.format, streams=(), frames=None)

    def __iter__(self) -> Iterator[ClipItem]:
        """Give the frames."""
        return (item for item in self.beginning.first if isinstance(item, PlanarFrame))


def begin(source: FrameSource, count: int = TRIAL_FRAMES) -> Beginning:
    """Take items until there are so many frames."""
    items, first, frames = iter(source), [], 0
    for item in items:
        first.append(item)
        frames += isinstance(item, PlanarFrame)
        if frames == count:
            break
    return Beginning(source.format, first, items)


def encode_all(
    job: Job, file: Any, half_steps: int, source: FrameSource, extra: EncoderControl | None = None
) -> None:
    """Write the clip; ends early where `stop` says so."""
    with job.writer(file, half_steps, source.format, extra) as writer:
        for item in _until_stopped(iter(source), job.stop):
            writer.write(item)
            if isinstance(item, PlanarFrame):
                job.tell("encoding", writer, source.format, float(item.pts * source.format.time_base))


def _until_stopped(items: Iterator[ClipItem], stop: Stop | None) -> Iterator[ClipItem]:
    if stop is None:
        yield from items
        return
    while not stop():
        try:
            item = next(items)
        except (StopIteration, KeyboardInterrupt):
            return
        yield item


@dataclass
class Costs(EncoderControl):
    """A control that wishes nothing and notes what each frame cost.

    Attributes:
        bits: of each frame by its time stamp.
        keys: time stamps of the key frames.

    """

    bits: dict[int, float] = field(default_factory=dict)
    keys: list[int] = field(default_factory=list)

    def wish(self, frame: PlanarFrame, spent: Spent) -> Wish:
        """See `EncoderControl.wish`."""
        self.note(spent.new)
        return Wish()

    def finish(self, spent: Spent) -> None:
        """See `EncoderControl.finish`."""
        self.note(spent.new)

    def note(self, coded: Iterable[Coded]) -> None:
        """Take what frames cost."""
        for each in coded:
            self.bits[each.pts] = 8.0 * each.bytes
            if each.is_key:
                self.keys.append(each.pts)


@dataclass
class Nowhere:
    """A file that only counts its bytes."""

    size: int = 0

    def write(self, data: bytes) -> int:
        """Count the bytes."""
        self.size += len(data)
        return len(data)


def measure(job: Job, half_steps: int, items: FrameSource, what: str) -> tuple[Costs, int]:
    """Code items without keeping them; return the costs of the frames, and the bytes of the whole file."""
    costs, nowhere = Costs(), Nowhere()
    with job.writer(nowhere, half_steps, items.format, costs) as writer:
        for item in items:
            writer.write(item)
            if isinstance(item, PlanarFrame):
                job.tell(what, writer, items.format, float(item.pts * items.format.time_base))
    return costs, nowhere.size


class Psnr:
    """PSNR of a clip: of each frame's Y, U and V, weighted 6:1:1, and of these the mean."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0

    def add(self, original: PlanarFrame, decoded: PlanarFrame) -> None:
        """Compare a frame."""
        pairs = ((original.y, decoded.y, 6), (original.u, decoded.u, 1), (original.v, decoded.v, 1))
        self._sum += sum(weight * plane_psnr(a, b) for a, b, weight in pairs) / 8
        self._count += 1

    @property
    def value(self) -> float:
        """In dB; a plane without any error counts as 100."""
        return self._sum / max(1, self._count)


def plane_psnr(original: Any, decoded: Any) -> float:
    """PSNR in dB of two planes of 8 bits, at most 100."""
    error = float(np.mean((original.astype(np.float32) - decoded.astype(np.float32)) ** 2))
    return min(100.0, 10 * math.log10(255**2 / error)) if error else 100.0


def measure_psnr(job: Job, half_steps: int, file: BinaryIO, reopen: Callable[[], FrameSource], what: str) -> float:
    """Code frames into `file`, from its start, and decode them; return the PSNR."""
    file.seek(0)
    file.truncate()
    source = reopen()
    with job.writer(file, half_steps, source.format) as writer:
        for item in source:
            writer.write(item)
            if isinstance(item, PlanarFrame):
                job.tell(what, writer, source.format, float(item.pts * source.format.time_base))
    file.seek(0)
    psnr = Psnr()
    originals = (item for item in reopen() if isinstance(item, PlanarFrame))
    for original, decoded in zip(originals, VideoReader(file, device=job.device), strict=True):
        psnr.add(original, decoded)
    return psnr.value
