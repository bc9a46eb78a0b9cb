"""Texts and profiles of PNG files, however long."""

import io
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from nicodec.media import png as png_file
from nicodec.media import read_picture
from nicodec.media.losses import Losses
from tests.media.test_reading import SRGB, chunk, exif_of, png

ROWS = [bytes(range(9))]
XMP = b"<x:xmpmeta>" + b"<!-- padding -->" * 200_000 + b"</x:xmpmeta>"


def picture_with(*extra):
    return png(3, 1, 8, 2, ROWS, *extra)


def ztxt(keyword, text):
    return chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(text, 9))


def itxt(keyword, text, packed):
    body = zlib.compress(text, 9) if packed else text
    return chunk(b"iTXt", keyword + b"\0" + bytes([packed, 0]) + b"\0\0" + body)


def iccp(profile):
    return chunk(b"iCCP", b"name\0\0" + zlib.compress(profile, 9))


@pytest.mark.parametrize("before", [True, False])
def test_long_texts_do_no_harm(before):
    long = ztxt(b"Comment", b"x" * (64 << 20)) + itxt(b"Title", b"y" * (3 << 20), True) + itxt(b"T", b"z" * 99, False)
    data = picture_with(long) if before else picture_with()[:-12] + long + picture_with()[-12:]
    tracemalloc.start()
    try:
        picture = read_picture(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert picture.pixels.tobytes() == ROWS[0]
    assert picture.notes == ()
    assert peak < 4 << 20  # nothing was inflated


def test_a_bomb_is_bounded():
    bomb = zlib.compress(b"\0" * (png_file.LONGEST + 1), 9)
    for tag, head, name in (
        (b"zTXt", b"Raw profile type exif\0\0", "EXIF"),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0", "XMP"),
        (b"iCCP", b"name\0\0", "profile"),
    ):
        tracemalloc.start()
        try:
            picture = read_picture(picture_with(chunk(tag, head + bomb)))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert name in picture.notes[0]
        assert (picture.icc, picture.exif, picture.xmp) == (None, None, None)
        assert peak < 5 * png_file.LONGEST


@pytest.mark.parametrize("packed", [True, False])
def test_long_xmp_is_kept(packed):
    assert read_picture(picture_with(itxt(b"XML:com.adobe.xmp", XMP, packed))).xmp == XMP


def test_a_long_profile_is_kept():
    body = np.random.default_rng(0).bytes(2 << 20)
    profile = (128 + len(body)).to_bytes(4, "big") + SRGB[4:128] + body
    assert read_picture(picture_with(iccp(profile))).icc == profile


def test_old_exif_in_every_text():
    exif = b"Exif\0\0" + exif_of(1)
    text = f"\nexif\n{len(exif):8}\n{exif.hex()}\n".encode()
    for extra in (ztxt(b"Raw profile type exif", text), chunk(b"tEXt", b"Raw profile type exif\0" + text)):
        assert read_picture(picture_with(extra)).exif == exif_of(1)


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"iCCP", b"name\0\0broken"),
        chunk(b"iCCP", b""),
        chunk(b"iCCP", b"name\0\1abc"),
        chunk(b"zTXt", b"Raw profile type exif"),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0broken"),
        chunk(b"iTXt", b"XML:com.adobe.xmp"),
        chunk(b"tEXt", b""),
    ],
)
def test_broken_texts_and_profiles_do_not_stop_a_picture(extra):
    assert read_picture(picture_with(extra)).pixels.tobytes() == ROWS[0]


def test_a_png_keeps_its_pixels_and_chunks_without_texts():
    data = picture_with(chunk(b"tEXt", b"a\0b"), chunk(b"gAMA", b"\0\0\xb1\x8f"))
    parts = png_file.take_apart(data, Losses())
    assert parts.data == picture_with(chunk(b"gAMA", b"\0\0\xb1\x8f"))
    with Image.open(io.BytesIO(parts.data)) as image:
        assert image.tobytes() == ROWS[0]
    for end in range(8, len(data)):  # whatever is cut off stays cut off
        rest = png_file.take_apart(data[:end], Losses()).data
        assert parts.data.startswith(rest) or rest.endswith(data[max(8, end - 3) : end])
