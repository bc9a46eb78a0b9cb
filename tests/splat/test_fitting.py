from __future__ import annotations

import math

import torch
from torch import Tensor

from nicodec.splat.fitting import Budget, Progress, fit
from nicodec.splat.gaussians import Gaussians, Steps, quantise
from nicodec.splat.start import detail, least_squares_colours, scatter, starting_shapes

from ..conftest import smooth_picture


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(smooth_picture(height, width, seed)).permute(2, 0, 1).float() / 255


def psnr(a: Tensor, b: Tensor) -> float:
    return -10 * math.log10(float((a.clamp(0, 1) - b).square().mean()))


def test_fits_and_reports() -> None:
    x, heard = picture(64, 80), []
    result = fit(x, 200, budget=Budget(60), watch=lambda progress, _: heard.append(progress))
    assert psnr(result.gaussians().draw(), x) > 24
    assert [p.iteration for p in heard] == [10, 20, 30, 40, 50, 60, 60]
    assert [p.share == 1 for p in heard] == [False] * 6 + [True]
    assert all(isinstance(p, Progress) and p.count == 200 for p in heard)
    assert len(result.symbols.kind) == 200


def test_the_same_seed_gives_the_same_fit() -> None:
    x = picture(40, 40)
    first, second = (fit(x, 50, Steps(10), Budget(20)).symbols.attributes for _ in range(2))
    assert torch.equal(first, second)


def test_what_is_fitted_lies_on_the_grid() -> None:
    result = fit(picture(40, 48), 60, Steps(9), Budget(20))
    symbols = result.symbols
    for part in (symbols.kind, symbols.cell, symbols.attributes):
        assert torch.equal(part, part.round())
    again = quantise(result.gaussians().values, result.steps)
    same = again.kind == symbols.kind  # a rounded scale may fall into the next class
    assert same.float().mean() > 0.8
    assert torch.equal(again.cell[same], symbols.cell[same])


def test_stops_at_the_psnr_that_is_asked_for() -> None:
    x = picture(64, 64, 1)
    steps: list[int] = []
    fit(x, 300, budget=Budget(400, psnr=18.0), watch=lambda p, _: steps.append(p.iteration))
    assert max(steps) < 390


def test_stops_when_its_seconds_are_spent() -> None:
    seconds: list[float] = []
    fit(picture(64, 64), 100, budget=Budget(10**6, seconds=1.0), watch=lambda p, _: seconds.append(p.seconds))
    assert seconds[-1] < 20


def test_goes_on_from_other_gaussians() -> None:
    x = picture(64, 64, 2)
    first = fit(x, 150, budget=Budget(60)).gaussians()
    second = fit(x.roll(1, 2), 150, budget=Budget(10), start=first).gaussians()
    assert psnr(second.draw(), x.roll(1, 2)) > psnr(first.draw(), x.roll(1, 2))


def test_previews_are_pictures() -> None:
    shown: list[Gaussians] = []
    fit(picture(32, 40), 20, budget=Budget(10), watch=lambda _, gaussians: shown.append(gaussians()))
    assert shown[0].draw().shape == (3, 32, 40)


def test_flat_and_tiny_pictures() -> None:
    for height, width in ((1, 1), (3, 90), (8, 8)):
        x = torch.full((3, height, width), 0.25)
        assert psnr(fit(x, 5, budget=Budget(10)).gaussians().draw(), x) > 40


def test_starts_where_the_detail_is() -> None:
    x = torch.zeros(3, 64, 64)
    x[:, :, 40:] = torch.rand(3, 64, 24, generator=torch.Generator().manual_seed(0))
    density = detail(x)
    torch.testing.assert_close(density.sum(), torch.tensor(1.0))
    position, area = scatter(density, 400, torch.Generator().manual_seed(0))
    assert (position[:, 0] >= 38).float().mean() > 0.85
    assert bool((area > 0).all())


def test_least_squares_colours_explain_the_picture() -> None:
    x = picture(48, 48, 4) - 0.5
    shapes = starting_shapes(x, 120, torch.Generator().manual_seed(0))
    colour = least_squares_colours(x, shapes)
    from nicodec.splat.rasteriser import draw

    rest = x - draw(shapes[:, :2], shapes[:, 2:4], shapes[:, 4], colour, (48, 48))
    assert rest.square().mean() < 0.2 * x.square().mean()
