"""What the stream of a frame of a clip begins with, and its flags."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nicodec.entropy.coder import Coder
from nicodec.entropy.priors import ScaleMixture, Weighted
from nicodec.errors import CorruptError
from nicodec.exact.anchors import QUALITY_STEPS

QUALITY_INDEX, DISTANCE_INDEX, SECOND_INDEX, PICTURE_INDEX = 38, 30, 6, 7
"""Scales of what a stream begins with: the difference of quality, the first distance, the second one's from its
opposite, and 1 where a frame with references is a picture."""

DISTANCE_MAX = 64


def _code_number(coder: Coder, value: int | None, index: int) -> int:
    wanted = None if value is None else torch.full((1, 1, 1, 1), float(value))
    return int(coder.code(wanted, ScaleMixture(torch.full((1, 1, 1, 1), index))))


def code_flag(coder: Coder, value: bool | None) -> bool:
    """Hand over a flag, None when decoding."""
    wanted = None if value is None else torch.full((1, 1, 1, 1), float(value))
    return bool(coder.code(wanted, Weighted(torch.ones(1, 2, dtype=torch.int64))))


def code_head(coder: Coder, base: int, quality: int, distances: Sequence[int], *, as_picture: bool) -> None:
    """Hand over what a frame's stream begins with."""
    _code_number(coder, quality - base, QUALITY_INDEX)
    for number, distance in enumerate(distances):
        if number == 0:
            _code_number(coder, distance, DISTANCE_INDEX)
        else:
            _code_number(coder, distance + distances[0], SECOND_INDEX)
    if distances:
        _code_number(coder, int(as_picture), PICTURE_INDEX)


def read_head(coder: Coder, base: int, references: int) -> tuple[int, list[int], bool]:
    """Quality, distances and whether the frame is a picture, as `code_head` wrote them.

    Raises:
        CorruptError: they cannot be.

    """
    quality = base + _code_number(coder, None, QUALITY_INDEX)
    distances: list[int] = []
    for number in range(references):
        if number == 0:
            distances.append(_code_number(coder, None, DISTANCE_INDEX))
        else:
            distances.append(_code_number(coder, None, SECOND_INDEX) - distances[0])
    if not 0 <= quality <= QUALITY_STEPS or any(not 0 < abs(d) <= DISTANCE_MAX for d in distances):
        raise CorruptError("a frame's quality or references are not possible")
    picture = _code_number(coder, None, PICTURE_INDEX) if references else 1
    if picture not in (0, 1):
        raise CorruptError("a frame is neither a picture nor predicted")
    return quality, distances, picture == 1
