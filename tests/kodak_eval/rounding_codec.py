"""A codec without an encoder, of exact behaviour; in a module of its own, so that workers can import it."""

import os
import zlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rounding:
    """Rounds samples to multiples of the setting and writes them by zlib: a codec of exact behaviour."""

    name: str = "rounding"
    label: str = "Rounding"
    settings: tuple[float, ...] = (96, 48, 24, 12, 6)
    parameter: str = "step"
    step: float = 1
    limits: tuple[float, float] = (200, 1)
    broken_width: int = 0
    dies: bool = False

    def version(self):
        return "1"

    def command(self, setting):
        return f"round to {setting:g}"

    def encode(self, pixels, setting):
        if pixels.shape[1] == self.broken_width:
            if self.dies:
                os._exit(9)
            raise ValueError("this width is not for me")
        rounded = (pixels // int(setting)).astype(np.uint8)
        header = np.array([*pixels.shape[:2], setting], np.uint16).tobytes()
        return header + zlib.compress(rounded.tobytes(), 9)

    def decode(self, data):
        height, width, step = np.frombuffer(data[:6], np.uint16).astype(int)
        values = np.frombuffer(zlib.decompress(data[6:]), np.uint8).reshape(height, width, 3)
        return np.minimum(values.astype(int) * step + step // 2, 255).astype(np.uint8)
