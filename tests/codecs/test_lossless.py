"""The codec without loss: every pixel comes back, whatever computes it; fewer levels are a coarser picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import nicodec
from nicodec.codecs.lossless import Lossless, _distances
from nicodec.errors import SymbolMismatchError

from ..conftest import smooth_picture, without_onednn

QUALITY = torch.tensor([200])


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def decoded(streams: tuple, shape: tuple[int, ...]) -> np.ndarray:
    x = Lossless().decode([streams], shape[:2], QUALITY)
    return (x[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


@settings(max_examples=15)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 20, 255]))
def test_every_pixel_comes_back(height: int, width: int, seed: int, noise: int) -> None:
    random = np.random.default_rng(seed)
    ramp = np.add.outer(np.arange(height), 2 * np.arange(width))[..., None] + [0, 40, 90]
    pixels = (ramp + random.integers(0, noise + 1, (height, width, 3))).astype(np.uint8)
    (streams,) = Lossless().encode(tensor(pixels), QUALITY, None)
    assert len(streams) == len(_distances())
    assert np.array_equal(decoded(streams, pixels.shape), pixels)


@pytest.fixture(scope="module")
def coded() -> tuple[np.ndarray, tuple]:
    """A picture large enough that weights are fitted, and its streams."""
    pixels = smooth_picture(170, 230, 3)
    (streams,) = Lossless().encode(tensor(pixels), QUALITY, None)
    return pixels, streams


def test_more_levels_give_a_better_picture(coded: tuple[np.ndarray, tuple]) -> None:
    pixels, streams = coded
    errors = [
        np.abs(decoded(streams[:count], pixels.shape).astype(int) - pixels).mean()
        for count in range(1, len(streams) + 1)
    ]
    assert errors == sorted(set(errors), reverse=True)
    assert errors[-1] == 0


def test_photographs_are_smaller_than_png() -> None:
    photo = pytest.importorskip("skimage.data").astronaut()[:200, 100:400]
    png = io.BytesIO()
    Image.fromarray(photo).save(png, "PNG", optimize=True)
    (streams,) = Lossless().encode(tensor(photo.copy()), QUALITY, None)
    assert sum(len(stream.data) for stream in streams) < 0.8 * len(png.getvalue())


def test_it_decodes_the_same_however_it_is_computed(
    coded: tuple[np.ndarray, tuple], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, streams = coded
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with without_onednn():
            assert np.array_equal(decoded(streams, pixels.shape), pixels)
    torch.set_num_threads(before)

    def integer_sums(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return features.astype(np.int64)[:, ::-1] @ weights.astype(np.int64)[::-1]

    monkeypatch.setattr("nicodec.codecs.lossless._sums", integer_sums)
    assert np.array_equal(decoded(streams, pixels.shape), pixels)


def test_altered_symbols_are_told(coded: tuple[np.ndarray, tuple]) -> None:
    pixels, streams = coded
    data = bytearray(streams[-1].data)
    data[len(data) // 2] ^= 8
    with pytest.raises(SymbolMismatchError):
        decoded((*streams[:-1], type(streams[-1])(bytes(data), streams[-1].checksum)), pixels.shape)


@pytest.mark.filterwarnings("ignore::nicodec.alternatives.PoorFitWarning")
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_files_keep_every_pixel(mode: str) -> None:
    image = Image.fromarray(smooth_picture(60, 80, 5)).convert(mode)
    if "A" in mode:
        image.putalpha(Image.fromarray(smooth_picture(60, 80, 6)[..., 0]))
    data = nicodec.compress(image, codec="lossless")
    back = nicodec.decompress(data)
    assert back.mode == mode
    assert back.tobytes() == image.tobytes()
    assert len(nicodec.info(data).levels) == len(_distances())
