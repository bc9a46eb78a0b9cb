"""JPEG XL through imagecodecs (libjxl)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kodak_eval.errors import CodecUnavailableError


def _imagecodecs():
    try:
        import imagecodecs
    except ImportError as error:
        raise CodecUnavailableError("JPEG XL needs the package imagecodecs: pip install imagecodecs") from error
    if not imagecodecs.JPEGXL.available:
        raise CodecUnavailableError(
            f"imagecodecs {imagecodecs.__version__} was built without JPEG XL: install its wheel from PyPI"
        )
    return imagecodecs


@dataclass(frozen=True)
class JpegXl:
    """JPEG XL, lossy (VarDCT, XYB), bare codestream; the setting is the Butteraugli distance.

    Attributes:
        effort: 1 to 9; 9 is the slowest before the experimental one.
        threads: of libjxl; bytes do not depend on them.

    """

    effort: int = 9
    threads: int = 1
    settings: tuple[float, ...] = (16, 9, 5.5, 3.2, 1.8, 0.9)
    parameter: str = "distance"
    step = 0.001
    limits = (25, 0.1)

    @property
    def name(self) -> str:
        """``jpegxl``, or ``jpegxl-eN`` for another effort."""
        return "jpegxl" if self.effort == 9 else f"jpegxl-e{self.effort}"

    @property
    def label(self) -> str:
        """Legend."""
        return f"JPEG XL (effort {self.effort})"

    def version(self) -> str:
        """Return versions of imagecodecs and libjxl."""
        imagecodecs = _imagecodecs()
        return f"imagecodecs {imagecodecs.__version__}, {imagecodecs.jpegxl_version()}"

    def command(self, setting: float) -> str:
        """Return the call of imagecodecs."""
        return f"jpegxl_encode(distance={setting:g}, effort={self.effort}, usecontainer=False)"

    def encode(self, pixels: np.ndarray, setting: float) -> bytes:
        """Return the codestream of (H, W, 3) uint8 pixels; distance 0 < d <= 25."""
        return _imagecodecs().jpegxl_encode(
            pixels,
            distance=float(setting),
            effort=self.effort,
            usecontainer=False,
            numthreads=self.threads,
        )

    def decode(self, data: bytes) -> np.ndarray:
        """Return (H, W, 3) uint8 pixels."""
        return np.asarray(_imagecodecs().jpegxl_decode(data, numthreads=self.threads))
