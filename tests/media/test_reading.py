"""read_picture: every kind of source, every Pillow mode, and everything that is not a picture."""

import contextlib
import io
import os
import struct
import subprocess
import sys
import threading
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from nicodec.errors import InputError, LimitError
from nicodec.media import LossyConversionWarning, Picture, read_picture, save_picture, to_pil

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6" dc:t="1"/></x:xmpmeta>'


def colours(height=5, width=7, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def file_of(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def chunk(tag, data):
    return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))


def png(width, height, depth, colour, rows, *extra):
    """A PNG written by hand, for the depths that Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + body + chunk(b"IEND", b"")


def cmyk_profile():
    """A small CMYK profile: Lab lightness falls with every ink, cyan pulls to green-blue."""
    table = b""
    for point in range(16):
        cyan, _, _, black = (point >> 3) & 1, point & 4, point & 2, point & 1
        table += bytes([255 - 100 * cyan - 100 * black, 128 - 40 * cyan, 128 - 40 * cyan])
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + bytes(range(256)) * 4 + table
    lut += bytes(range(256)) * 3
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags = [(b"A2B0", lut), (b"wtpt", white)]
    offset, index, data = 128 + 4 + 12 * len(tags), b"", b""
    for tag, body in tags:
        body += b"\0" * (-len(body) % 4)
        index += tag + struct.pack(">II", offset + len(data), len(body))
        data += body
    size = offset + len(data)
    header = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header += b"\0" * 12 + b"acsp" + b"\0" * 28 + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + index + data


# --- kinds of source ---


def test_every_kind_of_source_gives_the_same_pixels(tmp_path):
    pixels = colours()
    data = file_of(Image.fromarray(pixels), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    late = io.BytesIO(b"skipped" + data)
    late.seek(7)
    with open(path, "rb") as file:
        sources = [path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), file, late]
        sources += [Image.fromarray(pixels), pixels, pixels.astype(np.float32) / 255, pixels / 255.0]
        for source in sources:
            picture = read_picture(source)
            np.testing.assert_array_equal(picture.as_uint8(), pixels)
            deep = isinstance(source, np.ndarray) and source.dtype != np.uint8
            assert picture.pixels.dtype == (np.uint16 if deep else np.uint8)
            assert picture.alpha is None
            assert picture.notes == ()
            assert picture.pixels.flags.writeable
            assert picture.pixels.flags.c_contiguous
    assert (picture.width, picture.height, picture.is_grey) == (7, 5, False)
    assert read_picture(picture) is picture


def test_a_picture_shares_no_memory_with_its_array():
    pixels = colours()
    picture = read_picture(pixels)
    pixels[:] = 0
    assert picture.pixels.any()


def test_a_pipe_is_read(tmp_path):
    pixels = colours()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = file_of(Image.fromarray(pixels), "PNG")
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    try:
        np.testing.assert_array_equal(read_picture(pipe).pixels, pixels)
    finally:
        writer.join()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64", "uint8"])
def test_tensors(dtype):
    torch = pytest.importorskip("torch")
    pixels = colours(4, 4)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    if dtype != "uint8":
        tensor = (tensor.double() / 255).to(getattr(torch, dtype)).requires_grad_()
    step = 1 if dtype == "bfloat16" else 0
    for shaped in (tensor, tensor[None]):
        assert np.abs(read_picture(shaped).as_uint8().astype(int) - pixels).max() <= step
    assert read_picture(tensor[:1]).pixels.shape == (4, 4, 1)
    assert read_picture(torch.nn.Parameter(torch.zeros(3, 2, 2))).pixels.shape == (2, 2, 3)


def test_bad_tensors():
    torch = pytest.importorskip("torch")
    for tensor, said in [
        (torch.full((3, 4, 4), 255.0), r"0\.\.1"),
        (torch.full((3, 4, 4), -0.01), r"0\.\.1"),
        (torch.full((3, 4, 4), float("nan")), "NaN"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "int64"),
        (torch.zeros(2, 3, 4, 4), "shape"),
        (torch.zeros(5, 4, 3), "shape"),
        (torch.zeros(3, 0, 4), "4x0"),
        (torch.zeros(3, 4, 4, device="meta"), "cannot be read"),
        (torch.zeros(3, 4, 4, dtype=torch.complex64), "complex64"),
    ]:
        with pytest.raises(InputError, match=said):
            read_picture(tensor)
    assert read_picture(torch.full((3, 1, 1), 1.0009)).pixels.min() == 65535


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((0, 4, 3), np.uint8), "4x0"),
        (np.zeros((4, 0), np.uint8), "0x4"),
        (np.zeros((3, 4, 8), np.uint8), "shape"),
        (np.zeros(5, np.uint8), "shape"),
        (np.zeros((4, 4, 3), np.int32), "int32"),
        (np.zeros((4, 4, 3), bool), "bool"),
        (np.zeros((4, 4, 3), object), "object"),
        (np.full((4, 4, 3), 2.0), r"0\.\.1"),
        (np.full((4, 4, 3), np.inf), r"0\.\.1"),
        (np.full((4, 4, 3), np.nan), "NaN"),
    ],
)
def test_bad_arrays(array, said):
    with pytest.raises(InputError, match=said) as caught:
        read_picture(array)
    assert "\n" not in str(caught.value)


def test_importing_the_room_loads_no_torch():
    code = "import sys, nicodec.media; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- modes ---


@settings(deadline=None, max_examples=60)
@given(
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "PA", "La", "RGBa"]),
    width=st.integers(1, 20),
    height=st.integers(1, 20),
    seed=st.integers(0, 9),
)
def test_modes_that_lose_nothing(mode, width, height, seed):
    base = Image.fromarray(colours(height, width, 4, seed))
    via = {"La": "LA", "RGBa": "RGBA", "PA": "P", "P": "RGB", "RGBX": "RGB", "LA": "L"}.get(mode)
    image = (base.convert(via) if via else base).convert(mode)
    grey = mode in ("1", "L", "LA", "La")
    picture = read_picture(image)
    assert picture.pixels.shape == (height, width, 1 if grey else 3)
    assert picture.notes == ()
    straight = image.convert(mode.upper()) if mode in ("La", "RGBa") else image
    expected = np.array(straight.convert("RGBA"))
    got = np.array(to_pil(picture).convert("RGBA"))
    np.testing.assert_array_equal(got, expected)


@settings(deadline=None, max_examples=40)
@given(
    mode=st.sampled_from(["I;16", "I;16B", "I", "F", "CMYK", "YCbCr", "LAB", "HSV"]),
    width=st.integers(1, 9),
    height=st.integers(1, 9),
)
def test_modes_that_lose_something_say_so(mode, width, height):
    image = Image.new(mode, (width, height))
    with pytest.warns(LossyConversionWarning):
        picture = read_picture(image)
    assert picture.pixels.shape[:2] == (height, width)
    assert len(picture.notes) == 1


def test_equal_channels_stay_rgb():
    assert read_picture(Image.new("RGB", (3, 3), (9, 9, 9))).pixels.shape == (3, 3, 3)


@pytest.mark.parametrize("kind", ["<u2", ">u2", "<i4"])
def test_16_bit_grey_is_scaled_with_rounding(kind):
    values = np.array([[0, 128, 129, 257, 32768, 65279, 65407, 65535]])
    with pytest.warns(LossyConversionWarning, match="65535" if kind == "<i4" else "16 bits"):
        picture = read_picture(Image.fromarray(values.astype(kind)))
    np.testing.assert_array_equal(picture.pixels[0, :, 0], values[0])
    np.testing.assert_array_equal(picture.as_uint8()[0, :, 0], np.floor(values[0] / 257 + 0.5))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_16_bit_grey_files(format):
    values = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    with pytest.warns(LossyConversionWarning):
        picture = read_picture(file_of(Image.fromarray(values), format))
    np.testing.assert_array_equal(picture.pixels.ravel(), np.arange(256) * 257)


def test_16_bit_png_of_every_colour_type():
    for colour, channels in ((2, 3), (4, 2), (6, 4)):
        values = np.random.default_rng(colour).integers(0, 65536, (3, 5, channels)).astype(">u2")
        with pytest.warns(LossyConversionWarning, match="16 bits"):
            picture = read_picture(png(5, 3, 16, colour, [row.tobytes() for row in values]))
        assert picture.is_grey == (colour == 4)
        count = picture.pixels.shape[2]
        np.testing.assert_array_equal(picture.pixels, values[:, :, :count])
        assert (picture.alpha is None) == (colour == 2)
        if picture.alpha is not None:
            np.testing.assert_array_equal(picture.alpha, np.floor(values[:, :, -1] / 257 + 0.5))


def test_16_bit_ppm_is_seen():
    data = b"P6 2 1 65535\n" + np.array([65535] * 6, ">u2").tobytes()
    with pytest.warns(LossyConversionWarning, match="16 bits"):
        assert read_picture(data).pixels.min() == 65535


def test_deep_avif_and_jpeg2000_are_seen():
    imagecodecs = pytest.importorskip("imagecodecs")
    deep = np.full((16, 16, 3), 512, np.uint16)
    try:
        avif = imagecodecs.avif_encode(deep, bitspersample=10)
        jp2 = imagecodecs.jpeg2k_encode(deep, bitspersample=10, level=0)
    except Exception as error:
        pytest.skip(f"imagecodecs: {error}")
    for data in (avif, jp2):
        with pytest.warns(LossyConversionWarning, match="10 bits"):
            picture = read_picture(data)
        assert abs(int(picture.as_uint8()[0, 0, 0]) - 128) <= 2
    assert read_picture(file_of(Image.new("RGB", (9, 9)), "AVIF")).notes == ()
    assert read_picture(file_of(Image.new("RGB", (9, 9)), "JPEG2000")).notes == ()


def test_float_grey():
    for scale in (1, 255):
        with pytest.warns(LossyConversionWarning, match=rf"0\.\.{scale};"):
            picture = read_picture(Image.fromarray(np.array([[0, 0.5, 1]], np.float32) * scale))
        assert picture.as_uint8()[0, :, 0].tolist() == [0, 128, 255]
    for bad in (np.nan, -3, np.inf, -np.inf):
        with pytest.raises(InputError, match="floats"):
            read_picture(Image.fromarray(np.array([[0, bad]], np.float32)))
    with pytest.raises(InputError, match="below 0"):
        read_picture(Image.fromarray(np.array([[0, -1]], np.int32)))


@settings(deadline=None, max_examples=40)
@given(top=st.floats(1e-3, 1e6), mode=st.sampled_from(["F", "I"]))
@pytest.mark.filterwarnings("ignore")
def test_no_cliff_where_white_is_guessed(top, mode):
    """Where the largest value grows a little, the picture changes a little."""
    least, kind = (1.0, np.float32) if mode == "F" else (255.0, np.int32)
    ramp = np.linspace(0, 1, 16).reshape(4, 4)

    def read(white):
        plane = (ramp * white).astype(kind)
        got = read_picture(Image.fromarray(plane)).pixels[:, :, 0]
        np.testing.assert_allclose(got, plane / max(least, plane.max()) * 65535, atol=0.6)
        return got.astype(int)

    larger = top * 1.01 + (mode == "I")
    assert abs(read(top).max() - read(larger).max()) <= 65535 * 0.012 + (mode == "I") * 2 * 65535 / 255


def test_transparent_colours_of_every_depth():
    for depth, colour, row, key, alpha in [
        (1, 0, b"\x40", b"\0\1", [255, 0]),
        (2, 0, b"\x40", b"\0\1", [0, 255]),
        (4, 0, b"\x3a", b"\0\x0a", [255, 0]),
        (8, 0, b"\x03\x0a", b"\0\x0a", [255, 0]),
        (8, 2, b"\1\2\3\1\2\4", b"\0\1\0\2\0\3", [0, 255]),
    ]:
        picture = read_picture(png(2, 1, depth, colour, [row], chunk(b"tRNS", key)))
        assert picture.alpha is not None
        assert picture.alpha[0].tolist() == alpha, (depth, colour)
        assert picture.is_grey == (colour == 0)
    for colour, row, key in [(0, b"\1\2\3\4", b"\1\2"), (2, bytes(range(12)), bytes(range(6)))]:
        with pytest.warns(LossyConversionWarning):
            picture = read_picture(png(2, 1, 16, colour, [row], chunk(b"tRNS", key)))
        assert picture.alpha[0].tolist() == [0, 255]


def test_palettes():
    palette = chunk(b"PLTE", bytes([10, 20, 30, 40, 50, 60]))
    assert read_picture(png(2, 1, 8, 3, [b"\0\1"], palette)).pixels[0].tolist() == [
        [10, 20, 30],
        [40, 50, 60],
    ]
    picture = read_picture(png(2, 1, 8, 3, [b"\0\1"], palette, chunk(b"tRNS", b"\x00\x80")))
    assert picture.pixels[0].tolist() == [[10, 20, 30], [40, 50, 60]]  # the colour under alpha 0 is kept
    assert picture.alpha[0].tolist() == [0, 128]


def test_pixels_under_transparency_are_kept_and_opaque_alpha_is_dropped():
    planes = colours(4, 4, 4)
    planes[:, :, 3] = 0
    for source in (planes, file_of(Image.fromarray(planes), "PNG")):
        picture = read_picture(source)
        np.testing.assert_array_equal(picture.pixels, planes[:, :, :3])
        assert not picture.alpha.any()
    planes[:, :, 3] = 255
    for source in (planes, file_of(Image.fromarray(planes), "PNG")):
        assert read_picture(source).alpha is None


def test_cmyk_goes_through_its_profile():
    image = Image.new("CMYK", (4, 4), (255, 0, 0, 0))
    data = file_of(image, "TIFF", icc_profile=cmyk_profile())
    with pytest.warns(LossyConversionWarning, match="through its colour profile"):
        picture = read_picture(data)
    assert picture.icc is None
    red, green, blue = picture.pixels[0, 0].tolist()
    assert red < green < blue  # Lab (61, -40, -40), nowhere near the naive (0, 255, 255)
    assert 100 < green < 200

    with pytest.warns(LossyConversionWarning, match="without its colour profile"):
        picture = read_picture(file_of(image, "TIFF", icc_profile=b"\0" * 200))
    assert picture.pixels[0, 0].tolist() == [0, 255, 255]
    with pytest.warns(LossyConversionWarning, match="approximate"):
        read_picture(file_of(image, "JPEG"))


def test_frames(tmp_path):
    frames = [Image.new("RGB", (4, 4), (30 * i, 0, 0)) for i in range(3)]
    for format in ("GIF", "PNG", "WEBP", "TIFF"):
        options = {"lossless": True} if format == "WEBP" else {}
        data = file_of(frames[0], format, save_all=True, append_images=frames[1:], **options)
        with pytest.warns(LossyConversionWarning, match="first"):
            picture = read_picture(data)
        assert picture.pixels.max() == 0
        assert len(picture.notes) == 1
    with Image.open(io.BytesIO(data)) as image:
        image.seek(2)
        with pytest.warns(LossyConversionWarning, match="current"):
            assert read_picture(image).pixels.max() == 60


# --- metadata ---


def exif_of(orientation, order="<", kind=3):
    """EXIF with a maker's name, an orientation and bytes that nobody understands."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    value = struct.pack(order + {1: "Bxxx", 3: "Hxx", 4: "I"}[kind], orientation)
    entries = struct.pack(order + "HHI", 0x010F, 2, 4) + b"cam\0"
    entries += struct.pack(order + "HHI", 0x0112, kind, 1) + value
    return head + struct.pack(order + "H", 2) + entries + struct.pack(order + "I", 0) + b"opaque"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_applied_once(orientation, order):
    planes = colours(4, 6, 4)
    exif = exif_of(orientation, order)
    data = file_of(Image.fromarray(planes), "PNG", exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.array(ImageOps.exif_transpose(image))
    picture = read_picture(data)
    np.testing.assert_array_equal(picture.pixels, expected[:, :, :3])
    np.testing.assert_array_equal(picture.alpha, expected[:, :, 3])
    assert picture.exif == exif_of(1, order)
    again = read_picture(to_pil(picture))
    np.testing.assert_array_equal(again.pixels, picture.pixels)
    assert again.exif == picture.exif
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(read_picture(image).pixels, picture.pixels)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF", "TIFF", "PNG"])
def test_orientation_in_every_format(format):
    image = Image.new("RGB", (16, 48))
    data = file_of(image, format, exif=b"Exif\0\0" + exif_of(6))
    picture = read_picture(data)
    assert (picture.width, picture.height) == (48, 16)
    tags = Image.Exif()
    tags.load(picture.exif)
    assert tags.get(0x0112, 1) == 1
    assert tags[0x010F] == "cam"
    assert picture.notes == ()


def test_orientation_of_xmp_counts_where_exif_has_none():
    image = Image.new("RGB", (16, 48))
    picture = read_picture(file_of(image, "JPEG", xmp=XMP))
    assert (picture.width, picture.height) == (48, 16)
    assert picture.xmp == XMP.replace(b'Orientation="6"', b'Orientation="1"')
    both = read_picture(file_of(image, "JPEG", xmp=XMP, exif=b"Exif\0\0" + exif_of(1)))
    assert (both.width, both.height) == (16, 48)
    assert both.xmp == picture.xmp


def test_tiff_keeps_what_describes_the_photograph():
    tags = Image.Exif()
    tags[0x010F] = "cam"
    tags.get_ifd(0x8769)[0x829A] = 0.5
    bare = read_picture(file_of(Image.new("RGB", (4, 4)), "JPEG", exif=tags))
    out = io.BytesIO()
    save_picture(bare, out, format="TIFF")
    picture = read_picture(out.getvalue())
    kept = Image.Exif()
    kept.load(picture.exif)
    assert dict(kept).keys() == {0x010F, 0x8769}
    assert kept.get_ifd(0x8769)[0x829A] == 0.5
    assert read_picture(file_of(Image.new("RGB", (4, 4)), "TIFF")).exif is None


@pytest.mark.parametrize("data", [b"Exif\0\0", b"Exif\0\0nonsense, at length", exif_of(6)[:12], exif_of(77)])
def test_broken_exif_does_not_stop_a_picture(data):
    image = Image.new("RGB", (2, 3))
    image.info["exif"] = data
    picture = read_picture(image)
    assert (picture.width, picture.height) == (2, 3)
    assert (picture.exif is None) == (b"II*" not in data)
    if b"nonsense" in data:
        assert picture.notes == ("EXIF was dropped: it is broken.",)


def test_old_png_exif():
    exif = b"Exif\0\0" + exif_of(6)
    image = Image.new("RGB", (2, 3))
    image.info["Raw profile type exif"] = f"\nexif\n{len(exif):8}\n{exif.hex()}\n"
    assert read_picture(image).exif == exif_of(1)
    image.info["Raw profile type exif"] = "zz"
    assert read_picture(image).exif is None
    image.info["Raw profile type exif"] = "\nexif\n 3\nxyz"
    assert "EXIF" in read_picture(image).notes[0]


def test_profiles_that_do_not_fit_are_dropped():
    colour, grey = Image.new("RGB", (4, 4)), Image.new("L", (4, 4))
    gamma = SRGB[:16] + b"GRAY" + SRGB[20:]
    assert read_picture(file_of(colour, "PNG", icc_profile=SRGB)).icc == SRGB
    assert read_picture(file_of(grey, "PNG", icc_profile=gamma)).icc == gamma
    for image, icc in [(colour, gamma), (grey, SRGB), (colour, cmyk_profile()), (colour, b"short")]:
        picture = read_picture(file_of(image, "PNG", icc_profile=icc))
        assert picture.icc is None
        assert "profile was dropped" in picture.notes[0]


# --- limits and bad files ---


def test_too_many_pixels():
    image = Image.new("RGB", (10, 10))
    assert read_picture(image, max_pixels=100).width == 10
    for source in (image, file_of(image, "PNG"), np.array(image), Picture(np.array(image))):
        for limit in (1, 51, 99):
            with pytest.raises(LimitError, match="limit of"):
                read_picture(source, max_pixels=limit)
        assert read_picture(source, max_pixels=None).width == 10


def test_a_bomb_is_refused_before_it_is_decoded():
    lie = png(60000, 60000, 8, 2, [b"\0" * 9])
    with pytest.raises(LimitError, match="60000"):
        read_picture(lie)


def test_pillows_own_limit_plays_no_part_and_stays(monkeypatch):
    data = file_of(Image.new("L", (40, 40)), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    failures = []

    def read():
        try:
            for _ in range(20):
                read_picture(data)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert Image.MAX_IMAGE_PIXELS == 10


FORMATS = ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "JPEG2000", "TGA", "PPM", "ICO", "QOI", "PCX"]


@settings(deadline=None, max_examples=250)
@given(format=st.sampled_from(FORMATS), cut=st.floats(0, 1), flips=st.lists(st.floats(0, 1), max_size=4))
@pytest.mark.filterwarnings("ignore")
def test_nothing_but_input_errors_come_from_broken_files(format, cut, flips):
    data = bytearray(file_of(Image.fromarray(colours(24, 24)), format))
    for place in flips:
        data[int(place * (len(data) - 1))] ^= 0x55
    data = data[: max(1, int(cut * len(data)))] if cut < 0.9 else data
    with contextlib.suppress(InputError, LimitError):
        read_picture(bytes(data), max_pixels=10_000)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "AVIF"])
def test_truncated_files(format):
    data = file_of(Image.fromarray(colours(64, 64)), format)
    with pytest.raises(InputError, match=r"again|cut short"):
        read_picture(data[: len(data) // 2])


def test_things_that_are_no_pictures(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello, this is no picture")
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n"
    for source, said in [
        (tmp_path / "absent.png", "no such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "empty", "empty"),
        (tmp_path / "text", "not a picture"),
        ("with\0nul", "cannot be opened"),
        ("n" * 5000, "cannot be opened"),
        (b"", "empty"),
        (b"\0" * 100, "not a picture"),
        (eps, "PostScript"),
        (io.StringIO("text"), "not bytes"),
        (io.BytesIO(), "empty"),
        (None, "NoneType"),
        (3, "int"),
        (Image.new("RGB", (0, 3)), "0x3"),
    ]:
        with pytest.raises(InputError, match=said) as caught:
            read_picture(source)
        assert "\n" not in str(caught.value)
    closed = io.BytesIO(b"x")
    closed.close()
    with pytest.raises(InputError, match="cannot be read"):
        read_picture(closed)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tmp_path):
    path = tmp_path / "a.png"
    path.touch(mode=0)
    with pytest.raises(InputError, match="not allowed"):
        read_picture(path)


def test_a_picture_must_have_the_right_arrays():
    good = colours()
    for pixels, alpha in [
        (good.astype(float), None),
        (good[:, :, 0], None),
        (good[:0], None),
        (good, np.zeros((2, 2), np.uint8)),
    ]:
        with pytest.raises(InputError):
            Picture(pixels, alpha)


def test_sample_photographs():
    data = pytest.importorskip("skimage.data")
    for photograph in (data.astronaut(), data.camera(), data.coffee()):
        picture = read_picture(photograph)
        back = np.array(to_pil(picture))
        np.testing.assert_array_equal(back, photograph)
