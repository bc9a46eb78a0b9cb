"""Binary spherical quantisation: signs of a vector of unit length.

    u = x/‖x‖;  features = sign(u)/√d, straight through to u;  index: the bits, the first counts most

Loss: entropy·(H(bits of a row) − γ·H(mean of the batch))/sharpness, with a bit's probability σ(4·sharpness·u/√d);
the batch's entropy of groups of bits, as in `lfq.py`; no commitment, since features and codes are on one sphere.
Assumes: that a feature's length does not matter, or is sent otherwise; as many channels as bits.

Source: Zhao et al. 2024, "Image and Video Tokenization with Binary Spherical Quantization".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from nicodec.quantize.base import Quantiser
from nicodec.quantize.lfq import SignQuantiser, SignSettings


@dataclass(frozen=True)
class SphereSettings(SignSettings):
    """Of `SphereQuantiser`; see `SignSettings`."""

    commitment: float = 0.0
    sharpness: float = 1.0

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        return SphereQuantiser(channels, self)


class SphereQuantiser(SignQuantiser):
    """See the module's docstring."""

    tempered = 1

    @property
    def size(self) -> float:
        """See `SignQuantiser.size`."""
        return 1 / math.sqrt(self.channels)

    def placed(self, rows: Tensor) -> Tensor:
        """See `SignQuantiser.placed`."""
        return F.normalize(rows, dim=1)
