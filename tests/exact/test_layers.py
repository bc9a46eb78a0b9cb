from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nicodec.exact.layers import EXACT_LIMIT, ExactDepthwise, ExactPointwise, _ExactLayer, activate
from nicodec.exact.symbols import magnitude_features, signed_features

from ..conftest import without_onednn


def trained(layer: _ExactLayer, seed: int) -> _ExactLayer:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight.add_(0.1 * torch.randn(layer.weight.shape, generator=generator))
        layer.bias.add_(torch.randn(layer.bias.shape, generator=generator))
    layer.to_integers()
    return layer.eval()


@given(st.integers(0, 10**6), st.integers(0, 200), st.booleans())
@settings(deadline=None, max_examples=25)
def test_integers_agree_with_float64(seed: int, quality: int, activation: bool) -> None:
    layer = trained(ExactPointwise(40, 24, activation=activation), seed)
    x = torch.randint(0, 256, (1, 40, 5, 6), generator=torch.Generator().manual_seed(seed)).float()
    y = layer(x, torch.tensor([quality]))
    assert torch.equal(y, y.round())
    double = torch.einsum("oi,bihw->bohw", layer.weight_int.double(), x.double())
    below, past = min(quality // 20, 9), quality - 20 * min(quality // 20, 9)
    bias = (layer.bias_int[below].long() * (20 - past) + layer.bias_int[below + 1].long() * past) // 20
    shift = layer.shift.long()
    half = torch.where(shift > 0, 2 ** (shift - 1).clamp(min=0), 0)
    expected = torch.floor((double + (bias + half)[None, :, None, None]) * 2.0 ** -shift[None, :, None, None])
    if activation:
        expected = expected.clamp(0, 255)
    assert torch.equal(y.double(), expected)


@pytest.mark.parametrize("kind", [ExactPointwise, ExactDepthwise])
def test_sums_stay_exact_in_float32(kind: type) -> None:
    layer = trained(kind(64, 48) if kind is ExactPointwise else kind(48), 3)
    worst = layer.weight_int.double().abs().sum(1) * 255 + layer.bias_int.double().abs().amax(0)
    assert float(worst.max()) < EXACT_LIMIT


@pytest.mark.parametrize("kind", ["pointwise", "depthwise"])
def test_training_form_is_near_the_integers(kind: str) -> None:
    layer = trained(ExactPointwise(40, 40) if kind == "pointwise" else ExactDepthwise(40), 5)
    x = torch.randint(0, 256, (1, 40, 8, 8), generator=torch.Generator().manual_seed(5)).float()
    integers = layer(x, torch.tensor([77]))
    real = layer.train()(x / 16, torch.tensor([77])).detach() * 16
    assert float((integers - real).abs().max()) <= 1.0


def test_integers_survive_a_round_trip_through_training_form() -> None:
    layer = trained(ExactPointwise(30, 20), 9)
    weight, bias, shift = layer.weight_int.clone(), layer.bias_int.clone(), layer.shift.clone()
    layer.from_integers()
    layer.to_integers()
    assert torch.equal(layer.weight_int, weight)
    assert torch.equal(layer.bias_int, bias)
    assert torch.equal(layer.shift, shift)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_layout_and_autocast_do_not_matter(threads: int) -> None:
    pointwise, depthwise = trained(ExactPointwise(96, 64), 1), trained(ExactDepthwise(64), 2)
    x = torch.randint(0, 256, (1, 96, 33, 17), generator=torch.Generator().manual_seed(1)).float()
    quality = torch.tensor([101])
    reference = depthwise(pointwise(x, quality), quality)
    before, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    try:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            other = depthwise(pointwise(x.contiguous(memory_format=torch.channels_last), quality), quality)
        with without_onednn():
            third = depthwise(pointwise(x, quality), quality)
    finally:
        torch.set_num_threads(before)
        torch.set_float32_matmul_precision(precision)
    assert torch.equal(reference, other.float())
    assert torch.equal(reference, third)


def test_magnitudes_are_pinned() -> None:
    exponents = [(n + 1).bit_length() - 1 for n in range(2000)]
    written = [min(255, 32 * (e * 2**e + n + 1 - 2**e) // 2**e) for n, e in enumerate(exponents)]  # as in FORMAT.md
    assert written[:9] == [0, 32, 48, 64, 72, 80, 88, 96, 100]
    assert magnitude_features(torch.arange(2000.0), training=False).tolist() == written
    symbols = torch.tensor([[[[-300.0, -1, 0, 7, 40000]]]])
    assert magnitude_features(symbols, training=False).flatten().tolist() == [255, 32, 0, 96, 255]
    assert signed_features(symbols, training=False).flatten().tolist() == [-112, -16, 0, 112, 112]


def test_gradients_of_activations_and_magnitudes() -> None:
    x = torch.tensor([-2.0, 0.3, 15.0, 20.0], requires_grad=True)
    rounded = activate(x)
    rounded.sum().backward()
    assert rounded.tolist() == [0.0, 0.3125, 15.0, 255 / 16]
    torch.testing.assert_close(x.grad, torch.tensor([0.01, 1.0, 1.0, 0.0]))
    symbols = torch.tensor([-3.0, 0.0, 7.0], requires_grad=True)
    magnitudes = magnitude_features(symbols, training=True)
    magnitudes.sum().backward()
    assert magnitudes.tolist() == [4.0, 0.0, 6.0]
    torch.testing.assert_close(symbols.grad, 2 / math.log(2) * torch.tensor([-1 / 4, 0.0, 1 / 8]))
