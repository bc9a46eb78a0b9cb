"""The README's picture: an original beside nicodec and JPEG at the same size.

    python -m kodak_eval.comparison models/hyperprior/comparison.png

The photograph is scikit-image's `astronaut` (NASA, public domain).
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import nicodec
from kodak_eval.metrics import psnr_rgb

CROP = (150, 0, 390, 240)
"""Left, top, right, bottom of what is shown, enlarged twice."""


def jpeg_of_at_least(image: Image.Image, size: int) -> bytes:
    """The smallest JPEG (Pillow, optimised, 4:2:0) that is no smaller than `size` bytes."""
    for quality in range(1, 96):
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality, optimize=True)
        if len(stream.getvalue()) >= size:
            break
    return stream.getvalue()


def render(quality: float = 20) -> Image.Image:
    """Three panels of 480x480 with captions; sizes and PSNR are of the whole 512x512 picture."""
    from skimage import data

    original = Image.fromarray(data.astronaut())
    coded = nicodec.compress(original, quality)
    jpeg = jpeg_of_at_least(original, len(coded))
    decoded = nicodec.decompress(coded)
    other = Image.open(io.BytesIO(jpeg)).convert("RGB")
    panels = [
        (original, "original"),
        (decoded, f"nicodec   {len(coded):,} bytes   {psnr_rgb(np.asarray(original), np.asarray(decoded)):.1f} dB"),
        (other, f"JPEG   {len(jpeg):,} bytes   {psnr_rgb(np.asarray(original), np.asarray(other)):.1f} dB"),
    ]
    sheet = Image.new("RGB", (3 * 480 + 2 * 12, 480 + 40), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(22)
    for place, (image, caption) in enumerate(panels):
        left = place * 492
        sheet.paste(image.crop(CROP).resize((480, 480), Image.Resampling.NEAREST), (left, 40))
        draw.text((left + 4, 6), caption, "black", font)
    return sheet


if __name__ == "__main__":
    render().save(Path(sys.argv[1]), optimize=True)
