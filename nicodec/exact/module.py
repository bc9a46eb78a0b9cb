"""What has integers beside its trainable parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn


class ExactModule(nn.Module, ABC):
    """A module whose results, in evaluation, come from integers that are derived from its parameters.

    A weight file holds the integers alone.
    """

    @abstractmethod
    def to_integers(self) -> None:
        """Derive the integers from the trained parameters."""

    @abstractmethod
    def from_integers(self) -> None:
        """Set the trainable parameters from the integers, so that training can go on."""
