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

from .conftest import shown, smooth_picture


@pytest.fixture(scope="module")
def model() -> Model:
    return nicodec.load()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b.astype(float)) ** 2)))


@pytest.fixture(scope="module")
def tiny(tiny_model_folder: Path) -> Model:
    return nicodec.load(tiny_model_folder / "tiny")


def test_importing_loads_no_torch() -> None:
    code = "import sys, nicodec; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_info_loads_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "a.nic"
    path.write_bytes(nicodec.compress(smooth_picture(40, 50), 30))
    code = f"import sys, nicodec; print(nicodec.info({str(path)!r}).model); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "hyperprior"


@pytest.mark.parametrize(
    "code",
    [
        "from nicodec.zoo import find_model, installed_models; find_model('hyperprior'); find_model('splat')",
        "from nicodec.zoo import find_model; find_model(find_model('splat').fingerprint)",
        "from nicodec.codecs import family_names; assert 'hyperprior' in family_names()",
        "from nicodec_cli.main import run; assert run(['--help']) == 0",
        "from nicodec_cli.main import run; assert run(['compress', 'missing.png']) == 3",
        "from nicodec_cli.main import run; assert run(['compress', 'missing.png', '-q', '40', '--codec', 'x']) == 6",
        "from nicodec_cli.main import run; assert run(['decompress', 'missing.nic']) == 3",
        "import nicodec.pillow",
    ],
)
def test_what_needs_no_network_loads_no_torch(code: str, tmp_path: Path) -> None:
    code += "\nimport sys; assert 'torch' not in sys.modules, 'torch was loaded'"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


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


@pytest.mark.parametrize("target", [{"max_bytes": 3000}, {"bpp": 0.6}, {"psnr": 31.0}])
def test_targets_are_kept(model: Model, target: dict[str, float]) -> None:
    picture = smooth_picture(192, 256)
    data = model.compress(picture, **target)
    quality = nicodec.info(data).quality
    if "psnr" in target:
        reached = psnr(np.asarray(model.decompress(data)), picture)
        assert target["psnr"] <= reached < target["psnr"] + 0.2  # a search tries few qualities
    else:
        limit = target.get("max_bytes") or target["bpp"] * 192 * 256 / 8
        assert len(data) <= limit < len(model.compress(picture, quality + 0.5))


@pytest.mark.parametrize(
    "arguments",
    [
        {"quality": 101},
        {"quality": -1},
        {"quality": "best"},
        {"max_bytes": 30},
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
        altered = container.StoredPicture(picture.header, bytes(payload), picture.symbol_checksum)
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
        nicodec.decompress(container.write_picture(container.StoredPicture(header, picture.payload, 0)))
    huge = container.Header(picture.header.model, 40000, 25000, 20)
    lie = container.write_picture(container.StoredPicture(huge, picture.payload, 0))
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


# Tensors


def pictures(count: int, height: int = 40, width: int = 56) -> torch.Tensor:
    """(B, 3, H, W) float32 of whole levels."""
    drawn = [torch.from_numpy(smooth_picture(height, width, seed)).permute(2, 0, 1) for seed in range(count)]
    return torch.stack(drawn).float() / 255


@pytest.fixture(scope="module", params=["tiny", "splat"])
def either(request: pytest.FixtureRequest, tiny: Model) -> tuple[Model, dict[str, int]]:
    """A model of each family, and options with which it is quick."""
    return (tiny, {}) if request.param == "tiny" else (nicodec.load("splat"), {"gaussians": 30, "iterations": 5})


def test_tensors_are_coded_as_pictures_are(either: tuple[Model, dict[str, int]]) -> None:
    model, options = either
    x = pictures(3)
    files = model.encode_tensor(x, 70, **options)
    assert [type(file) for file in files] == [bytes] * 3
    assert [nicodec.info(file).quality for file in files] == [70.0] * 3
    together = model.decode_tensor(files)
    assert together.shape == x.shape
    assert together.dtype == torch.float32
    assert float(together.min()) >= 0
    assert float(together.max()) <= 1
    for number, file in enumerate(files):
        (alone,) = model.decode_tensor([file])
        assert float((together[number] - alone).abs().max()) <= 1 / 255
        levels = torch.from_numpy(np.asarray(nicodec_pixels(model, file)).copy()).permute(2, 0, 1)
        assert float((alone * 255 - levels).abs().max()) <= 0.5 + 1e-3


def nicodec_pixels(model: Model, file: bytes) -> np.ndarray:
    return np.asarray(model.decompress(file).convert("RGB"))


@given(
    count=st.integers(1, 4),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    half_steps=st.lists(st.integers(0, 200), min_size=4, max_size=4),
    effort=st.sampled_from([1, 4, 7]),
)
@settings(deadline=None, max_examples=12)
def test_a_batch_decodes_as_its_pictures_alone(
    tiny: Model, count: int, height: int, width: int, half_steps: list[int], effort: int
) -> None:
    x, qualities = pictures(count, height, width), [q / 2 for q in half_steps[:count]]
    files = tiny.encode_tensor(x, qualities, effort=effort)
    assert [nicodec.info(file).quality for file in files] == qualities
    assert {(nicodec.info(file).width, nicodec.info(file).height) for file in files} == {(width, height)}
    together = tiny.decode_tensor(files)  # which compares the symbols with the encoder's
    alone = torch.cat([tiny.decode_tensor([file]) for file in files])
    assert together.shape == x.shape
    assert float((together - alone).abs().max()) <= 1 / 255
    single = [tiny.compress(x[n], q, effort=effort) for n, q in enumerate(qualities)]
    for file, other in zip(files, single, strict=True):  # sums of a batch may round otherwise, now and then
        assert abs(len(file) - len(other)) <= 0.02 * len(other) + 8


def test_every_form_of_quality_is_taken(tiny: Model) -> None:
    x = pictures(2)
    forms = [60, 60.0, np.float32(60), np.int64(60), [60, 60], (60.0, 60), torch.tensor([60, 60]), torch.tensor(60.0)]
    files = [tiny.encode_tensor(x, form) for form in forms]
    assert all(each == files[0] for each in files)
    assert tiny.encode_tensor(x) == tiny.encode_tensor(x, 50)
    low, high = tiny.encode_tensor(x, torch.tensor([10.0, 90.5]))
    assert (nicodec.info(low).quality, nicodec.info(high).quality) == (10, 90.5)


@pytest.mark.parametrize(
    "quality", [[60], [60] * 3, [], "60", None, True, [60, None], 101, -1, float("nan"), [60, 101], torch.zeros(2, 2)]
)
def test_other_qualities_are_refused(tiny: Model, quality: object) -> None:
    with pytest.raises(QualityError, match="qualit"):
        tiny.encode_tensor(pictures(2), quality)


def test_unknown_options_of_tensors_are_refused(tiny: Model) -> None:
    with pytest.raises(QualityError, match="no option 'gaussians'"):
        tiny.encode_tensor(pictures(1), gaussians=3)
    with pytest.raises(QualityError, match="effort"):
        tiny.encode_tensor(pictures(1), effort=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_floats_of_other_widths_are_taken(tiny: Model, dtype: torch.dtype) -> None:
    x = pictures(1).to(dtype)
    assert tiny.encode_tensor(x, 30) == tiny.encode_tensor(x.float(), 30)


def test_tensors_with_gradients_and_strides_are_taken_and_left_alone(tiny: Model) -> None:
    x = pictures(2)
    learning = x.clone().requires_grad_()
    strided = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    files = tiny.encode_tensor(x, 40)
    assert tiny.encode_tensor(learning, 40) == files
    assert tiny.encode_tensor(strided, 40) == files
    over = x.clone()
    over[0, 0, 0, 0] = 1.0005  # within the tolerance
    tiny.encode_tensor(over, 40)
    assert float(over.max()) > 1
    decoded = tiny.decode_tensor(files)
    (decoded.requires_grad_() * 2).sum().backward()


@pytest.mark.parametrize(
    "x",
    [
        torch.rand(3, 8, 8),
        torch.rand(1, 1, 8, 8),
        torch.rand(1, 4, 8, 8),
        torch.rand(1, 8, 8, 3),
        torch.rand(0, 3, 8, 8),
        torch.rand(1, 3, 0, 8),
        torch.rand(1, 1, 3, 8, 8),
        torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
        torch.zeros(1, 3, 8, 8, dtype=torch.int64),
        torch.zeros(1, 3, 8, 8, dtype=torch.bool),
        torch.zeros(1, 3, 8, 8, dtype=torch.complex64),
        torch.full((1, 3, 8, 8), 2.0),
        torch.full((1, 3, 8, 8), -0.1),
        torch.full((1, 3, 8, 8), float("nan")),
        torch.full((1, 3, 8, 8), float("inf")),
        np.zeros((1, 3, 8, 8), dtype=np.float32),
        [[0.0]],
        None,
        "x",
    ],
    ids=lambda x: f"{x.dtype} {tuple(x.shape)}" if isinstance(x, torch.Tensor) else type(x).__name__,
)
def test_other_tensors_are_refused(tiny: Model, x: object) -> None:
    with pytest.raises(InputError, match=r"give a float tensor \(B, 3, H, W\)"):
        tiny.encode_tensor(x)


def test_one_value_that_is_no_number_is_refused(tiny: Model) -> None:
    x = pictures(2)
    x[1, 2, 3, 4] = float("nan")
    with pytest.raises(InputError, match="give a float tensor"):
        tiny.encode_tensor(x)


def test_files_of_several_sizes_are_refused(tiny: Model) -> None:
    files = tiny.encode_tensor(pictures(1, 40, 56)) + tiny.encode_tensor(pictures(1, 40, 57))
    with pytest.raises(InputError, match="several sizes"):
        tiny.decode_tensor(files)


@pytest.mark.parametrize("files", [[], (), b"", "x.nic", None, 3, [None], [[]], {"a": b""}, iter([])], ids=shown)
def test_what_is_no_list_of_files_is_refused(tiny: Model, files: object) -> None:
    with pytest.raises(InputError):
        tiny.decode_tensor(files)


def test_files_of_any_form_make_a_batch(tiny: Model, tmp_path: Path) -> None:
    files = tiny.encode_tensor(pictures(3), 40)
    (tmp_path / "a.nic").write_bytes(files[1])
    mixed = (files[0], tmp_path / "a.nic", io.BytesIO(files[2]))
    assert torch.equal(tiny.decode_tensor(mixed), tiny.decode_tensor(files))


def test_grey_files_give_three_equal_colours(tiny: Model) -> None:
    grey = smooth_picture(40, 56)[..., 0]
    files = [tiny.compress(grey, 60), tiny.compress(smooth_picture(40, 56, 1), 60)]
    decoded = tiny.decode_tensor(files)
    assert decoded.shape == (2, 3, 40, 56)
    assert torch.equal(decoded[0, 0], decoded[0, 1])
    assert torch.equal(decoded[0, 0], decoded[0, 2])
    assert not torch.equal(decoded[1, 0], decoded[1, 1])
    levels = torch.from_numpy(np.asarray(tiny.decompress(files[0])).copy())
    assert float((decoded[0, 0] * 255 - levels).abs().max()) <= 1


def test_bad_files_in_a_batch_are_told(tiny: Model) -> None:
    (file,) = tiny.encode_tensor(pictures(1))
    with pytest.raises(TruncatedError):
        tiny.decode_tensor([file, file[:-1]])
    with pytest.raises(QualityError, match="not by tiny"):
        tiny.decode_tensor([file, nicodec.compress(smooth_picture(40, 56), 10)])
    with pytest.raises(LimitError):
        tiny.decode_tensor([file], limits=container.Limits(pixels=100))
