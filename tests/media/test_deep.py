"""Colour of more than 8 bits a channel: every bit reaches the picture, or the file is refused."""

import io

import numpy as np
import pytest
from PIL import Image

from nicodec.errors import InputError
from nicodec.media import LossyConversionWarning, Picture, read_picture, save_picture, to_pil

RNG = np.random.default_rng(3)
RGBA = RNG.integers(0, 65536, (19, 23, 4), dtype=np.uint16)
RGBA[0, :2] = 65535, 0, 65535, 65535
RGB = np.ascontiguousarray(RGBA[:, :, :3])


def read_deep(data, match="in full"):
    with pytest.warns(LossyConversionWarning, match=match):
        return read_picture(data)


def rounded(plane):
    return np.floor(plane / 257 + 0.5)


def check(picture, planes):
    """A picture has these samples, uint16 (H, W, 1 to 4)."""
    colours = 1 if planes.shape[2] < 3 else 3
    assert picture.pixels.dtype == np.uint16
    np.testing.assert_array_equal(picture.pixels, planes[:, :, :colours])
    if planes.shape[2] in (2, 4):
        np.testing.assert_array_equal(picture.alpha, rounded(planes[:, :, -1]))
    else:
        assert picture.alpha is None


# --- PNG and PPM, written by hand in test_reading ---


def deep_png(planes, *extra):
    from tests.media.test_reading import png

    colour = {2: 4, 3: 2, 4: 6}[planes.shape[2]]
    return png(planes.shape[1], planes.shape[0], 16, colour, [row.tobytes() for row in planes.astype(">u2")], *extra)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_png(channels):
    planes = np.ascontiguousarray(RGBA[:, :, :channels])
    check(read_deep(deep_png(planes)), planes)


def test_a_transparent_colour_of_16_bits_is_compared_in_full():
    from tests.media.test_reading import chunk

    planes = np.full((2, 2, 3), 0x5001, np.uint16)
    planes[0, 0, 2] = 0x5002  # the same upper byte
    picture = read_deep(deep_png(planes, chunk(b"tRNS", b"\x50\x01" * 3)))
    assert picture.alpha.tolist() == [[255, 0], [0, 0]]
    np.testing.assert_array_equal(picture.pixels, planes)


@pytest.mark.parametrize("white", [65535, 1023, 511])
def test_ppm(white):
    planes = np.minimum(RGB, white)
    data = b"P6 23 19 %d\n" % white + planes.astype(">u2").tobytes()
    assert np.abs(read_deep(data).pixels - planes * (65535 / white)).max() <= 0.5


def test_a_pillow_image_that_is_not_loaded_is_read_in_full():
    data = deep_png(RGB)
    with Image.open(io.BytesIO(data)) as image:
        check(read_deep(image), RGB)
        with pytest.warns(LossyConversionWarning) as seen:
            read_picture(image.copy().convert("F").convert("I;16"))
        assert len(seen) == 1


def test_a_loaded_pillow_image_has_8_bits_and_says_so_where_its_file_is_there(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(deep_png(RGB))
    with Image.open(path) as image:
        image.load()
        picture = read_deep(image, "reduced to 8")
    np.testing.assert_array_equal(picture.pixels, RGB >> 8)  # Pillow's


# --- TIFF ---


def tiff_of(planes, **options):
    tifffile = pytest.importorskip("tifffile")
    out = io.BytesIO()
    tifffile.imwrite(out, planes, photometric="rgb", **options)
    return out.getvalue()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("layout", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff(order, layout, compression):
    planes = RGB if layout == "contig" else np.moveaxis(RGB, 2, 0)
    data = tiff_of(planes, planarconfig=layout, byteorder=order, compression=compression, rowsperstrip=5)
    check(read_deep(data), RGB)


def test_tiff_with_alpha_and_with_a_channel_that_means_nothing():
    check(read_deep(tiff_of(RGBA, extrasamples=["unassalpha"])), RGBA)
    check(read_deep(tiff_of(RGBA, extrasamples=["unspecified"])), RGB)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_oriented_tiff(orientation):
    from nicodec.media.metadata import turn_upright

    data = tiff_of(RGB, extratags=[(274, "H", 1, orientation, True)])
    check(read_deep(data), turn_upright(RGB, orientation))


def test_what_ffmpeg_misreads_is_left_to_pillow_or_refused():
    tiled = tiff_of(RGB, tile=(16, 16))
    picture = read_deep(tiled, "reduced to 8")
    np.testing.assert_array_equal(picture.pixels, RGB >> 8)
    with pytest.raises(InputError, match="convert it to PNG"):
        read_picture(tiff_of(np.moveaxis(RGB, 2, 0), planarconfig="separate", tile=(16, 16)))
    with Image.open(io.BytesIO(tiff_of(np.moveaxis(RGB, 2, 0), planarconfig="separate"))) as image:
        image.load()
        with pytest.raises(InputError, match="path instead of the loaded image"):
            read_picture(image)


# --- JPEG 2000 ---


def jpeg2000_of(planes, bits, **options):
    imagecodecs = pytest.importorskip("imagecodecs")
    return imagecodecs.jpeg2k_encode(planes, bitspersample=bits, **{"level": 0, "reversible": True, **options})


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
@pytest.mark.parametrize("form", ["jp2", "j2k"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_jpeg2000(bits, form, channels):
    planes = np.ascontiguousarray(RGBA[:, :, :channels]) >> (16 - bits)
    planes[1, :2] = (1 << bits) - 1  # white, of which Pillow makes black
    data = jpeg2000_of(planes[:, :, 0] if channels == 1 else planes, bits, codecformat=form)
    wide = np.rint(planes * (65535 / ((1 << bits) - 1))).astype(np.uint16)
    check(read_deep(data), wide)


def test_lossy_jpeg2000_is_near_what_openjpeg_gives():
    imagecodecs = pytest.importorskip("imagecodecs")
    smooth = np.linspace(0, 65535, 64 * 64 * 3).reshape(64, 64, 3).astype(np.uint16)
    data = jpeg2000_of(smooth, 16, level=60, reversible=False, codecformat="jp2")
    found = read_deep(data).pixels.astype(int)
    assert np.abs(found - imagecodecs.jpeg2k_decode(data).astype(int)).max() <= 64


def test_a_loaded_deep_jpeg2000_is_refused(tmp_path):
    path = tmp_path / "a.jp2"
    path.write_bytes(jpeg2000_of(RGB, 16))
    with Image.open(path) as image:
        image.load()
        with pytest.raises(InputError, match="path instead of the loaded image"):
            read_picture(image)


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
@pytest.mark.filterwarnings("ignore::nicodec.media.LossyConversionWarning")
def test_cut_files_are_errors(cut):
    files = [deep_png(RGB), b"P6 23 19 65535\n" + RGB.astype(">u2").tobytes()]
    files += [tiff_of(RGB), jpeg2000_of(RGB, 16), tiff_of(np.moveaxis(RGB, 2, 0), planarconfig="separate")]
    for data in files:
        with pytest.raises(InputError):
            read_picture(data[: int(len(data) * cut)])


# --- the picture itself ---


def test_eight_bits_of_sixteen():
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    picture = Picture(ramp)
    np.testing.assert_array_equal(picture.as_uint8(), rounded(ramp))
    np.testing.assert_array_equal(np.array(to_pil(picture)), rounded(ramp[:, :, 0]))
    eight = Picture(np.arange(256, dtype=np.uint8).reshape(16, 16, 1))
    assert eight.as_uint8() is eight.pixels
    out = io.BytesIO()
    save_picture(Picture(RGB), out, format="png")
    np.testing.assert_array_equal(read_picture(out.getvalue()).pixels, rounded(RGB))


def test_arrays_of_16_bits():
    for array in (RGB, RGB.astype(">u2"), RGBA, RGB[:, :, 0]):
        picture = read_picture(array)
        check(picture, array if array.ndim == 3 else array[:, :, None])
        assert picture.pixels.dtype.isnative
        assert picture.notes == ()
    for kind in (np.float32, np.float64):
        picture = read_picture((RGB / 65535).astype(kind))
        np.testing.assert_array_equal(picture.pixels, RGB)
