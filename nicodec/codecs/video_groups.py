"""How an encoder of clips divides frames into groups, by what the frames show.

A group's last frame is predicted from the one before the group, those between from both sides. How well, is measured
at half the size by dense optical flow, and of the divisions by halves the one is taken that should cost least. The
encoder's own search for motion comes later, and only for what is really coded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nicodec.motion.search import flow_of_codes

END_WEIGHT, LEVEL_WEIGHT, POWER = 1.5, 0.9, 1.2
"""Bits of a frame: about its error to this power, times the first for a group's last frame, or times the second for
each level of one between. Fitted to six groups of eight frames of four clips, coded as 1, 2, 4 and 8 groups, and to
figures of three whole clips."""

LEAST_GAIN = 0.03
"""Groups are split where that share of bits is saved."""

ERROR_FLOOR = 0.3
"""Codes of mean error that are counted everywhere: below it, nothing is gained."""

SQUARE = 8
"""Pixels, at half the size, along a side of the squares that choose what they are predicted from."""

LEAST_SIDE = 32
"""Pixels along a side that the flow needs; smaller frames are widened by their border."""


def small(y: Tensor) -> NDArray[np.uint8]:
    """A frame's luma (H, W), 0..1, at half its size in codes."""
    half = F.avg_pool2d(y[None, None], 2, ceil_mode=True, count_include_pad=False)
    right, below = (max(0, LEAST_SIDE - side) for side in (half.shape[3], half.shape[2]))
    half = F.pad(half, (0, right, 0, below), mode="replicate")[0, 0]
    codes: NDArray[np.uint8] = (half * 255).round().clamp(0, 255).to("cpu").numpy().astype(np.uint8)
    return codes


def moved(frame: NDArray[np.uint8], reference: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A frame as the flow from it to another one predicts it."""
    flow = flow_of_codes(frame, reference)
    height, width = frame.shape
    column, row = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    source = reference.astype(np.float32)
    place = (column + flow[..., 0], row + flow[..., 1])
    found = cv2.remap(source, *place, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found.astype(np.float32, copy=False)


def error(frame: NDArray[np.uint8], predicted: NDArray[np.float32]) -> float:
    """Mean absolute error in codes."""
    return float(np.abs(predicted - frame).mean()) + ERROR_FLOOR


def error_between(frame: NDArray[np.uint8], before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """The same of a frame whose squares take the one prediction, the other, or their mean."""
    height, width = (side // SQUARE * SQUARE for side in frame.shape)
    choices = []
    for predicted in (before, after, (before + after) / 2):
        off = np.abs(predicted - frame)[:height, :width]
        choices.append(off.reshape(height // SQUARE, SQUARE, width // SQUARE, SQUARE).mean((1, 3)))
    return float(np.min(choices, 0).mean()) + ERROR_FLOOR


def group_lengths(frames: Sequence[NDArray[np.uint8]]) -> list[int]:
    """Divide frames into groups.

    Args:
        frames: the anchor before them, then the frames, at least one, as `small` gives them.

    Returns:
        Lengths, whose sum is the number of frames without the anchor: all of them as one group, or halves of it,
        or halves of these.

    """

    @cache
    def seen_from(number: int, reference: int) -> NDArray[np.float32]:
        return moved(frames[number], frames[reference])

    def between(low: int, high: int, weight: float) -> float:
        middle = (low + high) // 2
        if middle == low:
            return 0.0
        off = error_between(frames[middle], seen_from(middle, low), seen_from(middle, high))
        weight *= LEVEL_WEIGHT
        return weight * math.pow(off, POWER) + between(low, middle, weight) + between(middle, high, weight)

    def best(low: int, high: int) -> tuple[float, list[int]]:
        whole = END_WEIGHT * math.pow(error(frames[high], seen_from(high, low)), POWER) + between(low, high, 1.0)
        middle = (low + high) // 2
        if middle > low:
            (one, first), (other, second) = best(low, middle), best(middle, high)
            if one + other < (1 - LEAST_GAIN) * whole:
                return one + other, first + second
        return whole, [high - low]

    return best(0, len(frames) - 1)[1]
