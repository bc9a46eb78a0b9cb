"""What a weight file and a training ask of a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn


class Layer(nn.Module):
    """A module that may say how exactly it computes, and how fast it learns.

    Attributes:
        float32: whether it runs in float32 even where the rest runs in bfloat16; but in training it may not.
        learning_rate_share: of the optimiser's rate, for its parameters and those of what it holds.

    """

    float32: bool = False
    learning_rate_share: float = 1.0

    if TYPE_CHECKING:

        def __call__(self, *args: Any) -> Tensor:
            """What `forward` returns."""
