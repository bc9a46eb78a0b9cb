from __future__ import annotations

import torch

from nicodec.quantize.rounding import round_straight_through


def test_it_rounds_and_the_gradient_passes_unchanged() -> None:
    x = torch.tensor([-1.6, -0.5, 0.2, 0.5, 1.5], requires_grad=True)
    rounded = round_straight_through(x)
    rounded.backward(torch.arange(5.0))
    assert rounded.tolist() == [-2.0, 0.0, 0.0, 0.0, 2.0]
    assert torch.equal(x.grad, torch.arange(5.0))
