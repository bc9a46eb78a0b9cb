"""A discriminator of patches, and what keeps it from learning a small set by heart.

Sources: PatchGAN, Isola et al. 2017; spectral norm, Miyato et al. 2018; hinge loss; DiffAugment, Zhao et al. 2020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

UNSHUFFLED = 4
"""Pictures enter as squares of so many pixels a side: a receptive field of 60 pixels at little cost."""


class PatchDiscriminator(nn.Module):
    """Says of every patch of a picture how real it looks, (B, 1, H/8, W/8)."""

    if TYPE_CHECKING:

        def __call__(self, *args: Any) -> Tensor:
            """What `forward` returns."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        shapes = ((3 * UNSHUFFLED**2, width, 1), (width, 2 * width, 2), (2 * width, 2 * width, 1))
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, 3, stride, padding=1, dtype=torch.float32))
            for before, after, stride in shapes
        )
        self.leave = spectral_norm(nn.Conv2d(2 * width, 1, 3, padding=1, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 3, H, W) in [0, 1], sides multiples of 8."""
        h = F.pixel_unshuffle(2 * x - 1, UNSHUFFLED)
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.2)
        real: Tensor = self.leave(h)
        return real


def augmented(*pictures: Tensor) -> list[Tensor]:
    """The same random change of brightness, saturation, contrast and place for each of some batches (B, 3, H, W)."""
    first = pictures[0]
    batch, device = len(first), first.device
    brightness, saturation, contrast = (torch.rand(batch, 1, 1, 1, device=device) for _ in range(3))
    down, right = (int(torch.randint(-side // 8, side // 8 + 1, ())) for side in first.shape[2:])
    found = []
    for x in pictures:
        x = x + 0.5 * (brightness - 0.5)
        grey = x.mean(1, keepdim=True)
        x = grey + 2 * saturation * (x - grey)
        mean = x.mean((1, 2, 3), keepdim=True)
        x = mean + (contrast + 0.5) * (x - mean)
        found.append(torch.roll(x, (down, right), (2, 3)))
    return found


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())
