"""Lookup-free quantisation: the sign of each dimension is a bit of the index.

    features = sign(x) ∈ {−1, 1}^d, straight through;  index: the bits, the first counts most

Loss: β·‖x − sg(features)‖² + entropy·(H(bits of a row) − γ·H(mean of the batch)), where a row's bit is 1 with
probability σ(4·sharpness·x) (the softmax of −sharpness·distance, which factorises). The batch's entropy needs
all 2^d codes; it is taken of groups of at most `group` bits and added up, which is an upper bound.
Assumes: features of about unit size in as many channels as bits (`projected.py` brings others there). The entropies
even the use of codes out, so that nothing is left for an entropy coder.

Source: Yu et al. 2023, "Language Model Beats Diffusion: Tokenizer is Key to Visual Generation" (MAGVIT-v2).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nicodec.errors import InputError
from nicodec.quantize.base import Quantiser, Rows, Settings, parts_of, straight_through
from nicodec.quantize.radix import MOST_CODES, digits_of, index_of


@dataclass(frozen=True)
class SignSettings(Settings):
    """Of `SignQuantiser`.

    Attributes:
        commitment: β.
        entropy: weight of the entropies.
        spread: γ.
        sharpness: of a bit's probability.
        group: bits whose joint entropy is taken.

    """

    commitment: float = 0.25
    entropy: float = 0.1
    spread: float = 1.0
    sharpness: float = 100.0
    group: int = 8

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        return SignQuantiser(channels, self)


class SignQuantiser(Quantiser):
    """See the module's docstring."""

    tempered: int = 0
    """The power of the sharpness by which the entropies are divided."""

    def __init__(self, channels: int, settings: SignSettings) -> None:
        if 2**channels > MOST_CODES or not 1 <= settings.group <= 12:
            raise InputError(f"{channels} bits in groups of {settings.group}: give up to 40, in groups of 1 to 12")
        super().__init__(channels, (2**channels,))
        self.settings = settings

    @property
    def size(self) -> float:
        """Of a feature: it is plus or minus this."""
        return 1.0

    def placed(self, rows: Tensor) -> Tensor:
        """Rows as they are compared with codes."""
        return rows

    def quantise(self, rows: Tensor) -> Rows:
        """See `Quantiser.quantise`."""
        placed = self.placed(rows)
        bits = (placed.detach() > 0).float()
        features = (2 * bits - 1) * self.size
        loss = self.settings.commitment * F.mse_loss(placed, features)
        if self.training and self.settings.entropy:
            loss = loss + self.settings.entropy * self._entropies(placed) / self.settings.sharpness**self.tempered
        return Rows(straight_through(placed, features), index_of(bits, (2,) * self.channels), loss)

    def _entropies(self, placed: Tensor) -> Tensor:
        shares = torch.sigmoid(4 * self.settings.sharpness * self.size * placed).clamp(1e-6, 1 - 1e-6)
        own = -(shares * shares.log() + (1 - shares) * (1 - shares).log()).sum(1).mean()
        of_batch = [_joint(part.t()).mean(0) for part in parts_of(shares.t(), self.settings.group)]
        spread = -torch.stack([(mean * mean.clamp(min=1e-12).log()).sum() for mean in of_batch]).sum()
        return own - self.settings.spread * spread

    def search(self, rows: Tensor) -> Tensor:
        """See `Quantiser.search`."""
        return index_of(self.placed(rows) > 0, (2,) * self.channels)

    def lookup(self, indices: Tensor) -> Tensor:
        """See `Quantiser.lookup`."""
        return (2 * digits_of(indices, (2,) * self.channels) - 1) * self.size

    @property
    def stored_bytes(self) -> int:
        """Nothing."""
        return 0


def _joint(shares: Tensor) -> Tensor:
    """Probabilities (N, 2^b) of all values of independent bits (N, b)."""
    joint = torch.ones(len(shares), 1, device=shares.device)
    for share in shares.t():
        joint = torch.cat([joint * (1 - share[:, None]), joint * share[:, None]], 1)
    return joint
