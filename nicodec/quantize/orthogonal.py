"""Vector quantisation with an orthogonal codebook: codes are kept from leaning towards one another.

Everything is as in `vector.py`, and the loss has weight·‖ÊÊᵀ − I‖²/M² more, where Ê are M codes at unit length: those
of the batch, at most `most` of them, drawn at random.
Assumes: more to gain from variety than from following the features' density. More codes than channels cannot be
orthogonal; the term then spreads them out.

Source: Shin et al. 2021, "Translation-equivariant Image Quantizer for Bi-directional Image-Text Generation".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from nicodec.errors import InputError
from nicodec.quantize.base import Quantiser, Rows
from nicodec.quantize.vector import VectorQuantiser, VectorSettings


@dataclass(frozen=True)
class OrthogonalSettings(VectorSettings):
    """Of `OrthogonalQuantiser`, beside those of `VectorSettings`.

    Attributes:
        weight: of the new term.
        most: codes that it looks at.

    """

    weight: float = 10.0
    most: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.decay or self.most < 2:
            raise InputError(
                f"decay {self.decay:g}, most {self.most}: an orthogonal codebook is learned (0), 2 or more"
            )

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        return OrthogonalQuantiser(channels, self)


class OrthogonalQuantiser(VectorQuantiser):
    """See the module's docstring."""

    def __init__(self, channels: int, settings: OrthogonalSettings) -> None:
        super().__init__(channels, settings)
        self.orthogonal = settings

    def quantise(self, rows: Tensor) -> Rows:
        """See `Quantiser.quantise`."""
        found = super().quantise(rows)
        if not self.training:
            return found
        used = torch.bincount(found.indices[:, 0]).nonzero()[:, 0]
        used = used[torch.randperm(len(used), device=rows.device)[: self.orthogonal.most]]
        unit = F.normalize(self.codebook[used], dim=1)
        leaning = unit @ unit.t() - torch.eye(len(used), device=rows.device)
        return replace(found, loss=found.loss + self.orthogonal.weight * leaning.square().mean())
