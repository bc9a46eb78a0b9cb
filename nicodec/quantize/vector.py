"""Vector quantisation: the nearest code of a learned codebook.

    x (N, C) ─ nearest of e (K, C) ─ e_k ─ straight through or rotated ─ features

Loss: ‖sg(x) − e_k‖² + β·‖x − sg(e_k)‖² (sg: no gradient), squares averaged over channels; with averages (`decay`)
the codebook follows the mean of what chose it and the first term is left out.
Assumes: features of a scale that stays bounded (the second term's purpose). The codebook begins as k-means of
features (`start`), and codes that nothing chooses move to where features are (`codebooks.revived`).

Sources: van den Oord et al. 2017, "Neural Discrete Representation Learning", with the averages of its appendix;
Fifty et al. 2024, "Restructuring Vector Quantization with the Rotation Trick"; Zheng and Vedaldi 2023, "Online
Clustered Codebook" (dead codes).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec.errors import InputError
from nicodec.quantize.base import Quantiser, Rows, straight_through, summed_over_workers
from nicodec.quantize.codebooks import FIRST_USE, counts_and_sums, k_means, nearest, revived
from nicodec.quantize.table import TableQuantiser, TableSettings

LEAST_COUNT = 1e-3
"""A code whose average count is below stays where it is."""


@dataclass(frozen=True)
class VectorSettings(TableSettings):
    """Of `VectorQuantiser`.

    Attributes:
        commitment: β.
        decay: of the averages that the codebook follows, below 1; 0: the codebook is learned by its loss.
        rotation: whether the gradient is rotated as the feature was, instead of passed unchanged.
        revive: whether dead codes move.

    """

    commitment: float = 0.25
    decay: float = 0.0
    rotation: bool = False
    revive: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.decay < 1:
            raise InputError(f"decay {self.decay:g} of a codebook's averages: give a number from 0 to below 1")

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        return VectorQuantiser(channels, self)


class VectorQuantiser(TableQuantiser):
    """See the module's docstring."""

    use: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, channels: int, settings: VectorSettings) -> None:
        super().__init__(channels, settings.codes)
        self.settings = settings
        self.codebook = nn.Parameter(torch.randn(settings.codes, channels), requires_grad=settings.decay == 0)
        self.register_buffer("use", torch.full((settings.codes,), FIRST_USE / settings.codes), persistent=False)
        averages = settings.codes if settings.decay else 0
        self.register_buffer("counts", torch.zeros(averages), persistent=False)
        self.register_buffer("sums", torch.zeros(averages, channels), persistent=False)
        self._seen: tuple[Tensor, Tensor] | None = None

    def codes(self) -> Tensor:
        """See `TableQuantiser.codes`."""
        return self.codebook

    def quantise(self, rows: Tensor) -> Rows:
        """See `Quantiser.quantise`."""
        chosen = nearest(rows, self.codebook)
        codes = self.codebook[chosen]
        loss = self.settings.commitment * F.mse_loss(rows, codes.detach())
        if not self.settings.decay:
            loss = loss + F.mse_loss(codes, rows.detach())
        if self.training:
            self._seen = rows.detach(), chosen
        features = rotate(rows, codes) if self.settings.rotation else straight_through(rows, codes)
        return Rows(features, chosen[:, None], loss)

    @torch.no_grad()
    def start(self, features: Tensor) -> None:
        """K-means; the same result for all workers where they are given the same features and seed."""
        self.codebook.copy_(k_means(features, self.sizes[0]))
        self.use.fill_(FIRST_USE / self.sizes[0])
        if self.settings.decay:
            self.sums.copy_(self.codebook)
            self.counts.fill_(1)

    @torch.no_grad()
    def after_step(self) -> None:
        """The averages of the last batch, and dead codes."""
        if self._seen is None:
            return
        (rows, chosen), self._seen = self._seen, None
        counts, sums = counts_and_sums(rows, chosen, self.sizes[0])
        counts = summed_over_workers(counts)
        if self.settings.decay:
            follow = 1 - self.settings.decay
            self.counts.lerp_(counts, follow)
            self.sums.lerp_(summed_over_workers(sums), follow)
            alive = self.counts > LEAST_COUNT
            self.codebook[alive] = self.sums[alive] / self.counts[alive, None]
        if self.settings.revive:
            moved, values = revived(self.use, counts, self.codebook, rows)
            self.codebook[moved] = values
            if self.settings.decay:
                self.sums[moved] = values
                self.counts[moved] = 1


def rotate(x: Tensor, codes: Tensor) -> Tensor:
    """The codes, exactly; their gradient is turned and scaled to x as the code is turned and scaled from it.

    features = sg(‖e‖/‖x‖ · R)·x with R = I − 2wwᵀ + 2êx̂ᵀ, w = (x̂ + ê)/‖x̂ + ê‖, for rows (N, C).
    """
    with torch.no_grad():
        long: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp(min=1e-6)
        far: Tensor = torch.linalg.vector_norm(codes, dim=1, keepdim=True)
        x_unit, code_unit = x / long, F.normalize(codes, dim=1)
        w = F.normalize(x_unit + code_unit, dim=1)
    along = 2 * (x * x_unit).sum(1, keepdim=True) * code_unit - 2 * (x * w).sum(1, keepdim=True) * w
    turned = (far / long) * (x + along)
    return codes.detach() + (turned - turned.detach())
