"""Large pictures, coded by tiles; here "large" begins with few pixels."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nicodec
from nicodec import container
from nicodec.codecs import tiling
from nicodec.codecs.base import Progress
from nicodec.codecs.tiling import Tiling
from nicodec.codecs.window import Window
from nicodec.damage import DamageWarning
from nicodec.entropy.coder import Stream
from nicodec.errors import CorruptError, QualityError, StreamError, TruncatedError
from nicodec.filling import fill_smoothly
from nicodec.model import Model
from nicodec.threads import tiles_at_once

from ..conftest import smooth_picture

HEIGHT, WIDTH = 300, 420
LENIENT = settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])

pytestmark = pytest.mark.usefixtures("small_tiles")


@pytest.fixture(scope="module")
def model(tiny_model_folder: Path) -> Model:
    return nicodec.load(tiny_model_folder / "tiny")


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """With areas that the encoder codes without loss or with a residual, and many that it does not."""
    found = smooth_picture(HEIGHT, WIDTH, 3)
    found[70:250, 100:190] = 255 * np.random.default_rng(1).integers(0, 2, (180, 90, 1))
    found[40:64, 300:] = np.random.default_rng(2).integers(0, 256, (24, 120, 3))
    return found


@pytest.fixture(scope="module")
def data(model: Model, pixels: np.ndarray, small_tiles: None) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.compress(pixels, 60)


@pytest.fixture(scope="module")
def decoded(model: Model, data: bytes) -> np.ndarray:
    return np.asarray(model.decompress(data))


@given(rows=st.integers(1, 90), columns=st.integers(1, 90))
def test_tiles_cover_a_picture_once(rows: int, columns: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "WHOLE_PIXELS", 2**21)
        patch.setattr(tiling, "TILE", 1024)
        tiles = Tiling.of((64 * rows, 64 * columns))
        count = np.zeros((rows, columns), dtype=int)
        for number, tile in enumerate(tiles):
            assert tiles[number] == tile
            assert all(edge % 64 == 0 for edge in (tile.top, tile.left, tile.bottom, tile.right))
            count[tile.top // 64 : tile.bottom // 64, tile.left // 64 : tile.right // 64] += 1
            if len(tiles) > 1:
                assert min(tile.size) >= min(448, 64 * rows, 64 * columns)
                assert max(tile.size) <= 1024
        assert (count == 1).all()
        assert (len(tiles) == 1) == (rows * columns <= 512)


def test_a_picture_of_one_tile_has_one_stream(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = smooth_picture(120, 128)
    small = model.compress(picture, 60)
    assert container.read_picture(small).packet_count == 0
    assert nicodec.info(small).tiles == 1
    monkeypatch.setattr(tiling, "WHOLE_PIXELS", 2**30)
    assert model.compress(picture, 60) == small


def test_a_large_picture_has_a_packet_a_tile(model: Model, pixels: np.ndarray, data: bytes) -> None:
    stored = container.read_picture(data)
    assert [packet.type for packet in stored.packets] == [container.PacketType.PIECE] * 12
    assert nicodec.info(data).tiles == nicodec.info(data).packets == 12
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "WHOLE_PIXELS", 2**30)
        whole = model.compress(pixels, 60)
        other = np.asarray(model.decompress(whole))
    assert len(data) < 1.2 * len(whole) + 12 * 20
    tiled = np.asarray(model.decompress(data))
    error, error_of_whole = (np.square(pixels - each.astype(float)).mean() for each in (tiled, other))
    assert error < 1.1 * error_of_whole + 1


def test_no_seams(model: Model) -> None:
    """With the same latents, tiles give the pixels of the whole picture."""
    torch.manual_seed(0)
    codec, quality = model.codec, torch.tensor([120])
    x = torch.from_numpy(smooth_picture(256, 384, 4)).permute(2, 0, 1)[None].float() / 255
    options = codec.Options(effort=1)  # without areas that differ, or filters
    with torch.inference_mode():
        streams = codec.encode(x, quality, options)
        by_tiles = codec.decode(streams, (256, 384), quality)
        tiles = Tiling.of((256, 384))
        rows = torch.zeros(1, codec.config.latents, 16, 24)
        for number, window in enumerate(tiles):
            tile = codec._read_tile(streams[0][number], window, quality)
            assert tile.latents is not None
            window.in_units(16).of(rows).copy_(tile.latents)
        assert torch.allclose(codec.synthesise(rows, quality), by_tiles, atol=1e-5)


@given(st.data())
@LENIENT
def test_a_crop_is_that_of_the_whole(model: Model, data: bytes, decoded: np.ndarray, draw: st.DataObject) -> None:
    left, top = draw.draw(st.integers(0, WIDTH - 1)), draw.draw(st.integers(0, HEIGHT - 1))
    width, height = draw.draw(st.integers(1, WIDTH - left)), draw.draw(st.integers(1, HEIGHT - top))
    part = np.asarray(model.decompress(data, crop=(left, top, width, height)))
    assert np.array_equal(part, decoded[top : top + height, left : left + width])


def test_a_crop_reads_no_more_than_it_needs(model: Model, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    read, codec = [], type(model.codec)
    inner = codec._read_tile
    monkeypatch.setattr(codec, "_read_tile", lambda *given: read.append(given[2]) or inner(*given))
    model.decompress(data, crop=(0, 0, 16, 16))
    assert read == [Window(0, 0, 64, 64)]
    model.decompress(data)
    assert len(read) == 13


@pytest.mark.parametrize("count", [1, 5])
def test_files_and_pixels_are_the_same_however_many_tiles_are_coded_at_once(
    model: Model, pixels: np.ndarray, data: bytes, decoded: np.ndarray, count: int
) -> None:
    threads, told = torch.get_num_threads(), []
    with tiles_at_once(count):
        assert model.compress(pixels, 60, watch=lambda progress: told.append(progress.share)) == data
        assert np.array_equal(np.asarray(model.decompress(data)), decoded)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_symbols_of_tiles_are_the_same_with_any_number_of_threads(
    model: Model, data: bytes, decoded: np.ndarray, threads: int
) -> None:
    """The checksum of every tile's symbols is looked at; pixels may differ by a level."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        again = np.asarray(model.decompress(data)).astype(int)
        one_tile = np.asarray(model.decompress(data, crop=(10, 20, 12, 8))).astype(int)
    finally:
        torch.set_num_threads(before)
    assert np.abs(again - decoded).max() <= 1
    assert np.abs(one_tile - decoded[20:28, 10:22]).max() <= 1


def test_what_a_tile_raises_is_raised_and_threads_are_as_before(model: Model, pixels: np.ndarray) -> None:
    def stop(progress: Progress) -> None:
        raise KeyError("enough")

    threads = torch.get_num_threads()
    with pytest.raises(KeyError, match="enough"):
        model.compress(pixels, 60, watch=stop)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    "crop", [(0, 0, WIDTH + 1, 5), (WIDTH, 0, 1, 1), (0, HEIGHT - 3, 5, 4), (0, 0, 0, 5), (-1, 0, 5, 5)]
)
def test_a_crop_outside_is_refused(model: Model, data: bytes, crop: tuple[int, int, int, int]) -> None:
    with pytest.raises(QualityError, match="crop"):
        model.decompress(data, crop=crop)


def test_grey_and_alpha_are_cropped_too(model: Model) -> None:
    grey = smooth_picture(HEIGHT, WIDTH, 6)[..., :1]
    alpha = smooth_picture(HEIGHT, WIDTH, 7)[..., :1]
    data = model.compress(np.concatenate([grey.repeat(3, 2), alpha], 2), 50)
    whole, part = model.decompress(data), model.decompress(data, crop=(100, 50, 200, 100))
    assert np.array_equal(np.asarray(part), np.asarray(whole.crop((100, 50, 300, 150))))


def damage(data: bytes, number: int) -> bytes:
    """Spoil one packet."""
    packet = container.read_picture(data).packets[number]
    place = data.index(packet.data) + len(packet.data) // 2
    return data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]


@given(number=st.integers(0, 11))
@LENIENT
def test_damage_stays_in_its_tile(model: Model, data: bytes, decoded: np.ndarray, number: int) -> None:
    broken = damage(data, number)
    with pytest.raises(StreamError):
        model.decompress(broken)
    window = Tiling.of((320, 448))[number]
    with pytest.warns(DamageWarning, match=f"at {window.left},{window.top}"):
        found = np.asarray(model.decompress(broken, partial=True)).astype(int)
    # Pixels near to it depend on latents in it.
    near = window.grown(16 * model.codec.reach[1], Window.whole((HEIGHT, WIDTH)))
    differs = (found != decoded).any(2)
    differs[near.top : near.bottom, near.left : near.right] = False
    assert not differs.any()
    inside = window.common(Window.whole((HEIGHT, WIDTH)))
    assert found[inside.top : inside.bottom, inside.left : inside.right].std() < 128


def test_a_crop_elsewhere_does_not_mind_damage(model: Model, data: bytes, decoded: np.ndarray) -> None:
    broken = damage(data, 11)
    part = np.asarray(model.decompress(broken, crop=(0, 0, 100, 100), partial=True))
    assert np.array_equal(part, decoded[:100, :100])


@given(share=st.floats(0.3, 0.99))
@LENIENT
def test_a_file_cut_short(model: Model, data: bytes, decoded: np.ndarray, share: float) -> None:
    cut = data[: int(share * len(data))]
    with pytest.raises(TruncatedError):
        model.decompress(cut)
    whole = len(container.read_picture(cut, partial=True).packets)
    if not whole:
        with pytest.raises(CorruptError):
            model.decompress(cut, partial=True)
        return
    with pytest.warns(DamageWarning, match=f"{12 - whole} of its parts"):
        found = np.asarray(model.decompress(cut, partial=True))
    assert found.shape == decoded.shape
    assert np.array_equal(found[:16, :16], decoded[:16, :16])


def test_another_number_of_tiles_is_refused(model: Model, data: bytes) -> None:
    stored = container.read_picture(data)
    fewer = container.write_picture(container.StoredPicture(stored.header, packets=stored.packets[:-1]))
    with pytest.raises(CorruptError, match="11 packets"):
        model.decompress(fewer)
    packet = stored.packets[0]
    one = container.StoredPicture(stored.header, payload=packet.data, symbol_checksum=packet.symbol_checksum)
    with pytest.raises(CorruptError, match="1 packets"):
        model.decompress(container.write_picture(one))


def test_tensors_of_large_pictures(model: Model, pixels: np.ndarray, decoded: np.ndarray) -> None:
    x = torch.from_numpy(np.stack([pixels, pixels[::-1].copy()])).permute(0, 3, 1, 2).float() / 255
    files = model.encode_tensor(x, [60, 40])
    back = model.decode_tensor(files)
    assert back.shape == x.shape
    assert np.array_equal((back[0] * 255).round().permute(1, 2, 0).numpy().astype(np.uint8), decoded)


def test_progress_is_told_by_tiles(model: Model, pixels: np.ndarray) -> None:
    told = []
    model.compress(pixels, 60, watch=told.append)
    shares = [progress.share for progress in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(told) >= 12


def test_a_fill_continues_what_is_around() -> None:
    pixels = np.tile(np.linspace(0, 255, 256).astype(np.uint8)[None, :, None], (256, 1, 3))
    broken = pixels.copy()
    broken[64:192, 64:192] = 0
    fill_smoothly(broken, [Window(64, 64, 192, 192)])
    assert np.abs(broken.astype(int) - pixels).max() < 70
    gone = np.zeros((40, 50, 1), dtype=np.uint8)
    fill_smoothly(gone, [Window(0, 0, 40, 50)])
    assert (gone == 128).all()


def test_a_decode_tells_how_far_it_is(model: Model, data: bytes) -> None:
    told: list[float] = []
    model.decode_file(container.read_picture(data), container.DEFAULT_LIMITS, watch=lambda p: told.append(p.share))
    assert told == sorted(told)
    assert len(told) == 12
    assert told[-1] == pytest.approx(1)


def test_what_others_need_of_a_tile_is_what_it_has(model: Model, data: bytes) -> None:
    """Latents that are computed in a part of a tile alone are those of all of it."""
    stored, codec, quality = container.read_picture(data), model.codec, torch.tensor([120])
    tiles = Tiling.of((320, 448))
    with torch.inference_mode():
        for number in (0, 5):
            window, packet = tiles[number], stored.packets[number]
            stream = Stream(packet.data, packet.symbol_checksum)
            whole = codec._read_tile(stream, window, quality)
            wanted = Window(window.bottom - 32, window.left + 16, window.bottom, window.right)
            part = codec._read_tile(stream, window, quality, wanted)
            assert whole.latents is not None
            assert part.latents is not None
            assert whole.part(part.window).latents.allclose(part.latents, atol=1e-4)
            assert part.areas.any or part.window == wanted
