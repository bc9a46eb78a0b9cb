"""What quantisers share: k-means, dead codes, transport, indices of several digits, water-filling."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nicodec.errors import InputError
from nicodec.quantize import codebooks
from nicodec.quantize.codebooks import FIRST_USE, k_means, nearest, nearest_few, revived
from nicodec.quantize.gaussian import normal_points, water_level
from nicodec.quantize.radix import check_levels, digits_of, index_of
from nicodec.quantize.transport import sinkhorn


def error(rows: torch.Tensor, codes: torch.Tensor) -> float:
    return (codes[nearest(rows, codes)] - rows).square().mean().item()


def test_k_means_finds_clusters() -> None:
    torch.manual_seed(0)
    centres = 10 * torch.randn(3, 4)
    rows = (centres[:, None] + 0.1 * torch.randn(3, 50, 4)).flatten(0, 1)
    assert error(rows, k_means(rows, 12)) < 0.01


@pytest.mark.parametrize("codes", [30, 600, 5000])
def test_k_means_gives_as_many_codes_as_asked_for(codes: int) -> None:
    """Flat, within clusters, and more than there are rows."""
    torch.manual_seed(0)
    rows = torch.randn(3000, 3)
    found = k_means(rows, codes)
    assert found.shape == (codes, 3)
    assert torch.isfinite(found).all()
    drawn = rows[torch.randperm(3000)[: min(codes, 3000)]]
    assert error(rows, found) < error(rows, drawn) + 1e-6


def test_k_means_within_clusters_is_nearly_as_good() -> None:
    torch.manual_seed(0)
    rows = torch.randn(16384, 4)
    inner, flat = k_means(rows, 1024), codebooks._lloyd(rows, 1024, 10)
    assert error(rows, inner) < 1.1 * error(rows, flat)


def test_k_means_of_nothing_is_an_error() -> None:
    with pytest.raises(InputError, match="no features"):
        k_means(torch.zeros(0, 3), 4)


def test_k_means_of_equal_rows_stays_finite() -> None:
    assert torch.equal(k_means(torch.ones(50, 3), 4), torch.ones(4, 3))


def test_parts_do_not_change_what_is_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    rows, codes = torch.randn(100, 5), torch.randn(40, 5)
    whole, few = nearest(rows, codes), nearest_few(rows, codes, 3)
    monkeypatch.setattr(codebooks, "DISTANCES", 40 * 7)
    assert torch.equal(nearest(rows, codes), whole)
    assert torch.equal(nearest_few(rows, codes, 3), few)
    assert torch.equal(few[:, 0], whole)
    assert nearest_few(rows, codes, 99).shape == (100, 40)


def test_dead_codes_move_to_features_and_used_ones_stay() -> None:
    torch.manual_seed(0)
    rows = torch.randn(64, 2) + 5
    codes = torch.cat([rows[:4], torch.full((4, 2), -50.0)])
    use = torch.full((8,), FIRST_USE / 8)
    counts = torch.tensor([16.0] * 4 + [0.0] * 4)
    for _ in range(300):
        moved, values = revived(use, counts, codes, rows)
        codes[moved] = values
    assert torch.equal(codes[:4], rows[:4])
    assert (codes[4:] > 0).all()


@given(st.lists(st.integers(2, 9), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_an_index_is_its_digits(levels: list[int], random: object) -> None:
    every = math.prod(levels)
    numbers = torch.tensor(sorted({random.randrange(every) for _ in range(20)} | {0, every - 1}))[:, None]
    digits = digits_of(numbers, levels)
    assert (digits >= 0).all()
    assert (digits < torch.tensor(levels)).all()
    assert torch.equal(index_of(digits, levels), numbers)


@pytest.mark.parametrize("levels", [(), (1, 4), (2**30, 2**30)])
def test_levels_that_make_no_codebook_are_refused(levels: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="levels"):
        check_levels(levels)


def test_transport_gives_every_code_its_share() -> None:
    torch.manual_seed(0)
    costs = (torch.randn(200, 1) - torch.linspace(-4, 1, 10)).square()
    weights = torch.linspace(1, 2, 10) / 15
    plan = sinkhorn(costs, weights, 0.5, 200)
    assert torch.allclose(plan.shares.sum(1), torch.ones(200), atol=1e-5)
    assert torch.allclose(plan.shares.mean(0), weights, atol=1e-3)
    # The potentials are the gradient of the cost with respect to the weights.
    step = torch.zeros(10).index_put((torch.tensor([0, 9]),), torch.tensor([1e-3, -1e-3]))

    def cost(w: torch.Tensor) -> torch.Tensor:
        shares = sinkhorn(costs, w, 0.5, 200).shares
        return ((costs + 0.5 * shares.clamp(min=1e-30).log()) * shares).sum(1).mean()

    slope = (cost(weights + step) - cost(weights - step)) / 2e-3
    assert slope == pytest.approx((plan.potentials[0] - plan.potentials[9]).item(), rel=0.05)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=8), st.floats(0, 40))
def test_water_filling_spends_the_bits(energy: list[float], bits: float) -> None:
    source = torch.tensor(energy, dtype=torch.float64)
    left = water_level(source, bits)
    assert (left <= source + 1e-12).all()
    assert (source / left).log2().sum().item() / 2 == pytest.approx(bits, abs=1e-6)


def test_the_points_of_the_prior_are_normal() -> None:
    points = normal_points(4096, 4)
    assert points.mean().abs() < 0.01
    assert (points.std(0) - 1).abs().max() < 0.02
    assert torch.equal(points, normal_points(4096, 4))
