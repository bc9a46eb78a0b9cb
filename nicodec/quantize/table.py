"""Quantisers whose one index looks up a row of a table."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from nicodec.errors import InputError
from nicodec.quantize.base import Quantiser, Settings
from nicodec.quantize.codebooks import nearest, nearest_few


class TableQuantiser(Quantiser):
    """A quantiser with one codebook (K, C), of which an encoder takes the nearest code."""

    def __init__(self, channels: int, codes: int) -> None:
        super().__init__(channels, (codes,))

    @abstractmethod
    def codes(self) -> Tensor:
        """The codebook (K, C), as it is now."""

    def search(self, rows: Tensor) -> Tensor:
        """See `Quantiser.search`."""
        return nearest(rows, self.codes())[:, None]

    def candidates(self, rows: Tensor, count: int) -> Tensor:
        """See `Quantiser.candidates`."""
        return nearest_few(rows, self.codes(), count)[..., None]

    def lookup(self, indices: Tensor) -> Tensor:
        """See `Quantiser.lookup`."""
        return self.codes()[indices[:, 0]]

    @property
    def stored_bytes(self) -> int:
        """The codebook, in float32."""
        return 4 * self.sizes[0] * self.channels


@dataclass(frozen=True)
class TableSettings(Settings):
    """Of a quantiser with one codebook.

    Attributes:
        codes: K, at least 2.

    """

    codes: int = 1024

    def __post_init__(self) -> None:
        if self.codes < 2:
            raise InputError(f"{self.codes} codes: a codebook has at least 2")
