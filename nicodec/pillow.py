"""A Pillow plugin: `Image.open("photo.nic")` and `image.save("photo.nic", quality=60)`.

    import nicodec.pillow

    with Image.open("photo.nic") as image:  # reads the header and the metadata
        image.load()                        # decodes

Importing this module registers the format NICODEC, also under the name NIC, and loads no torch; the first picture
decoded or saved does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import IO, Any

from PIL import Image, ImageFile

import nicodec
from nicodec import container, media
from nicodec.errors import NicodecError, NotNicodecError
from nicodec.media.picture import EXIF_START

FORMAT = "NICODEC"
FORMAT_ALIAS = "NIC"  # what programs that take a file's suffix for its format ask for
SUFFIX = ".nic"
MIME_TYPE = "image/x-nicodec"

_NO_PIXEL_LIMIT = container.Limits(pixels=0)  # Pillow makes its own check once it knows the size
_FIELDS = {"icc_profile": "icc", "exif": "exif", "xmp": "xmp"}  # names in `info` and in a `Picture`
_GOALS = ("quality", "bpp", "max_bytes", "psnr")


class NicodecImageFile(ImageFile.ImageFile):
    """A .nic file that is decoded when its pixels are first needed.

    `mode` is L, LA, RGB or RGBA. `info` holds `quality` (0..100) and, where the file has them, `icc_profile`,
    `exif` and `xmp`.

    Raises:
        OSError: the file is cut short, altered, or of a later version (on opening); its model is not
            installed, or its symbols disagree (on loading). The `NicodecError` is its cause.

    """

    format = FORMAT
    format_description = "nicodec learned picture"

    _data: bytes | None = None

    def _open(self) -> None:
        assert self.fp is not None
        data = self.fp.read()
        try:
            stored = container.read_picture(data, _NO_PIXEL_LIMIT)
        except NotNicodecError as error:
            raise SyntaxError(str(error)) from error  # so that Pillow asks its other plugins
        except NicodecError as error:
            raise _os_error(error, self.filename) from error
        header = stored.header
        self._size = header.width, header.height
        self._mode = ("L" if stored.grey else "RGB") + ("" if stored.alpha is None else "A")
        self.info["quality"] = header.quality / 2
        if stored.icc:
            self.info["icc_profile"] = stored.icc
        if stored.exif:
            self.info["exif"] = EXIF_START + stored.exif
        if stored.xmp:
            self.info["xmp"] = stored.xmp
        self._data = data
        # There are no tiles, which would be read piece by piece with a decoder of Pillow's: `load` does it all, and
        # Pillow's incremental parser waits for the whole file.

    def load(self) -> Any:
        """Decode the picture, the first time; see the class for what it raises."""
        if self._data is not None:
            try:
                decoded = nicodec.decompress(self._data, limits=_NO_PIXEL_LIMIT)
            except NicodecError as error:
                raise _os_error(error, self.filename) from error
            self.im = decoded.im
            self._data = None
            if self.fp and self._exclusive_fp:
                self.fp.close()
            self.fp = None
        return super().load()


def _accept(prefix: bytes) -> bool:
    return container.is_nicodec(prefix)


def _os_error(error: NicodecError, filename: str | bytes | None) -> OSError:
    """Pillow's users expect OSError; another exception would be told as "cannot identify image file"."""
    name = os.fsdecode(filename) if filename else ""
    return OSError(f"{name}: {error}" if name and name not in str(error) else str(error))


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """Write an image; the keywords of `Image.save` are those of `nicodec.compress`, and the metadata.

    `quality` (0..100), `bpp`, `max_bytes` or `psnr`: at most one; 50 without any. `codec`: a model's name or
    folder; `device`; and the options of the codec's encoder, such as `effort`. Others are left alone, as Pillow does.
    `icc_profile`, `exif` (bytes or `Image.Exif`) and `xmp` (bytes or str) are taken from the image's `info`
    unless given; None or b"" leaves them out. The pixels are turned upright as the EXIF orientation says.
    Modes are converted as `nicodec.media.read_picture` does, with its warnings.

    Raises:
        ValueError: a keyword's value has another type or is out of its range, or cannot be reached.
        OSError: the picture cannot be compressed; the `NicodecError` is its cause.

    """
    given = _given_metadata(image.encoderinfo)
    try:
        arguments = _arguments(image.encoderinfo)
        with _replaced_metadata(image, {name: value for name, value in given.items() if value}) as source:
            picture = media.read_picture(source, max_pixels=None)
        # What is left out is dropped only now: the orientation and the profile were needed for the pixels.
        left_out: dict[str, Any] = {_FIELDS[name]: None for name in given if not given[name]}
        picture = dataclasses.replace(picture, **left_out)
        file.write(nicodec.compress(picture, **arguments))
    except NicodecError as error:
        if isinstance(error, ValueError):
            raise
        raise _os_error(error, filename) from error


def _arguments(keywords: dict[str, Any]) -> dict[str, Any]:
    """Those keywords of `save` that `nicodec.compress` takes; None counts as not given."""
    from nicodec.codecs import family
    from nicodec.zoo import family_of, find_model

    codec = keywords.get("codec")
    codec = nicodec.DEFAULT_CODEC if codec is None else codec
    options = family(family_of(find_model(codec))).Options.described()
    names = (*_GOALS, "codec", "device", *(option.name for option in options))
    return {name: keywords[name] for name in names if keywords.get(name) is not None}


def _given_metadata(options: dict[str, Any]) -> dict[str, bytes]:
    """Give the metadata that the caller of `save` named, as bytes; empty where it is to be left out."""
    given = {}
    for name, kinds in (("icc_profile", (bytes,)), ("exif", (bytes, Image.Exif)), ("xmp", (bytes, str))):
        if name not in options:
            continue
        value = options[name] if options[name] is not None else b""
        if not isinstance(value, kinds):
            raise ValueError(f"{name} is a {type(value).__name__}; give bytes")
        if isinstance(value, Image.Exif):
            value = value.tobytes() if len(value) else b""
        given[name] = value.encode() if isinstance(value, str) else value
    return given


@contextlib.contextmanager
def _replaced_metadata(image: Image.Image, given: dict[str, bytes]) -> Iterator[Image.Image]:
    """Give the image with other metadata in its `info`, which is put back at the end."""
    if not given:
        yield image
        return
    image.load()  # some formats fill `info` only then
    if "exif" in given and image.format == "TIFF":
        image = image.copy()  # no longer a TIFF, whose EXIF is not taken from `info`
    before = image.info
    image.info = {**before}
    image.info.update(given)
    try:
        yield image
    finally:
        image.info = before


for _name in (FORMAT, FORMAT_ALIAS):
    Image.register_open(_name, NicodecImageFile, _accept)
    Image.register_save(_name, _save)
    Image.register_mime(_name, MIME_TYPE)
Image.register_extension(FORMAT, SUFFIX)
