"""Large pictures of `hvae`; here "large" begins with few pixels."""

from __future__ import annotations

import contextlib
from itertools import pairwise

import numpy as np
import pytest
import torch

import nicodec
from nicodec import container
from nicodec.codecs import tiling
from nicodec.codecs.hvae import Hvae, HvaeOptions
from nicodec.codecs.hvae_tiles import apart, together
from nicodec.codecs.tiling import Tiling
from nicodec.codecs.window import Window
from nicodec.entropy.coder import Stream
from nicodec.errors import CorruptError, StreamError
from nicodec.model import Model
from nicodec.threads import tiles_at_once
from nicodec.zoo import write_model

from ..conftest import smooth_picture
from .test_hvae import started

HEIGHT, WIDTH, TILES = 200, 300, 6

pytestmark = pytest.mark.usefixtures("small_tiles")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, small_tiles: None) -> Model:
    folder = tmp_path_factory.mktemp("models") / "levels"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "WHOLE_PIXELS", 2**30)
        write_model(started(), "hvae", folder)
    return nicodec.load(folder)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return smooth_picture(HEIGHT, WIDTH, 3)


@pytest.fixture(scope="module")
def data(model: Model, pixels: np.ndarray) -> bytes:
    return model.compress(pixels, 80)


def error(pixels: np.ndarray, image: object) -> float:
    return float(np.square(pixels - np.asarray(image).astype(float)).mean())


def test_levels_have_a_part_of_each_tile(model: Model, pixels: np.ndarray, data: bytes) -> None:
    stored = container.read_picture(data)
    assert all(packet.type == container.PacketType.LEVEL for packet in stored.packets)
    levels = [Stream(packet.data, packet.symbol_checksum) for packet in stored.packets]
    parts = apart(levels, TILES)
    assert {len(part) for part in parts} == {len(levels)}
    assert together(parts) == tuple(levels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "WHOLE_PIXELS", 2**30)
        whole = model.compress(pixels, 80)
        of_whole = error(pixels, model.decompress(whole))
    assert len(data) < 1.2 * len(whole) + TILES * 40
    assert error(pixels, model.decompress(data)) < 1.1 * of_whole + 1


def test_every_prefix_is_a_better_picture(model: Model, pixels: np.ndarray, data: bytes) -> None:
    count = container.read_picture(data).packet_count
    errors = [error(pixels, model.decompress(data, upto=n + 1)) for n in range(count)]
    assert all(after < 1.02 * before for before, after in pairwise(errors)), errors
    assert errors[-1] < 0.5 * errors[0]


def test_a_crop_is_that_of_the_whole(model: Model, data: bytes) -> None:
    for upto in (None, 3):
        whole = np.asarray(model.decompress(data, upto=upto))
        for left, top, width, height in ((0, 0, 30, 40), (100, 90, 64, 100), (280, 180, 20, 20)):
            part = np.asarray(model.decompress(data, upto=upto, crop=(left, top, width, height)))
            assert np.array_equal(part, whole[top : top + height, left : left + width])


def test_there_are_no_seams(model: Model) -> None:
    """With the same latents, tiles give the pixels of the whole picture."""
    codec, quality, size = model.codec, torch.tensor([120]), (256, 384)
    assert isinstance(codec, Hvae)
    x = torch.from_numpy(smooth_picture(*size, 4)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        (streams,) = codec.encode(x, quality, HvaeOptions(effort=1))  # without filters
        for levels in (2, 4, len(streams)):
            parts = apart(streams[:levels], 6)
            rows = torch.zeros(1, codec.config.latents, 16, 24)
            for own, window in zip(parts, Tiling.of(size), strict=True):
                tile = codec._read(own, window, quality)
                assert tile.latents is not None
                window.in_units(16).of(rows).copy_(tile.latents)
            by_tiles = codec.decode([streams[:levels]], size, quality)
            assert torch.allclose(codec.synthesise(rows, tile.quality), by_tiles, atol=1e-5)


def test_files_do_not_depend_on_tiles_at_once(model: Model, pixels: np.ndarray, data: bytes) -> None:
    for count in (1, 3):
        with tiles_at_once(count):
            assert model.compress(pixels, 80) == data


def test_damage_is_told(model: Model, data: bytes) -> None:
    stored = container.read_picture(data)
    levels = [Stream(packet.data, packet.symbol_checksum) for packet in stored.packets]
    size, quality, whole = (256, 320), torch.tensor([160]), Window(0, 0, 256, 320)
    random, right = np.random.default_rng(0), list(model.codec.decode_parts(levels, size, quality, whole))
    for _ in range(3):
        number = int(random.integers(len(levels)))
        broken = bytearray(levels[number].data)
        broken[int(random.integers(len(broken)))] ^= int(random.integers(1, 256))
        for damaged in (bytes(broken), bytes(broken[: len(broken) // 2]), b""):
            wrong = [*levels[:number], Stream(damaged, levels[number].checksum), *levels[number + 1 :]]
            with contextlib.suppress(StreamError):  # or the symbols are as they were
                found = list(model.codec.decode_parts(wrong, size, quality, whole))
                assert all(torch.equal(one, other) for (_, one), (_, other) in zip(found, right, strict=True))
    with pytest.raises(CorruptError):
        apart([Stream(levels[0].data, levels[0].checksum)], TILES - 1)
