"""Frames with sides that the network takes, and what an error in them counts: nothing where they are only padding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nicodec.codecs.clip import Frame
from nicodec.codecs.video_network import ALIGNMENT
from nicodec.codecs.video_planes import Planes
from nicodec.motion.field import BLOCK, CELL

IMPORTANCE_MIN, PADDING_IMPORTANCE = 0.05, 0.01
"""What an error counts at least, and where nobody sees it, when vectors are chosen."""


@dataclass(frozen=True)
class Counts:
    """What an encoder minds of a frame.

    Attributes:
        cells: 1 where a square of 8 pixels has a pixel of the frame, 0 where it is padding: (1, 1, H/8, W/8).
        blocks: the same of squares of 16, (1, 1, H/16, W/16).
        errors: what an error counts where vectors are chosen, above 0: (1, H/16, W/16).

    """

    cells: Tensor
    blocks: Tensor
    errors: Tensor


def padded_size(size: tuple[int, int]) -> tuple[int, int]:
    """Sides that are multiples of 64."""
    return -(-size[0] // ALIGNMENT) * ALIGNMENT, -(-size[1] // ALIGNMENT) * ALIGNMENT


def padded(frame: Frame) -> Planes:
    """Planes of a frame, sides multiples of 64; the border goes on."""
    height, width = padded_size((frame.y.shape[0], frame.y.shape[1]))
    return Planes(_grown(frame.y, height, width), *(_grown(p, height // 2, width // 2) for p in (frame.u, frame.v)))


def counts_of(frame: Frame) -> Counts | None:
    """What counts in a frame; None where everything counts the same."""
    height, width = padded_size((frame.y.shape[0], frame.y.shape[1]))
    importance = frame.wish.importance
    if importance is None and frame.y.shape == (height, width):
        return None
    margin = (0, width - frame.y.shape[1], 0, height - frame.y.shape[0])
    inside = F.pad(torch.ones_like(frame.y)[None, None], margin)
    errors = F.avg_pool2d(inside, BLOCK)[0].clamp(min=PADDING_IMPORTANCE)
    if importance is not None:
        errors = errors * _grown(importance.clamp(min=IMPORTANCE_MIN), height // BLOCK, width // BLOCK)[0]
    return Counts(F.max_pool2d(inside, CELL), F.max_pool2d(inside, BLOCK), errors)


def _grown(plane: Tensor, height: int, width: int) -> Tensor:
    return F.pad(plane[None, None], (0, width - plane.shape[1], 0, height - plane.shape[0]), mode="replicate")
