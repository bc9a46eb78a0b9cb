from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import nicodec
from nicodec import errors
from nicodec.codecs import build_codec
from nicodec.codecs.splat import GATHERING, Splat, _code_positions, _split_index, _split_tables, gaussians_for
from nicodec.drawing import Drawing
from nicodec.entropy.coder import Coder, PictureReader, PictureWriter, RateEstimator, Stream
from nicodec.splat.fitting import Fit
from nicodec.splat.gaussians import CLASSES, Steps, Symbols

from ..conftest import smooth_picture, without_onednn

SMALL = {"gaussians": 40, "iterations": 20}


def random_fit(count: int, height: int, width: int, precision: int, seed: int) -> Fit:
    """Gaussians that nobody fitted: symbols all over their ranges."""
    g = torch.Generator().manual_seed(seed)
    steps = Steps(precision)
    kind = torch.randint(0, CLASSES, (count,), generator=g).float()
    grids = torch.tensor([steps.grid(k, (height, width)) for k in range(CLASSES)])[kind.long()]
    cell = (torch.rand(count, 2, generator=g) * grids).floor().minimum(grids - 1)
    attributes = (torch.randn(count, 6, generator=g) * torch.tensor([3, 9, 6, 20, 4, 300])).round()
    return Fit(Symbols(kind, cell, attributes), steps, torch.tensor([7, 128, 255]) / 255, (height, width))


def rows(fitted: Fit) -> Tensor:
    """(N, 9) in an order that does not depend on the fit's."""
    s = fitted.symbols
    table = torch.cat([s.kind[:, None], s.cell, s.attributes], 1)
    return table[np.lexsort(table.numpy().T[::-1])]


def run(coder: Coder, fitted: Fit | None, size: tuple[int, int]) -> Fit:
    return Splat().code_gaussians(coder, fitted, size)


@given(
    count=st.integers(1, 300),
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    precision=st.integers(0, 20),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=30)
def test_decoder_sees_the_encoders_set(count: int, height: int, width: int, precision: int, seed: int) -> None:
    fitted, size = random_fit(count, height, width, precision, seed), (height, width)
    encoder = PictureWriter()
    written = run(encoder, fitted, size)
    stream = encoder.finish()
    decoder = PictureReader(stream)
    read = run(decoder, None, size)
    decoder.finish()
    assert torch.equal(rows(read), rows(fitted))
    for a, b in ((read.symbols.kind, written.symbols.kind), (read.symbols.attributes, written.symbols.attributes)):
        assert torch.equal(a, b)
    assert read.steps == fitted.steps
    assert torch.equal(read.background, fitted.background)
    estimator = RateEstimator(noise=False)
    run(estimator, fitted, size)
    estimate = float(estimator.bits) / 8
    assert abs(len(stream.data) - estimate) <= 0.01 * estimate + 64


def test_the_order_of_a_set_costs_nothing() -> None:
    """Positions spread evenly cost log2 of the number of sets, not of lists: N log2(cells/N) + 1.44 N bits."""
    count, grid = 4000, (512, 512)
    points = torch.randint(0, 512, (count, 2), generator=torch.Generator().manual_seed(0))
    estimator = RateEstimator(noise=False)
    _code_positions(estimator, points, count, grid, torch.device("cpu"))
    ideal = count * (np.log2(512 * 512 / count) + np.log2(np.e))
    assert float(estimator.bits) < 1.02 * ideal + 64


def test_tables_of_splits_are_pinned() -> None:
    """Files hang on these integers."""
    digest = hashlib.sha256()
    for gathering in GATHERING:
        for table in _split_tables(gathering):
            digest.update(table.frequencies.astype("<i8").tobytes())
        digest.update(_split_index(torch.arange(65_535), gathering).numpy().astype("<i8").tobytes())
    assert digest.hexdigest()[:16] == "599cc99e94a05b66"


@cache
def small_file() -> bytes:
    return nicodec.compress(smooth_picture(40, 56, 3), codec="splat", **SMALL)


def test_every_changed_byte_is_noticed() -> None:
    data = small_file()
    for place in range(len(data)):
        for flip in (1, 0x80):
            altered = bytearray(data)
            altered[place] ^= flip
            with pytest.raises(errors.NicodecError):
                nicodec.decompress(bytes(altered))


def test_streams_that_no_writer_writes_raise_nicodec_errors() -> None:
    codec = build_codec("splat", {})
    noise = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        stream = noise.integers(0, 256, 300, dtype=np.uint8).tobytes()
        with pytest.raises(errors.NicodecError):
            codec.decode([(Stream(stream, 0),)], (40, 56), torch.tensor([100]))
        refused += 1
    assert refused == 60


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("onednn", [True, False])
def test_every_setting_decodes_the_same(threads: int, onednn: bool) -> None:
    expected = np.asarray(nicodec.decompress(small_file())).astype(int)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        if onednn:
            decoded = nicodec.decompress(small_file())
        else:
            with without_onednn():
                decoded = nicodec.decompress(small_file())
    finally:
        torch.set_num_threads(before)
    assert np.abs(np.asarray(decoded).astype(int) - expected).max() <= 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_decodes_the_same() -> None:
    expected = np.asarray(nicodec.decompress(small_file())).astype(int)
    decoded = np.asarray(nicodec.load("splat", device="cuda").decompress(small_file())).astype(int)
    assert np.abs(decoded - expected).max() <= 1


def test_more_quality_more_gaussians() -> None:
    counts = [gaussians_for(q, (512, 768)) for q in range(0, 201, 20)]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (299, 19661)


def test_size_and_psnr_are_met() -> None:
    picture = smooth_picture(64, 96, 7)
    data = nicodec.compress(picture, max_bytes=700, codec="splat", iterations=20)
    assert 450 < len(data) <= 700
    data = nicodec.compress(picture, psnr=24.0, codec="splat", iterations=30)
    error = np.asarray(nicodec.decompress(data)).astype(float) - picture
    assert 10 * np.log10(255**2 / np.mean(error**2)) >= 24
    with pytest.raises(errors.QualityError, match="cannot be reached"):
        nicodec.compress(picture, max_bytes=40, codec="splat", iterations=10)


def test_draws_at_any_size() -> None:
    data = small_file()
    assert nicodec.decompress(data, draw_size=(112, 80)).size == (112, 80)
    picture = Drawing.open(data)
    assert (picture.width, picture.height) == (56, 40)
    large = np.asarray(picture.render((168, 120))).astype(int)
    part = np.asarray(picture.render((168, 120), (30, 20, 100, 70))).astype(int)
    assert np.abs(part - large[20:70, 30:100]).max() <= 1
    with pytest.raises(errors.InputError, match="crop"):
        picture.render(crop=(0, 0, 57, 40))


def test_grey_and_alpha() -> None:
    grey = nicodec.decompress(nicodec.compress(smooth_picture(30, 30)[..., 0], codec="splat", **SMALL))
    assert grey.mode == "L"
    rgba = np.dstack([smooth_picture(30, 40, 1), smooth_picture(30, 40, 2)[..., 0]])
    data = nicodec.compress(rgba, codec="splat", **SMALL)
    assert np.array_equal(np.asarray(nicodec.decompress(data))[..., 3], rgba[..., 3])
    assert nicodec.decompress(data, draw_size=(80, 60)).mode == "RGBA"


def test_refusals() -> None:
    with pytest.raises(errors.QualityError, match="gaussians 70000 is out of range"):
        nicodec.compress(smooth_picture(20, 20), codec="splat", gaussians=70_000)
    fixed = nicodec.compress(smooth_picture(64, 64), 10)
    with pytest.raises(errors.QualityError, match="size"):
        nicodec.decompress(fixed, draw_size=(128, 128))
    with pytest.raises(errors.UnknownModelError, match="hyperprior"):
        Drawing.open(fixed)
    with pytest.raises(errors.LimitError):
        nicodec.decompress(small_file(), draw_size=(100_000, 100_000))
