"""What encoder and decoder of clips know of the frames that are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nicodec.codecs.clip import CodedFrame
from nicodec.codecs.tile_pool import TilePool
from nicodec.codecs.video_network import Prepared, Reference, prepare
from nicodec.errors import CorruptError

KEPT_PREPARED = 4
"""References that are kept filtered."""


@dataclass(frozen=True)
class Known:
    """A decoded frame that others may refer to.

    Attributes:
        number: in the order of coding.
        index: in the order of time, from 0.
        reference: what it is to them.

    """

    number: int
    index: int
    reference: Reference


@dataclass(frozen=True)
class Memory:
    """Decoded frames, as encoder and decoder have them.

    Attributes:
        known: the last anchor, what it refers to, and what was decoded since.
        prepared: of those of them that were used last, by number.
        key_index: of the last key frame, in the order of time.
        frames: how many were decoded.

    """

    known: tuple[Known, ...] = ()
    prepared: tuple[tuple[int, Prepared], ...] = ()
    key_index: int = 0
    frames: int = 0


NOTHING = Memory()


def frames_at(memory: Memory, indices: Sequence[int]) -> list[Known]:
    """Frames by their index in the order of time."""
    return [next(k for k in memory.known if k.index == index) for index in indices]


def references_of(coded: CodedFrame, memory: Memory) -> list[Known]:
    """A packet's references.

    Raises:
        CorruptError: one of them is not there.

    """
    known = {k.number: k for k in memory.known}
    for number in coded.references:
        if number not in known:
            raise CorruptError(f"frame {coded.number} is predicted from frame {number}, which is not there")
    return [] if coded.is_key else [known[number] for number in coded.references]


def with_prepared(pool: TilePool, memory: Memory, used: Sequence[Sequence[Known]]) -> Memory:
    """The same memory with the references of some frames filtered, those last."""
    cache, wanted = dict(memory.prepared), {k.number: k.reference for own in used for k in own}
    missing = [number for number in wanted if number not in cache]
    cache |= zip(missing, pool.map(lambda number: prepare(wanted[number].planes), missing), strict=True)
    order = [*(number for number in cache if number not in wanted), *wanted]
    return replace(memory, prepared=tuple((number, cache[number]) for number in order))


def with_frame(memory: Memory, index: int, used: Sequence[Known], reference: Reference) -> Memory:
    """What is known after one more frame; see `VideoNetwork.code_frame` for the reference."""
    known = Known(memory.frames, index, reference)
    if not used:
        return Memory((known,), (), index, memory.frames + 1)
    is_anchor = all(k.index < index for k in used)
    kept = (*used, known) if is_anchor else (*memory.known, known)
    numbers = {k.number for k in kept}
    prepared = tuple((n, p) for n, p in memory.prepared if n in numbers)[-KEPT_PREPARED:]
    return Memory(kept, prepared, memory.key_index, memory.frames + 1)
