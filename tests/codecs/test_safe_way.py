"""No picture breaks a codec with latents: areas that it serves badly are coded plainly, the rest stays."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import nicodec
from nicodec.areas.plain import PlainAreas
from nicodec.codecs.latent import LatentCodec
from nicodec.codecs.safe_way import _hopeful, _lossless_bits, plan_areas
from nicodec.entropy.coder import PictureReader

from ..conftest import smooth_picture, tiny_codec
from ..hostile import whole_pictures

SIZE = (192, 256)


@pytest.fixture(scope="module")
def codec() -> LatentCodec:
    return tiny_codec()


def tensor_of(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels[: SIZE[0], : SIZE[1]])).permute(2, 0, 1)[None].float() / 255


def smooth() -> Tensor:
    return tensor_of(smooth_picture(*SIZE, 3))


def coded(codec: LatentCodec, x: Tensor, quality: int, effort: int = 4) -> tuple[list[int], Tensor]:
    """Bytes of each picture of a batch, and what is decoded."""
    q = torch.full((len(x),), quality)
    with torch.inference_mode():
        streams = codec.encode(x, q, codec.Options(effort=effort))
        decoded = codec.decode(streams, (x.shape[2], x.shape[3]), q)
    return [len(stream.data) for (stream,) in streams], decoded


def psnr(x: Tensor, x_hat: Tensor) -> float:
    return float(-10 * torch.log10((x - x_hat.clamp(0, 1)).square().mean().clamp(min=1e-10)))


@given(noise=st.integers(0, 12), factor=st.floats(0.05, 3), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_the_quick_look_at_areas_agrees_with_the_long_one(noise: int, factor: float, seed: int) -> None:
    """In pictures like photographs, whatever the bound is."""
    random = np.random.default_rng(seed)
    pixels = smooth_picture(*SIZE, 3).astype(int) + random.integers(-noise, noise + 1, (*SIZE, 3))
    pixels = pixels.clip(0, 255).astype(np.uint8)
    drawn = torch.from_numpy(random.integers(0, 2, (SIZE[0] // 64, SIZE[1] // 64)).astype(bool))
    bits = _lossless_bits(pixels, drawn)
    bound = torch.full(drawn.shape, factor * float(bits[drawn].mean()) if drawn.any() else 1.0)
    assert torch.equal(_hopeful(pixels, drawn, bound), bits < bound)


def test_drawings_pass_the_quick_look() -> None:
    for name in ("text-1bit", "pixel-art", "bayer-8"):
        pixels = np.ascontiguousarray(whole_pictures()[name][: SIZE[0], : SIZE[1]])
        drawn = torch.ones((SIZE[0] // 64, SIZE[1] // 64), dtype=torch.bool)
        bits = _lossless_bits(pixels, drawn)
        assert torch.equal(_hopeful(pixels, drawn, 1.5 * bits), drawn)


@pytest.mark.parametrize(
    "name", ["checkers-1px-255", "lines-030", "bayer-8", "text-1bit", "pixel-art", "white-pixel"]
)
def test_drawings_come_back_without_loss(codec: LatentCodec, name: str) -> None:
    x = tensor_of(whole_pictures()[name])
    (size,), decoded = coded(codec, x, 190)
    assert torch.equal((255 * decoded).round(), (255 * x).round())
    assert size < 6000


@pytest.mark.parametrize("effort", [1, 4])
def test_noise_is_as_good_as_its_bytes(codec: LatentCodec, effort: int) -> None:
    x = tensor_of(whole_pictures()["noise-colour"])
    (size,), decoded = coded(codec, x, 100, effort)
    bits = 8 * size / x.numel()
    # Uniform noise without a bit, 6.02 dB a bit, less 1.53 dB of a rounded Gaussian and a share for tables' choice.
    assert psnr(x, decoded) > 10.77 + 6.02 * bits - 2.5


def test_a_patch_leaves_the_rest_alone(codec: LatentCodec) -> None:
    x = smooth()
    patched = x.clone()
    patched[:, :, 70:110, 70:115] = tensor_of(whole_pictures()["checkers-1px-255"])[:, :, 70:110, 70:115]
    _, alone = coded(codec, x, 100)
    _, decoded = coded(codec, patched, 100)
    far = torch.ones(SIZE, dtype=torch.bool)
    far[70 - 64 : 110 + 64, 70 - 64 : 115 + 64] = False
    assert psnr(x[..., far], decoded[..., far]) > psnr(x[..., far], alone[..., far]) - 0.3
    near = patched[:, :, 70:110, 70:115]
    assert psnr(near, decoded[:, :, 70:110, 70:115]) > 30


def test_a_smooth_picture_has_no_plain_areas(codec: LatentCodec) -> None:
    q = torch.tensor([100])
    with torch.inference_mode():
        plan = plan_areas(codec, smooth(), q)
        ((stream,),) = codec.encode(smooth(), q, codec.Options(effort=4))
    assert not plan.areas.any
    assert torch.equal(plan.x, smooth())
    assert not PlainAreas.code(PictureReader(stream), None, SIZE).any


def test_pictures_of_a_batch_are_planned_each_for_itself(codec: LatentCodec) -> None:
    pictures = whole_pictures()
    x = torch.cat([tensor_of(pictures["text-1bit"]), smooth(), tensor_of(pictures["noise-grey"])])
    sizes, decoded = coded(codec, x, 120)
    for number in range(len(x)):
        (size,), alone = coded(codec, x[number : number + 1], 120)
        assert abs(size - sizes[number]) <= 4
        assert torch.allclose(alone[0], decoded[number], atol=2e-3)


def test_psnr_does_not_fall_with_quality(codec: LatentCodec) -> None:
    for name in ("zone-plate", "checkers-1px-8", "halftone-colour"):
        x = tensor_of(whole_pictures()[name])[:, :, :128, :128]
        found = [psnr(x, coded(codec, x, quality)[1]) for quality in range(0, 201, 50)]
        assert all(after > before - 0.1 for before, after in pairwise(found)), (name, found)


@pytest.mark.parametrize("level", [0, 255])
def test_a_large_picture_of_one_colour_opens_again(level: int) -> None:
    """It takes so few bytes that a reader would not believe its size."""
    pixels = np.full((1100, 1100, 3), level, dtype=np.uint8)
    data = nicodec.compress(pixels, 50)
    assert len(data) < 150
    assert np.array_equal(np.asarray(nicodec.decompress(data)), pixels)
