"""HEIC and JPEG XL: read by their plugins, upright, in their colours, and told of where a plugin is missing."""

import io

import numpy as np
import pytest
from PIL import Image

from nicodec.errors import InputError, LimitError
from nicodec.media import LossyConversionWarning, jpegxl, plugins, read_picture


def photograph(height=48, width=80):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 2, y * 4, (x + y)], -1).clip(0, 255).astype(np.uint8)


def encoded(format, pixels=None, **options):
    pytest.importorskip({"HEIF": "pillow_heif", "JXL": "pillow_jxl"}[format])
    plugins.HEIC.register() if format == "HEIF" else plugins.JPEG_XL.register()
    out = io.BytesIO()
    Image.fromarray(photograph() if pixels is None else pixels).save(out, format, **options)
    return out.getvalue()


@pytest.mark.parametrize("format", ["HEIF", "JXL"])
def test_pictures_are_read(format, tmp_path):
    data = encoded(format, quality=95)
    path = tmp_path / "photo.any"
    path.write_bytes(data)
    for source in (data, path, io.BytesIO(data)):
        picture = read_picture(source)
        assert (picture.width, picture.height, picture.alpha) == (80, 48, None)
        assert np.abs(picture.pixels.astype(int) - photograph()).mean() < 4
        assert picture.icc is None  # sRGB, in whatever words the file says so
        assert picture.notes == ()


@pytest.mark.parametrize("format", ["HEIF", "JXL"])
def test_alpha_and_grey_are_kept(format):
    rgba = np.dstack([photograph(), np.arange(80, dtype=np.uint8)[None].repeat(48, 0)])
    picture = read_picture(encoded(format, rgba, **({"quality": -1} if format == "HEIF" else {"lossless": True})))
    assert np.abs(picture.alpha.astype(int) - rgba[:, :, 3]).max() <= 2
    if format == "JXL":
        assert read_picture(encoded(format, photograph()[:, :, 0])).is_grey


def test_pictures_are_upright_once():
    exif = Image.Exif()
    exif[0x0112], exif[0x0110] = 6, "a camera"
    heic = read_picture(encoded("HEIF", exif=exif.tobytes(), quality=95))
    assert (heic.width, heic.height) == (48, 80)
    assert np.abs(heic.pixels.astype(int) - np.rot90(photograph(), -1)).mean() < 4
    assert b"a camera" in heic.exif
    jxl = read_picture(encoded("JXL", exif=exif.tobytes()))  # its own orientation counts, and that is 1
    assert (jxl.width, jxl.height) == (80, 48)


def test_a_jpeg_in_jpeg_xl_is_turned_as_the_jpeg_is():
    imagecodecs = pytest.importorskip("imagecodecs")
    encoded("JXL")
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(photograph()).save(out, "JPEG", quality=95, exif=exif.tobytes())
    packed = read_picture(imagecodecs.jpegxl_encode_jpeg(out.getvalue()))
    assert np.array_equal(packed.pixels, read_picture(out.getvalue()).pixels)


def test_deep_pictures_say_what_is_lost():
    imagecodecs = pytest.importorskip("imagecodecs")
    encoded("JXL")
    deep = (photograph().astype(np.uint16) << 8) + 7
    with pytest.warns(LossyConversionWarning, match="16 bits"):
        read_picture(imagecodecs.jpegxl_encode(deep, lossless=True))
    pillow_heif = pytest.importorskip("pillow_heif")
    out = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", (80, 48), deep.tobytes()).save(out)
    with pytest.warns(LossyConversionWarning, match="10 bits"):
        read_picture(out.getvalue())


def test_hdr_is_refused():
    encoded("HEIF")
    import pillow_heif

    out = io.BytesIO()
    made = pillow_heif.from_bytes("RGB", (80, 48), photograph().tobytes())
    made.save(out, color_primaries=9, transfer_characteristics=16, matrix_coefficients=9, full_range_flag=1)
    with pytest.raises(InputError, match="HDR picture"):
        read_picture(out.getvalue(), name="x.heic")


@pytest.mark.parametrize("format", ["HEIF", "JXL"])
def test_broken_and_large_files_are_told(format):
    data = encoded(format, np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8))
    with pytest.raises(LimitError, match="limit of 100"):
        read_picture(data, max_pixels=100)
    for cut in (16, len(data) // 3, len(data) - len(data) // 4):
        with pytest.raises(InputError):
            read_picture(data[:cut])


@pytest.mark.parametrize(("format", "plugin"), [("HEIF", plugins.HEIC), ("JXL", plugins.JPEG_XL)])
def test_a_missing_plugin_is_named(format, plugin, monkeypatch):
    data = encoded(format)
    monkeypatch.setitem(__import__("sys").modules, {"HEIF": "pillow_heif", "JXL": "pillow_jxl"}[format], None)
    openers = {name: entry for name, entry in Image.OPEN.items() if name != format}
    monkeypatch.setattr(Image, "OPEN", openers)
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != format])
    with pytest.raises(InputError, match=rf"x: is a {plugin.name} picture.*'\.\[{plugin.extra}\]'"):
        read_picture(data, name="x")


@pytest.mark.parametrize(("width", "height"), [(1, 1), (8, 8), (64, 48), (500, 333), (1000, 8000), (256, 256)])
def test_the_head_of_jpeg_xl_is_read(width, height):
    imagecodecs = pytest.importorskip("imagecodecs")
    for kind, depth in ((np.uint8, 8), (np.uint16, 16), (np.float32, 32)):
        data = imagecodecs.jpegxl_encode(np.zeros((height, width, 3), kind), lossless=True, effort=1)
        assert jpegxl.read_head(data) == jpegxl.Head(width, height, depth, False)
    assert jpegxl.read_head(data[:1]) is None
