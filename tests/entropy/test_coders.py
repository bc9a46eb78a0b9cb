from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nicodec.entropy.coder import (
    SYMBOL_MAX,
    LeastCost,
    PictureReader,
    PictureWriter,
    RateEstimator,
    Replay,
    Stream,
    StreamDecoder,
    StreamEncoder,
    Within,
)
from nicodec.entropy.priors import Categorical, Factorized, GaussianMixture, Prior, ScaleMixture, Tabled
from nicodec.entropy.tables import Table, latent_tables, normalise
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
    encoder = PictureWriter()
    written = [encoder.code(value, prior) for value, prior in steps]
    stream = encoder.finish()
    for checksum in (stream.checksum, stream.checksum ^ 1):
        decoder = PictureReader(Stream(stream.data, checksum))
        for symbols, (_, prior) in zip(written, steps, strict=True):
            assert torch.equal(symbols, decoder.code(None, prior))
        if checksum == stream.checksum:
            decoder.finish()
        else:
            with pytest.raises(SymbolMismatchError):
                decoder.finish()


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
    encoder, estimator = PictureWriter(), RateEstimator(noise=False)
    symbols = encoder.code(value, prior)
    assert torch.equal(symbols, estimator.code(value, prior))
    size = len(encoder.finish().data)
    estimate = float(estimator.bits) / 8
    assert abs(size - estimate) <= 0.01 * estimate + 64


@given(st.binary(max_size=60), seeds)
@settings(deadline=None, max_examples=80)
def test_any_bytes_decode_or_fail_in_one_way(stream: bytes, seed: int) -> None:
    random = np.random.default_rng(seed)
    decoder = PictureReader(Stream(stream, 12345))
    try:
        for kind in ("factorized", "gaussian", "mixture"):
            decoder.code(None, random_prior(kind, (1, 3, 4, 4), random))
        decoder.finish()
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
    for coder in (RateEstimator(), PictureWriter(), StreamEncoder(), LeastCost(StreamEncoder())):
        with pytest.raises(ValueError, match="needs the values"):
            coder.code(None, prior)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused(broken: float) -> None:
    prior = ScaleMixture(torch.full((1, 1, 1, 2), 9))
    for coder in (PictureWriter(), StreamEncoder(), LeastCost(StreamEncoder())):
        with pytest.raises(NicodecError, match="weights are broken"):
            coder.code(torch.tensor([[[[0.0, broken]]]]), prior)


@pytest.mark.parametrize("kind", ["gaussian", "mixture", "factorized"])
@given(shape=shapes, seed=seeds)
@settings(deadline=None, max_examples=60)
def test_symbols_of_least_cost(kind: str, shape: tuple[int, ...], seed: int) -> None:
    random = np.random.default_rng(seed)
    value, prior = random_values(kind, shape, random), random_prior(kind, shape, random)
    encoder, nearest, least = PictureWriter(), RateEstimator(noise=False), RateEstimator(noise=False)
    symbols = LeastCost(encoder).code(value, prior)
    assert torch.equal(symbols.clamp(-SYMBOL_MAX, SYMBOL_MAX), symbols)
    nearest.code(value, prior)
    chosen = LeastCost(least).code(value, prior)
    assert torch.equal(chosen.clamp(-SYMBOL_MAX, SYMBOL_MAX), symbols)
    assert float(least.bits) <= float(nearest.bits) + 0.01
    decoder = PictureReader(encoder.finish())
    assert torch.equal(decoder.code(None, prior), symbols)
    decoder.finish()


KINDS = ["gaussian", "mixture", "categorical", "factorized", "tabled"]
MASKS = ["none", "one for all", "one for each", "of places", "of channels", "nothing"]


def random_mask(kind: str, count: int, shape: tuple[int, ...], random: np.random.Generator) -> Tensor | None:
    """A mask of `count` pictures of shape (1, C, H, W), in a form that a codec may give it."""
    sides = {
        "one for all": shape,
        "one for each": (count, *shape[1:]),
        "of places": (1, 1, *shape[2:]),
        "of channels": (count, shape[1], 1, 1),
        "nothing": (1, 1, 1, 1),
    }
    if kind == "none":
        return None
    drawn = torch.from_numpy(random.integers(0, 2, sides[kind])).bool()
    return drawn & (kind != "nothing")


def random_batch(
    kind: str, mask: str, count: int, shape: tuple[int, ...], random: np.random.Generator
) -> tuple[Prior, list[Prior]]:
    """The prior of a batch, and that of each of its pictures, made without `of_picture`."""
    where = random_mask(mask, count, shape, random)
    wheres = [where if where is None or len(where) == 1 else where[n : n + 1] for n in range(count)]
    batch = (count, *shape[1:])

    def integers(low: int, high: int, size: tuple[int, ...]) -> Tensor:
        return torch.from_numpy(random.integers(low, high, size))

    if kind == "gaussian":
        index = integers(0, 64, batch)
        return ScaleMixture(index, where), [ScaleMixture(i[None], w) for i, w in zip(index, wheres, strict=True)]
    if kind == "mixture":
        size, limit = (count, int(random.choice([1, 3])), *shape[1:]), int(random.choice([3, 15, 127]))
        parts = integers(-90, 90, size), integers(-40, 40, size), integers(0, 45, size)
        alone = [
            GaussianMixture(*(part[n : n + 1] for part in parts), wheres[n], half_width_max=limit)
            for n in range(count)
        ]
        return GaussianMixture(*parts, where, half_width_max=limit), alone
    if kind == "categorical":  # which has no mask
        logits = integers(-200, 200, (count, 9, *shape[1:]))
        return Categorical(logits), [Categorical(own[None]) for own in logits]
    if kind == "factorized":
        mass = torch.from_numpy(normalise(integers(0, 10**6, (count, shape[1], 14)).numpy()))
        alone = [Factorized(m[None], shape, w) for m, w in zip(mass, wheres, strict=True)]
        return Factorized(mass, batch, where), alone
    tables = [*latent_tables()[5:25:5], Table(3, normalise(random.integers(0, 1000, 8)))]
    index = integers(0, len(tables), batch)
    return Tabled(tables, index, where), [Tabled(tables, i[None], w) for i, w in zip(index, wheres, strict=True)]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kind", KINDS)
@given(count=st.integers(1, 4), shape=shapes, seed=seeds)
@settings(deadline=None, max_examples=12)
def test_a_batch_is_coded_as_each_picture_alone(
    kind: str, mask: str, count: int, shape: tuple[int, ...], seed: int
) -> None:
    random = np.random.default_rng(seed)
    together, alone = StreamEncoder(count), [PictureWriter() for _ in range(count)]
    steps, written = [], []
    for _ in range(2):
        prior, priors = random_batch(kind, mask, count, shape, random)
        assert prior.shape == (count, *shape[1:])
        assert [own.shape for own in priors] == [shape] * count
        values = [random_values(kind, shape, random) for _ in range(count)]
        steps.append(prior)
        written.append(together.code(torch.cat(values), prior))
        each = [writer.code(v, own) for writer, v, own in zip(alone, values, priors, strict=True)]
        assert torch.equal(written[-1], torch.cat(each))
        coded = prior.coded()
        if coded is not None:
            assert not written[-1][~coded.expand(prior.shape)].any()
    streams = together.finish()
    assert streams == [writer.finish() for writer in alone]
    decoder = StreamDecoder(streams)
    for prior, symbols in zip(steps, written, strict=True):
        assert torch.equal(decoder.code(None, prior), symbols)
    decoder.finish()


def test_symbols_of_one_picture_may_be_coded_between_those_of_all() -> None:
    index = torch.full((3, 2, 4, 4), 30)
    value = 5 * torch.randn(index.shape, generator=torch.Generator().manual_seed(0))
    encoder = StreamEncoder(3)
    written = encoder.code(value, ScaleMixture(index))
    own = encoder.pictures[1].code(torch.full((1, 1, 1, 1), 7.0), ScaleMixture(torch.full((1, 1, 1, 1), 40)))
    again = encoder.code(-value, ScaleMixture(index))
    decoder = StreamDecoder(encoder.finish())
    assert torch.equal(decoder.code(None, ScaleMixture(index)), written)
    assert torch.equal(decoder.pictures[1].code(None, ScaleMixture(torch.full((1, 1, 1, 1), 40))), own)
    assert torch.equal(decoder.code(None, ScaleMixture(index)), again)
    decoder.finish()


def test_one_wrong_checksum_of_a_batch_is_told() -> None:
    prior = ScaleMixture(torch.full((2, 1, 4, 4), 30))
    encoder = StreamEncoder(2)
    encoder.code(torch.randn(prior.shape, generator=torch.Generator().manual_seed(0)), prior)
    first, second = encoder.finish()
    decoder = StreamDecoder([first, Stream(second.data, second.checksum ^ 1)])
    decoder.code(None, prior)
    with pytest.raises(SymbolMismatchError):
        decoder.finish()


LARGE_BOOKS = [2, 255, 256, 257, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 70_000]


@pytest.mark.parametrize("entries", LARGE_BOOKS)
def test_indices_of_large_books_come_back(entries: int) -> None:
    random = np.random.default_rng(entries)
    logits = torch.from_numpy(random.integers(-40, 40, (2, entries, 1, 2, 3)))
    value = torch.from_numpy(random.integers(0, entries, (2, 1, 2, 3))).float()
    value[0, 0, 0, 0], value[0, 0, 0, 1], value[1, 0, 1, 2] = entries - 1, 0, entries - 1
    prior, encoder = Categorical(logits), StreamEncoder(2)
    assert torch.equal(encoder.code(value, prior), value)
    streams = encoder.finish()
    decoder = StreamDecoder(streams)
    assert torch.equal(decoder.code(None, prior), value)
    decoder.finish()
    estimator = RateEstimator(noise=False)
    estimator.code(value, prior)
    size = torch.tensor([8.0 * len(stream.data) for stream in streams])
    assert bool(((size - estimator.bits).abs() < 48).all())


@given(entries=st.integers(2, 70_000), seed=seeds)
@settings(deadline=None, max_examples=15)
def test_an_index_is_never_moved(entries: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    prior = Categorical(torch.from_numpy(random.integers(-200, 200, (2, entries, 1, 2, 2))))
    value = torch.from_numpy(random.integers(0, entries, (2, 1, 2, 2))).float()
    value[1, 0, 1, 1] = entries - 1
    plain, cheap = StreamEncoder(2), StreamEncoder(2)
    plain.code(value, prior)
    assert torch.equal(LeastCost(cheap).code(value, prior), value)
    assert cheap.finish() == plain.finish()
    noisy, still = RateEstimator(noise=True), RateEstimator(noise=False)
    assert torch.equal(noisy.code(value, prior), value)
    assert torch.equal(still.code(value, prior), value)
    assert torch.equal(torch.as_tensor(noisy.bits), torch.as_tensor(still.bits))


def test_noise_is_for_what_has_an_order() -> None:
    index = torch.full((1, 1, 8, 8), 30)
    value = torch.randn(index.shape, generator=torch.Generator().manual_seed(0))
    bits = []
    for noise in (True, False):
        estimator = RateEstimator(noise=noise)
        estimator.code(value, ScaleMixture(index.float()))
        bits.append(float(estimator.bits))
    assert bits[0] != bits[1]


def test_a_replay_codes_the_given_symbols() -> None:
    prior = ScaleMixture(torch.full((1, 1, 4, 4), 30))
    symbols = torch.arange(16.0).view(prior.shape)
    first, second = PictureWriter(), PictureWriter()
    replay = Replay(first, [symbols, -symbols])
    assert torch.equal(replay.code(None, prior), symbols)
    assert torch.equal(replay.code(100 + symbols, prior), -symbols)
    second.code(symbols, prior)
    second.code(-symbols, prior)
    assert first.finish() == second.finish()


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
    encoder = PictureWriter()
    for value, prior in steps:
        encoder.code(value.float(), prior)
    stream = encoder.finish()
    digest = hashlib.sha256(stream.data).hexdigest()
    assert digest == "89319e7e54ac7e472512337bb5747d75180823ba5ea8235b86231706259321a2"
    assert stream.checksum == 38016


@given(seed=seeds)
@settings(deadline=None, max_examples=20)
def test_zeros_are_written_where_nothing_counts(seed: int) -> None:
    random = np.random.default_rng(seed)
    shape = (1, 3, 4, 6)
    value, prior = random_values("gaussian", shape, random), random_prior("gaussian", shape, random)
    counts = torch.from_numpy(random.integers(0, 2, (1, 1, 4, 6))).float()
    plain, masked = PictureWriter(), PictureWriter()
    usual, found = plain.code(value, prior), Within(masked, counts).code(value, prior)
    assert torch.equal(found, usual * counts)
    other = (1, 3, 2, 3)  # tensors of another size are as they are
    value, prior = random_values("gaussian", other, random), random_prior("gaussian", other, random)
    assert torch.equal(Within(masked, counts).code(value, prior), plain.code(value, prior))
