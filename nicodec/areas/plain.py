"""The areas of one picture that are coded plainly: as symbols, and laid over the decoded picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nicodec.areas.lossless import LENGTH_MIN, decode_lossless, encode_lossless
from nicodec.areas.residual import AREA, code_residual, coefficients_of, from_coefficients, step_of
from nicodec.areas.uniform import uniform
from nicodec.entropy.coder import Coder
from nicodec.entropy.priors import Categorical
from nicodec.errors import CorruptError

LATENT, LOSSLESS, RESIDUAL = 0, 1, 2
"""What the mask says of an area."""

NONE, SOME, ALL = 0, 1, 2
"""The form: no area is coded plainly, some are, all are without loss (nothing of the codec's is in the stream)."""

RARE = 128
"""Sixteenths by which the logarithms of the other forms lie below that of none: 0.001 bits for saying none."""

SHARES = (0, 16, 40, 80)
"""Sixteenths by which the logarithms of both plain codings lie below that of none, one of which a mask chooses."""

TILE = 64 * AREA
"""Areas without loss are in one lossless picture for each square of so many pixels."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class PlainAreas:
    """Which areas, and what is known of them.

    Attributes:
        mode: int64 (rows, columns) of areas: LATENT, LOSSLESS, RESIDUAL.
        tiles: the lossless pictures.

    """

    mode: Tensor
    tiles: tuple[bytes, ...] = ()

    @classmethod
    def none(cls, size: tuple[int, int]) -> PlainAreas:
        """No area of a picture of H, W."""
        return cls(torch.zeros((-(-size[0] // AREA), -(-size[1] // AREA)), dtype=torch.int64))

    @classmethod
    def of(cls, mode: Tensor, pixels: Pixels, *, fast: bool = False) -> PlainAreas:
        """These areas of a picture (H, W, 3), whole areas; `fast` as `encode_lossless`."""
        tiles = []
        for box, inside in _boxes(mode):
            part = pixels[box].copy()
            part[~inside] = part[inside][0]  # what is in neither cheap nor a further colour
            tiles.append(encode_lossless(part, fast=fast))
        return cls(mode, tuple(tiles))

    @property
    def form(self) -> int:
        """NONE, SOME or ALL."""
        if bool((self.mode == LOSSLESS).all()):
            return ALL
        return SOME if bool((self.mode != LATENT).any()) else NONE

    @classmethod
    def code(cls, coder: Coder, areas: PlainAreas | None, size: tuple[int, int]) -> PlainAreas:
        """Code all but the residual, before the codec's symbols.

        Args:
            coder: of one picture.
            areas: what is written; None when decoding.
            size: H, W of the picture.

        Returns:
            The same areas.

        Raises:
            CorruptError: what is read cannot be right.

        """
        form = int(coder.code(_one(None if areas is None else areas.form), _categorical([0, -RARE, -RARE])))
        found = cls.none(size)
        if form == NONE:
            return found
        mode = torch.full_like(found.mode, LOSSLESS)
        if form == SOME:
            share = int(coder.code(_one(None if areas is None else areas.share), _categorical([0] * len(SHARES))))
            given = None if areas is None else areas.mode[None, None].float()
            mode = coder.code(given, _of_mask(share, mode.shape))[0, 0].long()
        tiles = []
        for number, (_, inside) in enumerate(_boxes(mode)):
            data = None if areas is None else areas.tiles[number]
            length = int.from_bytes(_code_bytes(coder, data and len(data).to_bytes(4, "little"), 4), "little")
            if not LENGTH_MIN <= length <= 4 * inside.size + 1024:
                raise CorruptError(
                    "an area without loss has another length than it can; fetch or copy the file again"
                )
            tiles.append(_code_bytes(coder, data, length))
        return cls(mode, tuple(tiles))

    @property
    def cover_all(self) -> bool:
        """Whether nothing of the codec's own picture is seen, so that none of its symbols are in the stream."""
        return self.form == ALL

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return self.form != NONE

    @property
    def of_residual(self) -> Tensor:
        """Which have a residual, (rows, columns) bool."""
        return self.mode == RESIDUAL

    @property
    def have_residual(self) -> bool:
        """Whether some have a residual."""
        return bool(self.of_residual.any())

    @property
    def share(self) -> int:
        """Which of `SHARES` suits the mask."""
        rest = 1 - float((self.mode != LATENT).float().mean())
        return min(int(rest**4 * len(SHARES)), len(SHARES) - 1)

    def code_residual(
        self, coder: Coder, x: Tensor | None, x_hat: Tensor | None, rate_weight: float
    ) -> Tensor | None:
        """Code the residual, after the codec's symbols; gives what `lay_over` takes.

        Args:
            coder: of this picture.
            x: the picture (3, H, W); None when decoding.
            x_hat: what the codec decodes of it, likewise.
            rate_weight: λ.

        """
        chosen = (self.mode == RESIDUAL).flatten()
        count = int(chosen.sum())
        if not count:
            return None
        values = None
        if x is not None and x_hat is not None:
            lacking = coefficients_of(255 * (x - x_hat.clamp(0, 1)))
            values = lacking[chosen.to(x.device)] / step_of(rate_weight)
        return code_residual(coder, values, count)

    def lay_over(self, x_hat: Tensor, residual: Tensor | None, rate_weight: float) -> Tensor:
        """The codec's picture (3, H, W) with these areas in their places.

        Raises:
            CorruptError: the data of an area are broken.

        """
        if self.form == NONE:
            return x_hat
        x_hat = x_hat.clamp(0, 1)  # a copy
        if residual is not None:
            rows, columns = (self.mode == RESIDUAL).nonzero(as_tuple=True)
            added = from_coefficients(residual.to(x_hat.device) * (step_of(rate_weight) / 255))
            for row, column, part in zip(rows.tolist(), columns.tolist(), added, strict=True):
                x_hat[:, AREA * row : AREA * (row + 1), AREA * column : AREA * (column + 1)] += part
        for (box, inside), data in zip(_boxes(self.mode), self.tiles, strict=True):
            pixels = torch.from_numpy(decode_lossless(data, *inside.shape)).permute(2, 0, 1).to(x_hat.device)
            where = torch.from_numpy(inside).to(x_hat.device)
            x_hat[:, box[0], box[1]] = torch.where(where, pixels.float() / 255, x_hat[:, box[0], box[1]])
        return x_hat


def _boxes(mode: Tensor) -> Iterator[tuple[tuple[slice, slice], NDArray[np.bool_]]]:
    """For each tile that has areas without loss: the rectangle around them in pixels, and which pixels are theirs."""
    lossless = (mode == LOSSLESS).numpy()
    side = TILE // AREA
    for top in range(0, lossless.shape[0], side):
        for left in range(0, lossless.shape[1], side):
            rows, columns = np.nonzero(lossless[top : top + side, left : left + side])
            if len(rows):
                box = (
                    slice(top + int(rows.min()), top + int(rows.max()) + 1),
                    slice(left + int(columns.min()), left + int(columns.max()) + 1),
                )
                inside = lossless[box].repeat(AREA, 0).repeat(AREA, 1)
                yield (
                    (slice(AREA * box[0].start, AREA * box[0].stop), slice(AREA * box[1].start, AREA * box[1].stop)),
                    inside,
                )


def _categorical(logits: list[int]) -> Categorical:
    return Categorical(torch.tensor(logits).view(1, -1, 1, 1, 1))


def _of_mask(share: int, shape: torch.Size) -> Categorical:
    logits = torch.tensor([0, -SHARES[share], -SHARES[share]]).view(1, 3, 1, 1, 1)
    return Categorical(logits.expand(1, 3, 1, *shape))


def _one(value: int | None) -> Tensor | None:
    return None if value is None else torch.full((1, 1, 1, 1), float(value))


def _code_bytes(coder: Coder, data: bytes | None, length: int) -> bytes:
    values = None
    if data is not None:
        values = torch.from_numpy(np.frombuffer(data, dtype=np.uint8).astype(np.float32) - 128).view(1, 1, 1, -1)
    symbols = coder.code(values, uniform((1, 1, 1, length), 128)).flatten().numpy()
    return bytes((symbols + 128).clip(0, 255).astype(np.uint8))
