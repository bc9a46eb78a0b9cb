"""In which order the frames of a clip are coded, from what, and how finely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

KEY, P, B = 0, 1, 2
"""Types of frames."""

KEY_BONUS, LEVEL_STEP = 44, 20
"""Half steps by which key frames are finer than the clip's quality, and each level of a pyramid is coarser."""

KEY_BONUSES = (KEY_BONUS, 20)
"""Tried in this order where frames wait for a key frame: one that hardly predicts them need not be as fine. A key
frame alone has the last."""

LOW_DELAY_STEPS = (0, -20, -10, -20)
"""Half steps added in low delay, frame by frame since the last that is coded finely."""


@dataclass(frozen=True)
class Turn:
    """A frame that is next to be coded; it and its references are given by their index in the order of time.

    Attributes:
        index: of the frame.
        kind: KEY, P or B.
        references: of it.
        bonus: half steps by which it is finer than the clip.

    """

    index: int
    kind: int
    references: tuple[int, ...]
    bonus: int


def low_delay(index: int, key_index: int | None) -> Turn:
    """A frame in low delay.

    Args:
        index: of it.
        key_index: of the last key frame; None: it is one.

    """
    if key_index is None:
        return Turn(index, KEY, (), KEY_BONUS)
    place = (index - key_index) % len(LOW_DELAY_STEPS)
    fine = index - (place or len(LOW_DELAY_STEPS))
    references = (index - 1,) if fine == index - 1 else (index - 1, fine)
    return Turn(index, P, references, LOW_DELAY_STEPS[place])


def pyramids(last: int, end: int, length: int) -> list[Turn]:
    """The frames after `last` up to `end` in groups of this length, the last one of what is left."""
    turns = []
    while last < end:
        anchor = min(last + length, end)
        turns.append(Turn(anchor, P, (last,), 0))
        between = _between(last, anchor, 1)
        turns += [Turn(index, B, references, -LEVEL_STEP * level) for index, references, level in between]
        last = anchor
    return turns


def _between(low: int, high: int, level: int) -> list[tuple[int, tuple[int, int], int]]:
    """Frames between two that are coded, in order of coding, level by level: index, references, level."""
    gaps, turns = [(low, high)], list[tuple[int, tuple[int, int], int]]()
    while gaps := [(low, high) for low, high in gaps if high - low > 1]:
        turns += [((low + high) // 2, (low, high), level) for low, high in gaps]
        gaps = [half for low, high in gaps for half in ((low, (low + high) // 2), ((low + high) // 2, high))]
        level += 1
    return turns


def together(turns: Sequence[Turn], most: int) -> list[list[Turn]]:
    """Runs of up to so many turns of which none refers to another."""
    runs: list[list[Turn]] = []
    for turn in turns:
        if runs and len(runs[-1]) < most and not any(other.index in turn.references for other in runs[-1]):
            runs[-1].append(turn)
        else:
            runs.append([turn])
    return runs
