"""Colours that a file gives in other ways than by an ICC profile."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from nicodec.errors import InputError
from nicodec.media import LossyConversionWarning, read_picture, save_picture
from nicodec.media.icc import D65, SRGB, SRGB_CURVE, Curve, Primaries, grey_profile, rgb_profile
from tests.media.test_reading import chunk, file_of, png

RAMP = np.arange(256, dtype=np.uint8)
RGB = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
SRGB_ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def srgb_of(light):
    """sRGB values 0..255 of linear light 0..1."""
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055)


def in_srgb(picture):
    """Give a picture's pixels in sRGB, through its profile."""
    if picture.icc is None:
        return picture.pixels
    return ImageCms.profileToProfile(
        Image.fromarray(picture.pixels),
        ImageCms.ImageCmsProfile(io.BytesIO(picture.icc)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )


def matrix(primaries):
    """Linear RGB to XYZ under the primaries' own white, computed apart from the code."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in (primaries.red, primaries.green, primaries.blue)]).T
    x, y = primaries.white
    return columns * np.linalg.solve(columns, [x / y, 1, (1 - x - y) / y])


def gama(value):
    return chunk(b"gAMA", struct.pack(">I", round(value * 100000)))


def chrm(primaries):
    values = (*primaries.white, *primaries.red, *primaries.green, *primaries.blue)
    return chunk(b"cHRM", struct.pack(">8I", *(round(v * 100000) for v in values)))


def cicp(*values):
    return chunk(b"cICP", bytes(values))


def iccp(profile):
    import zlib

    return chunk(b"iCCP", b"a profile\0\0" + zlib.compress(profile))


def rgb_png(*extra, pixels=RGB):
    height, width, _ = pixels.shape
    return png(width, height, 8, 2, [row.tobytes() for row in pixels], *extra)


# --- profiles ---


def test_the_profile_of_srgb_changes_nothing():
    own = rgb_profile(SRGB, SRGB_CURVE, "sRGB")
    assert len(own) <= 500
    opened = ImageCms.ImageCmsProfile(io.BytesIO(own))
    assert ImageCms.getProfileDescription(opened).strip() == "sRGB"
    back = ImageCms.profileToProfile(Image.fromarray(RGB), opened, ImageCms.createProfile("sRGB"))
    assert np.abs(np.array(back).astype(int) - RGB).max() <= 1
    known = ImageCms.ImageCmsProfile(io.BytesIO(SRGB_ICC)).profile
    for channel in ("red_colorant", "green_colorant", "blue_colorant"):
        np.testing.assert_allclose(getattr(opened.profile, channel)[0], getattr(known, channel)[0], atol=2e-4)


def test_profiles_are_the_same_each_time_and_refuse_nonsense():
    assert rgb_profile(SRGB, Curve(2.0), "a") == rgb_profile(SRGB, Curve(2.0), "a")
    line = Primaries(D65, (0.1, 0.1), (0.2, 0.2), (0.3, 0.3))
    flat = Primaries(D65, (0.64, 0), (0.3, 0.6), (0.15, 0.06))
    for wrong in (line, flat):
        with pytest.raises(ValueError, match=r"colours|zero"):
            rgb_profile(wrong, SRGB_CURVE, "wrong")


@pytest.mark.parametrize("gamma", [1.8, 2.2, 2.6])
def test_grey_profiles(gamma):
    profile = grey_profile(Curve(gamma), "grey")
    found = ImageCms.profileToProfile(
        Image.fromarray(RAMP[None]),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
    )
    expected = srgb_of((RAMP / 255) ** gamma)
    assert np.abs(np.array(found)[0].astype(float) - expected[:, None])[16:].max() <= 2


# --- PNG ---


@pytest.mark.parametrize("gamma", [1.0, 0.5, 0.55556])
def test_gamma(gamma):
    picture = read_picture(rgb_png(gama(gamma)))
    np.testing.assert_array_equal(picture.pixels, RGB)  # values stay, the profile says what they mean
    assert np.abs(np.array(in_srgb(picture)).astype(float) - srgb_of((RGB / 255) ** (1 / gamma))).max() <= 1
    grey = read_picture(png(256, 1, 8, 0, [RAMP.tobytes()], gama(gamma)))
    assert grey.is_grey
    assert grey.icc[16:20] == b"GRAY"


def test_primaries_and_gamma():
    p3 = Primaries(D65, *P3)
    picture = read_picture(rgb_png(gama(0.45455), chrm(p3)))
    to_srgb = np.linalg.inv(matrix(SRGB)) @ matrix(p3)
    light = np.clip((RGB / 255) ** 2.2 @ to_srgb.T, 0, 1)
    assert np.abs(np.array(in_srgb(picture)).astype(float) - srgb_of(light)).max() <= 2


def test_what_is_nearly_srgb_gets_no_profile():
    for extra in (
        [gama(0.45455)],
        [chrm(SRGB)],
        [gama(0.45455), chrm(SRGB)],
        [cicp(1, 13, 0, 1)],
        [cicp(2, 2, 0, 1)],
    ):
        picture = read_picture(rgb_png(*extra))
        assert picture.icc is None
        assert picture.notes == ()


def test_the_first_of_four_ways_counts():
    """PNG, third edition: cICP, then iCCP, then sRGB, then gAMA and cHRM."""
    srgb, linear, p3 = chunk(b"sRGB", b"\0"), gama(1.0), cicp(12, 13, 0, 1)
    assert read_picture(rgb_png(srgb, linear)).icc is None
    assert read_picture(rgb_png(linear, iccp(SRGB_ICC))).icc == SRGB_ICC
    assert read_picture(rgb_png(srgb, iccp(SRGB_ICC))).icc == SRGB_ICC
    only = read_picture(rgb_png(p3)).icc
    assert only
    assert read_picture(rgb_png(p3, linear, srgb, iccp(SRGB_ICC))).icc == only
    assert read_picture(rgb_png(cicp(1, 13, 0, 1), iccp(SRGB_ICC))).icc is None


@pytest.mark.parametrize("transfer", [1, 4, 5, 6, 7, 8, 13, 14, 15])
@pytest.mark.parametrize("primaries", [1, 4, 5, 6, 7, 8, 9, 11, 12, 22])
def test_code_points(primaries, transfer):
    picture = read_picture(rgb_png(cicp(primaries, transfer, 0, 1), pixels=np.full((2, 2, 3), 255, np.uint8)))
    assert picture.notes == ()
    assert (picture.icc is None) == ((primaries, transfer) == (1, 13))
    assert np.array(in_srgb(picture)).min() >= 254  # white is white


def test_display_p3_by_code_points():
    p3 = Primaries(D65, *P3)
    picture = read_picture(rgb_png(cicp(12, 13, 0, 1)))
    value = RGB / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    light = np.clip(light @ (np.linalg.inv(matrix(SRGB)) @ matrix(p3)).T, 0, 1)
    assert np.abs(np.array(in_srgb(picture)).astype(float) - srgb_of(light)).max() <= 2


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused(transfer, name, tmp_path):
    data = rgb_png(cicp(9, transfer, 0, 1))
    with pytest.raises(InputError, match=rf"{name}.*tone mapping"):
        read_picture(data)
    with Image.open(io.BytesIO(data)) as image, pytest.raises(InputError, match=name):
        read_picture(image)


def test_nonsense_is_warned_of():
    line = Primaries(D65, (0.1, 0.1), (0.2, 0.2), (0.3, 0.3))
    for extra in (gama(0.0), chrm(line), cicp(1, 200, 0, 1), cicp(99, 13, 0, 1), cicp(1, 13, 0, 0)):
        with pytest.warns(LossyConversionWarning, match=r"taken as (sRGB|0 to 255)"):
            assert read_picture(rgb_png(extra)).icc is None


def test_a_pillow_image_keeps_what_pillow_read():
    with Image.open(io.BytesIO(rgb_png(gama(1.0)))) as image:
        before = dict(image.info)
        given = read_picture(image)
        assert image.info == before
        turned = image.convert("RGB").rotate(180)
    assert given.icc == read_picture(rgb_png(gama(1.0))).icc
    assert read_picture(turned).icc == given.icc


def test_a_built_profile_survives_a_file():
    picture = read_picture(rgb_png(cicp(12, 13, 0, 1)))
    out = io.BytesIO()
    save_picture(picture, out, format="png")
    again = read_picture(out.getvalue())
    assert again.icc == picture.icc


# --- others ---


def nclx(data, primaries, transfer):
    """Change the code points in an AVIF file."""
    place = data.index(b"colrnclx") + 8
    return data[:place] + struct.pack(">HH", primaries, transfer) + data[place + 4 :]


def test_avif():
    data = file_of(Image.fromarray(RGB), "AVIF")
    assert read_picture(data).icc is None
    assert read_picture(nclx(data, 12, 13)).icc == read_picture(rgb_png(cicp(12, 13, 0, 1))).icc
    with pytest.raises(InputError, match="PQ"):
        read_picture(nclx(data, 9, 16))


def test_tiff_says_what_it_drops():
    out = io.BytesIO()
    Image.fromarray(RGB).save(out, "TIFF", tiffinfo={318: (0.3127, 0.329)})
    with pytest.warns(LossyConversionWarning, match="chromaticities"):
        read_picture(out.getvalue())
