"""Product quantisation, or multi-codebook: the channels fall into groups, each with a quantiser of its own.

    x (N, C) ─ split into G groups of C/G ─ each its quantiser ─ joined

Loss: the groups' mean. Any quantiser can be a group: McQuic's is that of `gumbel.py`, MGVQ's is nested groups of
`vector.py`: training keeps only the first few groups of some batches (`drop`; the others are zero), so that the
first indices of a position decode alone, coarse to fine.
Assumes: groups about equally hard, since each gets the same bits; a layer before must share energy out.

Sources: Zhu et al. 2022, "Unified Multivariate Gaussian Mixture for Efficient Neural Image Compression" (McQuic);
Jia et al. 2025, "MGVQ" (nested); Jégou et al. 2011, "Product Quantization for Nearest Neighbor Search".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nicodec.errors import InputError
from nicodec.quantize.base import Quantiser, Rows, Settings, parts_of
from nicodec.quantize.vector import VectorSettings


@dataclass(frozen=True)
class ProductSettings(Settings):
    """Of `ProductQuantiser`.

    Attributes:
        group: settings of each group.
        groups: G, of which the channels must be a multiple.
        drop: share of training's batches that keep a random number of the first groups only; 0: not nested.

    """

    group: Settings = field(default_factory=VectorSettings)
    groups: int = 2
    drop: float = 0.0

    def __post_init__(self) -> None:
        if self.groups < 1 or not 0 <= self.drop <= 1:
            raise InputError(f"{self.groups} groups, dropped with {self.drop:g}: give 1 or more, and a share to 1")

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        if channels % self.groups:
            raise InputError(f"{channels} channels in {self.groups} groups: give a divisor of the channels")
        return ProductQuantiser(channels, self)


class ProductQuantiser(Quantiser):
    """See the module's docstring."""

    def __init__(self, channels: int, settings: ProductSettings) -> None:
        made = [settings.group.build(channels // settings.groups) for _ in range(settings.groups)]
        super().__init__(channels, [size for each in made for size in each.sizes])
        self.settings = settings
        self.groups = nn.ModuleList(made)
        self.prefixes = settings.drop > 0
        self.width = len(made[0].sizes)

    def _groups(self) -> Iterable[Quantiser]:
        yield from self.groups  # type: ignore[misc]

    def _parts(self, rows: Tensor) -> Iterable[tuple[Quantiser, Tensor]]:
        return zip(self._groups(), rows.chunk(len(self.groups), 1), strict=True)

    def quantise(self, rows: Tensor) -> Rows:
        """See `Quantiser.quantise`."""
        found = [group.quantise(part) for group, part in self._parts(rows)]
        kept = len(found)
        if self.training and torch.rand(()) < self.settings.drop:
            kept = int(torch.randint(1, kept + 1, ()))
        features = [each.features if i < kept else torch.zeros_like(each.features) for i, each in enumerate(found)]
        loss = torch.stack([each.loss for each in found]).mean()
        return Rows(torch.cat(features, 1), torch.cat([each.indices for each in found], 1), loss)

    def search(self, rows: Tensor) -> Tensor:
        """See `Quantiser.search`."""
        return torch.cat([group.search(part) for group, part in self._parts(rows)], 1)

    def lookup(self, indices: Tensor) -> Tensor:
        """See `Quantiser.lookup`; groups that are not there are zero."""
        if indices.shape[1] % self.width:
            raise InputError(f"{indices.shape[1]} indices: a group has {self.width}, give those of whole groups")
        parts = parts_of(indices.t(), self.width)
        found = torch.cat([group.lookup(own.t()) for group, own in zip(self._groups(), parts, strict=False)], 1)
        missing = found.new_zeros(len(found), self.channels - found.shape[1])
        return torch.cat([found, missing], 1)

    def start(self, features: Tensor) -> None:
        """Each group on its own channels."""
        for group, part in self._parts(features.float()):
            group.start(part)

    def after_step(self) -> None:
        """The groups' own."""
        for group in self._groups():
            group.after_step()

    @property
    def stored_bytes(self) -> int:
        """The groups' tables."""
        return sum(group.stored_bytes for group in self._groups())
