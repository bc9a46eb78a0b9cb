"""Peak memory and seconds of the command on large pictures: `python -m kodak_eval.large_pictures PHOTO...`.

Photographs are laid side by side, mirrored, to pictures of 12 and 48 megapixels; each command runs alone, its start
counted. Seconds are those of the clock: nothing else should run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

SIZES = ((4000, 3000), (8000, 6000))
CROP = "1500,1000,512,512"
HEADINGS = ("picture", "command", "seconds", "of the processor", "peak memory")


def collage(photos: Sequence[Path], width: int, height: int) -> Image.Image:
    """A picture of this size of photographs side by side, the first at the top left."""
    picture = Image.new("RGB", (width, height))
    top, number = 0, 0
    while top < height:
        left, lowest = 0, height
        while left < width:
            with Image.open(photos[number % len(photos)]) as photo:
                tile = photo.convert("RGB")
            if number // len(photos) % 2:
                tile = tile.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            picture.paste(tile, (left, top))
            left, lowest, number = left + tile.width, min(lowest, top + tile.height), number + 1
        top = lowest
    return picture


def measure(*arguments: str) -> list[str]:
    """Run `nicodec` with arguments; its seconds, those of the processor, and its peak memory, in words.

    The system counts the memory of this process at the start of the child's, too: it must stay below.
    """
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "nicodec_cli", *arguments])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"nicodec {' '.join(arguments)} ended with exit code {child.returncode}")
    seconds = time.perf_counter() - start
    return [f"{seconds:.1f}", f"{usage.ru_utime + usage.ru_stime:.1f}", f"{usage.ru_maxrss / 1024:.0f} MiB"]


def main(photos: Sequence[Path], folder: Path) -> str:
    """Measure all; return the table."""
    rows = [list(HEADINGS), ["---"] * len(HEADINGS)]
    for width, height in SIZES:
        name = f"{width}x{height}"
        png, nic, back = (str(folder / f"{name}{suffix}") for suffix in (".png", ".nic", "-back"))
        collage(photos, width, height).save(png, compress_level=1)
        commands = {
            "compress": ("compress", png, "-o", nic),
            "decompress to PNG": ("decompress", nic, "-o", back + ".png"),
            "decompress to PPM": ("decompress", nic, "-o", back + ".ppm"),
            f"decompress --crop {CROP}": ("decompress", nic, "--crop", CROP, "-o", back + "-crop.png"),
        }
        rows += [[name, label, *measure(*arguments, "--quiet")] for label, arguments in commands.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit("usage: python -m kodak_eval.large_pictures PHOTO...")
    with tempfile.TemporaryDirectory() as made:
        sys.stdout.write(main([Path(text) for text in sys.argv[1:]], Path(made)) + "\n")
