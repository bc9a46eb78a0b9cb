"""The density of JFIF, pHYs and their like: kept as EXIF's resolution, and written back."""

import io

import pytest
from PIL import Image

from nicodec.media import read_picture, save_picture
from nicodec.media.metadata import density_exif, exif_density
from tests.media.test_reading import chunk, exif_of, file_of, png

SMALL = Image.new("RGB", (4, 4))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP"])
def test_it_is_kept(format):
    picture = read_picture(file_of(SMALL, format, dpi=(300, 150)))
    assert len(picture.exif) == 66
    assert exif_density(picture.exif) == pytest.approx((300, 150), abs=0.02)
    tags = Image.Exif()
    tags.load(picture.exif)
    assert float(tags[282]) == pytest.approx(300, abs=0.02)
    assert tags[296] == 2
    assert picture.notes == ()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_there_and_back(format):
    picture = read_picture(file_of(SMALL, "JPEG", dpi=(300, 300)))
    out = io.BytesIO()
    save_picture(picture, out, format=format)
    with Image.open(out) as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.02)
    assert exif_density(read_picture(out.getvalue()).exif) == pytest.approx((300, 300), abs=0.02)


@pytest.mark.parametrize("dpi", [(72, 72), (96, 96), (0, 0)])
def test_what_programs_write_for_none_is_not(dpi):
    assert read_picture(file_of(SMALL, "JPEG", dpi=dpi)).exif is None
    assert read_picture(file_of(SMALL, "JPEG")).exif is None
    assert read_picture(file_of(SMALL, "BMP")).exif is None


def test_pixels_that_are_not_square():
    wide = png(1, 1, 8, 0, [b"\0"], chunk(b"pHYs", b"\0\0\0\2\0\0\0\1\0"))
    jpeg = bytearray(file_of(SMALL, "JPEG"))
    place = jpeg.index(b"JFIF\0") + 7
    jpeg[place : place + 5] = b"\0\0\2\0\1"
    for data in (wide, bytes(jpeg)):
        tags = Image.Exif()
        tags.load(read_picture(data).exif)
        assert (float(tags[282]), float(tags[283]), tags[296]) == (2, 1, 1)


def test_exif_of_its_own_comes_first():
    without = b"Exif\0\0" + exif_of(1)
    picture = read_picture(file_of(SMALL, "JPEG", dpi=(300, 300), exif=without))
    assert picture.exif == exif_of(1)
    assert "300 x 300" in picture.notes[0]
    given = density_exif(200, 200, 2)
    picture = read_picture(file_of(SMALL, "JPEG", dpi=(300, 300), exif=b"Exif\0\0" + given))
    assert picture.exif == given
    assert picture.notes == ()


def test_broken_exif_has_no_density():
    whole = density_exif(300, 300, 2)
    for end in range(8, len(whole)):
        assert exif_density(whole[:end]) is None
    assert exif_density(density_exif(2, 1, 1)) is None
    assert exif_density(whole.replace(b"\xe8\3\0\0", bytes(4))) is None
