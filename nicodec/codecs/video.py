"""The codec of clips: which frame is coded when, from what and how finely; the network is `video_network`'s.

Random access: after a key frame, as fine as pays for those after it, come groups of frames, as long as suits them;
both are tried, lengths again now and then. The last frame of a group is a P-frame, predicted from the last one of the
group before; those between are B-frames, each halfway between two that are coded, the middle one first. Low delay:
P-frames one after another, each predicted from the one before and from the last that was coded finely.

Frames that follow each other in the file, and of which none refers to the other, are coded at once, in a thread each.

A frame's stream has the quality, the distances of its references and whether it is a picture, then its motion and its
latents, or a picture as the model that `VideoConfig.intra` names writes it. A key frame is always one; another frame
is where its references predict so little that a picture is the cheaper way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nicodec.codecs.base import Codec
from nicodec.codecs.clip import ClipCodec, CodedFrame, Frame
from nicodec.codecs.latent import LatentCodec
from nicodec.codecs.options import Options, option
from nicodec.codecs.tile_pool import TilePool
from nicodec.codecs.video_head import code_flag, code_head, read_head
from nicodec.codecs.video_memory import NOTHING, Known, Memory, frames_at, references_of, with_frame, with_prepared
from nicodec.codecs.video_network import ALIGNMENT, Coded, Prepared, Reference, VideoNetwork, without_motion
from nicodec.codecs.video_order import KEY, KEY_BONUSES, Turn, low_delay, pyramids, together
from nicodec.codecs.video_padding import Counts, counts_of, padded, padded_size
from nicodec.codecs.video_planes import (
    LUMA,
    Planes,
    error_level,
    planes_to_rgb,
    rgb_to_planes,
    to_codes,
    weighted_error,
)
from nicodec.codecs.video_stills import BlockBits, Still, weighed
from nicodec.entropy.coder import Coder, LeastCost, Stream, StreamDecoder, StreamEncoder, Within
from nicodec.errors import CorruptError
from nicodec.exact.anchors import QUALITY_STEPS
from nicodec.motion.field import Motion
from nicodec.motion.search import price_of

PICTURE_TRIED, PICTURE_SLOPE = 0.4, 0.0125
"""A frame is tried as a picture where it takes at least so much of the bits of the last picture, which are taken to
grow by so many nats each half step of quality."""

AT_ONCE, AT_ONCE_PIXELS = 2, 2**19
"""Frames that are coded at once, and the largest of which so many are: larger ones keep all threads busy."""

REFRESH = 32
"""After so many frames since a key frame memory is derived anew from the frame."""

KEY_WORTH = 1.6
"""How much more an error counts when key frames are tried: it goes on into frames that do not wait yet."""

CUT_LEAST, CUT_RATIO = 0.06, 3.0
"""A scene begins where means of squares of 16 pixels change by so much, and so many times as much as before."""

GROUP_LENGTHS = (8, 4, 2)
"""Frames of a group, where groups follow from the clip: tried in this order while they cost less and less."""

GROUPS_ALIKE = 5
"""So many times frames are divided like those for which lengths were tried, or until the next key frame."""


@dataclass(frozen=True)
class VideoOptions(Options):
    """What the encoder of clips can be asked for."""

    gop: int = option(
        0, "Frames of a group; 0: up to 8, as they suit the clip; 1 has P-frames only.", low=0, high=16, metavar="N"
    )
    intra_period: int = option(
        48, "A decoder can start, and a damaged file goes on, every so many frames.", low=1, high=65535, metavar="N"
    )
    low_delay: bool = option(False, "Write every frame as it comes, predicted from the past alone.")

    @property
    def is_fitted(self) -> bool:
        """Whether the lengths of groups follow from the clip."""
        return not self.gop and not self.low_delay

    @property
    def most(self) -> int:
        """Frames after a key frame that wait for each other at most; 0: the key frame does not wait, either."""
        return 0 if self.low_delay else self.gop or GROUP_LENGTHS[0]


@dataclass(frozen=True)
class EncoderState:
    """All that an encoder carries from frame to frame.

    Attributes:
        size: H, W.
        quality: half steps.
        options: of the encoder.
        memory: decoded frames.
        waiting: frames that are not coded yet; the first may be a key frame.
        key_waits: whether a key frame is the first of those that wait.
        length: of the groups that suited the clip last.
        alike: how many more times frames are divided into such groups before others are tried.
        bits: of all frames so far.
        levels: the sum of what `error_level` says of them.
        picture: bits of the last frame that was coded as a picture, and its quality; None: there was none.
        number: of frames that were taken.
        since_key: of frames that were taken since the last key frame.
        seen: means of squares of the last frame taken, and how much such means changed of late.

    """

    size: tuple[int, int]
    quality: int
    options: VideoOptions
    memory: Memory = NOTHING
    waiting: tuple[Frame, ...] = ()
    key_waits: bool = False
    length: int = 0
    alike: int = 0
    bits: int = 0
    levels: float = 0.0
    picture: tuple[int, int] | None = None
    number: int = 0
    since_key: int = 0
    seen: tuple[Tensor, float] | None = None

    @property
    def first(self) -> int:
        """In the order of time, the first frame that waits."""
        return self.number - len(self.waiting)


@dataclass(frozen=True)
class Written:
    """A frame as an encoder could write it.

    Attributes:
        stream: of it.
        reference: what it is to later frames.
        picture: whether it is coded as one.
        bits: of the stream.
        cost: λ·255²·MSE of all its pixels + bits.
        level: see `error_level`.

    """

    stream: Stream
    reference: Reference
    picture: bool
    bits: int
    cost: float
    level: float


@dataclass(frozen=True)
class _Way:
    """What coding frames that wait comes to.

    Attributes:
        coded: the frames.
        begun: the encoder's state after the first of them.
        state: after all.

    """

    coded: list[CodedFrame]
    begun: EncoderState
    state: EncoderState


@dataclass(frozen=True)
class DecoderState:
    """All that a decoder carries from packet to packet.

    Attributes:
        size: H, W.
        quality: half steps.
        memory: decoded frames.
        waiting: those that are shown after one that is not decoded, by index.
        shown: how many were given.

    """

    size: tuple[int, int]
    quality: int
    memory: Memory = NOTHING
    waiting: tuple[tuple[int, Frame], ...] = ()
    shown: int = 0


def _cut(planes: Planes, size: tuple[int, int], pts: int, duration: int) -> Frame:
    height, width = size
    half = (-(-height // 2), -(-width // 2))
    y, u, v = planes.y[0, 0, :height, :width], *(p[0, 0, : half[0], : half[1]] for p in (planes.u, planes.v))
    return Frame(y, u, v, pts, duration)


def _planes(frame: Frame) -> Planes:
    return Planes(frame.y[None, None], frame.u[None, None], frame.v[None, None])


class Video(VideoNetwork, ClipCodec):
    """Clips: motion, and frames on the condition of what their references predict."""

    Options = VideoOptions
    _pictures: tuple[LatentCodec, ...] = ()

    # The model of pictures

    def borrowed(self) -> tuple[str, ...]:
        """See `Codec.borrowed`."""
        return (self.config.intra,)

    def borrow(self, fingerprint: str, codec: Codec) -> None:
        """See `Codec.borrow`."""
        if not isinstance(codec, LatentCodec) or ALIGNMENT % codec.alignment:
            raise ValueError(f"model {fingerprint} is no picture codec that could code a clip's key frames")
        self._pictures = (codec,)  # in a tuple: no part of this module

    @property
    def pictures(self) -> LatentCodec:
        """What codes key frames.

        Raises:
            ValueError: nobody has lent it.

        """
        if not self._pictures:
            raise ValueError(f"model {self.config.intra} was not lent; load this codec through nicodec.zoo")
        return self._pictures[0]

    # Encoding

    def start_encoding(self, size: tuple[int, int], quality: int, options: Any) -> EncoderState:
        """See `ClipCodec.start_encoding`."""
        return EncoderState(size, quality, options)

    def encode(self, frame: Frame | None, state: EncoderState) -> tuple[list[CodedFrame], EncoderState]:
        """See `ClipCodec.encode`."""
        if frame is None:
            return self._group(state)
        means = F.avg_pool2d(frame.y[None, None], 16, ceil_mode=True, count_include_pad=False)
        cut, usual = _scene_cut(means, state.seen)
        is_key = not state.number or frame.wish.is_key or cut or state.since_key >= state.options.intra_period
        coded: list[CodedFrame] = []
        if is_key:
            coded, state = self._group(state)
            state = replace(state, since_key=0, key_waits=True, alike=0)
        state = replace(state, waiting=(*state.waiting, frame), number=state.number + 1)
        state = replace(state, since_key=state.since_key + 1, seen=(means, usual))
        if frame.wish.ends_group or len(state.waiting) - state.key_waits >= state.options.most:
            more, state = self._group(state)
            coded = [*coded, *more]
        return coded, state

    def _group(self, state: EncoderState) -> tuple[list[CodedFrame], EncoderState]:
        """Code the frames that wait."""
        if not state.waiting:
            return [], state
        if state.options.low_delay:
            turn = low_delay(state.first, None if state.key_waits else state.memory.key_index)
            way = self._way(state, [turn])
        elif state.key_waits:
            way = self._key_and_after(state)
        else:
            way = self._after(state, state.first - 1)
        return way.coded, replace(way.state, waiting=(), key_waits=False)

    def _key_and_after(self, state: EncoderState) -> _Way:
        """Code a key frame, as fine as pays for the frames after it that wait, and those."""
        key, end = state.first, state.number - 1
        keys = [Turn(key, KEY, (), bonus) for bonus in KEY_BONUSES]
        if key == end:
            return self._way(state, keys[-1:])
        group = pyramids(key, end, end - key)
        best, _ = self._cheapest(state, [[turn, *group] for turn in keys], worth=KEY_WORTH)
        after = self._after(best.begun, key, replace(best, coded=best.coded[1:]))
        return replace(after, coded=[best.coded[0], *after.coded])

    def _after(self, state: EncoderState, last: int, group: _Way | None = None) -> _Way:
        """Code the frames after the one of this index, in groups as long as suits them.

        Args:
            state: of the encoder.
            last: the index.
            group: what they come to as one group, where that is known.

        """
        end = state.number - 1
        count = end - last
        if not state.options.is_fitted or any(f.wish.ends_group is not None for f in state.waiting[-count:]):
            return group or self._way(state, pyramids(last, end, count))
        if state.alike:
            way = self._way(state, pyramids(last, end, state.length))
            return replace(way, state=replace(way.state, alike=state.alike - 1))
        lengths = [GROUP_LENGTHS[0], *(length for length in GROUP_LENGTHS[1:] if length < count)]
        best, number = self._cheapest(state, [pyramids(last, end, length) for length in lengths], first=group)
        return replace(best, state=replace(best.state, length=lengths[number], alike=GROUPS_ALIKE))

    def _cheapest(
        self, state: EncoderState, ways: Sequence[Sequence[Turn]], *, first: _Way | None = None, worth: float = 1.0
    ) -> tuple[_Way, int]:
        """Code frames that wait in the cheapest of several ways, tried in their order while they cost less and less.

        The mean of logarithms of errors stands for the error, as clips are judged by the mean of decibels.

        Args:
            state: of the encoder.
            ways: what they are.
            first: what the first of them comes to, where that is known.
            worth: of an error, beside what λ says.

        Returns:
            What the best comes to, and its number.

        """
        wishes = [state.waiting[turn.index - state.first].wish.quality for turn in ways[0]]
        quality = min(max(state.quality + sum(wishes) // len(wishes), 0), QUALITY_STEPS)
        best, number = first or self._way(state, ways[0]), 0
        level = (best.state.levels - state.levels) / len(wishes)
        unit = worth * LUMA * self._weight(quality) * math.exp(level) * math.prod(state.size)
        for other in ways[1:]:
            way = self._way(state, other)
            more_bits, more_level = way.state.bits - best.state.bits, way.state.levels - best.state.levels
            if more_bits + unit * more_level >= 0:
                break
            best, number = way, number + 1
        return best, number

    def _way(self, state: EncoderState, turns: Sequence[Turn]) -> _Way:
        """Code frames that wait, in this order; the second one refers to the first."""
        first, *others = together(turns, _at_once(padded_size(state.size)))
        coded, begun = self._run(state, first)
        state = begun
        for run in others:
            packets, state = self._run(state, run)
            coded += packets
        return _Way(coded, begun, state)

    def _run(self, state: EncoderState, turns: Sequence[Turn]) -> tuple[list[CodedFrame], EncoderState]:
        """Code frames of which none refers to another."""
        used = [frames_at(state.memory, turn.references) for turn in turns]
        with self._pool(state.size) as pool:
            start = replace(state, memory=with_prepared(pool, state.memory, used))
            pairs = list(zip(turns, used, strict=True))
            written = list(pool.map(lambda pair: self._best(start, *pair), pairs))
        coded, state = list[CodedFrame](), start
        for (turn, own), one in zip(pairs, written, strict=True):
            packet, state = self._taken(state, turn, own, one)
            coded.append(packet)
        return coded, state

    def _pool(self, size: tuple[int, int]) -> TilePool:
        """What codes frames of H, W; small ones in one thread each, which is faster even for one of them."""
        return TilePool(self.deviation.device, alone=_at_once(padded_size(size)) == 1, keeps_memory=True)

    def _best(self, state: EncoderState, turn: Turn, used: Sequence[Known]) -> Written:
        """Write a frame that waits, predicted or as a picture."""
        frame = state.waiting[turn.index - state.first]
        quality = _quality_of(state, turn)
        best = self._written(frame, state, turn.index, used, quality, as_picture=not used)
        if used and _is_hard(best.bits, quality, state.picture):
            other = self._written(frame, state, turn.index, used, quality, as_picture=True)
            best = other if other.cost < best.cost else best
        return best

    def _taken(
        self, state: EncoderState, turn: Turn, used: Sequence[Known], written: Written
    ) -> tuple[CodedFrame, EncoderState]:
        """The packet of a frame, and the state after it."""
        frame, number = state.waiting[turn.index - state.first], state.memory.frames
        seen = tuple(k.number for k in used)
        packet = CodedFrame(number, written.stream, frame.pts, frame.duration, turn.kind, not used, seen)
        return packet, replace(
            state,
            memory=with_frame(state.memory, turn.index, used, written.reference),
            picture=(written.bits, _quality_of(state, turn)) if written.picture else state.picture,
            bits=state.bits + written.bits,
            levels=state.levels + written.level,
        )

    def _written(
        self, frame: Frame, state: EncoderState, index: int, used: Sequence[Known], quality: int, *, as_picture: bool
    ) -> Written:
        """Write a frame in one of the two ways."""
        encoder, size = StreamEncoder(1), padded_size(state.size)
        code_head(encoder, state.quality, quality, [k.index - index for k in used], as_picture=as_picture)
        x, counts = padded(frame), counts_of(frame)
        reference = self._code(
            encoder, x, state.memory, index, used, quality, size, as_picture=as_picture, counts=counts
        )
        (stream,) = encoder.finish()
        decoded, bits = _cut(reference.planes, state.size, 0, 0), 8 * len(stream.data)
        whole, shown = _planes(frame), _planes(decoded)
        cost = self._weight(quality) * float(weighted_error(whole, shown)) * math.prod(state.size) + bits
        return Written(stream, reference, as_picture, bits, cost, error_level(whole, shown))

    def _weight(self, quality: int) -> float:
        """λ·255²."""
        return 255**2 * float(self.rate_weight(torch.tensor([quality])))

    # Decoding

    def start_decoding(self, size: tuple[int, int], quality: int) -> DecoderState:
        """See `ClipCodec.start_decoding`."""
        return DecoderState(size, quality)

    def decode(self, coded: CodedFrame | None, state: DecoderState) -> tuple[list[Frame], DecoderState]:
        """See `ClipCodec.decode`."""
        if coded is not None:
            return self.decode_together([coded], state)
        return [frame for _, frame in sorted(state.waiting, key=lambda each: each[0])], replace(state, waiting=())

    def at_once(self, size: tuple[int, int]) -> int:
        """See `ClipCodec.at_once`."""
        return _at_once(padded_size(size))

    def decode_together(self, coded: Sequence[CodedFrame], state: DecoderState) -> tuple[list[Frame], DecoderState]:
        """See `ClipCodec.decode_together`."""
        memory = state.memory
        used = [references_of(each, memory) for each in coded]
        with self._pool(state.size) as pool:
            memory = with_prepared(pool, memory, used)
            size, pairs = padded_size(state.size), list(zip(coded, used, strict=True))
            found = list(pool.map(lambda pair: self._decoded(memory, state.quality, size, *pair), pairs))
        waiting = list(state.waiting)
        for each, own, (index, reference) in zip(coded, used, found, strict=True):
            memory = with_frame(replace(memory, frames=each.number), index, own, reference)
            waiting.append((index, _cut(reference.planes, state.size, each.pts, each.duration)))
        waiting.sort(key=lambda each: each[0])
        shown, ready = state.shown, []
        while waiting and waiting[0][0] == shown:
            ready.append(waiting.pop(0)[1])
            shown += 1
        return ready, DecoderState(state.size, state.quality, memory, tuple(waiting), shown)

    def _decoded(
        self, memory: Memory, base: int, size: tuple[int, int], coded: CodedFrame, used: Sequence[Known]
    ) -> tuple[int, Reference]:
        """A frame's index in the order of time, and the frame."""
        decoder = StreamDecoder([coded.stream])
        quality, distances, as_picture = read_head(decoder, base, len(used))
        if used:
            index = used[0].index - distances[0]
            if any(k.index - index != d for k, d in zip(used, distances, strict=True)):
                raise CorruptError(f"frame {coded.number}: its references lie elsewhere than it says")
        else:
            index = max(k.index for k in memory.known) + 1 if memory.known else 0
        reference = self._code(decoder, None, memory, index, used, quality, size, as_picture=as_picture)
        decoder.finish()
        return index, reference

    # Both

    def _code(
        self,
        coder: StreamEncoder | StreamDecoder,
        x: Planes | None,
        memory: Memory,
        index: int,
        used: Sequence[Known],
        quality: int,
        size: tuple[int, int],
        *,
        as_picture: bool,
        counts: Counts | None = None,
    ) -> Reference:
        """Code a frame after its head. Returns what it is to later frames.

        Args:
            coder: what is done with the symbols.
            x: the frame, padded; None when decoding.
            memory: decoded frames; those of `used` are prepared.
            index: the frame's, in the order of time.
            used: its references; none: it is a key frame.
            quality: half steps.
            size: H, W with padding.
            as_picture: whether it is coded as one.
            counts: what an encoder minds of it.

        """
        half_steps = torch.tensor([quality], device=self.deviation.device)
        if as_picture:
            return self._code_picture(coder, x, half_steps, size, counts)
        prepared = dict(memory.prepared)
        references = [(k.reference, prepared[k.number]) for k in used]
        distances = [k.index - index for k in used]
        reference = self._code_predicted(coder, x, references, distances, half_steps, counts)
        if (index - memory.key_index) % REFRESH == 0:
            reference = replace(reference, memory=self.first_reference(reference.planes, half_steps).memory)
        return reference

    def _code_predicted(
        self,
        coder: StreamEncoder | StreamDecoder,
        x: Planes | None,
        references: Sequence[tuple[Reference, Prepared]],
        distances: Sequence[int],
        quality: Tensor,
        counts: Counts | None,
    ) -> Reference:
        price = None if counts is None else price_of(self.rate_weight(quality)) / counts.errors
        motion = self.code_motion(coder, x, references, distances, quality, price)
        if x is None:
            tell = partial(code_flag, coder)
            return self.code_frame(coder, None, motion, references, distances, quality, None, tell).reference
        assert isinstance(coder, StreamEncoder)
        return self._least_cost(coder, x, motion, references, distances, quality, counts)

    def _least_cost(
        self,
        coder: StreamEncoder,
        x: Planes,
        motion: Motion,
        references: Sequence[tuple[Reference, Prepared]],
        distances: Sequence[int],
        quality: Tensor,
        counts: Counts | None,
    ) -> Reference:
        """Write a frame's latents; without those of still blocks that are better copied, where that costs less."""
        grid, cells = (x.y.shape[2] // 16, x.y.shape[3] // 16), None if counts is None else counts.cells
        if not bool(without_motion(motion).any()):
            inner = _spending(coder, counts)
            return self.code_frame(inner, x, motion, references, distances, quality, cells).reference
        weight = self._weight(int(quality))

        def written(encoder: StreamEncoder, kept: Tensor | None) -> tuple[Coded, Still]:
            bits = BlockBits(encoder, grid)
            inner = _spending(bits, counts)
            inner = inner if kept is None else Within(inner, kept)
            tell = partial(code_flag, encoder)
            coded = self.code_frame(inner, x, motion, references, distances, quality, cells, tell)
            return coded, weighed(x, coded, bits, weight, cells)

        other = coder.copy()
        coded, still = written(coder, None)
        if still.kept is None:
            return coded.reference
        again, its = written(other, still.kept)
        if its.cost >= still.cost:
            return coded.reference
        coder.pictures = other.pictures
        return again.reference

    def _code_picture(
        self,
        coder: StreamEncoder | StreamDecoder,
        x: Planes | None,
        quality: Tensor,
        size: tuple[int, int],
        counts: Counts | None,
    ) -> Reference:
        pictures = self.pictures
        rgb = None if x is None else planes_to_rgb(x)
        inner = coder if x is None else _spending(coder, counts)
        latents = pictures.code_latents(inner, rgb, size, quality)
        filters = pictures.code_filters(coder.pictures, rgb, latents, quality)
        decoded = to_codes(rgb_to_planes(pictures.synthesise(latents, quality, filters).float()))
        return self.first_reference(decoded, quality)


def _quality_of(state: EncoderState, turn: Turn) -> int:
    """Half steps of a frame that waits."""
    wish = state.waiting[turn.index - state.first].wish.quality
    return min(max(state.quality + turn.bonus + wish, 0), QUALITY_STEPS)


def _at_once(size: tuple[int, int]) -> int:
    """How many frames of H, W are coded at once."""
    return AT_ONCE if math.prod(size) <= AT_ONCE_PIXELS else 1


def _spending(coder: Coder, counts: Counts | None) -> Coder:
    """Write the symbols of least cost, and zeros where a frame is only padding."""
    best = LeastCost(coder)
    return best if counts is None else Within(best, counts.blocks)


def _scene_cut(means: Tensor, seen: tuple[Tensor, float] | None) -> tuple[bool, float]:
    """Whether a scene begins, and how much means change of late."""
    if seen is None:
        return False, 0.0
    before, usual = seen
    change = float((means - before).abs().mean())
    if change > max(CUT_LEAST, CUT_RATIO * (usual + 0.01)):
        return True, usual
    return False, 0.5 * (usual + change)


def _is_hard(bits: int, quality: int, picture: tuple[int, int] | None) -> bool:
    """Whether a frame takes so many bits that a picture may take fewer."""
    if picture is None:
        return False
    return bits >= PICTURE_TRIED * picture[0] * math.exp(PICTURE_SLOPE * (quality - picture[1]))
