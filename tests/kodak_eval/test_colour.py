"""The conversions: exact corner values, and a loss below one code value on the way there and back."""

import numpy as np
import pytest

from kodak_eval.colour import planes_to_rgb, rgb_to_planes, ycbcr_matrix


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(0, 256, (37, 51, 3), np.uint8)


def codes(rgb, **options):
    return tuple(int(plane[0, 0]) for plane in rgb_to_planes(np.full((2, 2, 3), rgb, np.uint8), **options))


def test_bt601_full_range_is_jfif():
    assert codes((255, 255, 255), matrix="bt601", full_range=True) == (255, 128, 128)
    assert codes((255, 0, 0), matrix="bt601", full_range=True) == (76, 85, 255)
    assert codes((0, 0, 255), matrix="bt601", full_range=True) == (29, 255, 107)


def test_bt709_limited_range_is_television():
    assert codes((255, 255, 255), matrix="bt709", full_range=False) == (235, 128, 128)
    assert codes((0, 0, 0), matrix="bt709", full_range=False, bits=10) == (64, 512, 512)
    assert codes((255, 0, 0), matrix="bt709", full_range=False) == (63, 102, 240)


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize(("full_range", "bits", "most"), [(True, 8, 2), (False, 8, 3), (True, 10, 1)])
def test_there_and_back(noise, matrix, full_range, bits, most):
    planes = rgb_to_planes(noise, matrix=matrix, full_range=full_range, bits=bits)
    back = planes_to_rgb(*planes, matrix=matrix, full_range=full_range, bits=bits)
    assert np.abs(back.astype(int) - noise).max() <= most


def test_halved_chroma_keeps_a_ramp():
    ramp = np.repeat(np.arange(0, 200, 4, dtype=np.uint8)[None, :, None], 21, axis=0) + np.array([0, 20, 40], "u1")
    planes = rgb_to_planes(ramp, matrix="bt601", full_range=True, chroma="420")
    assert planes[1].shape == (11, 25)
    back = planes_to_rgb(*planes, matrix="bt601", full_range=True)
    assert np.abs(back.astype(int) - ramp).max() <= 2


def test_unknown_matrix():
    with pytest.raises(KeyError):
        ycbcr_matrix("bt2020")
