"""Vector quantisation whose choice weighs the error against the bits that an index takes.

    x (N, C), price (N, K) ─ least ‖x − e_k‖² + price_k ─ e_k

Code 0 is zero and stays so: "nothing to add" is the cheapest choice wherever there is little to say.
Source: entropy-constrained vector quantisation, Chou, Lookabaugh and Gray 1989.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nicodec.errors import InputError
from nicodec.quantize.base import Quantiser, parts_of
from nicodec.quantize.codebooks import DISTANCES, counts_and_sums, k_means, squared_distances
from nicodec.quantize.vector import VectorQuantiser, VectorSettings

ROUNDS = 8
"""Of Lloyd's iteration with prices, at the start."""


@dataclass(frozen=True)
class PricedSettings(VectorSettings):
    """Of `PricedQuantiser`; its codebook follows averages.

    Attributes:
        start_price: squared error that a bit is worth while the codebook starts.

    """

    decay: float = 0.99
    start_price: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.decay:
            raise InputError("a codebook with prices follows averages: give a decay above 0")

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        return PricedQuantiser(channels, self)


class PricedQuantiser(VectorQuantiser):
    """See the module's docstring. Without prices it is a `VectorQuantiser`."""

    settings: PricedSettings

    def __init__(self, channels: int, settings: PricedSettings) -> None:
        super().__init__(channels, settings)
        with torch.no_grad():
            self.codebook[0] = 0

    @torch.no_grad()
    def choose(self, rows: Tensor, price: Tensor) -> Tensor:
        """The choice (N,) int64 of rows (N, C).

        Args:
            rows: float32.
            price: (K,), what each code costs in squared error.

        """
        at_once = max(1, DISTANCES // self.sizes[0])
        found = [(squared_distances(part, self.codebook) + price).argmin(1) for part in parts_of(rows, at_once)]
        return torch.cat(found)

    def see(self, rows: Tensor, chosen: Tensor) -> None:
        """Note what a step's rows (N, C) chose, (N,), for `after_step`."""
        self._seen = rows.detach(), chosen

    @torch.no_grad()
    def after_step(self) -> None:
        """See `Quantiser.after_step`."""
        super().after_step()
        self.codebook[0] = 0

    @torch.no_grad()
    def restart(self) -> None:
        """Begin the averages anew from the codebook, where training goes on from weights."""
        self.sums.copy_(self.codebook)
        self.counts.fill_(1)

    @torch.no_grad()
    def take(self, other: Quantiser) -> None:
        """Take the codewords of another quantiser, of one index of as many codes, as the codebook."""
        every = torch.arange(self.sizes[0], device=self.codebook.device)
        self.codebook.copy_(other.lookup(every[:, None]))

    @torch.no_grad()
    def start(self, features: Tensor) -> None:
        """K-means, then Lloyd's iteration with the price of the codes' use."""
        rows, codes = features.float(), self.sizes[0]
        self.codebook.copy_(k_means(rows, codes))
        bits = torch.zeros(codes, device=rows.device)
        for _ in range(ROUNDS):
            self.codebook[0] = 0
            chosen = self.choose(rows, self.settings.start_price * bits)
            counts, sums = counts_and_sums(rows, chosen, codes)
            used = counts > 0
            self.codebook[used] = sums[used] / counts[used, None]
            bits = -torch.log2((counts + 0.5) / (counts.sum() + 0.5 * codes))
        self.codebook[0] = 0
        self.restart()


def share_of_use(chosen: Tensor, codes: int) -> Tensor:
    """(K,): how often each code was chosen, as a share. For a start, which the first worker makes alone."""
    counts = torch.bincount(chosen, minlength=codes).float()
    return counts / counts.sum().clamp(min=1)
