"""The filter that an encoder fits to each picture."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nicodec.entropy.coder import PictureReader, PictureWriter
from nicodec.layers.adaptive_filter import FEATURES, GROUP, MIDDLE, PAIRS, AdaptiveFilter, statistics
from nicodec.layers.filter_learning import learn_filter

from ..conftest import smooth_picture, tiny_codec

QUALITY = torch.tensor([100])


def random_filter(weights: int = 24, index: int = 25) -> AdaptiveFilter:
    torch.manual_seed(3)
    layer = AdaptiveFilter(weights)
    layer.basis.normal_()
    layer.log_unit[0] = -6.0
    layer.index.fill_(index)
    return layer


def picture(height: int = 64, width: int = 96, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(smooth_picture(height, width, seed)).permute(2, 0, 1)[None].float() / 255


def features_at(x: torch.Tensor, row: int, column: int) -> torch.Tensor:
    """The 76 numbers, one after another, as the module's docstring tells."""

    def pixel(colour: int, dy: int, dx: int) -> float:
        y, z = min(max(row + dy, 0), x.shape[2] - 1), min(max(column + dx, 0), x.shape[3] - 1)
        return float(x[0, colour, y, z]) - MIDDLE

    values = []
    for colour in range(3):
        middle = pixel(colour, 0, 0)
        values += [middle, *(pixel(colour, dy, dx) + pixel(colour, -dy, -dx) - 2 * middle for dy, dx in PAIRS)]
    return torch.tensor([*values, 1.0])


def test_it_adds_the_matrix_times_the_features() -> None:
    layer, x = random_filter(), picture()
    matrix = layer.matrix(torch.randn(24).round(), QUALITY)
    filtered = layer(x, matrix)
    for row, column in [(0, 0), (63, 95), (1, 94), (30, 41), (35, 40), (62, 2)]:
        expected = x[0, :, row, column] + matrix @ features_at(x, row, column)
        assert torch.allclose(filtered[0, :, row, column], expected, atol=1e-5)


@pytest.mark.parametrize("height", [8, 16, 36, 40])
def test_in_its_place_a_picture_is_filtered_the_same(height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = random_filter(), torch.cat([picture(height, 96, seed) for seed in range(3)])
    matrices = [layer.matrix(torch.randn(24).round(), QUALITY), None, layer.matrix(torch.randn(24).round(), QUALITY)]
    whole = [one if matrix is None else layer(one, matrix) for one, matrix in zip(x.split(1), matrices, strict=True)]
    monkeypatch.setattr("nicodec.layers.adaptive_filter.ROWS_AT_ONCE", 16)
    assert torch.allclose(layer.of_batch(x.clone(), matrices), torch.cat(whole), atol=1e-6)


def test_statistics_are_those_of_the_features() -> None:
    x_hat, x = picture(64, 64, 1), picture(64, 64, 2)
    gram, cross, pixels = statistics(x, x_hat)
    features = torch.stack([features_at(x_hat, i // 64, i % 64) for i in range(64 * 64)], 1).double()
    assert pixels == 64 * 64
    assert torch.allclose(gram, features @ features.T, atol=1e-3)
    assert torch.allclose(cross, (x - x_hat)[0].flatten(1).double() @ features.T, atol=1e-3)


@given(st.lists(st.integers(-300, 300), min_size=24, max_size=24), st.integers(0, 24))
@settings(deadline=None, max_examples=30)
def test_symbols_are_read_as_they_were_written(values: list[int], used: int) -> None:
    layer = random_filter()
    symbols = torch.tensor(values, dtype=torch.float32)
    symbols[used:] = 0
    encoder = PictureWriter()
    assert torch.equal(layer.code(encoder, symbols), symbols)
    decoder = PictureReader(encoder.finish())
    assert torch.equal(layer.code(decoder, None), symbols)
    decoder.finish()


def test_no_filter_costs_next_to_nothing() -> None:
    encoder = PictureWriter()
    random_filter(96).code(encoder, torch.zeros(96))
    assert len(encoder.finish().data) <= 1


def test_a_fit_finds_what_was_done_to_a_picture() -> None:
    layer, x_hat = random_filter(), picture(128, 128, 4)
    true = torch.zeros(24)
    true[:5] = torch.tensor([4.0, -7.0, 1.0, 0.0, 12.0])
    x = layer(x_hat, layer.matrix(true, QUALITY))
    found = layer.fit(x, x_hat, QUALITY, 1e12)
    assert torch.equal(found, true)
    assert not layer.fit(x, x_hat, QUALITY, 1e-6).any(), "what saves less than it costs is left out"
    assert not layer.fit(x_hat, x_hat, QUALITY, 1e12).any()


def test_a_filter_that_was_never_learned_is_none() -> None:
    x, x_hat = picture(seed=5), picture(seed=6)
    assert not AdaptiveFilter(GROUP).fit(x, x_hat, QUALITY, 1e9).any()


def test_weights_come_in_groups() -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        AdaptiveFilter(12)


def test_learned_filters_help_pictures_that_they_were_not_learned_from() -> None:
    codec = tiny_codec()
    layer = codec.adaptive_filter

    def decoded() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for seed in range(10, 60):
            x, quality = picture(128, 128, seed), torch.randint(201, (1,))
            yield x, codec(x, quality)[0], quality

    learn_filter(layer, decoded())
    assert layer.index.diff().le(0).all()
    assert torch.isfinite(layer.basis).all()
    x, quality = picture(128, 128, 99), torch.tensor([120])
    latents = codec.code_latents(PictureWriter(), x, (128, 128), quality)
    matrix = codec.code_filters([PictureWriter()], x, latents, quality)[0]
    assert matrix is not None
    assert matrix.shape == (3, FEATURES)
    before, after = (
        float((codec.synthesise(latents, quality, [m]).clamp(0, 1) - x).square().mean()) for m in (None, matrix)
    )
    assert after < before
    assert math.isfinite(after)


def test_a_large_picture_is_fitted_in_four_places_and_filtered_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = tiny_codec()
    x, quality = picture(256, 320, 8), torch.tensor([150])
    latents = codec.code_latents(PictureWriter(), x, (256, 320), quality)
    matrix = torch.randn(3, FEATURES) / 100
    whole = codec.synthesise(latents, quality, [matrix])
    monkeypatch.setattr("nicodec.layers.bands.BAND_PIXELS", 64 * 320)
    assert torch.allclose(codec.synthesise(latents, quality, [matrix]), whole, atol=1e-5)
    monkeypatch.setattr("nicodec.codecs.hyperprior.FITTED_LATENTS", 64)
    monkeypatch.setattr("nicodec.codecs.hyperprior.FITTED_SIDE", 8)
    encoder = PictureWriter()
    matrix = codec.code_filters([encoder], x, latents, quality)[0]
    decoder = PictureReader(encoder.finish())
    same = codec.code_filters([decoder], None, latents, quality)[0]
    assert (matrix is None and same is None) or torch.equal(matrix, same)


def test_low_efforts_fit_no_filter() -> None:
    codec, quality = tiny_codec(), torch.tensor([150])
    x = picture(128, 128, 8)
    files = [codec.encode(x, quality, codec.Options(effort=effort)) for effort in (1, 3, 4)]
    quick, same, fitted = (stream.data for ((stream,),) in files)
    assert quick == same
    assert len(quick) < len(fitted)
    assert codec.code_filters([PictureWriter()], x, torch.zeros(1, 24, 8, 8), quality, fit=False)[0] is None
