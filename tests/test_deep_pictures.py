"""Pictures of 16 bits and floats keep their precision up to the network; 8-bit ones are what they were."""

import numpy as np
import pytest
import torch
from PIL import Image

import nicodec
from nicodec.codecs.window import Window
from nicodec.media import LossyConversionWarning, Picture, read_picture
from tests.conftest import smooth_picture


@pytest.fixture(autouse=True)
def _installed(tiny_model_folder, monkeypatch):
    monkeypatch.setenv("NICODEC_MODELS", str(tiny_model_folder))


def seen(picture: Picture) -> torch.Tensor:
    """What a codec is given of a picture, (1, 3, H, W)."""
    return nicodec.load("tiny")._source(picture).cut(Window.whole((picture.height, picture.width)))[None]


def test_every_bit_reaches_the_network():
    values = np.arange(0, 65536, 5, dtype=np.uint16)[: 114 * 114].reshape(114, 114, 1)
    x = seen(Picture(values))
    assert x.dtype == torch.float32
    assert x.shape == (1, 3, 114, 114)
    np.testing.assert_array_equal(np.rint(x[0, 1].double().numpy() * 65535), values[:, :, 0])
    assert float(seen(Picture(np.full((1, 1, 3), 65535, np.uint16))).min()) == 1


def test_eight_bits_and_the_same_as_floats_give_the_same_file():
    pixels = smooth_picture(40, 56)
    eight = seen(read_picture(pixels))
    assert torch.equal(eight, torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255)
    assert torch.equal(eight, seen(read_picture(pixels.astype(np.float32) / 255)))
    tensor = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    assert nicodec.compress(pixels, 70, codec="tiny") == nicodec.compress(tensor, 70, codec="tiny")


def test_a_deep_picture_there_and_back():
    grey = (smooth_picture(40, 56)[:, :, 0].astype(np.uint16)) * 257
    with pytest.warns(LossyConversionWarning, match="decode to 8 bits"):
        data = nicodec.compress(Image.fromarray(grey), psnr=20, codec="tiny")
    found = np.array(nicodec.decompress(data))
    assert found.dtype == np.uint8
    error = np.mean((found.astype(float) - grey / 257) ** 2)
    assert 10 * np.log10(255**2 / error) >= 20
