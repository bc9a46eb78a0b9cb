"""save_picture: what each format keeps; and the files of write_atomically."""

import errno
import io
import os
import stat
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from nicodec.errors import OutputError, OutputExistsError
from nicodec.media import (
    PICTURE_SUFFIXES,
    LossyConversionWarning,
    Picture,
    open_atomically,
    read_picture,
    save_picture,
    write_atomically,
)

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY = SRGB[:16] + b"GRAY" + SRGB[20:]
EXIF = b"II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\x04\0\0\0cam\0\0\0\0\0"
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/">é</x:xmpmeta>'.encode()


def picture_of(channels=3, alpha=False, height=9, width=12, seed=0, **metadata):
    planes = np.random.default_rng(seed).integers(0, 256, (height, width, channels + 1), dtype=np.uint8)
    return Picture(planes[:, :, :channels].copy(), planes[:, :, -1].copy() if alpha else None, **metadata)


def assert_same(got, picture):
    np.testing.assert_array_equal(got.pixels, picture.pixels)
    if picture.alpha is None:
        assert got.alpha is None
    else:
        np.testing.assert_array_equal(got.alpha, picture.alpha)


# --- formats ---


@settings(deadline=None, max_examples=60)
@given(
    format=st.sampled_from(["PNG", "TIFF", "WEBP", "JPEG2000", "TGA", "BMP", "PPM"]),
    channels=st.sampled_from([1, 3]),
    alpha=st.booleans(),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
)
def test_lossless_formats_come_back(format, channels, alpha, height, width):
    if format in ("BMP", "PPM"):
        alpha = False
    picture = picture_of(channels, alpha, height, width)
    out = io.BytesIO()
    save_picture(picture, out, format=format)
    got = read_picture(out.getvalue())
    if format == "WEBP" and channels == 1:
        picture = Picture(np.repeat(picture.pixels, 3, axis=2), picture.alpha)
    assert_same(got, picture)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "avif", "tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_metadata_is_kept(tmp_path, suffix, channels):
    picture = picture_of(channels, icc=GREY if channels == 1 else SRGB, exif=EXIF, xmp=XMP)
    path = tmp_path / f"a.{suffix}"
    if suffix == "webp" and channels == 1:
        with pytest.warns(LossyConversionWarning, match="grey colour profile"):
            save_picture(picture, path)
    else:
        save_picture(picture, path)
        assert read_picture(path).icc == picture.icc
    got = read_picture(path)
    assert got.xmp == XMP
    tags = Image.Exif()
    tags.load(got.exif)
    assert dict(tags) == {0x010F: "cam"}
    assert got.notes == ()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["bmp", "ppm", "tga", "jp2"])
def test_metadata_that_is_not_kept_is_said(tmp_path, suffix):
    with pytest.warns(LossyConversionWarning, match="EXIF, XMP"):
        save_picture(picture_of(icc=SRGB, exif=EXIF, xmp=XMP), tmp_path / f"a.{suffix}")
    got = read_picture(tmp_path / f"a.{suffix}")
    assert (got.icc, got.exif, got.xmp) == (None, None, None)


def test_metadata_too_long_for_jpeg(tmp_path):
    long = b"x" * 70000
    with pytest.warns(LossyConversionWarning) as caught:
        save_picture(picture_of(exif=EXIF + long, xmp=long), tmp_path / "a.jpg")
    assert len(caught) == 2
    edge = EXIF + b"\0" * (65527 - len(EXIF))
    save_picture(picture_of(exif=edge, xmp=b"x" * 65504), tmp_path / "b.jpg")
    assert len(read_picture(tmp_path / "b.jpg").exif) == 65527


def test_jpeg_is_fine_and_lays_transparency_on_white(tmp_path):
    path = tmp_path / "a.jpeg"
    for channels in (1, 3):
        picture = picture_of(channels, alpha=True)
        picture.pixels[:] = 60
        picture.alpha[:] = 0
        with pytest.warns(LossyConversionWarning, match="white"):
            save_picture(picture, path, overwrite=True)
        got = read_picture(path)
        assert got.pixels.min() == 255
        assert got.pixels.shape[2] == channels
    save_picture(picture_of(), path, overwrite=True)
    with Image.open(path) as image:
        assert image.layer[0][1:3] == (1, 1)  # no chroma subsampling
        assert max(image.quantization[0]) < 20


def test_pillow_images_of_any_mode(tmp_path):
    save_picture(Image.new("P", (3, 3)), tmp_path / "a.png")
    with pytest.warns(LossyConversionWarning, match="CMYK"):
        save_picture(Image.new("CMYK", (3, 3)), tmp_path / "b.png")
    image = Image.new("RGB", (3, 3))
    image.info["icc_profile"] = SRGB
    save_picture(image, tmp_path / "c.png")
    assert read_picture(tmp_path / "c.png").icc == SRGB


def test_formats_by_name_and_unknown_ones(tmp_path):
    picture = picture_of()
    for format in ("png", ".PNG", "PNG"):
        save_picture(picture, tmp_path / "odd.name", format=format, overwrite=True)
        with Image.open(tmp_path / "odd.name") as image:
            assert image.format == "PNG"
    save_picture(picture, tmp_path / "UPPER.JPG")
    with open(tmp_path / "named.png", "wb") as file:
        save_picture(picture, file)
    assert_same(read_picture(tmp_path / "named.png"), picture)
    for target, format in [("a.xyz", None), ("a", None), ("a.png", "docx"), (io.BytesIO(), None)]:
        with pytest.raises(OutputError, match=r"\.png"):
            save_picture(picture, tmp_path / target if isinstance(target, str) else target, format=format)
    assert ".avif" in PICTURE_SUFFIXES


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.filterwarnings("ignore")
def test_broken_exif_does_not_stop_the_pixels(format):
    directory = b"\x02\0" + b"\x12\x01\x07\0\xff\xff\xff\x7f\0\0\0\0" + b"\x69\x87\x04\0\x01\0\0\0\xff\xff\xff\xff"
    picture = picture_of(exif=b"II*\0\x08\0\0\0" + directory)
    out = io.BytesIO()
    save_picture(picture, out, format=format)
    got = read_picture(out.getvalue())
    assert got.pixels.shape == picture.pixels.shape
    if format in ("PNG", "TIFF", "WEBP"):
        assert_same(got, picture)


def test_what_a_format_cannot_hold(tmp_path):
    wide = Picture(np.zeros((1, 70000, 3), np.uint8))
    with pytest.raises(OutputError, match="70000x1"):
        save_picture(wide, tmp_path / "a.webp")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError, match="mode 'wb'"):
        save_picture(wide, io.StringIO(), format="png")


# --- files ---


def test_existing_files_are_refused_without_overwrite(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(OutputExistsError, match="exists"):
        save_picture(picture_of(), path)
    with pytest.raises(OutputExistsError):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    write_atomically(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "a"

    def race():
        with open_atomically(path) as file:
            file.write(b"mine")
            path.write_bytes(b"theirs")

    for _ in range(2):
        with pytest.raises(OutputExistsError):
            race()
        assert path.read_bytes() == b"theirs"
        assert len(list(tmp_path.iterdir())) == 1
        path.unlink()

        def no_links(*_):
            raise OSError(errno.EPERM, "no hard links here")

        monkeypatch.setattr(os, "link", no_links)
    write_atomically(path, b"mine")
    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError, FileNotFoundError])
def test_nothing_is_left_after_a_failure(tmp_path, failure):
    def fail():
        with open_atomically(tmp_path / "a") as file:
            file.write(b"part")
            raise failure

    with pytest.raises(failure):
        fail()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_permissions_are_those_of_a_plain_open(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "a", b"x")
        (tmp_path / "b").touch(mode=0o640)
        os.chmod(tmp_path / "b", 0o640)
        write_atomically(tmp_path / "b", b"x", overwrite=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o640


def test_links_are_followed_and_stay(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    link.symlink_to(real)
    write_atomically(link, b"1")
    write_atomically(link, b"2", overwrite=True)
    assert link.is_symlink()
    assert real.read_bytes() == b"2"


def test_devices_and_pipes_are_written_in_place(tmp_path):
    write_atomically("/dev/null", b"x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    save_picture(picture_of(), "/dev/null", format="png")

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, b"through the pipe")
    reader.join()
    assert got == [b"through the pipe"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)

    descriptor = os.open(tmp_path / "plain", os.O_CREAT | os.O_RDWR)
    try:
        write_atomically(f"/dev/fd/{descriptor}", b"by descriptor")
    finally:
        os.close(descriptor)
    assert (tmp_path / "plain").read_bytes() == b"by descriptor"


def test_places_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for path, said in [
        (tmp_path, "is a folder"),
        (tmp_path / "absent" / "a.png", "create it"),
        (tmp_path / "file" / "a.png", "cannot be written"),
        ("a\0b.png", "cannot be written"),
        (tmp_path / ("n" * 400 + ".png"), "cannot be written"),
    ]:
        with pytest.raises(OutputError, match=said) as caught:
            save_picture(picture_of(), path, format="png")
        assert "\n" not in str(caught.value)
    write_atomically(tmp_path / ("n" * 255), b"the longest name")

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match="not allowed"):
        write_atomically(tmp_path / "a", b"x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o555)
    with pytest.raises(OutputError, match="not allowed"):
        write_atomically(folder / "a", b"x")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")
def test_a_full_disk():
    with pytest.raises(OutputError, match="no space"):
        write_atomically("/dev/full", b"x" * 100_000)
