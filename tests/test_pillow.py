"""The Pillow plugin."""

import functools
import io
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

import nicodec
import nicodec.pillow  # registers the format
from nicodec.media import LossyConversionWarning


@pytest.fixture(autouse=True)
def installed(tiny_model_folder, monkeypatch):
    monkeypatch.setenv("NICODEC_MODELS", str(tiny_model_folder))


def picture(mode="RGB", width=40, height=24):
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[mode]
    y, x = np.mgrid[:height, :width]
    planes = np.stack([(5 * x + 7 * y + 40 * c) % 256 for c in range(channels)], -1).astype(np.uint8)
    return Image.fromarray(planes[:, :, 0] if channels == 1 else planes)


def saved(image, **options):
    out = io.BytesIO()
    image.save(out, "NICODEC", codec="tiny", **options)
    return out.getvalue()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_there_and_back(tmp_path, mode):
    path = tmp_path / "x.nic"
    picture(mode).save(path, quality=60, codec="tiny")
    with Image.open(path) as image:
        assert isinstance(image, nicodec.pillow.NicodecImageFile)
        assert (image.format, image.mode, image.size) == ("NICODEC", mode, (40, 24))
        assert image.info == {"quality": 60}
        assert image.get_format_mimetype() == "image/x-nicodec"
        image.load()
        assert np.array_equal(np.array(image), np.array(nicodec.decompress(path)))
        if "A" in mode:
            assert image.getchannel("A").tobytes() == picture(mode).getchannel("A").tobytes()
    assert path.read_bytes() == nicodec.compress(picture(mode), 60, codec="tiny")


def test_opening_decodes_nothing(monkeypatch):
    data = saved(picture())

    def refuse(*arguments, **options):
        raise AssertionError("decoded on opening")

    monkeypatch.setattr(nicodec, "decompress", refuse)
    image = Image.open(io.BytesIO(data))
    assert image.size == (40, 24)
    with pytest.raises(AssertionError, match="on opening"):
        image.load()
    monkeypatch.undo()


def test_pillow_needs_no_more_than_the_import(tmp_path):
    path = tmp_path / "x.nic"
    path.write_bytes(saved(picture()))
    code = (
        "import nicodec.pillow, sys; from PIL import Image; "
        f"print(Image.open({str(path)!r}).size, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "(40, 24) False\n"


def test_a_loaded_image_is_like_any_other(tmp_path):
    path = tmp_path / "x.nic"
    path.write_bytes(saved(picture()))
    with Image.open(path) as image:
        copy = image.copy()
        assert image.resize((10, 6)).size == (10, 6)
        assert image.convert("L").getpixel((3, 4)) == copy.convert("L").getpixel((3, 4))
    path.unlink()
    assert copy.crop((0, 0, 5, 5)).tobytes()
    with Image.open(io.BytesIO(saved(picture()))) as image:
        image.verify()


@functools.cache  # a profile holds the second in which it was made
def profile(space):
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()


def camera_exif(orientation=None):
    exif = Image.Exif()
    exif[0x0110] = "a camera"
    if orientation:
        exif[0x0112] = orientation
    return exif


def test_metadata_is_taken_from_the_image_or_the_call():
    image = picture()
    image.info.update(icc_profile=profile("sRGB"), exif=camera_exif().tobytes(), xmp=b"<x:xmpmeta/>")
    before = dict(image.info)
    kept = Image.open(io.BytesIO(saved(image)))
    assert kept.info["icc_profile"] == profile("sRGB")
    assert kept.info["exif"].startswith(b"Exif\0\0")
    assert kept.getexif()[0x0110] == "a camera"
    assert kept.info["xmp"] == b"<x:xmpmeta/>"
    bare = Image.open(io.BytesIO(saved(image, icc_profile=None, exif=b"", xmp="")))
    assert bare.info == {"quality": 50}
    given = camera_exif()
    given[0x0110] = "another camera"
    other = Image.open(io.BytesIO(saved(picture(), exif=given, xmp="<é/>", icc_profile=profile("sRGB"))))
    assert other.getexif()[0x0110] == "another camera"
    assert other.info["xmp"] == "<é/>".encode()
    assert other.info["icc_profile"] == profile("sRGB")
    assert image.info == before


@pytest.mark.parametrize("how", ["in the image", "in the call", "dropped"])
def test_pixels_are_upright(how):
    exif = camera_exif(orientation=6)
    image = picture()
    image.info["exif"] = exif.tobytes()
    options = {"in the image": {}, "in the call": {"exif": exif}, "dropped": {"exif": b""}}[how]
    found = Image.open(io.BytesIO(saved(image, **options)))
    assert found.size == (24, 40)
    assert found.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 101},
        {"quality": -1},
        {"quality": "high"},
        {"quality": True},
        {"quality": float("nan")},
        {"bpp": "1"},
        {"max_bytes": 1.5},
        {"max_bytes": 0},
        {"max_bytes": 3},
        {"psnr": -1},
        {"quality": 50, "bpp": 1.0},
        {"icc_profile": "sRGB"},
        {"exif": "text"},
        {"xmp": 3},
    ],
    ids=str,
)
def test_wrong_values_are_refused_and_leave_no_file(tmp_path, options):
    with pytest.raises(ValueError, match=next(iter(options)) if options != {"max_bytes": 3} else "bytes"):
        picture().save(tmp_path / "x.nic", **{"codec": "tiny", **options})
    assert list(tmp_path.iterdir()) == []


def test_what_names_no_model_is_an_os_error_and_leaves_no_file(tmp_path):
    with pytest.raises(OSError, match="7 names no model"):
        picture().save(tmp_path / "x.nic", codec=7)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_model_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="no model 'none'"):
        picture().save(tmp_path / "x.nic", codec="none")
    assert list(tmp_path.iterdir()) == []


def test_modes_are_converted_as_the_library_does():
    bits = Image.fromarray(np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32))
    with pytest.warns(LossyConversionWarning, match="16 bits"):
        assert Image.open(io.BytesIO(saved(bits))).mode == "L"
    assert Image.open(io.BytesIO(saved(picture().quantize(8)))).mode == "RGB"
    assert Image.open(io.BytesIO(saved(picture("L").convert("1")))).mode == "L"
    with pytest.warns(LossyConversionWarning, match="CMYK"):
        assert Image.open(io.BytesIO(saved(picture().convert("CMYK")))).mode == "RGB"


def test_damage_is_an_os_error_with_the_reason(tmp_path):
    data = saved(picture())
    path = tmp_path / "x.nic"
    path.write_bytes(data[:-5])
    with pytest.raises(OSError, match=r"x\.nic: .*cut short") as caught:
        Image.open(path)
    assert isinstance(caught.value.__cause__, nicodec.errors.TruncatedError)
    with pytest.raises(OSError, match="altered"):
        Image.open(io.BytesIO(data[:20] + bytes([data[20] ^ 4]) + data[21:]))
    for foreign in (b"", b"\x8fni", b"\x8fnix" + data[4:]):
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(foreign))


def sealed(data):
    return data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")


def test_a_missing_model_is_told_when_the_pixels_are_needed():
    data = saved(picture())
    image = Image.open(io.BytesIO(sealed(data[:5] + b"\1\2\3\4" + data[9:])))
    assert image.size == (40, 24)
    with pytest.raises(OSError, match="model 01020304 is not installed"):
        image.load()


def test_pillow_checks_for_bombs():
    data = saved(picture())
    assert data[9:11] == bytes([40, 24])
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(sealed(data[:9] + b"\xa0\x8d\x06" * 2 + data[11:])))
