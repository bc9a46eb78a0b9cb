"""How an encoder of clips divides frames into groups, by what the frames show.

A group is worth its length where its ends are predicted from each other about as well as frames that are half as far
apart. Prediction is measured at half the size, by dense optical flow: the encoder's own search comes later, and only
for what is really coded.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nicodec.motion.search import flow_of_codes

SPLIT_RATIO = 1.04
"""See `group_lengths`: what a split must gain, as a ratio of errors."""

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
    found: NDArray[np.float32] = cv2.remap(source, *place, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found


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


def is_better_split(first: NDArray[np.uint8], middle: NDArray[np.uint8], last: NDArray[np.uint8]) -> bool:
    """Whether a group is better as two: its last frame's prediction gains more than its middle one's loses.

    As one, the last frame is predicted from the first and the middle one from both of them; as two, the last one from
    the middle one, and that from the first alone. Bits go about with the logarithms of the errors.
    """
    before, after = moved(middle, first), moved(middle, last)
    near = (error(middle, before) + error(middle, after) + error(last, moved(last, middle))) / 3
    far = (error(last, moved(last, first)) + error(first, moved(first, last))) / 2
    return far * error_between(middle, before, after) > SPLIT_RATIO * near**2


def group_lengths(frames: Sequence[NDArray[np.uint8]], most: int) -> list[int]:
    """Divide frames into groups.

    Args:
        frames: the anchor before them, then the frames, as `small` gives them.
        most: length of a group at most.

    Returns:
        Lengths, whose sum is the number of frames without the anchor.

    """

    def divided(low: int, high: int) -> list[int]:
        middle = (low + high) // 2
        if middle == low or (high - low <= most and not is_better_split(*(frames[n] for n in (low, middle, high)))):
            return [high - low]
        return divided(low, middle) + divided(middle, high)

    return divided(0, len(frames) - 1)
