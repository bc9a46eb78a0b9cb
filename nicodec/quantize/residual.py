"""Residual quantisation: each stage quantises what the stages before it left.

    x ─ stage 1 ─ q₁;  x − q₁ ─ stage 2 ─ q₂;  x − q₁ − q₂ ─ ...        features = q₁ + q₂ + ...

Loss: the stages' sum. The gradient of the features is the mean of the stages' gradients, so that a straight-through
estimate stays one. Any quantiser can be a stage; where its codes have a fixed scale (FSQ, a lattice, a sphere),
`scaled` gives each stage a scale and a bias a channel, from what it is left at the start.
The first indices of a position decode alone (`prefixes`); training may leave out later stages of some batches
(`drop`), so that decoders meet that. An encoder keeps the `beam` best choices of all stages so far.
Assumes: later stages have less to do, but not nothing: stages start one after the other on what is left.

Sources: Juang and Gray 1982 (residual); Zeghidour et al. 2021, "SoundStream" (dropped stages); ProGIC 2026 (scale
and bias); beam search as in Babenko and Lempitsky 2014, "Additive Quantization".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nicodec.errors import InputError
from nicodec.quantize.base import Quantiser, Rows, Settings, no_loss, parts_of
from nicodec.quantize.vector import VectorSettings


@dataclass(frozen=True)
class ResidualSettings(Settings):
    """Of `ResidualQuantiser`.

    Attributes:
        stage: settings of each stage.
        stages: how many, at least 1.
        beam: choices that an encoder keeps; 1: it takes each stage's best.
        drop: share of training's batches that keep a random number of the first stages only.
        scaled: whether each stage has a learned scale and bias a channel.

    """

    stage: Settings = field(default_factory=VectorSettings)
    stages: int = 4
    beam: int = 4
    drop: float = 0.0
    scaled: bool = False

    def __post_init__(self) -> None:
        if self.stages < 1 or self.beam < 1 or not 0 <= self.drop <= 1:
            raise InputError(
                f"{self.stages} stages, a beam of {self.beam}, dropped with {self.drop:g}: give at least one stage, "
                "a beam of at least 1, and a share from 0 to 1"
            )

    def build(self, channels: int) -> Quantiser:
        """See `Settings.build`."""
        return ResidualQuantiser(channels, self)


class _Stage(nn.Module):
    """A quantiser with its scale and bias, (C,) each, or none."""

    def __init__(self, quantiser: Quantiser, *, scaled: bool) -> None:
        super().__init__()
        self.quantiser = quantiser
        self.log_scale = nn.Parameter(torch.zeros(quantiser.channels)) if scaled else None
        self.bias = nn.Parameter(torch.zeros(quantiser.channels)) if scaled else None

    def inside(self, rows: Tensor) -> Tensor:
        return rows if self.log_scale is None or self.bias is None else (rows - self.bias) * (-self.log_scale).exp()

    def outside(self, rows: Tensor) -> Tensor:
        return rows if self.log_scale is None or self.bias is None else rows * self.log_scale.exp() + self.bias

    def search(self, rows: Tensor, count: int) -> Tensor:
        return self.quantiser.candidates(self.inside(rows), count)

    def lookup(self, indices: Tensor) -> Tensor:
        return self.outside(self.quantiser.lookup(indices))

    @torch.no_grad()
    def start(self, rows: Tensor) -> None:
        if self.log_scale is not None and self.bias is not None:
            self.bias.copy_(rows.mean(0))
            self.log_scale.copy_(rows.std(0, correction=0).clamp(min=1e-4).log())
        self.quantiser.start(self.inside(rows))


class ResidualQuantiser(Quantiser):
    """See the module's docstring."""

    prefixes = True

    def __init__(self, channels: int, settings: ResidualSettings) -> None:
        made = [settings.stage.build(channels) for _ in range(settings.stages)]
        super().__init__(channels, [size for each in made for size in each.sizes])
        self.settings = settings
        self.stages = nn.ModuleList(_Stage(each, scaled=settings.scaled) for each in made)
        self.width = len(made[0].sizes)

    def _stages(self) -> Iterable[_Stage]:
        yield from self.stages  # type: ignore[misc]

    def quantise(self, rows: Tensor) -> Rows:
        """See `Quantiser.quantise`."""
        kept = len(self.stages)
        if self.training and torch.rand(()) < self.settings.drop:
            kept = int(torch.randint(1, kept + 1, ()))
        done, out, chosen, loss = torch.zeros_like(rows), [], [], no_loss(rows)
        for number, stage in enumerate(self._stages()):
            found = stage.quantiser.quantise(stage.inside(rows - done))
            features = stage.outside(found.features)
            if number < kept:
                out.append(features)
            done = done + features.detach()
            chosen.append(found.indices)
            loss = loss + found.loss
        total = torch.zeros_like(rows)
        for features in out:  # in the order of `lookup`, so that the sums are the same to the last bit
            total = total + features.detach()
        slope = torch.stack(out).sum(0) / len(out)
        return Rows(total + (slope - slope.detach()), torch.cat(chosen, 1), loss)

    def search(self, rows: Tensor) -> Tensor:
        """See `Quantiser.search`: a beam over the stages."""
        n = len(rows)
        left = rows[:, None]  # (N, beam, C)
        kept = torch.zeros(n, 1, 0, dtype=torch.int64, device=rows.device)  # (N, beam, I so far)
        for stage in self._stages():
            flat = left.flatten(0, 1)
            choices = stage.search(flat, self.settings.beam)  # (N·beam, choices, width)
            features = stage.lookup(choices.flatten(0, 1)).view(*choices.shape[:2], self.channels)
            left = (flat[:, None] - features).reshape(n, -1, self.channels)
            errors = left.square().sum(2)
            best = errors.topk(min(self.settings.beam, errors.shape[1]), largest=False).indices
            before = best // choices.shape[1]
            own = choices.reshape(n, -1, self.width).gather(1, best[..., None].expand(-1, -1, self.width))
            earlier = kept.gather(1, before[..., None].expand(-1, -1, kept.shape[2]))
            kept = torch.cat([earlier, own], 2)
            left = left.gather(1, best[..., None].expand(-1, -1, self.channels))
        return kept[:, 0]

    def lookup(self, indices: Tensor) -> Tensor:
        """See `Quantiser.lookup`; the first stages' indices are enough."""
        if indices.shape[1] % self.width:
            raise InputError(f"{indices.shape[1]} indices: a stage has {self.width}, give those of whole stages")
        total = torch.zeros(len(indices), self.channels, device=indices.device)
        for stage, own in zip(self._stages(), parts_of(indices.t(), self.width), strict=False):
            total = total + stage.lookup(own.t())
        return total

    @torch.no_grad()
    def start(self, features: Tensor) -> None:
        """Each stage on what those before it left of the features."""
        left = features.float()
        for stage in self._stages():
            stage.start(left)
            left = left - stage.lookup(stage.search(left, 1)[:, 0])

    def after_step(self) -> None:
        """The stages' own."""
        for stage in self._stages():
            stage.quantiser.after_step()

    @property
    def stored_bytes(self) -> int:
        """The stages' tables, scales and biases."""
        scales = 8 * self.channels if self.settings.scaled else 0
        return sum(stage.quantiser.stored_bytes + scales for stage in self._stages())
