"""Pictures and a runner for the tests of the command line."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image


def photograph(width: int = 64, height: int = 48) -> Image.Image:
    """A smooth RGB picture with some detail."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    planes = [np.sin(x / 9 + c) + np.cos(y / 7 - c) + 0.2 * np.sin(x * y / 50) for c in range(3)]
    return Image.fromarray(np.clip(128 + 55 * np.stack(planes, -1), 0, 255).astype(np.uint8))


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    """The bytes of a picture file."""
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


class Result(NamedTuple):
    """What a run of the command line gave."""

    code: int
    out: bytes
    err: str


def program(*arguments, models: Path, env=None, **options):
    """Run the real program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "nicodec_cli", *map(str, arguments)],
        env={**os.environ, "NICODEC_MODELS": str(models), **(env or {})},
        capture_output=True,
        timeout=300,
        check=False,
        **options,
    )
