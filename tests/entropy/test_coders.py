from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nicodec.entropy.coder import SYMBOL_MAX, LeastCost, RateEstimator, StreamDecoder, StreamEncoder
from nicodec.entropy.priors import Categorical, Factorized, GaussianMixture, Prior, ScaleMixture
from nicodec.entropy.tables import normalise
from nicodec.errors import NicodecError, SymbolMismatchError

seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(st.just(1), st.integers(1, 5), st.integers(1, 7), st.integers(1, 7))


def random_prior(kind: str, shape: tuple[int, ...], random: np.random.Generator) -> Prior:
    def integers(low: int, high: int, *size: int) -> Tensor:
        return torch.from_numpy(random.integers(low, high, size))

    where = integers(0, 2, *shape).bool() if random.random() < 0.5 else None
    if kind == "gaussian":
        return ScaleMixture(integers(0, 64, *shape), where)
    if kind == "mixture":
        size = (1, int(random.choice([1, 3])), *shape[1:])
        parameters = integers(-90, 90, *size), integers(-40, 40, *size), integers(0, 45, *size)
        return GaussianMixture(*parameters, where, half_width_max=int(random.choice([3, 15, 127])))
    if kind == "categorical":
        return Categorical(integers(-200, 200, 1, 9, *shape[1:]))
    mass = normalise(integers(0, 10**6, 1, shape[1], 14).numpy())
    return Factorized(torch.from_numpy(mass), shape, where)


def random_values(kind: str, shape: tuple[int, ...], random: np.random.Generator) -> Tensor:
    if kind == "categorical":
        return torch.from_numpy(random.integers(0, 9, shape)).float()
    scale = 10.0 ** random.uniform(-1, 4.4)  # far outside the tables too
    return torch.from_numpy(random.normal(0, scale, shape)).float()


@pytest.mark.parametrize("kind", ["gaussian", "mixture", "categorical", "factorized"])
@given(shape=shapes, seed=seeds)
@settings(deadline=None, max_examples=60)
def test_decoder_reads_what_the_encoder_wrote(kind: str, shape: tuple[int, ...], seed: int) -> None:
    random = np.random.default_rng(seed)
    steps = [(random_values(kind, shape, random), random_prior(kind, shape, random)) for _ in range(3)]
    encoder = StreamEncoder()
    written = [encoder.code(value, prior) for value, prior in steps]
    stream, checksum = encoder.finish()
    decoder = StreamDecoder(stream)
    for symbols, (_, prior) in zip(written, steps, strict=True):
        assert torch.equal(symbols, decoder.code(None, prior))
    decoder.finish(checksum)
    with pytest.raises(SymbolMismatchError):
        decoder.finish(checksum ^ 1)


@pytest.mark.parametrize("kind", ["gaussian", "mixture", "categorical", "factorized"])
def test_written_size_is_the_estimate(kind: str) -> None:
    random = np.random.default_rng(3)
    shape = (1, 16, 24, 24)
    prior = random_prior(kind, shape, random)
    if kind == "gaussian":
        scale = 0.11 * torch.exp(prior.index * np.log(256 / 0.11) / 63)
        value = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * scale
    elif kind == "categorical":
        shares = torch.softmax(prior.logits.float() / 16, 1)[0].flatten(1).T
        value = torch.multinomial(shares, 1, generator=torch.Generator().manual_seed(1)).view(shape).float()
    else:
        value = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 2
    encoder, estimator = StreamEncoder(), RateEstimator(noise=False)
    symbols = encoder.code(value, prior)
    assert torch.equal(symbols, estimator.code(value, prior))
    size = len(encoder.finish()[0])
    estimate = float(estimator.bits) / 8
    assert abs(size - estimate) <= 0.01 * estimate + 64


@given(st.binary(max_size=60), seeds)
@settings(deadline=None, max_examples=80)
def test_any_bytes_decode_or_fail_in_one_way(stream: bytes, seed: int) -> None:
    random = np.random.default_rng(seed)
    decoder = StreamDecoder(stream)
    try:
        for kind in ("factorized", "gaussian", "mixture"):
            decoder.code(None, random_prior(kind, (1, 3, 4, 4), random))
        decoder.finish(12345)
    except NicodecError:
        pass


def test_estimator_relaxes_and_has_gradients() -> None:
    value = torch.randn(2, 4, 3, 3, requires_grad=True)
    index = torch.full((2, 4, 3, 3), 20.0, requires_grad=True)
    estimator = RateEstimator()
    symbols = estimator.code(value, ScaleMixture(index))
    assert torch.allclose(symbols, torch.round(value), atol=1e-5)
    (estimator.bits.sum() + symbols.square().sum()).backward()
    assert value.grad is not None
    assert index.grad is not None
    assert estimator.bits.shape == (2,)


def test_only_the_decoder_works_without_values() -> None:
    prior = ScaleMixture(torch.full((1, 1, 1, 1), 9))
    for coder in (RateEstimator(), StreamEncoder(), LeastCost(StreamEncoder())):
        with pytest.raises(ValueError, match="needs the values"):
            coder.code(None, prior)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused(broken: float) -> None:
    prior = ScaleMixture(torch.full((1, 1, 1, 2), 9))
    for coder in (StreamEncoder(), LeastCost(StreamEncoder())):
        with pytest.raises(NicodecError, match="weights are broken"):
            coder.code(torch.tensor([[[[0.0, broken]]]]), prior)


@pytest.mark.parametrize("kind", ["gaussian", "mixture", "factorized"])
@given(shape=shapes, seed=seeds)
@settings(deadline=None, max_examples=60)
def test_symbols_of_least_cost(kind: str, shape: tuple[int, ...], seed: int) -> None:
    random = np.random.default_rng(seed)
    value, prior = random_values(kind, shape, random), random_prior(kind, shape, random)
    encoder, nearest, least = StreamEncoder(), RateEstimator(noise=False), RateEstimator(noise=False)
    symbols = LeastCost(encoder).code(value, prior)
    assert torch.equal(symbols.clamp(-SYMBOL_MAX, SYMBOL_MAX), symbols)
    nearest.code(value, prior)
    chosen = LeastCost(least).code(value, prior)
    assert torch.equal(chosen.clamp(-SYMBOL_MAX, SYMBOL_MAX), symbols)
    assert float(least.bits) <= float(nearest.bits) + 0.01
    stream, checksum = encoder.finish()
    decoder = StreamDecoder(stream)
    assert torch.equal(decoder.code(None, prior), symbols)
    decoder.finish(checksum)


def test_streams_do_not_change() -> None:
    """Golden bytes: a change here makes every file that was ever written unreadable."""
    count = 60

    def spread(step: int, modulus: int, *size: int) -> Tensor:
        return (torch.arange(int(np.prod(size))) * step % modulus).view(size)

    shape = (1, 2, 5, 6)
    parts = (1, 3, *shape[1:])
    steps = [
        (
            spread(37, 9, *shape) - 4,
            Factorized(torch.from_numpy(normalise(spread(7919, 1009, 1, 2, 8).numpy())), shape),
        ),
        (spread(53, 41, *shape) - 20, ScaleMixture(spread(29, 64, *shape), spread(1, 2, *shape).bool())),
        (
            spread(31, 23, *shape) - 11,
            GaussianMixture(spread(17, 90, *parts), spread(13, 60, *parts), spread(11, 40, *parts)),
        ),
        (spread(3, 9, *shape), Categorical(spread(101, 97, 1, 9, *shape[1:]))),
        (spread(7919, 30000, *shape), ScaleMixture(torch.full(shape, 3))),
    ]
    assert all(value.numel() == count for value, _ in steps)
    encoder = StreamEncoder()
    for value, prior in steps:
        encoder.code(value.float(), prior)
    stream, checksum = encoder.finish()
    assert hashlib.sha256(stream).hexdigest() == "89319e7e54ac7e472512337bb5747d75180823ba5ea8235b86231706259321a2"
    assert checksum == 38016
