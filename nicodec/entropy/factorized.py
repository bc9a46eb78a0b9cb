"""A learned distribution for every channel and quality: the prior of hyper-latents."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nicodec.entropy.priors import Factorized
from nicodec.entropy.tables import TOTAL, normalise
from nicodec.exact.anchors import ANCHOR_SPACING, ANCHORS, anchor_weights
from nicodec.exact.module import ExactModule


class FactorizedModel(ExactModule):
    """Distributions over −half_width..half_width and an escape, at each quality anchor.

    In training the logits give probabilities; for coding, `to_integers` turns them into frequencies once, and
    qualities between anchors mix those frequencies in integers.
    """

    frequencies: Tensor

    def __init__(self, channels: int, half_width: int = 12) -> None:
        super().__init__()
        distance = torch.arange(-half_width, half_width + 1).abs().float()
        start = torch.cat([-0.8 * distance, torch.tensor([-0.8 * (half_width + 4)], dtype=torch.float32)])
        self.logits = nn.Parameter(start.expand(ANCHORS, channels, -1).clone())
        self.register_buffer("frequencies", torch.zeros(self.logits.shape, dtype=torch.int32))

    @torch.no_grad()
    def to_integers(self) -> None:
        """Fill the integer frequencies from the trained logits."""
        mass = torch.softmax(self.logits.double().cpu(), -1)
        rounded = torch.round(mass * 2**32).to(torch.int64).numpy()
        self.frequencies.copy_(torch.from_numpy(normalise(rounded)).to(torch.int32))

    @torch.no_grad()
    def from_integers(self) -> None:
        """Set the trainable logits from the frequencies."""
        self.logits.copy_(torch.log(self.frequencies.double() / TOTAL))

    def forward(self, shape: tuple[int, int, int, int], quality: Tensor, where: Tensor | None = None) -> Factorized:
        """Return the prior of symbols of `shape` (B, C, H, W) at quality (B,) half steps; see `Factorized`."""
        below, past = anchor_weights(quality)
        if self.training:
            mass = torch.softmax(self.logits, -1)
            t = (past.to(torch.float32) / ANCHOR_SPACING)[:, None, None]
            return Factorized(mass[below] * (1 - t) + mass[below + 1] * t, shape, where)
        counts, past = self.frequencies.to(torch.int64), past[:, None, None]
        mixed = counts[below] * (ANCHOR_SPACING - past) + counts[below + 1] * past
        return Factorized(torch.from_numpy(normalise(mixed.cpu().numpy())).to(self.logits.device), shape, where)
