"""The numbers contract (docs/design.md): what one setting encodes, every other decodes to the same symbols."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import nicodec
from nicodec.areas.plain import PlainAreas
from nicodec.codecs.latent import LatentCodec
from nicodec.entropy.coder import PictureReader

from .codecs.test_hyperprior import Recorder, picture_tensor
from .conftest import smooth_picture, without_onednn
from .hostile import whole_pictures


@contextlib.contextmanager
def setting(
    threads: int = 1, onednn: bool = True, bfloat16: bool = False, channels_last: bool = False
) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with (
            torch.inference_mode(),
            contextlib.nullcontext() if onednn else without_onednn(),
            torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16),
        ):
            yield
    finally:
        torch.set_num_threads(before)


SETTINGS = {
    "one thread": {"threads": 1},
    "two threads": {"threads": 2},
    "without oneDNN": {"onednn": False},
    "bfloat16": {"bfloat16": True},
    "bfloat16, two threads": {"bfloat16": True, "threads": 2},
}


@pytest.fixture(scope="module")
def codec() -> LatentCodec:
    return nicodec.load("hyperprior").codec


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("quality", [10, 100, 190])
def test_every_setting_decodes_every_other(codec: LatentCodec, quality: int, channels_last: bool) -> None:
    x, q = picture_tensor(192, 128, 4), torch.tensor([quality])
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    streams = []
    for options in SETTINGS.values():
        with setting(**options):
            ((stream,),) = codec.encode(x, q, codec.Options())
        if stream not in streams:  # many settings write the same, which is decoded once
            streams.append(stream)
    pictures = {}
    for written, stream in enumerate(streams):
        symbols = None
        for read, options in SETTINGS.items():
            with setting(**options):
                decoder = Recorder(PictureReader(stream))
                assert not PlainAreas.code(decoder, None, (192, 128)).any
                latents = codec.code_latents(decoder, None, (192, 128), q)
                matrix = codec.code_filters([decoder], None, latents, q)[0]
                decoder.inner.finish()
                pictures[written, read] = codec.synthesise(latents, q, [matrix]).float()
            if symbols is not None:
                assert all(torch.equal(a, b) for a, b in zip(symbols, decoder.symbols, strict=True))
            symbols = decoder.symbols
    for written in range(len(streams)):
        levels = [(pictures[written, read].clamp(0, 1) * 255).round() for read in SETTINGS]
        for other in levels[1:]:
            assert float((levels[0] - other).abs().max()) <= 1


@pytest.mark.parametrize("name", ["noise-colour", "zone-plate", "checkers-1px-255"])
def test_plain_areas_are_the_same_in_every_setting(codec: LatentCodec, name: str) -> None:
    pytest.importorskip("skimage", reason="the set is drawn from the evaluation extra's photographs")
    x, q = torch.from_numpy(whole_pictures()[name]).permute(2, 0, 1)[None].float() / 255, torch.tensor([120])
    for written in ("one thread", "bfloat16"):
        with setting(**SETTINGS[written]):
            streams = codec.encode(x, q, codec.Options())
        levels = []
        for options in SETTINGS.values():
            with setting(**options):
                picture = codec.decode(streams, (x.shape[2], x.shape[3]), q).float()
            levels.append((picture.clamp(0, 1) * 255).round())
        for other in levels[1:]:
            assert float((levels[0] - other).abs().max()) <= 1


KODAK = [f"kodim{number:02}" for number in (8, 18, 23)]
"""Where bfloat16 and float32 have been furthest from each other."""
PHOTOGRAPHS = {"astronaut": (0, 96), "chelsea": (40, 60), "coffee": (100, 180)}
"""Photographs that scikit-image carries, and the row and column from which 256x384 pixels of them are taken."""


def photograph(name: str, request: pytest.FixtureRequest) -> np.ndarray:
    """uint8 (H, W, 3): a picture of Kodak, or a piece of a photograph that scikit-image carries."""
    if name in KODAK:
        shared: Path = request.getfixturevalue("shared")
        return np.array(Image.open(shared / "data" / "kodak" / f"{name}.png").convert("RGB"))
    top, left = PHOTOGRAPHS[name]
    pixels: np.ndarray = getattr(pytest.importorskip("skimage.data"), name)()
    return pixels[top : top + 256, left : left + 384].copy()


@pytest.mark.parametrize("name", [*KODAK, *PHOTOGRAPHS])
@pytest.mark.parametrize("quality", [20, 100, 180])
def test_photographs_in_bfloat16_and_float32_are_within_one_level(
    codec: LatentCodec, request: pytest.FixtureRequest, name: str, quality: int
) -> None:
    x = torch.from_numpy(photograph(name, request)).permute(2, 0, 1)[None].float() / 255
    q = torch.tensor([quality])
    with setting(threads=2):
        files = codec.encode(x, q, codec.Options())
    levels = []
    for bfloat16 in (False, True):
        with setting(threads=2, bfloat16=bfloat16):
            picture = codec.decode(files, (x.shape[2], x.shape[3]), q).float()
            levels.append((picture.clamp(0, 1) * 255).round())
    assert float((levels[0] - levels[1]).abs().max()) <= 1


def test_scales_see_symbols_only(codec: LatentCodec) -> None:
    """Noise on every float that the mean path makes leaves tables, and so symbols, as they are."""
    x, q = picture_tensor(128, 128, 2), torch.tensor([120])
    ((stream,),) = codec.encode(x, q, codec.Options())
    handles = []
    for name, module in codec.named_modules():
        if name.startswith(("mean_", "coarse_", "fine_")) and not list(module.children()):
            handles.append(module.register_forward_hook(lambda m, i, o: o + 1e-3 * torch.randn_like(o)))
    try:
        decoder = PictureReader(stream)
        assert not PlainAreas.code(decoder, None, (128, 128)).any
        codec.code_filters([decoder], None, codec.code_latents(decoder, None, (128, 128), q), q)
        decoder.finish()
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_gpu_decodes_what_the_processor_encoded() -> None:
    picture = smooth_picture(200, 300, 9)
    data = nicodec.compress(picture, 60)
    here = np.asarray(nicodec.decompress(data)).astype(int)
    there = np.asarray(nicodec.load("hyperprior", device="cuda").decompress(data)).astype(int)
    assert np.abs(here - there).max() <= 1
