from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nicodec.codecs import build_codec
from nicodec.codecs.base import Codec
from nicodec.entropy.coder import Coder, PictureReader, PictureWriter, RateEstimator
from nicodec.entropy.priors import Prior
from nicodec.training.loss import rate_distortion

from ..conftest import TINY, smooth_picture, tiny_codec


class Recorder(Coder):
    """Passes on to another coder and keeps what it returned."""

    def __init__(self, inner: Coder) -> None:
        self.inner, self.symbols = inner, []

    def code(self, value: Tensor | None, prior: Prior) -> Tensor:
        self.symbols.append(self.inner.code(value, prior))
        return self.symbols[-1]


def picture_tensor(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(smooth_picture(height, width, seed)).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module", params=[1, 3], ids=["gaussian", "mixture"])
def codec(request: pytest.FixtureRequest) -> Codec:
    return tiny_codec(mixture=request.param)


@given(quality=st.integers(0, 200), rows=st.integers(1, 3), columns=st.integers(1, 3), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=12)
def test_decoder_sees_the_encoders_symbols(codec: Codec, quality: int, rows: int, columns: int, seed: int) -> None:
    x, q = picture_tensor(64 * rows, 64 * columns, seed), torch.tensor([quality])
    size = (64 * rows, 64 * columns)
    encoder = Recorder(PictureWriter())
    latents = codec.code_latents(encoder, x, size, q)
    matrix = codec.code_filters([encoder], x, latents, q)[0]
    stream = encoder.inner.finish()
    decoder = Recorder(PictureReader(stream))
    decoded = codec.code_latents(decoder, None, size, q)
    same = codec.code_filters([decoder], None, decoded, q)[0]
    decoder.inner.finish()
    assert len(encoder.symbols) == len(decoder.symbols)
    assert all(torch.equal(a, b) for a, b in zip(encoder.symbols, decoder.symbols, strict=True))
    assert torch.equal(latents, decoded)
    assert (matrix is None and same is None) or torch.equal(matrix, same)
    estimator = Recorder(RateEstimator(noise=False))
    codec.code_filters([estimator], x, codec.code_latents(estimator, x, size, q), q)
    estimate = float(estimator.inner.bits) / 8
    assert all(torch.equal(a, b) for a, b in zip(encoder.symbols, estimator.symbols, strict=True))
    assert abs(len(stream.data) - estimate) <= 0.01 * estimate + 64


@pytest.mark.parametrize("mixture", [1, 3])
def test_trains(mixture: int) -> None:
    torch.manual_seed(0)
    codec = build_codec("hyperprior", {**TINY, "mixture": mixture})
    blocks = torch.cat([picture_tensor(256, 256, s) for s in range(4)])
    codec.start_from(blocks.unfold(2, 16, 8).unfold(3, 16, 8).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, 16, 16))
    codec.train()
    optimiser = torch.optim.AdamW([p for p in codec.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for step in range(40):
        x, quality = picture_tensor(64, 64, step % 5), torch.tensor([100])
        x_hat, bits = codec(x, quality)
        loss, _, _ = rate_distortion(x, x_hat, bits, codec.config.rate_weight(quality), -0.5)
        optimiser.zero_grad()
        loss.backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in codec.parameters())
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < 0.95 * sum(losses[:5])


def test_bands_equal_the_whole(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large picture is transformed in bands; the result is that of the picture at once."""
    x, quality = picture_tensor(640, 128), torch.tensor([90])
    y = codec.analyse(x, quality)
    x_hat = codec.synthesise(y, quality)
    monkeypatch.setattr("nicodec.layers.bands.BAND_PIXELS", 128 * 128)
    assert torch.allclose(y, codec.analyse(x, quality), atol=1e-4)
    assert torch.allclose(x_hat, codec.synthesise(y, quality), atol=1e-5)


def test_exported_weights_give_the_same_codec(codec: Codec) -> None:
    first = build_codec("hyperprior", {**TINY, "mixture": codec.config.mixture})
    first.load_exported(codec.exported())
    second = build_codec("hyperprior", {**TINY, "mixture": codec.config.mixture})
    second.load_exported(first.exported())
    x, quality = picture_tensor(64, 64), torch.tensor([70])
    options = codec.Options()
    assert first.eval().encode(x, quality, options) == second.eval().encode(x, quality, options)


def test_weights_that_may_run_in_bfloat16_are_exported_as_bfloat16_has_them() -> None:
    codec = tiny_codec()
    with torch.no_grad():
        for parameter in codec.parameters():
            parameter.add_(1e-3 * torch.randn_like(parameter))
    exported = codec.exported()
    same = {k: torch.equal(v, v.to(torch.bfloat16).to(torch.float16)) for k, v in exported.items()}
    assert same["coarse_synthesis.0.expand.weight"]
    assert same["coarse_synthesis.0.depthwise.bias"]
    assert not same["fine_synthesis.0.expand.weight"], "which runs in float32"
    assert not same["from_fine.weight"]
    assert not same["mean_context.0.enter.weight"]
    assert all(v.dtype != torch.bfloat16 for v in exported.values())


def test_quality_orders_size_and_error(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a filter: drawn at random, it may happen to help one quality more than the next."""
    monkeypatch.setattr(codec, "adaptive_filter", None)
    x = picture_tensor(128, 128)
    sizes, errors = [], []
    for q in (0, 60, 120, 200):
        quality = torch.tensor([q])
        files = codec.encode(x, quality, codec.Options())
        sizes.append(len(files[0][0].data))
        errors.append(float((codec.decode(files, (128, 128), quality) - x).square().mean()))
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
