"""Arguments of any type and value: the right kind of result, or one of nicodec's errors."""

from __future__ import annotations

import decimal
import fractions
import io
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import nicodec
import nicodec.pillow  # registers the format
from nicodec import container
from nicodec.errors import NicodecError
from nicodec.media import LossyConversionWarning
from nicodec.model import Model

from .conftest import shown, smooth_picture

PICTURE = smooth_picture(20, 24)


class ByteName:
    """A path whose name is bytes, as `os.fsencode` gives."""

    def __fspath__(self) -> bytes:
        return b"nowhere.nic"


class BadFile:
    """A file that cannot be read."""

    def read(self) -> bytes:
        raise OSError("the disk is gone")


class Stream(io.RawIOBase):
    """A file that gives few bytes at a time, if they are asked for so."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self._inner.read(min(7, len(buffer)))
        buffer[: len(found)] = found
        return len(found)


def closed(file: io.BytesIO) -> io.BytesIO:
    file.close()
    return file


NUMBERS: list[object] = [
    *(True, False, 0, 1, -1, 3, 50, 101, 10**400, -(10**400), 2**63, 0.0, 0.5, -0.0, 7.5, 1e308, 5e-324),
    *(float("nan"), float("inf"), float("-inf"), 5j, fractions.Fraction(101, 2), decimal.Decimal(50)),
    *(np.float32(50), np.float64("nan"), np.int64(3), np.uint8(60), np.float16(3), np.bool_(True), np.array(50)),
    *(np.longdouble(50), np.complex64(1), np.datetime64("2026-01-01"), torch.tensor(50.0), torch.tensor([1, 2])),
]
TEXTS: list[object] = [
    "",
    "a",
    "50",
    "tiny",
    "hyperprior",
    "none",
    "\0",
    "\ud800",
    "x" * 5000,
    ".",
    "/",
    "é.nic",
    "cpu",
]
DEVICES: list[object] = ["cpu:0", "cuda:99", "abacus", "meta", "mps", "xla", "cuda:-1", torch.device("cpu")]
SEQUENCES: list[object] = [
    *((), [], {}, set(), (5,), (0, 5), (5, -1), (640, 480), (1.5, 3), ("a", "b"), (None, None), (10**9, 10**9)),
    *([50], [50, 60], [None], (1, 2, 3), np.array([30, 20]), np.array([[1, 2], [3, 4]]), range(2), iter([3, 4])),
    *((np.int64(12), np.int64(10)), (True, True), (10**400, 1), torch.tensor([12, 10])),
]
OBJECTS: list[object] = [
    *(None, object(), object, len, ..., NotImplemented, ValueError("x"), Path("nowhere.nic"), Path(), ByteName()),
    *(
        b"",
        b"x",
        b"\0\0\0\0",
        bytearray(b"abc"),
        memoryview(b"abcd"),
        BadFile(),
        container.Limits(1),
        container.Limits(0),
    ),
    *(
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((4, 4)),
        np.array("x"),
        np.zeros(3, object),
    ),
    *(
        torch.zeros(3, 0, 4),
        torch.full((3, 4, 4), float("nan")),
        torch.zeros(2, 3, 8, 8),
        torch.zeros(3, 8, 8, dtype=int),
    ),
    *(torch.zeros(1, 3, 8, 8, device="meta"), torch.zeros(3, 8, 8).to_sparse(), torch.zeros(1, 3, 8, 8).to_sparse()),
    *(Image.new("RGB", (5, 4)), Image.new("I", (3, 3)), Image.new("RGB", (0, 4)), Image.new("P", (3, 3))),
]
FACTORIES: list[Callable[[], object]] = [
    lambda: io.StringIO("text"),
    lambda: io.BytesIO(),
    lambda: io.BytesIO(b"\x8fnic"),
    lambda: closed(io.BytesIO(b"x")),
]
"""Of files, which are read but once."""

odd = st.sampled_from([*NUMBERS, *TEXTS, *DEVICES, *SEQUENCES, *OBJECTS])
plain = odd | st.sampled_from(FACTORIES).map(lambda make: make())
drawn = st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=30)
anything = plain | st.lists(plain, max_size=3) | drawn

quick = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module", autouse=True)
def installed(tiny_model_folder: Path) -> Iterator[None]:
    """`tiny` is installed."""
    before = os.environ.get("NICODEC_MODELS")
    os.environ["NICODEC_MODELS"] = str(tiny_model_folder)
    yield
    if before is None:
        del os.environ["NICODEC_MODELS"]
    else:
        os.environ["NICODEC_MODELS"] = before


@pytest.fixture(scope="module")
def tiny(installed: None) -> Model:
    return nicodec.load("tiny")


@pytest.fixture(scope="module")
def nic(tiny: Model) -> bytes:
    return tiny.compress(PICTURE, 40)


def some(names: list[str], most: int = 2) -> st.SearchStrategy[dict[str, object]]:
    """Keywords, a few of `names`, with any values."""
    return st.lists(st.sampled_from(names), unique=True, max_size=most).flatmap(
        lambda chosen: st.fixed_dictionaries({name: anything for name in chosen})
    )


def outcome(call: Callable[[], Any], errors: tuple[type[Exception], ...] = (NicodecError,)) -> Any:
    """What a call gives, or None where it raises one of these errors, whose message says something."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LossyConversionWarning)
        try:
            return call()
        except errors as error:
            said = str(error)
    assert said
    return None


def check_file(found: object) -> None:
    assert type(found) is bytes
    assert isinstance(nicodec.info(found), nicodec.Info)


GOALS = ["quality", "bpp", "max_bytes", "psnr"]


@given(given_=some([*GOALS, "codec", "device", "effort", "image", "gaussians", "unknown"]))
@quick
def test_compress(given_: dict[str, Any]) -> None:
    arguments = {"image": PICTURE, "codec": "tiny", **given_}
    found = outcome(lambda: nicodec.compress(arguments.pop("image"), **arguments))
    assert found is None or check_file(found) is None


@given(given_=some([*GOALS, "effort", "image", "unknown"]))
@quick
def test_model_compress(tiny: Model, given_: dict[str, Any]) -> None:
    arguments = {"image": PICTURE, **given_}
    found = outcome(lambda: tiny.compress(arguments.pop("image"), **arguments))
    assert found is None or check_file(found) is None


@given(given_=some([*GOALS, "gaussians", "iterations", "seconds", "effort"]))
@settings(quick, max_examples=30)
def test_compress_with_splats(given_: dict[str, Any]) -> None:
    small = {"gaussians": 5, "iterations": 2}
    chosen = {name: value for name, value in given_.items() if not is_large(name, value)}
    found = outcome(lambda: nicodec.compress(PICTURE[:9, :9], codec="splat", **{**small, **chosen}))
    assert found is None or check_file(found) is None


def is_large(name: str, value: object) -> bool:
    """Whether it asks for a fit that takes long."""
    return name in ("gaussians", "iterations") and isinstance(value, (int, np.integer)) and value > 100


@given(given_=some(["data", "limits", "draw_size", "device"]))
@quick
def test_decompress(nic: bytes, given_: dict[str, Any]) -> None:
    arguments = {"data": nic, **given_}
    found = outcome(lambda: nicodec.decompress(arguments.pop("data"), **arguments))
    assert found is None or isinstance(found, Image.Image)


@given(given_=some(["data", "limits", "draw_size"]))
@quick
def test_model_decompress(tiny: Model, nic: bytes, given_: dict[str, Any]) -> None:
    arguments = {"data": nic, **given_}
    found = outcome(lambda: tiny.decompress(arguments.pop("data"), **arguments))
    assert found is None or isinstance(found, Image.Image)


@given(data=anything)
@quick
def test_info(data: object) -> None:
    found = outcome(lambda: nicodec.info(data))
    assert found is None or isinstance(found, nicodec.Info)


@given(given_=some(["name", "device"]))
@settings(quick, max_examples=30)
def test_load(given_: dict[str, Any]) -> None:
    arguments = {"name": "tiny", **given_}
    found = outcome(lambda: nicodec.load(**arguments))
    assert found is None or isinstance(found, Model)


@given(given_=some(["x", "quality", "effort", "unknown"]))
@quick
def test_encode_tensor(tiny: Model, given_: dict[str, Any]) -> None:
    arguments = {"x": torch.rand(2, 3, 9, 8), **given_}
    found = outcome(lambda: tiny.encode_tensor(**arguments))
    if found is not None:
        assert type(found) is list
        for file in found:
            check_file(file)


@given(files=anything | st.lists(anything, max_size=3), limits=st.none() | anything)
@quick
def test_decode_tensor(tiny: Model, nic: bytes, files: object, limits: object) -> None:
    found = outcome(lambda: tiny.decode_tensor(files))
    assert found is None or isinstance(found, torch.Tensor)
    mixed = [nic, *files] if isinstance(files, list) else [nic, files]
    found = outcome(lambda: tiny.decode_tensor(mixed))
    assert found is None or isinstance(found, torch.Tensor)
    if limits is not None:
        found = outcome(lambda: tiny.decode_tensor([nic], limits=limits))
        assert found is None or isinstance(found, torch.Tensor)


@given(given_=some([*GOALS, "codec", "device", "effort", "exif", "xmp", "icc_profile", "unknown", "gaussians"]))
@quick
def test_pillows_save(given_: dict[str, Any]) -> None:
    out = io.BytesIO()
    arguments = {"codec": "tiny", **given_}
    outcome(lambda: Image.fromarray(PICTURE).save(out, "NICODEC", **arguments), (ValueError, OSError))
    if out.getvalue():
        check_file(out.getvalue())


# What must work, and what must not, one by one


@pytest.mark.parametrize("quality", [np.float32(50), np.float64(50), np.int64(50), np.uint8(50), 50, 50.0, 50.2])
def test_numbers_of_any_kind_are_qualities(tiny: Model, quality: float) -> None:
    assert tiny.compress(PICTURE, quality) == tiny.compress(PICTURE, 50)
    assert nicodec.compress(PICTURE, quality, codec="tiny") == tiny.compress(PICTURE, 50)


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview, io.BytesIO, Stream, "path", "text", "file"])
def test_files_of_every_form_are_read(tiny: Model, nic: bytes, tmp_path: Path, form: Any) -> None:
    path = tmp_path / "x.nic"
    path.write_bytes(nic)
    expected = np.asarray(tiny.decompress(nic))
    for call in (tiny.decompress, nicodec.decompress, nicodec.info):
        with path.open("rb") as file:
            data = {"path": path, "text": str(path), "file": file}[form] if isinstance(form, str) else form(nic)
            found = call(data)
        if isinstance(found, Image.Image):
            assert np.array_equal(np.asarray(found), expected)


def test_files_in_text_mode_are_refused(tiny: Model, nic: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.nic"
    path.write_bytes(nic)
    for call in (tiny.decompress, nicodec.decompress, nicodec.info, lambda data: tiny.decode_tensor([data])):
        for options in ({}, {"encoding": "latin-1", "newline": ""}):
            with path.open(**options) as file, pytest.raises(nicodec.errors.InputError, match="open it in mode 'rb'"):
                call(file)
    for call in (tiny.compress, lambda data: nicodec.compress(data, codec="tiny")):
        with path.open(encoding="latin-1") as file, pytest.raises(nicodec.errors.InputError):
            call(file)


@pytest.mark.parametrize(
    "arguments",
    [
        {"quality": float("nan")},
        {"quality": None, "bpp": float("nan")},
        {"bpp": 0},
        {"bpp": -1.0},
        {"bpp": float("inf")},
        {"bpp": "1"},
        {"max_bytes": 0},
        {"max_bytes": -3},
        {"max_bytes": 300.0},
        {"max_bytes": True},
        {"psnr": float("nan")},
        {"psnr": -1},
        {"psnr": 10**400},
        {"quality": 10**400},
        {"quality": 50, "max_bytes": 1000},
        {"bpp": 1.0, "psnr": 30.0},
        {"size": 1000},
        {"efort": 3},
        {"gaussians": 3},
        {"effort": None},
    ],
    ids=str,
)
def test_wrong_numbers_are_refused_by_name(tiny: Model, arguments: dict[str, Any]) -> None:
    names = "|".join(name for name, value in arguments.items() if value is not None) or "effort"
    for call in (tiny.compress, lambda *a, **k: nicodec.compress(*a, codec="tiny", **k)):
        with pytest.raises(nicodec.errors.QualityError, match=f"{names}|bytes cannot be reached"):
            call(PICTURE, **arguments)


@pytest.mark.parametrize(
    "size", [(0, 5), (5, 0), (-3, 4), (1.5, 2), (5,), (1, 2, 3), "a", "640x480", 5, (True, 3)], ids=str
)
@pytest.mark.parametrize("codec", ["tiny", "splat"])
def test_sizes_that_nothing_can_be_drawn_at(codec: str, size: object) -> None:
    options = {"gaussians": 5, "iterations": 2} if codec == "splat" else {}
    data = nicodec.compress(PICTURE, 30, codec=codec, **options)
    with pytest.raises(nicodec.errors.QualityError, match="draw_size"):
        nicodec.decompress(data, draw_size=size)
    with pytest.raises(nicodec.errors.QualityError, match="draw_size"):
        nicodec.load(codec).decompress(data, draw_size=size)


def test_a_size_of_any_whole_numbers_is_drawn() -> None:
    data = nicodec.compress(PICTURE, 30, codec="splat", gaussians=5, iterations=2)
    for size in ((12, 10), [12, 10], (np.int64(12), np.uint8(10)), np.array([12, 10])):
        assert nicodec.decompress(data, draw_size=size).size == (12, 10)


@pytest.mark.parametrize(
    "device", ["abacus", "cuda:99", "meta", "", "cpu,", None, 3.5, 2**63, b"\x80", object()], ids=shown
)
def test_devices_that_are_not_there_are_told(nic: bytes, device: object) -> None:
    calls = [
        lambda: nicodec.compress(PICTURE, codec="tiny", device=device),
        lambda: nicodec.decompress(nic, device=device),
        lambda: nicodec.load("tiny", device=device),
    ]
    for call in calls:
        with pytest.raises(nicodec.errors.DeviceError, match="cannot be used here"):
            call()
