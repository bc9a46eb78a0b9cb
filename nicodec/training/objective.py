"""What a codec is trained for: losses, optimisers, and what is done at the start and at the end.

The loop (`loop.py`) knows budget, checkpoints, logs and workers and nothing else; everything else is an objective's,
its training data included. One is found by its name (`registry.py`), so that a package outside can add one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from torch import Tensor

from nicodec.codecs.base import Codec
from nicodec.training.budget import Budget
from nicodec.training.settings import setting
from nicodec.training.workers import Workers


@dataclass(frozen=True)
class DataSettings:
    """What every [data] table has; an objective's own class adds to it."""

    folders: tuple[str, ...] = setting((), help="Of data, relative to the recipe; ${NAME}: the environment's.")
    shares: tuple[float, ...] = setting((), help="Of what is drawn, by folder; none: as if they were one.", least=0)

    def __post_init__(self) -> None:
        if self.shares and (not sum(self.shares) or len(self.shares) != len(self.folders)):
            raise ValueError(f"{len(self.shares)} shares for {len(self.folders)} folders; give one each, not all 0")


class Source(Protocol):
    """Training data in memory. What it gives is between it and the objective that opened it."""

    def describe(self) -> str:
        """What there is, as "200 pictures, 16 of them held out"."""


C = TypeVar("C", bound=Codec)
S = TypeVar("S", bound=Source)


class Objective(ABC, Generic[C, S]):
    """Trains one codec on one source of data.

    A subclass says the classes of its settings and of its data's, opens its data, and does one step after another.
    It is made before `start` or `load_state_dict`, of which one is called, and then `step` until the budget is spent.
    """

    settings_type: ClassVar[type[Any]]
    """A frozen dataclass of `setting` fields: the [objective] table."""

    data_type: ClassVar[type[DataSettings]] = DataSettings
    """The same for the [data] table."""

    def __init__(self, codec: C, settings: Any, source: S, workers: Workers) -> None:
        """Keep what is given.

        Args:
            codec: on the workers' device, in training mode.
            settings: of type `settings_type`.
            source: what `open_source` gave.
            workers: this process's place; `workers.wrap` averages a network's gradients, `workers.say` speaks.

        Raises:
            InputError: a codec like this cannot be trained so.

        """
        self.codec, self.settings, self.source, self.workers = codec, settings, source, workers

    @classmethod
    @abstractmethod
    def open_source(
        cls, data: Any, folders: Sequence[Path], shares: Sequence[float], seed: int, budget: Budget, workers: Workers
    ) -> S:
        """Read the training data.

        Args:
            data: of type `data_type`.
            folders: where it is: the recipe's, or those that the user gave.
            shares: of each folder; empty: as if they were one.
            seed: of what is drawn by this worker; another one when a run goes on.
            budget: what reading may take: it stops with what there is, and says so.
            workers: this process's place.

        Raises:
            InputError: there is none.

        """

    def start(self, *, initialised: bool) -> None:
        """Set the codec up before the first step of a new run.

        Args:
            initialised: whether it has the weights that the user gave.

        """

    @abstractmethod
    def step(self, share: float) -> Mapping[str, float | Tensor]:
        """Do one step.

        Args:
            share: of the training's budget that is spent, 0 to below 1: what schedules go by.

        Returns:
            Numbers for the log (floats or scalar tensors), the same names at each step. Their means are logged.

        """

    def end_share(self) -> float:
        """The share of the budget that `finish` needs, 0 to below 1."""
        return 0.0

    @abstractmethod
    def finish(self, budget: Budget) -> C:
        """Give the codec as it is to be written: in evaluation mode, integers derived. One worker does this.

        What goes on training (`self.codec`, optimisers) stays as it is: a longer run may go on from it.

        Args:
            budget: what may be spent; it starts now.

        """

    def preview(self, finished: C | None) -> list[dict[str, float]]:
        """Measure on held-out data, always the same; a row of named numbers each for the log. One worker does this.

        Args:
            finished: what `finish` gave; None: what the training has reached so far.

        """
        return []

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that a run needs to go on: tensors, numbers, texts, lists and dictionaries of them."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what `state_dict` gave; what it raises tells that the checkpoint cannot be used."""
