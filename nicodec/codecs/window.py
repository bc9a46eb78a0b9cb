"""Rectangles of a picture, and the picture as pixels that are given rectangle by rectangle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Window:
    """Rows `top` to `bottom` and columns `left` to `right`, the ends not among them."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def whole(cls, size: tuple[int, int]) -> Window:
        """All of H, W."""
        return cls(0, 0, *size)

    @classmethod
    def hull(cls, windows: Sequence[Window]) -> Window:
        """The smallest that has all of them."""
        return cls(
            min(window.top for window in windows),
            min(window.left for window in windows),
            max(window.bottom for window in windows),
            max(window.right for window in windows),
        )

    @property
    def size(self) -> tuple[int, int]:
        """H, W."""
        return self.bottom - self.top, self.right - self.left

    def of(self, x: Tensor) -> Tensor:
        """What lies in it of (..., H, W)."""
        return x[..., self.top : self.bottom, self.left : self.right]

    def meets(self, other: Window) -> bool:
        """Whether the two have something in common."""
        return (
            self.top < other.bottom
            and other.top < self.bottom
            and self.left < other.right
            and other.left < self.right
        )

    def common(self, other: Window) -> Window:
        """What the two have in common; they meet."""
        return Window(
            max(self.top, other.top),
            max(self.left, other.left),
            min(self.bottom, other.bottom),
            min(self.right, other.right),
        )

    def grown(self, by: int, within: Window) -> Window:
        """With a margin, which ends where `within` does."""
        return Window(self.top - by, self.left - by, self.bottom + by, self.right + by).common(within)

    def seen_from(self, other: Window) -> Window:
        """The same, counted from the corner of `other`."""
        return Window(self.top - other.top, self.left - other.left, self.bottom - other.top, self.right - other.left)

    def in_units(self, unit: int) -> Window:
        """What covers it, counted in squares of so many pixels."""
        return Window(self.top // unit, self.left // unit, -(-self.bottom // unit), -(-self.right // unit))

    def times(self, unit: int) -> Window:
        """The other way round: in pixels."""
        return Window(self.top * unit, self.left * unit, self.bottom * unit, self.right * unit)


@dataclass(frozen=True)
class PixelSource:
    """A picture whose pixels are given part by part, so that there need not be floats of all at once.

    Attributes:
        size: H, W as they are coded.
        known: H, W of what there is; beyond, its last row and column are repeated.
        cut: gives a part of it that lies within, (3, h, w) float32 in [0, 1].

    """

    size: tuple[int, int]
    known: tuple[int, int]
    cut: Callable[[Window], Tensor]

    def part(self, window: Window) -> Tensor:
        """(1, 3, h, w) of a window within `size`."""
        inside = Window(
            min(window.top, self.known[0] - 1),
            min(window.left, self.known[1] - 1),
            min(window.bottom, self.known[0]),
            min(window.right, self.known[1]),
        )
        x = self.cut(inside)[None]
        padded = F.pad(x, (0, window.right - inside.right, 0, window.bottom - inside.bottom), mode="replicate")
        return padded[..., padded.shape[2] - window.size[0] :, padded.shape[3] - window.size[1] :]

    def whole(self) -> Tensor:
        """(1, 3, H, W)."""
        return self.part(Window.whole(self.size))


def tensor_source(x: Tensor, size: tuple[int, int]) -> PixelSource:
    """Of a tensor (3, H, W) of floats in [0, 1], padded to `size`."""
    return PixelSource(size, (x.shape[1], x.shape[2]), lambda window: window.of(x).to(torch.float32))
