"""A filter of decoded pictures that the encoder fits to each picture and writes into the file.

It adds W·f to every pixel. f are 76 features: the three colours, one, and of every colour the 24 pairs of pixels
that lie opposite each other in a 7x7 window, less twice the middle. W (3, 76) is a sum of learned matrices, those
that matter most first, each times a symbol; the encoder chooses the symbols, and how many groups of eight of them,
by what they save and cost. The filter at rest is no filter.

Source: the adaptive loop filter of VVC (Tsai et al. 2013; Karczewicz et al. 2021), here with one class of pixels,
all colours together, and weights in a basis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from nicodec.entropy.coder import Coder
from nicodec.entropy.priors import Categorical, ScaleMixture
from nicodec.exact.anchors import QUALITY_STEPS

RADIUS = 3
PAIRS = [(dy, dx) for dy in range(RADIUS + 1) for dx in range(-RADIUS, RADIUS + 1) if (dy, dx) > (0, 0)]
"""One of each two opposite pixels of the window, as rows and columns from the middle."""

FEATURES = 3 * (1 + len(PAIRS)) + 1
MIDDLE = 0.45
"""Colours count from here."""

GROUP = 8
"""Symbols are coded in groups of so many."""

NONE_WEIGHT = 24
"""Log-weight of "no groups", in 1/16; that of every other number is 0."""

CELL = 4
"""The filter runs on cells of 4x4 pixels, as a 3x3 convolution of 48 channels: twice as fast as 7x7 of three."""

ROWS_AT_ONCE = 256
"""It takes so many rows of pixels at a time, whose cells are small."""

STRIP = 32
"""A fit takes so many rows at a time, which fit into the cache; sides are multiples of it.

It looks at all of them: fitted to every second strip, the filter makes some pictures worse.
"""

SYMBOL_LIMIT = 255
SWEEPS = 2
RIDGE = 1e-3


class AdaptiveFilter(nn.Module):
    """The learned matrices, and what is done with them.

    Attributes:
        basis: (weights, 3, FEATURES); zeros until `filter_learning` has set it.
        log_unit: (3,): the unit of the symbols is exp of this polynomial in quality / 200.
        index: int64 (weights,), the scale of each symbol: an index of the Gaussian tables, 1..63.

    """

    basis: Tensor
    log_unit: Tensor
    index: Tensor

    def __init__(self, weights: int) -> None:
        """`weights`: of the basis; a multiple of GROUP."""
        super().__init__()
        if weights % GROUP:
            raise ValueError(f"{weights} weights: give a multiple of {GROUP}")
        self.register_buffer("basis", torch.zeros(weights, 3, FEATURES, dtype=torch.float32))
        self.register_buffer("log_unit", torch.zeros(3, dtype=torch.float32))
        self.register_buffer("index", torch.ones(weights, dtype=torch.int64))

    def code(self, coder: Coder, symbols: Tensor | None) -> Tensor:
        """Code the number of groups, then their symbols.

        Args:
            coder: see `Coder`.
            symbols: float32 (weights,) of whole numbers, when encoding; groups of zeros at the end are not coded.

        Returns:
            The symbols.

        """
        weights = len(self.index)
        logits = torch.zeros((1, weights // GROUP + 1, 1, 1, 1), dtype=torch.int64, device=self.index.device)
        logits[:, 0] = NONE_WEIGHT
        groups = None
        if symbols is not None:
            used = torch.nonzero(symbols)
            count = -(-(int(used.max()) + 1) // GROUP) if len(used) else 0
            groups = torch.full((1, 1, 1, 1), float(count), dtype=torch.float32)
        count = GROUP * int(coder.code(groups, Categorical(logits)))
        result = torch.zeros(weights, dtype=torch.float32, device=self.index.device)
        if count:
            values = None if symbols is None else symbols[:count].view(1, count, 1, 1)
            result[:count] = coder.code(values, ScaleMixture(self.index[:count].view(1, count, 1, 1))).flatten()
        return result

    def unit(self, quality: Tensor) -> Tensor:
        """What a symbol of one stands for, (), at a quality (1,) in half steps."""
        t = quality[0].to(torch.float32) / QUALITY_STEPS
        return torch.exp(self.log_unit[0] + self.log_unit[1] * t + self.log_unit[2] * t * t)

    def matrix(self, symbols: Tensor, quality: Tensor) -> Tensor:
        """W, (3, FEATURES), of symbols (weights,)."""
        return (self.unit(quality) * symbols[:, None, None] * self.basis).sum(0)

    def at_rest(self) -> Tensor:
        """The symbols of no filter, float32 (weights,), on the CPU."""
        return torch.zeros(len(self.index), dtype=torch.float32)

    def of_batch(self, x_hat: Tensor, matrices: Sequence[Tensor | None]) -> Tensor:
        """Filter every picture of (B, 3, H, W) by its own matrix, in its place; those that have none stay."""
        for x, matrix in zip(torch.split(x_hat, 1), matrices, strict=True):
            if matrix is not None:
                self._filter(x, matrix, x)
        return x_hat

    def forward(self, x_hat: Tensor, matrix: Tensor) -> Tensor:
        """Filter pictures (B, 3, H, W), float32, about 0..1, sides multiples of CELL, by W (3, FEATURES)."""
        result = torch.empty_like(x_hat)
        self._filter(x_hat, matrix, result)
        return result

    def _filter(self, x_hat: Tensor, matrix: Tensor, result: Tensor) -> None:
        """Write filtered pictures to `result`, which may be where they are."""
        kernel = window_of(matrix)
        constant = matrix[:, -1] - MIDDLE * kernel.sum((1, 2, 3))
        kernel[:, :, RADIUS, RADIUS] += torch.eye(3, dtype=kernel.dtype, device=kernel.device)
        weight, bias = _cell_kernel(kernel), constant.repeat_interleave(CELL**2)
        height = x_hat.shape[2]

        def cells_of(top: int) -> Tensor:
            bottom = top + ROWS_AT_ONCE
            seen = x_hat[:, :, max(0, top - CELL) : bottom + CELL]
            edges = CELL * (top == 0), CELL * (bottom >= height)
            return F.pixel_unshuffle(F.pad(seen, (CELL, CELL, *edges), mode="replicate"), CELL)

        coming = cells_of(0)
        for top in range(0, height, ROWS_AT_ONCE):
            bottom, cells = top + ROWS_AT_ONCE, coming
            if bottom < height:
                coming = cells_of(bottom)  # which sees rows of this strip as they are
            with torch.autocast(x_hat.device.type, enabled=False):
                result[:, :, top:bottom] = F.pixel_shuffle(F.conv2d(cells, weight, bias), CELL)

    @torch.no_grad()
    def fit(self, x: Tensor, x_hat: Tensor, quality: Tensor, rate_weight: float) -> Tensor:
        """Find the symbols that lower the loss most.

        Args:
            x: pictures (B, 3, H, W).
            x_hat: as they are decoded, not clamped.
            quality: int64 (1,), half steps.
            rate_weight: what the mean squared error counts against a bit of the file.

        Returns:
            float32 (weights,) of whole numbers, on the CPU.

        """
        gram, cross, pixels = statistics(x, x_hat)
        basis = (self.unit(quality) * self.basis).double().cpu()
        weight = rate_weight / (3 * pixels)
        squares = weight * ((basis @ gram).flatten(1) @ basis.flatten(1).T)
        products = weight * (basis.flatten(1) @ cross.flatten())
        return torch.from_numpy(_least(squares, products, self._bits)).to(torch.float32)

    @cached_property
    def _bits(self) -> NDArray[np.float64]:
        """(weights, SYMBOL_LIMIT + 1): what a symbol of such a magnitude costs."""
        count = len(self.index)
        magnitudes = torch.arange(SYMBOL_LIMIT + 1.0, dtype=torch.float32).expand(1, count, 1, -1)
        return ScaleMixture(self.index.cpu().view(1, -1, 1, 1)).bits(magnitudes).view(count, -1).double().numpy()


def window_of(matrix: Tensor) -> Tensor:
    """The kernel (3, 3, 7, 7) of W (3, FEATURES), without its constant."""
    side = 2 * RADIUS + 1
    kernel = matrix.new_zeros(3, 3, side, side)
    parts = matrix[:, :-1].view(3, 3, 1 + len(PAIRS))
    for number, (dy, dx) in enumerate(PAIRS):
        kernel[:, :, RADIUS + dy, RADIUS + dx] = parts[:, :, 1 + number]
        kernel[:, :, RADIUS - dy, RADIUS - dx] = parts[:, :, 1 + number]
    kernel[:, :, RADIUS, RADIUS] = parts[:, :, 0] - 2 * parts[:, :, 1:].sum(2)
    return kernel


def _cell_kernel(window: Tensor) -> Tensor:
    """The same for cells, (48, 48, 3, 3): every pixel of the middle one sees its own window in the nine."""
    side, reach = 2 * RADIUS + 1, CELL - RADIUS
    nine = window.new_zeros(3, CELL, CELL, 3, 3 * CELL, 3 * CELL)
    for row in range(CELL):
        for column in range(CELL):
            top, left = reach + row, reach + column
            nine[:, row, column, :, top : top + side, left : left + side] = window
    nine = nine.view(3 * CELL**2, 3, 3, CELL, 3, CELL).permute(0, 1, 3, 5, 2, 4)
    return nine.reshape(3 * CELL**2, 3 * CELL**2, 3, 3)


def statistics(x: Tensor, x_hat: Tensor) -> tuple[Tensor, Tensor, int]:
    """What a fit needs of pictures (B, 3, H, W) and of what is decoded.

    Returns:
        The features' products (FEATURES, FEATURES) and theirs with the error (3, FEATURES), sums over pixels,
        float64 on the CPU, and the number of pixels.

    """
    width = x.shape[3]
    padded = F.pad(x_hat - MIDDLE, (RADIUS,) * 4, mode="replicate")
    rows = torch.empty(FEATURES + 3, len(x), STRIP, width, dtype=torch.float32, device=x.device)
    rows[FEATURES - 1] = 1
    sums = torch.zeros(FEATURES + 3, FEATURES + 3, dtype=torch.float64, device=x.device)
    for top in range(0, x.shape[2], STRIP):
        for colour in range(3):
            strip = padded[:, colour, top : top + STRIP + 2 * RADIUS]
            first = colour * (1 + len(PAIRS))
            rows[first] = own = _moved(strip, 0, 0, width)
            pairs = rows[first + 1 : first + 1 + len(PAIRS)]
            for pair, (dy, dx) in zip(pairs, PAIRS, strict=True):
                torch.add(_moved(strip, dy, dx, width), _moved(strip, -dy, -dx, width), out=pair)
            pairs.sub_(own, alpha=2)
            seen = slice(top, top + STRIP)
            rows[FEATURES + colour] = x[:, colour, seen] - x_hat[:, colour, seen].clamp(0, 1)
        flat = rows.flatten(1)
        with torch.autocast(x.device.type, enabled=False):
            sums += flat @ flat.T
    sums = sums.cpu()
    return sums[:FEATURES, :FEATURES], sums[FEATURES:, :FEATURES], x.shape[0] * x.shape[2] * width


def _moved(strip: Tensor, dy: int, dx: int, width: int) -> Tensor:
    """A padded strip (B, STRIP + 2 RADIUS, width + 2 RADIUS) as seen from so many pixels up and to the left."""
    return strip[:, RADIUS + dy : RADIUS + dy + STRIP, RADIUS + dx : RADIUS + dx + width]


def _least(products_of_pairs: Tensor, products_with_error: Tensor, bits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whole numbers s, about the least s·squares·s − 2 s·products + bits of s; all zero from some group on."""
    diagonal = products_of_pairs.diagonal().numpy()
    if not diagonal.min() > 0:
        return np.zeros(len(diagonal))
    ridge = RIDGE * torch.diag(products_of_pairs.diagonal())
    start = torch.cholesky_solve(products_with_error[:, None], torch.linalg.cholesky(products_of_pairs + ridge))
    symbols = start[:, 0].round().clamp(-SYMBOL_LIMIT, SYMBOL_LIMIT).numpy()
    squares, products = products_of_pairs.numpy(), products_with_error.numpy()
    count = len(symbols)
    for _ in range(2):  # with all groups; and once more with those that pay
        for _ in range(SWEEPS):
            for k in range(count):
                rest = products[k] - squares[k] @ symbols + diagonal[k] * symbols[k]
                symbols[k] = _cheapest(float(rest), float(diagonal[k]), bits[k])
        count = _groups_that_pay(squares, products, bits, symbols) * GROUP
        symbols[count:] = 0
    return symbols


def _cheapest(product: float, square: float, bits: NDArray[np.float64]) -> int:
    """Of zero and the whole numbers beside the best real one, the v of the least v²·square − 2 v·product + bits."""
    below = min(max(math.floor(product / square), -SYMBOL_LIMIT), SYMBOL_LIMIT - 1)
    costs = {v: v * (v * square - 2 * product) + bits[abs(v)] for v in (0, below, below + 1)}
    return min(costs, key=costs.__getitem__)


def _groups_that_pay(
    squares: NDArray[np.float64],
    products: NDArray[np.float64],
    bits: NDArray[np.float64],
    symbols: NDArray[np.float64],
) -> int:
    """The number of groups with which the loss is least."""
    each = bits[np.arange(len(symbols)), np.abs(symbols).astype(np.intp)]
    costs = [0.0]
    for count in range(GROUP, len(symbols) + 1, GROUP):
        s = symbols[:count]
        costs.append(s @ squares[:count, :count] @ s - 2 * s @ products[:count] + each[:count].sum() + 2)
    return int(np.argmin(costs))
