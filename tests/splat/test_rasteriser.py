from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nicodec.splat.gaussians import Gaussians
from nicodec.splat.rasteriser import CUT, GROUP, TILE, bin_gaussians, draw

Parameters = tuple[Tensor, Tensor, Tensor, Tensor]


def some_gaussians(
    count: int, height: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Parameters:
    g = torch.Generator().manual_seed(seed)
    position = torch.rand(count, 2, generator=g, dtype=dtype) * torch.tensor([width, height]) * 1.2 - 3
    log_scale = 0.6 * torch.randn(count, 2, generator=g, dtype=dtype) + 1
    return (
        position,
        log_scale,
        torch.randn(count, generator=g, dtype=dtype),
        torch.randn(count, 3, generator=g, dtype=dtype),
    )


def dense(position: Tensor, log_scale: Tensor, shear: Tensor, colour: Tensor, size: tuple[int, int]) -> Tensor:
    """Every Gaussian at every pixel, as the module's docstring has it."""
    y = torch.arange(size[0], dtype=position.dtype)[:, None, None] + 0.5
    x = torch.arange(size[1], dtype=position.dtype)[None, :, None] + 0.5
    scale = log_scale.exp()
    u = (x - position[:, 0]) / scale[:, 0]
    v = (y - position[:, 1]) / scale[:, 1] - shear * u
    w = (torch.exp(-(u * u + v * v) / 2) - CUT).clamp(min=0) / (1 - CUT)
    return (w @ colour).permute(2, 0, 1)


@pytest.mark.parametrize("size", [(64, 64), (37, 51)])
def test_forward_and_gradients_are_the_dense_ones(size: tuple[int, int]) -> None:
    parameters = [p.requires_grad_() for p in some_gaussians(50, *size)]
    target = torch.rand(3, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    drawn, wanted = draw(*parameters, size), dense(*parameters, size)
    torch.testing.assert_close(drawn, wanted, rtol=1e-9, atol=1e-11)
    found = torch.autograd.grad((drawn - target).square().sum(), parameters)
    right = torch.autograd.grad((wanted - target).square().sum(), parameters)
    for a, b in zip(found, right, strict=True):
        assert float((a - b).norm() / b.norm()) < 1e-9


def test_gradcheck() -> None:
    parameters = [p.requires_grad_() for p in some_gaussians(4, 12, 12, seed=3)]
    assert torch.autograd.gradcheck(lambda *p: draw(*p, (12, 12)), parameters, atol=1e-5)


def test_there_is_no_cap_on_the_gaussians_of_a_tile() -> None:
    count = 40 * GROUP
    position = torch.full((count, 2), TILE / 2)
    drawn = draw(position, torch.zeros(count, 2), torch.zeros(count), torch.ones(count, 3), (TILE, TILE))
    one = draw(position[:1], torch.zeros(1, 2), torch.zeros(1), torch.ones(1, 3), (TILE, TILE))
    torch.testing.assert_close(drawn, count * one)


def test_no_gaussians_and_gaussians_outside_draw_nothing() -> None:
    none = [p[:0].requires_grad_() for p in some_gaussians(1, 8, 8)]
    drawn = draw(*none, (9, 10))
    assert drawn.shape == (3, 9, 10)
    assert not drawn.any()
    drawn.sum().backward()
    far = torch.tensor([[-500.0, 3.0], [3.0, 900.0]])
    assert not draw(far, torch.zeros(2, 2), torch.zeros(2), torch.ones(2, 3), (9, 10)).any()


@given(
    seed=st.integers(0, 999),
    left=st.integers(0, 40),
    top=st.integers(0, 40),
    width=st.integers(1, 30),
    height=st.integers(1, 30),
)
@settings(deadline=None, max_examples=20)
def test_a_crop_is_a_part_of_the_whole(seed: int, left: int, top: int, width: int, height: int) -> None:
    position, log_scale, shear, colour = some_gaussians(20, 70, 70, seed, torch.float32)
    values = torch.cat([position, log_scale, shear[:, None], colour], 1)
    gaussians = Gaussians(values, torch.tensor([0.1, 0.2, 0.3]), (70, 70))
    whole = gaussians.draw()
    part = gaussians.draw(crop=(left, top, left + width, top + height))
    torch.testing.assert_close(part, whole[:, top : top + height, left : left + width], rtol=0, atol=2e-4)


def test_a_larger_picture_has_the_same_colours_between() -> None:
    values = torch.tensor([[16.0, 12.0, 1.5, 1.2, 0.4, 1.0, 0.2, -0.1]])
    gaussians = Gaussians(values, torch.zeros(3), (24, 32))
    large = gaussians.draw((72, 96))
    torch.testing.assert_close(large[:, 1::3, 1::3], gaussians.draw(), rtol=0, atol=1e-5)
    small = gaussians.draw((12, 16))
    torch.testing.assert_close(small, torch.nn.functional.avg_pool2d(gaussians.draw()[None], 2)[0], rtol=0, atol=1e-5)


def test_bins_with_a_margin_draw_the_same() -> None:
    parameters = some_gaussians(30, 40, 40, 5)
    bins = bin_gaussians(*parameters[:3], (40, 40), margin=0.2)
    torch.testing.assert_close(draw(*parameters, (40, 40), bins), draw(*parameters, (40, 40)))
