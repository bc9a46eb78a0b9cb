"""The search of a quality: few encodes, the goal met, nearly the best that meets it; and what is said meanwhile."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nicodec.codecs.base import Progress
from nicodec.errors import QualityError
from nicodec.search import PIECE, PIECES, QUALITY_STEPS, Search, pieces_of, psnr_goal, size_goal

PIXELS = 768 * 512


def sizes(low, high, bend):
    """Bytes over the qualities as of a photograph: their logarithm rises by less and less."""
    share = np.arange(QUALITY_STEPS + 1) / QUALITY_STEPS
    return np.round(np.exp(low + (high - low) * ((1 - bend) * share + bend * (2 * share - share**2)))).astype(int)


def decibels(low, high, bend):
    share = np.arange(QUALITY_STEPS + 1) / QUALITY_STEPS
    return low + (high - low) * ((1 - bend) * share + bend * share**2)


@given(st.floats(7.7, 8.9), st.floats(10.7, 12), st.floats(0, 0.35), st.floats(0, 1))
def test_a_size_is_met_in_four_encodes(low, high, bend, share):
    curve = sizes(low, high, bend)
    most = int(math.exp(low + 0.02 + share * (high - low)))
    search = Search(size_goal(most, PIXELS))
    found = search.run(lambda q: (q.to_bytes(2), math.log(most / curve[q])))
    assert len(search.tries) <= 4
    best = max(q for q in range(QUALITY_STEPS + 1) if curve[q] <= most)
    assert best - 3 <= int.from_bytes(found) <= best


@given(st.floats(22, 29), st.floats(38, 42), st.floats(-0.2, 0.4), st.floats(0, 1))
def test_a_psnr_is_met_in_three_encodes_or_four(low, high, bend, share):
    curve = decibels(low, high, bend)
    least = low + share * (high - low - 0.05)
    search = Search(psnr_goal(least))
    found = search.run(lambda q: (q.to_bytes(2), curve[QUALITY_STEPS - q] - least))
    assert len(search.tries) <= 4
    assert 0 <= curve[QUALITY_STEPS - int.from_bytes(found)] - least < 0.5


@given(st.lists(st.floats(-3, 3), min_size=201, max_size=201), st.integers(0, 200), st.floats(0.01, 1))
def test_curves_of_no_shape_end_and_are_met_where_they_can_be(margins, start, slope):
    from nicodec.search import Goal

    search = Search(Goal(start, slope, 4))
    found = search.run(lambda q: (q.to_bytes(2), margins[q]))
    assert (found is None) == all(margin < 0 for _, margin in search.tries)
    assert found is None or margins[int.from_bytes(found)] >= 0
    assert found is not None or search.tries[-1][0] == 0
    assert len(set(search.tries)) == len(search.tries) <= 4 + 5


@pytest.mark.parametrize("size", [1, 10**9])
def test_a_size_that_all_files_have_is_quickly_done(size):
    search = Search(size_goal(5000, PIXELS))
    found = search.run(lambda q: (q.to_bytes(2), math.log(5000 / size)))
    assert (found is None) == (size > 5000)
    assert len(search.tries) <= 4
    assert found is None or int.from_bytes(found) == QUALITY_STEPS


@pytest.fixture
def model(tiny_model_folder):
    from nicodec import load

    return load(tiny_model_folder / "tiny")


@pytest.fixture
def picture():
    y, x = np.mgrid[:96, :128]
    planes = [128 + 60 * np.sin(x / (5 + c)) + 40 * np.cos(y / 7 + c) for c in range(3)]
    noise = np.random.default_rng(0).normal(0, 6, (96, 128, 3))
    return np.clip(np.stack(planes, -1) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("goal", [{"max_bytes": 1500}, {"bpp": 0.8}, {"psnr": 27.0}])
def test_a_model_encodes_at_most_four_times_and_tells(model, picture, goal, monkeypatch):
    encodes, told = [], []
    encode = type(model.codec).encode
    monkeypatch.setattr(type(model.codec), "encode", lambda *a, **k: encodes.append(1) or encode(*a, **k))
    model.compress(picture, watch=told.append, **goal)
    assert 1 <= len(encodes) <= 4
    assert all(isinstance(each, Progress) and 0 <= each.share <= 1 for each in told)
    assert [each.share for each in told] == sorted(each.share for each in told)
    assert told[0].text.startswith("try 1 of at most ")


def test_pieces_lie_all_over_a_large_picture():
    y, x = np.mgrid[:1300, :1800]
    pixels = np.stack([y, x, y], -1).astype(np.uint16)
    pieces = pieces_of(pixels)
    assert pieces.shape == (PIECES * PIECE, PIECES * PIECE, 3)
    for axis, side in ((0, 1300), (1, 1800)):
        starts = pieces[::PIECE, ::PIECE, axis].astype(int)
        assert np.diff(starts, axis=axis).min() >= side // PIECES - 1
        assert starts.min() + PIECE < side / PIECES
        assert starts.max() > side * (PIECES - 1) / PIECES
    assert pieces_of(pixels[:1000]) is None
    assert pieces_of(np.zeros((100, 30_000, 3), np.uint8)) is None


def test_a_large_picture_is_encoded_twice(model, monkeypatch):
    psnr = 24.0
    monkeypatch.setattr("nicodec.search.PIECES_FROM", 2**18)
    y, x = np.mgrid[:520, :560]
    picture = 127 + 90 * np.sin(x / 9 + y / 23)[..., None] + np.random.default_rng(0).normal(0, 9, (520, 560, 3))
    picture = picture.clip(0, 255).astype(np.uint8)
    sizes = []
    compress = type(model)._compress
    monkeypatch.setattr(type(model), "_compress", lambda s, p, *a: sizes.append(p.width) or compress(s, p, *a))
    data = model.compress(picture, psnr=psnr)
    assert 1 <= sizes.count(560) <= 2
    assert sizes.count(512) <= 4
    assert np.square(np.asarray(model.decompress(data), float) - picture).mean() <= 255**2 / 10 ** (psnr / 10)


def test_what_can_be_reached_is_said(model, picture):
    best = np.asarray(model.decompress(model.compress(picture, 100)))
    reached = 10 * math.log10(255**2 / np.mean((best.astype(float) - picture) ** 2))
    with pytest.raises(
        QualityError, match=rf"60 dB cannot be reached.*quality 100 has {math.floor(100 * reached) / 100:.2f} dB"
    ):
        model.compress(picture, psnr=60)
    smallest = len(model.compress(picture, 0))
    with pytest.raises(QualityError, match=f"the smallest file of this picture has {smallest};"):
        model.compress(picture, max_bytes=20)
