"""Indices of large codebooks as groups and places: what is written is read, at the cost of their probabilities."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nicodec.entropy.coder import Coder, PictureReader, PictureWriter, RateEstimator
from nicodec.entropy.indices import GROUP, _weights, code_alike, code_indices, lot

SIZES = st.sampled_from([2, 16, 63, GROUP, 2 * GROUP, 5 * GROUP, 64 * GROUP])


def written(indices: torch.Tensor, logarithms: torch.Tensor) -> int:
    """Bytes of indices, which are read again."""

    def code(coder: Coder, own: torch.Tensor | None) -> torch.Tensor:
        if logarithms.ndim == 1:
            return code_alike(coder, own, logarithms, len(indices))
        return code_indices(coder, own, logarithms)

    writer = PictureWriter()
    assert torch.equal(code(writer, indices), indices)
    stream = writer.finish()
    reader = PictureReader(stream)
    assert torch.equal(code(reader, None), indices)
    reader.finish()
    estimate = RateEstimator(noise=False)
    code(estimate, indices)
    assert 8 * len(stream.data) <= 1.001 * float(estimate.bits) + 40
    return len(stream.data)


@settings(max_examples=25)
@given(
    codes=SIZES, count=st.integers(1, 700), spread=st.sampled_from([0, 5, 100, 3000, 10**6]), seed=st.integers(0, 99)
)
def test_what_is_written_is_read(codes: int, count: int, spread: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    indices = torch.randint(codes, (count,), generator=generator)
    logarithms = torch.randint(-spread, spread + 1, (codes, count), generator=generator).float()
    written(indices, logarithms)
    written(indices, logarithms[:, 0])


@pytest.mark.parametrize("codes", [16, 4 * GROUP, 64 * GROUP])
def test_the_size_is_that_of_the_probabilities(codes: int) -> None:
    torch.manual_seed(0)
    logarithms = (20 * torch.randn(codes, 2000)).round()
    shares = torch.softmax(logarithms.double() / 16, 0)
    indices = torch.multinomial(shares.T, 1)[:, 0]
    bits = -float(shares.gather(0, indices[None]).log2().sum())
    assert 8 * written(indices, logarithms) == pytest.approx(bits, rel=0.002, abs=40)


def test_what_is_sure_costs_next_to_nothing() -> None:
    """With thousands of unlikely codes beside it."""
    logarithms = torch.full((4096, 500), -4000)
    logarithms[7] = 0
    assert written(torch.full((500,), 7), logarithms) < 500 * 0.001 / 8 + 8
    assert written(torch.full((3000,), 7), logarithms[:, 0]) < 3000 * 0.001 / 8 + 8


def test_even_codes_cost_their_logarithm() -> None:
    indices = torch.randint(1024, (lot(1024),))
    for logarithms in (torch.zeros(1024), torch.zeros(1024, 1).expand(-1, len(indices))):
        assert written(indices, logarithms) <= math.ceil(10 * len(indices) / 8) + 4


def test_weights_fall_as_exponentials_do() -> None:
    weights = _weights(-torch.arange(300.0)).double()
    assert weights[0] == 2**24
    assert bool((weights[1:] <= weights[:-1]).all())
    assert float(weights.amin()) >= 1
    assert torch.equal(weights[255:], weights[255].expand(45))
    exact = 2.0**24 * torch.exp(-torch.arange(256.0).double() / 16)
    assert float((weights[:256] / exact - 1)[:160].max()) < 0.07
    assert float((weights[:256] / exact - 1)[:160].min()) > -0.001
