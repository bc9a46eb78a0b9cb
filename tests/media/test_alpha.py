"""The alpha plane's bytes: lossless, checked, small."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nicodec.errors import CorruptError
from nicodec.media import decode_alpha, encode_alpha


@settings(deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    seed=st.integers(0, 99),
    kind=st.sampled_from(["any", "two", "clear", "opaque", "ramp"]),
)
def test_every_plane_comes_back(height, width, seed, kind):
    random = np.random.default_rng(seed)
    alpha = {
        "any": random.integers(0, 256, (height, width)),
        "two": random.integers(0, 2, (height, width)) * 255,
        "clear": np.zeros((height, width)),
        "opaque": np.full((height, width), 255),
        "ramp": np.arange(height * width).reshape(height, width) % 256,
    }[kind].astype(np.uint8)
    data = encode_alpha(alpha)
    assert data.startswith(b"\x89PNG")
    got = decode_alpha(data, width, height)
    np.testing.assert_array_equal(got, alpha)
    assert got.dtype == np.uint8
    assert got.flags.writeable


def test_planes_that_are_not_contiguous_and_bad_ones():
    alpha = np.arange(64, dtype=np.uint8).reshape(8, 8)[::2, ::-1]
    np.testing.assert_array_equal(decode_alpha(encode_alpha(alpha), 8, 4), alpha)
    for bad in (np.zeros((3, 3)), np.zeros((3, 3, 1), np.uint8), np.zeros((0, 3), np.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            encode_alpha(bad)


def test_masks_are_small():
    rows, columns = np.mgrid[:512, :512]
    disc = np.where((rows - 256) ** 2 + (columns - 256) ** 2 < 200**2, 255, 0).astype(np.uint8)
    assert len(encode_alpha(disc)) < 2500


@settings(deadline=None, max_examples=300)
@given(cut=st.integers(0, 400), flip=st.integers(0, 400), bit=st.integers(0, 7))
def test_every_flip_and_cut_is_found(cut, flip, bit):
    alpha = np.random.default_rng(0).integers(0, 256, (12, 12), dtype=np.uint8)
    data = bytearray(encode_alpha(alpha))
    if cut < len(data) - 12:
        with pytest.raises(CorruptError, match="alpha"):
            decode_alpha(bytes(data[:cut]), 12, 12)
    data[flip % len(data)] ^= 1 << bit
    with pytest.raises(CorruptError) as caught:
        decode_alpha(bytes(data), 12, 12)
    assert "\n" not in str(caught.value)


def test_lies_are_found_before_decoding(monkeypatch):
    data = encode_alpha(np.zeros((5, 9), np.uint8))
    other = io.BytesIO()
    Image.new("RGB", (9, 5)).save(other, "PNG")
    header = struct.pack(">IIBBBBB", 9, 5, 8, 0, 0, 0, 1)
    interlaced = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    monkeypatch.setattr(Image, "open", None)
    with pytest.raises(CorruptError, match="9x5"):
        decode_alpha(data, 5, 9)
    with pytest.raises(CorruptError, match="colour type 2"):
        decode_alpha(other.getvalue(), 9, 5)
    with pytest.raises(CorruptError, match="not allowed"):
        decode_alpha(interlaced, 9, 5)
    for start in (b"", b"\0", b"\0" + data, b"GIF89a"):
        with pytest.raises(CorruptError):
            decode_alpha(start, 9, 5)
