"""Every way in which Pillow, and what is built on it, opens and saves a .nic file."""

import copy
import io
import itertools
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps, ImageSequence

import nicodec
import nicodec.pillow


@pytest.fixture(scope="module", autouse=True)
def _installed(tiny_model_folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NICODEC_MODELS", str(tiny_model_folder))
        yield


def picture(mode="RGB"):
    return Image.linear_gradient("L").resize((32, 24)).convert(mode)


@pytest.fixture(scope="module")
def data(_installed):
    """A file whose metadata alone are longer than the pixels that it decodes to."""
    out = io.BytesIO()
    exif = b"Exif\0\0II*\0\x08\0\0\0\0\0" + np.random.default_rng(0).bytes(6000)
    picture().save(out, "NICODEC", codec="tiny", exif=exif)
    assert len(out.getvalue()) > 32 * 24 * 3
    return out.getvalue()


@pytest.fixture(scope="module")
def pixels(data):
    return np.array(nicodec.decompress(data))


@settings(deadline=None, max_examples=15)
@given(cuts=st.lists(st.integers(0, 7000), max_size=6))
def test_the_incremental_parser(data, pixels, cuts):
    parser = ImageFile.Parser()
    places = [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(places):
        parser.feed(data[start:end])
    np.testing.assert_array_equal(np.array(parser.close()), pixels)


def test_the_incremental_parser_has_no_pixels_of_half_a_file(data):
    for end in (3, 100, len(data) - 1):
        parser = ImageFile.Parser()
        parser.feed(data[:end])
        with pytest.raises(OSError, match="cannot parse"):
            parser.close()


def test_other_doors(data, pixels, tmp_path):
    path = tmp_path / "x.nic"
    path.write_bytes(data)
    ways = {
        "path": lambda: Image.open(path),
        "text": lambda: Image.open(str(path)),
        "format": lambda: Image.open(io.BytesIO(data), formats=["NICODEC"]),
        "alias": lambda: Image.open(io.BytesIO(data), formats=["nic"]),
        "class": lambda: nicodec.pillow.NicodecImageFile(path),
        "copy": lambda: Image.open(path).copy(),
        "shallow copy": lambda: copy.copy(Image.open(path)),
        "deep copy": lambda: copy.deepcopy(Image.open(path).copy()),
        "pickle": lambda: pickle.loads(pickle.dumps(Image.open(path))),
        "frames": lambda: next(iter(ImageSequence.Iterator(Image.open(path)))),
        "convert": lambda: Image.open(path).convert("RGB"),
        "transpose": lambda: ImageOps.exif_transpose(Image.open(path)),
        "crop": lambda: Image.open(path).crop((0, 0, 32, 24)),
        "bytes": lambda: Image.frombytes("RGB", (32, 24), Image.open(path).tobytes()),
        "merge": lambda: Image.merge("RGB", Image.open(path).split()),
    }
    for name, way in ways.items():
        with way() as image:
            np.testing.assert_array_equal(np.asarray(image), pixels, err_msg=name)
    with Image.open(path) as image:
        image.thumbnail((16, 16))
        assert image.size == (16, 12)
    with Image.open(path) as image:
        image.verify()
    with Image.open(path) as image:
        image.putpixel((0, 0), (1, 2, 3))
        assert image.getpixel((0, 0)) == (1, 2, 3)
    with Image.open(path) as image:
        image.load()
    path.unlink()  # nothing is held open
    assert not [name for name in os.listdir(tmp_path)]


@pytest.mark.parametrize("format", ["nic", "NIC", "nicodec", None])
def test_names_of_the_format(tmp_path, format):
    path = tmp_path / "x.nic"
    picture("L").save(path, format, codec="tiny")
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("NICODEC", "L")
        assert image.get_format_mimetype() == "image/x-nicodec"


def test_matplotlib(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    path = tmp_path / "x.nic"
    pyplot.imsave(path, np.array(picture()), pil_kwargs={"codec": "tiny"})
    read = pyplot.imread(path)
    assert read.shape[:2] == (24, 32)
    np.testing.assert_array_equal(read, np.array(nicodec.decompress(path)))


def test_no_private_names_of_pillow():
    source = Path(nicodec.pillow.__file__).read_text("utf-8")
    for private in ("._Tile", "ImageFile._", "Image._", "_getdecoder"):
        assert private not in source
