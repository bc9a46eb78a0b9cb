"""Measures a model on the hostile set: `python -m tests.hostile_report [MODEL] [--only WORD] [--qualities 5,25,…]`.

Prints, for each picture and quality, bytes, PSNR, the PSNR of Pillow's JPEG 4:4:4 at these bytes, bytes over those
of the optimised PNG; for patched photographs how far the rest is from the unpatched one; then what breaks the rules.
"""

from __future__ import annotations

import argparse
import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFile

import nicodec
from tests.hostile import Hostile, far_from_patch, hostile_pictures

JPEG_SLACK, PNG_SHARE, PATCH_SLACK, FALL = 0.5, 1.1, 0.3, 0.1
"""How much worse than JPEG in dB, bytes over PNG's, dB far from a patch, dB at a higher quality, a picture may be."""


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Of pixels in 0..255; at most 99."""
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return min(99.0, 10 * np.log10(255**2 / max(error, 1e-9)))


def jpeg_curve(pixels: np.ndarray) -> list[tuple[int, float]]:
    """Bytes and PSNR of Pillow's JPEG 4:4:4, optimised, at all its qualities."""
    points = []
    for quality in range(1, 101):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=0, optimize=True)
        points.append((file.tell(), psnr(np.array(Image.open(file)), pixels)))
    return points


def jpeg_at(curve: list[tuple[int, float]], size: int) -> float | None:
    """The best PSNR of a JPEG of at most so many bytes; None where none is that small."""
    return max((value for length, value in curve if length <= size), default=None)


def png_size(pixels: np.ndarray) -> int:
    """Bytes of the smallest optimised PNG: RGB, grey, or a palette where there are few colours."""
    image = Image.fromarray(pixels)
    forms = [image]
    colours = image.getcolors(256)
    if (pixels == pixels[..., :1]).all():
        forms.append(image.convert("L"))
        if set(np.unique(pixels)) <= {0, 255}:
            forms.append(image.convert("1"))
    if colours:
        forms.append(image.convert("P", palette=Image.Palette.ADAPTIVE, colors=len(colours)))
    sizes = []
    for form in forms:
        file = io.BytesIO()
        form.save(file, "PNG", optimize=True)
        sizes.append(file.tell())
    return min(sizes)


class Measured:
    """One picture at all qualities, and the rules that it breaks."""

    def __init__(self, picture: Hostile, model: str, qualities: list[float]) -> None:
        self.lines: list[str] = []
        self.broken: list[str] = []
        jpeg, png = jpeg_curve(picture.pixels), png_size(picture.pixels)
        before = 0.0
        for quality in qualities:
            data = nicodec.compress(picture.pixels, quality=quality, codec=model)
            decoded = np.array(nicodec.decompress(data).convert("RGB"))
            found, other = psnr(decoded, picture.pixels), jpeg_at(jpeg, len(data))
            line = f"{quality:5g} {len(data):8d} B {found:6.2f} dB"
            line += "  JPEG   none   " if other is None else f"  JPEG {other:6.2f} dB"
            line += f"  PNG x{len(data) / png:6.2f}"
            if other is not None and found < other - JPEG_SLACK:
                self.broken.append(f"{picture.name} q{quality:g}: {found - other:+.2f} dB against JPEG")
            if quality <= 75 and len(data) > PNG_SHARE * png:
                self.broken.append(f"{picture.name} q{quality:g}: {len(data) / png:.2f} times PNG")
            if found < before - FALL:
                self.broken.append(f"{picture.name} q{quality:g}: {found - before:+.2f} dB from the quality before")
            before = found
            if picture.unpatched is not None:
                far = far_from_patch()
                alone = _alone(picture.unpatched.tobytes(), picture.unpatched.shape, model, quality)
                change = psnr(decoded[far], picture.pixels[far]) - psnr(alone[far], picture.unpatched[far])
                line += f"  far from the patch {change:+.3f} dB"
                if change < -PATCH_SLACK:
                    self.broken.append(f"{picture.name} q{quality:g}: {change:+.2f} dB far from the patch")
            self.lines.append(line)


@lru_cache(maxsize=16)
def _alone(pixels: bytes, shape: tuple[int, ...], model: str, quality: float) -> np.ndarray:
    picture = np.frombuffer(pixels, dtype=np.uint8).reshape(shape)
    return np.array(nicodec.decompress(nicodec.compress(picture, quality=quality, codec=model)).convert("RGB"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("model", nargs="?", default=nicodec.DEFAULT_CODEC)
    parser.add_argument("--only", default="", help="pictures whose name holds this")
    parser.add_argument("--qualities", default="5,25,50,75,95")
    given = parser.parse_args()
    ImageFile.MAXBLOCK = 2**24  # or an optimised JPEG of noise does not fit
    qualities = [float(q) for q in given.qualities.split(",")]
    broken: list[str] = []
    for picture in hostile_pictures():
        if given.only in picture.name:
            measured = Measured(picture, given.model, qualities)
            print(picture.name, *measured.lines, sep="\n", flush=True)
            broken += measured.broken
    print(f"{len(broken)} broken rules", *broken, sep="\n")


if __name__ == "__main__":
    main()
