"""JPEG, JPEG 2000, WebP and AVIF through Pillow."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import PIL
from PIL import Image, features

from kodak_eval.colour import planes_to_rgb, rgb_to_planes
from kodak_eval.errors import CodecUnavailableError


@dataclass(frozen=True)
class _PillowCodec:
    """What the formats share: ``save_options`` says how Pillow writes them."""

    step = 1

    @property
    def pillow_format(self) -> str:
        raise NotImplementedError

    @property
    def feature(self) -> str:
        raise NotImplementedError

    def save_options(self, setting: float) -> dict[str, object]:
        """Return keyword arguments of ``Image.save`` at ``setting``."""
        raise NotImplementedError

    def version(self) -> str:
        """Return Pillow's version and that of the library it carries."""
        if not features.check(self.feature):
            raise CodecUnavailableError(
                f"Pillow {PIL.__version__} was built without {self.feature}: "
                "install a wheel from PyPI (pip install --force-reinstall pillow)"
            )
        library = "libjpeg_turbo" if self.feature == "jpg" else self.feature
        return f"Pillow {PIL.__version__}, {library} {features.version(library)}"

    def command(self, setting: float) -> str:
        """Return Pillow's call, without what changes speed only."""
        options = {key: value for key, value in self.save_options(setting).items() if key != "max_threads"}
        text = ", ".join(f"{key}={value!r}" for key, value in options.items())
        return f"Image.save(format={self.pillow_format!r}, {text})"

    def encode(self, pixels: np.ndarray, setting: float) -> bytes:
        """Return the whole file of (H, W, 3) uint8 pixels."""
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format=self.pillow_format, **self.save_options(setting))
        return buffer.getvalue()

    def decode(self, data: bytes) -> np.ndarray:
        """Return (H, W, 3) uint8 pixels."""
        with Image.open(io.BytesIO(data), formats=[self.pillow_format]) as image:
            return np.asarray(image.convert("RGB"))


@dataclass(frozen=True)
class Jpeg(_PillowCodec):
    """JPEG 4:2:0 of libjpeg-turbo; optimised Huffman tables and progressive scans unless ``plain``.

    ``plain`` is Pillow's default, what CompressAI's published JPEG curve was made with.
    """

    plain: bool = False
    settings: tuple[float, ...] = (7, 15, 30, 50, 72, 87)
    parameter: str = "quality"
    pillow_format = "JPEG"
    limits = (1, 95)
    feature = "jpg"

    @property
    def name(self) -> str:
        """``jpeg``, or ``jpeg-plain``."""
        return "jpeg-plain" if self.plain else "jpeg"

    @property
    def label(self) -> str:
        """Legend."""
        return "JPEG (Pillow's defaults)" if self.plain else "JPEG (optimised, progressive)"

    def save_options(self, setting: float) -> dict[str, object]:
        """Quality 1 to 95."""
        options: dict[str, object] = {"quality": int(setting), "subsampling": "4:2:0"}
        return options if self.plain else options | {"optimize": True, "progressive": True}


@dataclass(frozen=True)
class Jpeg2000(_PillowCodec):
    """JPEG 2000 codestream of OpenJPEG: 9/7 wavelet, YCbCr transform; the setting is the compression ratio."""

    settings: tuple[float, ...] = (240, 130, 70, 40, 22, 13)
    parameter: str = "ratio"
    pillow_format = "JPEG2000"
    limits = (2000, 2)
    step = 0.001
    feature = "jpg_2000"

    @property
    def name(self) -> str:
        """``jpeg2000``."""
        return "jpeg2000"

    @property
    def label(self) -> str:
        """Legend."""
        return "JPEG 2000 (OpenJPEG, 9/7)"

    def save_options(self, setting: float) -> dict[str, object]:
        """Compression ratio against 24 bits a pixel, above 1."""
        return {
            "quality_mode": "rates",
            "quality_layers": [float(setting)],
            "irreversible": True,
            "mct": 1,
            "no_jp2": True,
        }


@dataclass(frozen=True)
class Jpeg2000LikeFfmpeg(Jpeg2000):
    """JPEG 2000 as ffmpeg's libopenjpeg writes it: 5/3 wavelet over 8-bit YCbCr 4:4:4, in a JP2 file.

    What CompressAI's published curve was made with; on three Kodak pictures it takes 18 % more bits
    than ``Jpeg2000``. The conversion is BT.601 limited range, as ffmpeg's scaler does by default.
    """

    @property
    def name(self) -> str:
        """``jpeg2000-plain``."""
        return "jpeg2000-plain"

    @property
    def label(self) -> str:
        """Legend."""
        return "JPEG 2000 (like ffmpeg: 5/3, 8-bit YCbCr)"

    def save_options(self, setting: float) -> dict[str, object]:
        """Compression ratio against 24 bits a pixel, above 1."""
        return super().save_options(setting) | {"irreversible": False, "mct": 0, "no_jp2": False}

    def encode(self, pixels: np.ndarray, setting: float) -> bytes:
        """Return the whole file of (H, W, 3) uint8 pixels."""
        planes = rgb_to_planes(pixels, matrix="bt601", full_range=False)
        return super().encode(np.stack(planes, axis=-1), setting)

    def decode(self, data: bytes) -> np.ndarray:
        """Return (H, W, 3) uint8 pixels."""
        y, cb, cr = np.moveaxis(super().decode(data), -1, 0)
        return planes_to_rgb(y, cb, cr, matrix="bt601", full_range=False)


@dataclass(frozen=True)
class Webp(_PillowCodec):
    """WebP (VP8 intra, 4:2:0) of libwebp; method 6 is its slowest and best, 4 its default."""

    method: int = 6
    settings: tuple[float, ...] = (2, 15, 36, 60, 80, 92)
    parameter: str = "quality"
    pillow_format = "WEBP"
    limits = (0, 100)
    feature = "webp"

    @property
    def name(self) -> str:
        """``webp``, or ``webp-mN`` for another method."""
        return "webp" if self.method == 6 else f"webp-m{self.method}"

    @property
    def label(self) -> str:
        """Legend."""
        return f"WebP (method {self.method})"

    def save_options(self, setting: float) -> dict[str, object]:
        """Quality 0 to 100."""
        return {"quality": int(setting), "method": self.method}


@dataclass(frozen=True)
class Avif(_PillowCodec):
    """AVIF of libavif with libaom: BT.601 full range, 8 bits, one tile.

    Attributes:
        subsampling: ``4:4:4`` or ``4:2:0``.
        speed: 0 (slowest) to 10. On Kodak, two pictures, one core: speed 4 takes 1.7 s a picture,
            3 takes 3.3 s for about 2 % fewer bits, 0 takes 12 s for about 6 % fewer.
        tune: libaom's target; ``psnr`` is what R-D curves in PSNR ask for, and what x265 and
            SVT-AV1 are set to here; ``ssim`` and ``iq`` favour the eye.
        threads: encoder threads; above 1 libaom codes rows in parallel, and sizes differ by a few bytes.

    """

    subsampling: str = "4:4:4"
    speed: int = 4
    tune: str = "psnr"
    threads: int = 1
    settings: tuple[float, ...] = (8, 20, 34, 48, 62, 76)
    parameter: str = "quality"
    pillow_format = "AVIF"
    limits = (0, 100)
    feature = "avif"

    @property
    def name(self) -> str:
        """``avif-444``, ``avif-420``, with ``-sN`` and ``-TUNE`` where they are not the defaults."""
        speed = "" if self.speed == 4 else f"-s{self.speed}"
        tune = "" if self.tune == "psnr" else f"-{self.tune}"
        return f"avif-{self.subsampling.replace(':', '')}{speed}{tune}"

    @property
    def label(self) -> str:
        """Legend."""
        tune = "" if self.tune == "psnr" else f", tune {self.tune}"
        return f"AVIF {self.subsampling} (libaom, speed {self.speed}{tune})"

    def save_options(self, setting: float) -> dict[str, object]:
        """Quality 0 to 100."""
        return {
            "quality": int(setting),
            "subsampling": self.subsampling,
            "speed": self.speed,
            "range": "full",
            "codec": "aom",
            "autotiling": False,
            "max_threads": self.threads,
            "advanced": {"tune": self.tune},
        }
