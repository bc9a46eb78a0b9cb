"""Every mode of Pillow's by a rule of its own, from memory and from files; and what white is."""

import io

import numpy as np
import pytest
from PIL import Image, ImageMode, TiffImagePlugin

from nicodec.errors import InputError
from nicodec.media import LossyConversionWarning, read_picture
from nicodec.media.modes import DEEP_RAW_MODES, MODES

RAMP = np.arange(48, dtype=np.uint8).reshape(4, 12) * 5
COLOURS = 80 + np.dstack([RAMP, RAMP[::-1], RAMP[:, ::-1]]) // 3
ALPHA = np.where(RAMP > 100, 200, 60).astype(np.uint8)
# What each mode comes to: channels, whether there is alpha, uint8 or uint16.
RULES = {
    "1": (1, False, np.uint8),
    "L": (1, False, np.uint8),
    "LA": (1, True, np.uint8),
    "La": (1, True, np.uint8),
    "P": (3, False, np.uint8),
    "PA": (3, True, np.uint8),
    "RGB": (3, False, np.uint8),
    "RGBX": (3, False, np.uint8),
    "RGBA": (3, True, np.uint8),
    "RGBa": (3, True, np.uint8),
    "CMYK": (3, False, np.uint8),
    "YCbCr": (3, False, np.uint8),
    "HSV": (3, False, np.uint8),
    "LAB": (3, False, np.uint8),
    "I": (1, False, np.uint16),
    "I;16": (1, False, np.uint16),
    "I;16L": (1, False, np.uint16),
    "I;16B": (1, False, np.uint16),
    "I;16N": (1, False, np.uint16),
    "F": (1, False, np.uint16),
}


def lab(colours):
    """CIELab (D50) of sRGB."""
    from PIL import ImageCms

    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        "RGB",
        "LAB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    return ImageCms.applyTransform(Image.fromarray(colours), to_lab)


def image_of(mode):
    """A picture of `COLOURS`, or of `RAMP`, in a mode."""
    if mode in ("L", "1"):
        return Image.fromarray(RAMP).convert(mode, dither=Image.Dither.NONE)
    if mode in ("LA", "La"):
        return Image.merge("LA", [Image.fromarray(RAMP), Image.fromarray(ALPHA)]).convert(mode)
    if mode in ("RGBA", "RGBa", "PA"):
        return Image.fromarray(np.dstack([COLOURS, ALPHA])).convert(mode)
    if mode in ("I", "F"):
        return Image.fromarray(RAMP).convert(mode)
    if mode == "I;16N":
        return Image.frombuffer(mode, (12, 4), (RAMP.astype("=u2") * 257).tobytes(), "raw", "I;16N", 0, 1)
    if mode.startswith("I;16"):
        order = ">" if mode.endswith("B") else "<"
        return Image.frombytes(mode, (12, 4), (RAMP.astype(order + "u2") * 257).tobytes())
    if mode == "LAB":
        return lab(COLOURS)
    if mode == "P":
        return Image.fromarray(COLOURS).quantize(48)
    return Image.fromarray(COLOURS).convert(mode)


def test_every_mode_has_a_rule():
    named = {
        mode for mode in ("1", "CMYK", "F", "HSV", "I", "L", "LAB", "P", "RGB", "RGBA", "RGBX", "YCbCr", *Image.MODES)
    }
    named |= {mode for mode, _ in TiffImagePlugin.OPEN_INFO.values()}
    named |= {mode for mode in RULES if ImageMode.getmode(mode)}
    assert named == set(RULES) == set(MODES)


IN_TIFF = (
    "1",
    "L",
    "LA",
    "P",
    "PA",
    "RGB",
    "RGBX",
    "RGBA",
    "CMYK",
    "YCbCr",
    "LAB",
    "I",
    "I;16",
    "I;16L",
    "I;16B",
    "F",
)
IN_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
PLACES = [(mode, "memory") for mode in RULES] + [(m, "TIFF") for m in IN_TIFF] + [(m, "PNG") for m in IN_PNG]


@pytest.mark.parametrize(("mode", "where"), PLACES)
@pytest.mark.filterwarnings("ignore::nicodec.media.LossyConversionWarning")
def test_modes(mode, where):
    channels, alpha, kind = RULES[mode]
    source = image_of(mode)
    if where != "memory":
        out = io.BytesIO()
        source.save(out, where)
        source = out.getvalue()
    picture = read_picture(source)
    assert picture.pixels.shape == (4, 12, channels)
    assert picture.pixels.dtype == kind
    assert (picture.alpha is not None) == alpha
    expected = RAMP[:, :, None] if channels == 1 else COLOURS
    if mode == "1":
        expected = np.where(RAMP < 128, 0, 255)[:, :, None]
    if mode in ("I", "F"):  # white is not told: at least 255 or 1, and the largest value where that is more
        expected = RAMP[:, :, None] * (1 if mode == "I" else 255 / RAMP.max())
    most = {"P": 0, "LAB": 5, "YCbCr": 3, "HSV": 6, "La": 3, "RGBa": 5, "PA": 40, "I": 1, "F": 1}.get(mode, 0)
    assert np.abs(picture.as_uint8().astype(float) - expected).max() <= most
    if alpha and mode != "PA":
        np.testing.assert_array_equal(picture.alpha, ALPHA)


def test_a_lab_file_is_a_colour_picture():
    tifffile = pytest.importorskip("tifffile")
    out = io.BytesIO()
    tifffile.imwrite(out, np.array(lab(COLOURS)), photometric="cielab", planarconfig="contig")
    with pytest.warns(LossyConversionWarning, match="LAB"):
        picture = read_picture(out.getvalue())
    assert picture.alpha is None
    error = picture.pixels.astype(float) - COLOURS
    assert 20 * np.log10(255 / np.sqrt((error**2).mean())) > 40


def test_ycbcr_in_a_file():
    out = io.BytesIO()
    image_of("YCbCr").save(out, "TIFF")
    try:
        Image.open(out).load()
    except OSError:
        pytest.skip("Pillow before 13 does not read what it wrote")
    with pytest.warns(LossyConversionWarning, match="YCbCr"):
        picture = read_picture(out.getvalue())
    assert np.abs(picture.pixels.astype(int) - COLOURS).max() <= 3


def test_raw_modes_are_those_of_pillow():
    deep = {raw for _, raw in TiffImagePlugin.OPEN_INFO.values() if ";16" in raw and not raw.startswith("I;16")}
    assert deep <= DEEP_RAW_MODES
    for raw in ("BGR;16", "BGR;15", "LAB", "L;16", "RGB"):
        assert raw not in DEEP_RAW_MODES


def test_a_bitmap_of_5_and_6_bits_loses_nothing():
    header = b"BM" + (70 + 8).to_bytes(4, "little") + bytes(4) + (70).to_bytes(4, "little")
    header += (56).to_bytes(4, "little") + (2).to_bytes(4, "little") + (1).to_bytes(4, "little")
    header += (1).to_bytes(2, "little") + (16).to_bytes(2, "little") + (3).to_bytes(4, "little") + bytes(20)
    header += b"".join(mask.to_bytes(4, "little") for mask in (0xF800, 0x7E0, 0x1F, 0))
    picture = read_picture(header + bytes([0x00, 0xF8, 0xFF, 0xFF]))
    assert picture.pixels[0].tolist() == [[255, 0, 0], [255, 255, 255]]
    assert picture.notes == ()


def test_unknown_modes_are_refused():
    class Odd(Image.Image):
        mode = "XYZ"
        size = (2, 2)

        def load(self):
            return None

    with pytest.raises(InputError, match="XYZ"):
        read_picture(Odd())
