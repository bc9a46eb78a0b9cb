"""A file that another format beats is told of; others are not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import nicodec
from nicodec.alternatives import PoorFitWarning, better_served
from nicodec.media import Picture

from .conftest import smooth_picture


def noise(height: int = 128, width: int = 192) -> np.ndarray:
    return np.random.default_rng(1).integers(256, size=(height, width, 3), dtype=np.uint8)


def never() -> np.ndarray:
    raise AssertionError("decoded without need")


def test_png_is_named_where_it_is_smaller() -> None:
    drawing = np.zeros((128, 192, 3), dtype=np.uint8)
    drawing[30:50, 40:90] = (200, 30, 10)
    advice = better_served(Picture(drawing), 5000, 50, never)
    assert advice is not None
    assert "PNG" in advice
    assert better_served(Picture(drawing), 50, 50, never) is None


def test_jpeg_is_named_where_it_is_better_at_the_same_bytes() -> None:
    picture = Picture(noise())
    advice = better_served(picture, 30_000, 50, lambda: np.full_like(picture.pixels, 128))
    assert advice is not None
    assert "JPEG" in advice
    assert better_served(picture, 30_000, 50, lambda: picture.pixels) is None


def test_a_file_of_usual_size_is_not_decoded_again() -> None:
    photograph = Picture(smooth_picture(128, 192, 3))
    assert better_served(photograph, 128 * 192 // 8, 50, never) is None


@pytest.mark.parametrize("grey", [True, False])
def test_grey_and_colour(grey: bool) -> None:
    pixels = noise()[..., :1] if grey else noise()
    assert better_served(Picture(pixels), 20_000, 10, lambda: np.full_like(pixels, 128)) is not None


def test_compress_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = smooth_picture(128, 192, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nicodec.compress(picture, 30)
    monkeypatch.setattr("nicodec.model.better_served", lambda *_: "PNG is better")
    with pytest.warns(PoorFitWarning, match="PNG is better"):
        nicodec.compress(picture, 30)
