"""What training by gradients needs beside a loss: stages, optimisers, the course of their rates, averaged weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from nicodec.codecs.base import Codec
from nicodec.errors import InputError
from nicodec.training.optimisers import build_average, build_optimisers, build_schedulers, rate_factor


class Stage(Protocol):
    """A part of the training: the share of the budget at which it ends, and what its rates are multiplied by."""

    @property
    def until(self) -> float: ...  # noqa: D102
    @property
    def rate(self) -> float: ...  # noqa: D102


class StepSettings(Protocol):
    """Those of an [objective] table that `Steps` looks at."""

    @property
    def learning_rate(self) -> float: ...  # noqa: D102
    @property
    def muon_learning_rate(self) -> float: ...  # noqa: D102
    @property
    def warmup_steps(self) -> int: ...  # noqa: D102
    @property
    def decay_from(self) -> float: ...  # noqa: D102
    @property
    def gradient_clip(self) -> float: ...  # noqa: D102
    @property
    def ema(self) -> float: ...  # noqa: D102


def check_stages(stages: Sequence[Stage]) -> None:
    """Raise ValueError unless stages end one after another, the last one with the training."""
    ends = [stage.until for stage in stages]
    if not ends or ends[-1] != 1 or any(one >= other for one, other in pairwise(ends)):
        raise ValueError(f"stages end at {ends}; give rising shares, the last one 1")


C = TypeVar("C", bound=Codec)
S = TypeVar("S", bound=Stage)


class Steps(Generic[C, S]):
    """Steps of a codec's training.

    Args:
        codec: what of it requires a gradient is trained.
        settings: rates and their course.
        stages: one after another.
        weight_decay: of the optimisers.
        apart: those that have a rate of their own, and a bound of their gradient's norm of their own.
        rate_apart: that rate.
        beside: what learns with the codec and is no part of it.

    Attributes:
        share: of the budget that is spent, 0..1.

    Raises:
        InputError: nothing requires a gradient.

    """

    def __init__(
        self,
        codec: C,
        settings: StepSettings,
        stages: Sequence[S],
        *,
        weight_decay: float = 0.0,
        apart: Sequence[nn.Parameter] = (),
        rate_apart: float = 0.0,
        beside: nn.Module | None = None,
    ) -> None:
        self.share = 0.0
        self._codec, self._settings, self._stages = codec, settings, stages
        others = set(apart)
        model: nn.Module = codec if beside is None else nn.ModuleList([codec, beside])
        self._together = [p for p in model.parameters() if p.requires_grad and p not in others]
        self._apart = list(apart)
        self._trained = nn.ParameterList([*self._together, *self._apart])
        if not len(self._trained):
            raise InputError(f"{type(codec).__name__} has nothing that could be trained")
        self._optimisers = build_optimisers(
            model,
            rate=settings.learning_rate,
            muon_rate=settings.muon_learning_rate,
            weight_decay=weight_decay,
            apart=self._apart,
            rate_apart=rate_apart,
        )
        self._schedulers = build_schedulers(self._optimisers, self._factor)

    @cached_property
    def _average(self) -> AveragedModel:
        """Of what is trained alone; made at the first step, when the weights are what they start as."""
        return build_average(self._trained, self._settings.ema)

    @property
    def stage(self) -> S:
        """The present one."""
        return next(stage for stage in self._stages if self.share < stage.until or stage.until == 1)

    def _factor(self, step: int) -> float:
        settings = self._settings
        course = rate_factor(self.share, step, warmup_steps=settings.warmup_steps, decay_from=settings.decay_from)
        return course * self.stage.rate

    def take(self, loss: Tensor) -> Tensor:
        """Take a step down a loss; one that is not finite is skipped.

        Gives the norm of the gradient of all but those apart.
        """
        for optimiser in self._optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm, norm_apart = (
            nn.utils.clip_grad_norm_(part, self._settings.gradient_clip) for part in (self._together, self._apart)
        )
        if torch.isfinite(norm) and torch.isfinite(norm_apart):
            for optimiser in self._optimisers:
                optimiser.step()
            for scheduler in self._schedulers:
                scheduler.step()
        self._average.update_parameters(self._trained)
        return norm

    def averaged(self) -> C:
        """A copy of the codec with averaged weights and derived integers, in evaluation mode."""
        codec = copy.deepcopy(self._codec)
        if int(self._average.n_averaged):
            means = dict(zip(self._trained, self._average.module.parameters(), strict=True))
            with torch.no_grad():
                for copied, parameter in zip(codec.parameters(), self._codec.parameters(), strict=True):
                    if parameter in means:
                        copied.copy_(means[parameter])
        codec.to_integers()
        return codec.eval()

    def state_dict(self) -> dict[str, Any]:
        """All that goes on from a checkpoint, the codec's weights among it."""
        return {
            "codec": self._codec.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "schedulers": [scheduler.state_dict() for scheduler in self._schedulers],
            "average": self._average.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._codec.load_state_dict(state["codec"])
        self._average.load_state_dict(state["average"])
        for optimiser, saved in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        for scheduler, saved in zip(self._schedulers, state["schedulers"], strict=True):
            scheduler.load_state_dict(saved)
