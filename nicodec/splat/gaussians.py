"""A picture as Gaussians: numbers for drawing, integers for the file, and the way between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nicodec.errors import LimitError
from nicodec.splat.bins import EXTENT
from nicodec.splat.rasteriser import draw

LOG_SCALE_MIN, LOG_SCALE_MAX = math.log(0.35), math.log(512.0)
SHEAR_MAX = 40.0
COLOUR_MAX = 8.0

CLASSES = 6
"""Of Gaussians, by the octave of their smaller scale."""

FIRST_CLASS = math.log(0.5)
"""Logarithm of the smaller scale where the first class begins."""

FINER = 0.7
"""Steps of a class are 2 to this power finer than those of the class before: its Gaussians cover more."""

OVERLAP_MAX = 2000
"""Boxes over a pixel, on average, that a picture may have; fits have some tens."""

PRECISION_MAX = 31
POSITION, LOG_SCALE, SHEAR, GREY, CHROMA = 1.4, 0.56, 2.0, 0.21, 0.22
"""Steps of the second class at precision 0: pixels, natural logarithm, deviations a deviation, and twice 1."""


def colour_basis(device: torch.device | str = "cpu") -> Tensor:
    """(3, 3): rows are a grey and two differences of colour, orthonormal, of red, green and blue."""
    rows = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]], dtype=torch.float32, device=device)
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / lengths


@dataclass(frozen=True)
class Steps:
    """Sizes of the quantisation steps: four more of `precision`, 0..31, halve them all."""

    precision: int

    @staticmethod
    def for_psnr(psnr: float) -> Steps:
        """Steps that suit a PSNR in dB: finer ones would cost more than as many bits in further Gaussians."""
        return Steps(round(min(max(10 + (psnr - 26) / 4, 6), 18)))

    @property
    def _size(self) -> float:
        return math.pow(2.0, -self.precision / 4)

    def cell_units(self, kind: int) -> int:
        """Width of the cells of a class's positions in 1/65536 pixel: an integer, as the grid hangs on it."""
        return round(2**16 * POSITION * self._size * math.pow(2.0, (1 - FINER) * (kind - 1)))

    def grid(self, kind: int, size: tuple[int, int]) -> tuple[int, int]:
        """Columns and rows of a class's cells on a picture of size H, W."""
        width = self.cell_units(kind)
        return -(-(size[1] << 16) // width), -(-(size[0] << 16) // width)

    def cells(self, kind: Tensor) -> Tensor:
        """(N, 1): width of the cells in pixels for classes (N,)."""
        widths = torch.tensor(
            [self.cell_units(k) / 2**16 for k in range(CLASSES)], dtype=torch.float32, device=kind.device
        )
        return widths[kind.long(), None]

    def attributes(self, kind: Tensor) -> Tensor:
        """(N, 6): the steps of smaller scale, difference of scales, shear and colours for classes (N,)."""
        steps = self._size * torch.tensor(
            [LOG_SCALE, LOG_SCALE, SHEAR, GREY, CHROMA, CHROMA], dtype=torch.float32, device=kind.device
        )
        return steps * 2.0 ** (-FINER * (kind[:, None].float() - 1))


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians that make a picture of `size`.

    Attributes:
        values: (N, 8) float32: x and y in pixels of `size`; logarithms of the deviation along x at a fixed y,
            and of that along y at a fixed x; shear; three colours in `colour_basis`, 1 being white less black.
        background: (3,) red, green, blue in [0, 1], added everywhere.
        size: H, W in pixels.

    """

    values: Tensor
    background: Tensor
    size: tuple[int, int]

    def draw(self, size: tuple[int, int] | None = None, crop: tuple[int, int, int, int] | None = None) -> Tensor:
        """Draw the picture at any size.

        Args:
            size: H, W in pixels of the whole picture; its own unless given. One smaller than that is drawn
                several times as large and averaged, so that nothing fine is missed.
            crop: left, top, right, bottom in pixels of `size`; all of it unless given.

        Returns:
            (3, H, W) float32, about 0..1 and not clamped.

        Raises:
            LimitError: the Gaussians overlap without measure; no encoder writes such a file.

        """
        height, width = size or self.size
        left, top, right, bottom = crop or (0, 0, width, height)
        finer = max(1, math.ceil(self.size[0] / height), math.ceil(self.size[1] / width))
        device = self.values.device
        factor = (
            torch.tensor([width / self.size[1], height / self.size[0]], dtype=torch.float32, device=device) * finer
        )
        position, log_scale, shear, colour = for_drawing(self.values)
        position, log_scale = (
            position * factor - torch.tensor([left, top], dtype=torch.float32, device=device) * finer,
            log_scale + factor.log(),
        )
        shape = ((bottom - top) * finer, (right - left) * finer)
        if overlap(log_scale, shear, shape) > OVERLAP_MAX:
            raise LimitError(
                f"the Gaussians lie more than {OVERLAP_MAX} deep; the file is not from nicodec: do not trust it"
            )
        drawn = draw(position, log_scale, shear, colour, shape)
        if finer > 1:
            drawn = F.avg_pool2d(drawn[None], finer)[0]
        return drawn + self.background[:, None, None]


def overlap(log_scale: Tensor, shear: Tensor, size: tuple[int, int]) -> float:
    """How many 3σ boxes lie over a pixel of a picture of size H, W, on average, if none were cut at its border."""
    scale = log_scale.double().exp()
    width = (2 * EXTENT * scale[:, 0]).clamp(max=size[1])
    height = (2 * EXTENT * scale[:, 1] * (1 + shear.double() ** 2).sqrt()).clamp(max=size[0])
    return float((width * height).sum()) / (size[0] * size[1])


def for_drawing(values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Positions, log-scales, shears and colours as `rasteriser.draw` takes them, from values (N, 8)."""
    shear = values[:, 4]
    log_scale = torch.stack([values[:, 2] + 0.5 * torch.log1p(shear * shear), values[:, 3]], 1)
    return values[:, :2], log_scale, shear, values[:, 5:] @ colour_basis(values.device)


@dataclass(frozen=True)
class Symbols:
    """What a file holds of Gaussians: integers, as float tensors.

    Attributes:
        kind: (N,), the class, 0..CLASSES-1.
        cell: (N, 2), column and row of the cell of that class's width.
        attributes: (N, 6), in steps: the smaller log-scale less the beginning of the class, the first log-scale
            less the second, shear, three colours.

    """

    kind: Tensor
    cell: Tensor
    attributes: Tensor


def quantise(values: Tensor, steps: Steps) -> Symbols:
    """Nearest symbols of values (N, 8)."""
    smaller = values[:, 2:4].amin(1)
    kind = ((smaller - FIRST_CLASS) / math.log(2)).floor().clamp(0, CLASSES - 1)
    scales = torch.stack([smaller - FIRST_CLASS - kind * math.log(2), values[:, 2] - values[:, 3]], 1)
    attributes = torch.cat([scales, values[:, 4:]], 1) / steps.attributes(kind)
    return Symbols(kind, (values[:, :2] / steps.cells(kind)).floor(), attributes.round())


def dequantise(symbols: Symbols, steps: Steps) -> Tensor:
    """(N, 8) values: the middles of the cells, and multiples of the steps."""
    kind = symbols.kind
    position = (symbols.cell + 0.5) * steps.cells(kind)
    attributes = symbols.attributes * steps.attributes(kind)
    smaller, difference = attributes[:, 0] + FIRST_CLASS + kind * math.log(2), attributes[:, 1]
    scales = torch.stack([smaller + difference.clamp(min=0), smaller - difference.clamp(max=0)], 1)
    return torch.cat([position, scales, attributes[:, 2:]], 1)


def within_range(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Values clamped to what a file can hold: centres inside the picture, scales, shears and colours bounded."""
    high = torch.tensor(
        [size[1] - 1e-3, size[0] - 1e-3, LOG_SCALE_MAX, LOG_SCALE_MAX, SHEAR_MAX, *[COLOUR_MAX] * 3],
        dtype=torch.float32,
        device=values.device,
    )
    low = torch.tensor(
        [0.0, 0.0, LOG_SCALE_MIN, LOG_SCALE_MIN, -SHEAR_MAX, *[-COLOUR_MAX] * 3],
        dtype=torch.float32,
        device=values.device,
    )
    return values.clamp(low, high)
