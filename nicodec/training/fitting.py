"""A short training of some parameters alone, at the end of a run: AdamW, a falling rate, averaged weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from nicodec.training.budget import Budget
from nicodec.training.optimisers import build_average, build_schedulers, rate_factor


class Fit:
    """See the module's docstring.

    Args:
        trained: the parameters.
        rate: AdamW's, after the warm-up.
        warmup_steps: in which it rises from nothing.
        decay: of the average of the parameters.

    """

    def __init__(self, trained: Sequence[nn.Parameter], *, rate: float, warmup_steps: int, decay: float) -> None:
        self._trained, self._spent = nn.ParameterList(trained), 0.0
        self._optimiser = torch.optim.AdamW(trained, lr=rate, betas=(0.9, 0.99), weight_decay=0.0)

        def factor(step: int) -> float:
            return rate_factor(self._spent, step, warmup_steps=warmup_steps, decay_from=0.0)

        (self._scheduler,) = build_schedulers([self._optimiser], factor)
        self._average = build_average(self._trained, decay)

    def steps(self, budget: Budget) -> Iterator[None]:
        """One for each step that the budget has; `take` is called in each."""
        for self._spent in budget:
            yield

    def take(self, loss: Tensor) -> None:
        """Take a step down a loss."""
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._scheduler.step()
        self._average.update_parameters(self._trained)

    @torch.no_grad()
    def finish(self) -> None:
        """Give the parameters their averages."""
        for parameter, mean in zip(self._trained, self._average.module.parameters(), strict=True):
            parameter.copy_(mean)
