"""Codecs whose files may be cut short, as the evaluation of progressive files takes them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image, ImageFile

from kodak_eval.codecs.base import Codec
from kodak_eval.codecs.jpegxl import JpegXl
from kodak_eval.codecs.learned import Nicodec
from kodak_eval.codecs.pillow_codecs import Jpeg
from kodak_eval.progressive import libjxl


class ProgressiveCodec(Codec, Protocol):
    """A codec of which any first bytes of a file may be decoded."""

    def decode_prefix(self, data: bytes) -> np.ndarray | None:
        """Return (H, W, 3) uint8 of a file's first bytes; None where they give nothing to see."""


@dataclass(frozen=True)
class Levels(Nicodec):
    """A model of nicodec whose pictures are in levels."""

    def decode_prefix(self, data: bytes) -> np.ndarray | None:
        """Return the picture of the levels that are whole."""
        return self.decode_levels(data)


@dataclass(frozen=True)
class ProgressiveJpeg(Jpeg):
    """Progressive JPEG with libjpeg-turbo's scans."""

    def decode_prefix(self, data: bytes) -> np.ndarray | None:
        """Return what libjpeg makes of the scans that have come."""
        before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
        try:
            with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
                return np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError):  # inside what comes before the first scan
            return None
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


@dataclass(frozen=True)
class ProgressiveJpegXl(JpegXl):
    """JPEG XL in passes, as ``cjxl -p`` writes them, at its default effort: a tenth of the time of 9."""

    effort: int = 7

    @property
    def name(self) -> str:
        """``jpegxl-progressive``."""
        return "jpegxl-progressive"

    @property
    def label(self) -> str:
        """Legend."""
        return f"JPEG XL (effort {self.effort}, progressive)"

    def version(self) -> str:
        """Return libjxl's version."""
        return libjxl.version()

    def command(self, setting: float) -> str:
        """Return cjxl's command line for the same."""
        return f"cjxl -d {setting:g} -e {self.effort} -p --container=0"

    def encode(self, pixels: np.ndarray, setting: float) -> bytes:
        """Return the codestream of (H, W, 3) uint8 pixels."""
        return libjxl.encode(pixels, float(setting), self.effort)

    def decode_prefix(self, data: bytes) -> np.ndarray | None:
        """Return what libjxl can show."""
        return libjxl.decode_what_is_there(data)


ANCHORS: tuple[ProgressiveCodec, ...] = (ProgressiveJpeg(), ProgressiveJpegXl())


def levels_of(codec: Codec) -> Levels | None:
    """Return a codec as one whose files may be cut short; None where it has no levels."""
    if isinstance(codec, Nicodec) and codec.has_levels():
        return Levels(codec.model, codec.options, codec.settings)
    return None
