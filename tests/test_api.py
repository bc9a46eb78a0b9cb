from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import nicodec
from nicodec import container
from nicodec.errors import (
    CorruptError,
    FutureVersionError,
    InputError,
    LimitError,
    NicodecError,
    NotNicodecError,
    QualityError,
    SymbolMismatchError,
    TruncatedError,
    UnknownModelError,
)
from nicodec.media import LossyConversionWarning
from nicodec.model import Model

from .conftest import smooth_picture


@pytest.fixture(scope="module")
def model() -> Model:
    return nicodec.load()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b.astype(float)) ** 2)))


def test_importing_loads_no_torch() -> None:
    code = "import sys, nicodec; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_info_loads_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "a.nic"
    path.write_bytes(nicodec.compress(smooth_picture(40, 50), 30))
    code = f"import sys, nicodec; print(nicodec.info({str(path)!r}).model); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "hyperprior"


def test_every_kind_of_input_gives_the_same_file(model: Model, tmp_path: Path) -> None:
    pixels = smooth_picture(70, 50)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    stream = io.BytesIO((tmp_path / "a.png").read_bytes())
    tensor = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    inputs = [pixels, tmp_path / "a.png", str(tmp_path / "a.png"), stream, Image.fromarray(pixels), tensor]
    files = {model.compress(image, 50) for image in inputs}
    assert len(files) == 1


def test_quality_is_a_knob(model: Model) -> None:
    picture = smooth_picture(192, 256)
    files = [model.compress(picture, q) for q in (0, 25, 50, 75, 100)]
    decibels = [psnr(np.asarray(model.decompress(f)), picture) for f in files]
    assert [len(f) for f in files] == sorted(len(f) for f in files)
    assert decibels == sorted(decibels)
    assert decibels[-1] > 34


@pytest.mark.parametrize("target", [{"size": 3000}, {"bpp": 0.6}, {"psnr": 31.0}])
def test_targets_are_kept(model: Model, target: dict[str, float]) -> None:
    picture = smooth_picture(192, 256)
    data = model.compress(picture, **target)
    quality = nicodec.info(data).quality
    if "psnr" in target:
        assert psnr(np.asarray(model.decompress(data)), picture) >= target["psnr"]
        below = model.compress(picture, quality - 0.5)
        assert psnr(np.asarray(model.decompress(below)), picture) < target["psnr"]
    else:
        limit = target.get("size") or target["bpp"] * 192 * 256 / 8
        assert len(data) <= limit < len(model.compress(picture, quality + 0.5))


@pytest.mark.parametrize(
    "arguments",
    [
        {"quality": 101},
        {"quality": -1},
        {"quality": "best"},
        {"size": 30},
        {"psnr": 99.0},
        {"quality": 5, "bpp": 1.0},
    ],
)
def test_impossible_wishes_are_refused(model: Model, arguments: dict[str, object]) -> None:
    with pytest.raises(QualityError):
        model.compress(smooth_picture(64, 64), **arguments)


@given(st.integers(1, 140), st.integers(1, 140), st.integers(0, 200))
@settings(deadline=None, max_examples=15)
def test_any_size_comes_back(model: Model, height: int, width: int, half_steps: int) -> None:
    data = model.compress(smooth_picture(height, width), half_steps / 2)
    image = model.decompress(data)
    assert image.size == (width, height)
    assert nicodec.info(data).quality == half_steps / 2


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (65, 63)])
def test_thin_pictures_are_near_the_original(model: Model, size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), (200, 120, 40), dtype=np.uint8)
    decoded = np.asarray(model.decompress(model.compress(picture, 90)))
    assert np.abs(decoded.astype(int) - picture).max() <= 8


def test_grey_alpha_and_metadata_come_back(model: Model) -> None:
    grey = Image.fromarray(smooth_picture(50, 60)[..., 0])
    assert model.decompress(model.compress(grey, 60)).mode == "L"
    rgba = np.dstack([smooth_picture(50, 60), (np.arange(3000) % 256).reshape(50, 60).astype(np.uint8)])
    data = model.compress(rgba, 60)
    assert (np.asarray(model.decompress(data))[..., 3] == rgba[..., 3]).all()
    assert nicodec.info(data).alpha
    exif = Image.Exif()
    exif[0x010E] = "a picture"
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(smooth_picture(50, 60)).save(stream, "PNG", exif=exif, icc_profile=None)
    turned = model.decompress(model.compress(stream.getvalue(), 60))
    assert turned.size == (50, 60)
    assert turned.getexif()[0x010E] == "a picture"
    assert turned.getexif().get(0x0112, 1) == 1


def test_loss_of_depth_is_said(model: Model) -> None:
    deep = Image.fromarray((np.arange(4096).reshape(64, 64) * 16).astype(np.uint16))
    with pytest.warns(LossyConversionWarning, match="16"):
        data = model.compress(deep, 90)
    assert model.decompress(data).mode == "L"


def test_fixed_cost_is_small(model: Model) -> None:
    picture = container.read_picture(model.compress(smooth_picture(512, 768), 50))
    assert picture.overhead <= 24


def test_batches_and_tensors(model: Model) -> None:
    batch = torch.stack(
        [torch.from_numpy(smooth_picture(64, 80, s)).permute(2, 0, 1).float() / 255 for s in range(2)]
    )
    files = model.compress_batch(batch, 70)
    back = model.decompress_batch(files)
    assert len(files) == len(back) == 2
    assert back[0].shape == (3, 64, 80)
    assert float((back[1] - batch[1]).abs().mean()) < 0.05


@pytest.fixture(scope="module")
def small_file(model: Model) -> bytes:
    return model.compress(smooth_picture(24, 40, 3), 20)


def test_every_truncation_is_an_error(small_file: bytes) -> None:
    for length in range(len(small_file)):
        with pytest.raises(NotNicodecError if length == 0 else TruncatedError):
            nicodec.decompress(small_file[:length])


def test_every_changed_byte_is_an_error(small_file: bytes) -> None:
    random = np.random.default_rng(1)
    for place in range(len(small_file)):
        for value in {0, 255, small_file[place] ^ 1, small_file[place] ^ 128, *random.integers(0, 256, 6).tolist()}:
            if value == small_file[place]:
                continue
            altered = bytearray(small_file)
            altered[place] = value
            with pytest.raises(NicodecError):
                nicodec.decompress(bytes(altered))


def test_altered_symbols_under_a_mended_checksum_are_told(small_file: bytes) -> None:
    """As if a decoder went astray: the container is whole, the symbols are not the encoder's."""
    picture = container.read_picture(small_file)
    refused = 0
    for place in range(len(picture.payload)):
        payload = bytearray(picture.payload)
        payload[place] ^= 0x55
        altered = container.Picture(picture.header, bytes(payload), picture.symbol_checksum)
        try:
            nicodec.decompress(container.write_picture(altered))
        except (SymbolMismatchError, CorruptError):
            refused += 1
    assert refused >= len(picture.payload) - 4  # bits past the last symbol may not matter


def test_the_errors_of_bad_files(small_file: bytes) -> None:
    with pytest.raises(NotNicodecError):
        nicodec.decompress(b"\x89PNG\r\n\x1a\n" + bytes(40))
    with pytest.raises(FutureVersionError):
        nicodec.decompress(small_file[:4] + b"\x20" + small_file[5:])
    picture = container.read_picture(small_file)
    header = container.Header(b"none", 24, 40, 20)
    with pytest.raises(UnknownModelError, match="6e6f6e65"):
        nicodec.decompress(container.write_picture(container.Picture(header, picture.payload, 0)))
    huge = container.Header(picture.header.model, 40000, 25000, 20)
    lie = container.write_picture(container.Picture(huge, picture.payload, 0))
    with pytest.raises(LimitError):
        nicodec.decompress(lie)
    assert nicodec.info(lie).width == 40000
    with pytest.raises(InputError):
        nicodec.compress(b"no picture")
    with pytest.raises(InputError):
        nicodec.decompress("/nowhere/a.nic")


def test_kodak_is_several_times_smaller_than_jpeg_at_the_same_quality(model: Model, shared: Path) -> None:
    path = shared / "data" / "kodak" / "kodim23.png"
    picture = np.asarray(Image.open(path).convert("RGB"))
    data = model.compress(picture, 25)
    decibels = psnr(np.asarray(model.decompress(data)), picture)
    stream = io.BytesIO()
    for quality in range(5, 96, 3):
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "JPEG", quality=quality, optimize=True)
        if psnr(np.asarray(Image.open(stream)), picture) >= decibels:
            break
    assert len(data) < 0.65 * len(stream.getvalue())
