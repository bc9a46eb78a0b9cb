"""The Triton kernels against their twin in torch: on a GPU where there is one, else in Triton's interpreter."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from nicodec.splat import rasteriser
from nicodec.splat.rasteriser import draw

from .test_rasteriser import some_gaussians


def largest_difference(device: str) -> list[float]:
    """Relative differences of the picture and of the four gradients."""
    size = (37, 30)
    results = []
    for kernels in ("always", "never"):
        rasteriser.KERNELS = kernels
        try:
            parameters = [p.float().to(device).requires_grad_() for p in some_gaussians(40, *size)]
            drawn = draw(*parameters, size)
            target = torch.linspace(0, 1, drawn.numel(), device=device).view(drawn.shape)
            results.append([drawn.detach(), *torch.autograd.grad((drawn - target).square().sum(), parameters)])
        finally:
            rasteriser.KERNELS = "cuda"
    return [float((a - b).norm() / b.norm()) for a, b in zip(*results, strict=True)]


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
@pytest.mark.skipif(torch.cuda.is_available(), reason="the kernels run on the GPU itself")
def test_interpreted_kernels_are_their_twin() -> None:
    """Triton reads its switch on import, hence the process of its own."""
    code = "from tests.splat.test_kernel import largest_difference as d; v = d('cpu'); print(v); assert max(v) < 1e-4"
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_kernels_are_their_twin() -> None:
    assert max(largest_difference("cuda")) < 1e-4
