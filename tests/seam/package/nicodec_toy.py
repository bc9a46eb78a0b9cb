"""Two codec families outside nicodec, as another package would bring them: one of pictures, one of clips.

They are no good as codecs. They use every part of the seam: entry points, configuration, options, weights, packets,
explicit state.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec import media
from nicodec.codecs.base import Packets, PictureCodec, Progress, Watch
from nicodec.codecs.clip import ClipCodec, CodedFrame, Frame
from nicodec.codecs.options import Options, option
from nicodec.entropy.coder import PictureReader, PictureWriter, Stream
from nicodec.entropy.priors import ScaleMixture
from nicodec.training.objective import Objective
from nicodec.training.settings import setting


def prior(shape: Sequence[int], table: int = 30) -> ScaleMixture:
    """Symbols of one table."""
    return ScaleMixture(torch.full(tuple(shape), table))


def table_for(symbols: Tensor) -> int:
    """The table of 1..63 that suits symbols of their mean magnitude."""
    return max(1, min(63, round(8.1 * math.log(float(symbols.abs().mean()) / 0.11 + 1e-9))))


def step_of(quality: float) -> float:
    """Size of a quantisation step at a quality in half steps."""
    return 0.2 * 2 ** (-quality / 40)


@dataclass(frozen=True)
class MosaicConfig:
    """Sides of the tiles of each level."""

    sides: tuple[int, ...] = (16, 4)


@dataclass(frozen=True)
class MosaicOptions(Options):
    """Options of every type."""

    levels: int = option(2, "How many levels are written.", low=1, high=4, short="-L", metavar="N")
    gain: float | None = option(None, "What pixels are multiplied by.", low=0.1, high=10)
    mirror: bool = option(False, "Turn left and right around.")
    name: str = option("plain", "A word.", choices=("plain", "fancy"))


class Mosaic(PictureCodec):
    """Means of tiles, coarse to fine, a packet a level, times a learned brightness."""

    Config = MosaicConfig
    Options = MosaicOptions
    alignment = 16
    packets = Packets.LEVEL

    def __init__(self, config: MosaicConfig | None = None) -> None:
        super().__init__()
        self.config = config or MosaicConfig()
        self.brightness = nn.Parameter(torch.ones(1, dtype=torch.float32))

    def encode(
        self, x: Tensor, quality: Tensor, options: Any, watch: Watch | None = None
    ) -> list[tuple[Stream, ...]]:
        """See `PictureCodec.encode`."""
        x = x * (options.gain or 1.0)
        x = x.flip(3) if options.mirror else x
        return [self._encode_one(x[b : b + 1], float(quality[b]), options.levels, watch) for b in range(len(x))]

    def _encode_one(self, x: Tensor, quality: float, levels: int, watch: Watch | None) -> tuple[Stream, ...]:
        decoded, streams = torch.zeros_like(x), []
        for number, side in enumerate(self.config.sides[:levels]):
            means = F.avg_pool2d(x - decoded, side) / step_of(quality)
            writer = PictureWriter()
            symbols = writer.code(means, prior(means.shape))
            streams.append(writer.finish())
            decoded = decoded + self._grown(symbols, side, quality)
            if watch:
                watch(Progress((number + 1) / levels, f"level {number + 1}", lambda now=decoded: now[0].clamp(0, 1)))
        return tuple(streams)

    def _grown(self, symbols: Tensor, side: int, quality: float) -> Tensor:
        return F.interpolate(symbols * step_of(quality), scale_factor=side)

    def decode(self, streams: Sequence[tuple[Stream, ...]], size: tuple[int, int], quality: Tensor) -> Tensor:
        """See `PictureCodec.decode`."""
        pictures = []
        for own, half_steps in zip(streams, quality.tolist(), strict=True):
            x = torch.zeros(1, 3, *size, dtype=torch.float32)
            for stream, side in zip(own, self.config.sides, strict=False):
                reader = PictureReader(stream)
                symbols = reader.code(None, prior((1, 3, size[0] // side, size[1] // side)))
                reader.finish()
                x = x + self._grown(symbols, side, half_steps)
            pictures.append(x * self.brightness)
        return torch.cat(pictures)


@dataclass(frozen=True)
class BlinkConfig:
    """Frames from one key frame to the next."""

    interval: int = 4


@dataclass(frozen=True)
class BlinkOptions(Options):
    """Two options."""

    keys_only: bool = option(False, "Code every frame by itself.")
    hold: int = option(1, "Frames that the encoder holds back.", low=0, high=100)


@dataclass(frozen=True)
class BlinkState:
    """All that an encoder or a decoder carries from frame to frame."""

    size: tuple[int, int]
    quality: int
    keys_only: bool = False
    hold: int = 0
    number: int = 0
    since_key: int = 0
    last: tuple[Tensor, ...] = ()
    waiting: tuple[Frame, ...] = ()


class Blink(ClipCodec):
    """Planes in coarse steps; a frame between keys is coded as what changed. Its options may hold frames back.

    Wishes are honoured: a frame's added quality is coded in it, and what counts little is left as it was.
    """

    Config = BlinkConfig
    Options = BlinkOptions
    needs_weights = False

    def __init__(self, config: BlinkConfig | None = None) -> None:
        super().__init__()
        self.config = config or BlinkConfig()

    def start_encoding(self, size: tuple[int, int], quality: int, options: Any) -> BlinkState:
        """See `ClipCodec.start_encoding`."""
        return BlinkState(size, quality, options.keys_only, options.hold)

    def encode(self, frame: Frame | None, state: BlinkState) -> tuple[list[CodedFrame], BlinkState]:
        """See `ClipCodec.encode`."""
        waiting = state.waiting if frame is None else (*state.waiting, frame)
        ready = []
        while len(waiting) > (0 if frame is None else state.hold):
            coded, state = self._encode_one(waiting[0], state)
            ready.append(coded)
            waiting = waiting[1:]
        return ready, replace(state, waiting=waiting)

    def _encode_one(self, frame: Frame, state: BlinkState) -> tuple[CodedFrame, BlinkState]:
        is_key = state.keys_only or frame.wish.is_key or state.since_key % self.config.interval == 0
        added = torch.tensor([[float(frame.wish.quality)]])
        writer, found = PictureWriter(), []
        writer.code(added, prior(added.shape))
        step = step_of(state.quality + frame.wish.quality)
        for place, plane in enumerate((frame.y, frame.u, frame.v)):
            before = torch.zeros_like(plane) if is_key else state.last[place]
            change = (plane - before) / step
            if frame.wish.importance is not None and not is_key:
                side = 16 // (1 if place == 0 else 2)
                counts = frame.wish.importance.repeat_interleave(side, 0).repeat_interleave(side, 1)
                change = change * (counts[: plane.shape[0], : plane.shape[1]] >= 0.5)
            change = torch.round(change)[None, None]
            table = table_for(change)
            writer.code(torch.tensor([[float(table)]]), prior((1, 1)))
            symbols = writer.code(change, prior(change.shape, table))
            found.append(before + symbols[0, 0] * step)
        coded = CodedFrame(
            state.number,
            writer.finish(),
            frame.pts,
            frame.duration,
            0 if is_key else 1,
            is_key,
            () if is_key else (state.number - 1,),
        )
        since_key = 1 if is_key else state.since_key + 1
        return coded, replace(state, number=state.number + 1, last=tuple(found), since_key=since_key)

    def start_decoding(self, size: tuple[int, int], quality: int) -> BlinkState:
        """See `ClipCodec.start_decoding`."""
        return BlinkState(size, quality)

    def decode(self, coded: CodedFrame | None, state: BlinkState) -> tuple[list[Frame], BlinkState]:
        """See `ClipCodec.decode`."""
        if coded is None:
            return [], state
        height, width = state.size
        half = (-(-height // 2), -(-width // 2))
        reader, found = PictureReader(coded.stream), []
        step = step_of(state.quality + float(reader.code(None, prior((1, 1)))))
        for place, size in enumerate(((height, width), half, half)):
            before = 0 if coded.is_key else state.last[place]
            table = int(reader.code(None, prior((1, 1))))
            found.append(before + reader.code(None, prior((1, 1, *size), table))[0, 0] * step)
        reader.finish()
        y, u, v = found
        after = replace(state, number=coded.number + 1, last=tuple(found))
        return [Frame(y, u, v, coded.pts, coded.duration)], after


class PictureFolder:
    """Training data: pictures of folders, as tensors."""

    def __init__(self, folders: Sequence[Path]) -> None:
        paths = sorted(path for folder in folders for path in folder.glob("*.png"))
        pixels = [torch.from_numpy(media.read_picture(path).as_uint8()) for path in paths]
        self.pictures = [p.permute(2, 0, 1)[None].float() / 255 for p in pixels]

    def describe(self) -> str:
        """See `Source.describe`."""
        return f"{len(self.pictures)} pictures"


@dataclass(frozen=True)
class ToySettings:
    """How fast the brightness is learned."""

    rate: float = setting(0.1, help="Of descent.", least=0)


class ToyObjective(Objective[Mosaic, PictureFolder]):
    """Learns to make decoded pictures half as bright."""

    settings_type = ToySettings

    @classmethod
    def open_source(
        cls, data: Any, folders: Sequence[Path], shares: Sequence[float], seed: int, budget: Any, workers: Any
    ) -> PictureFolder:
        """See `Objective.open_source`."""
        return PictureFolder(folders)

    def step(self, share: float) -> dict[str, float | Tensor]:
        """See `Objective.step`."""
        x = self.source.pictures[0]
        loss = (x * self.codec.brightness - x / 2).square().mean()
        (gradient,) = torch.autograd.grad(loss, self.codec.brightness)
        with torch.no_grad():
            self.codec.brightness -= self.settings.rate * gradient
        return {"loss": loss.detach()}

    def finish(self, budget: Any) -> Mosaic:
        """See `Objective.finish`."""
        return copy.deepcopy(self.codec).eval()

    def state_dict(self) -> dict[str, Any]:
        """See `Objective.state_dict`."""
        return {"brightness": self.codec.brightness.detach()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Objective.load_state_dict`."""
        with torch.no_grad():
            self.codec.brightness.copy_(state["brightness"])
