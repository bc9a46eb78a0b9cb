"""Pictures that a codec trained on photographs never saw, drawn by fixed seeds.

`python -m tests.hostile_report` measures a model on them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kodak_eval.screens import bayer, halftone

HEIGHT, WIDTH = 192, 256
PATCHED_HEIGHT, PATCHED_WIDTH = 320, 384
PATCH = (slice(24, 64), slice(32, 77))
"""Rows and columns of a patched photograph that are replaced: 40x45 pixels."""


@dataclass(frozen=True)
class Hostile:
    """One picture.

    Attributes:
        name: unique in the set.
        pixels: (H, W, 3) uint8.
        unpatched: the photograph that a patch was put on; None where there is no patch.

    """

    name: str
    pixels: np.ndarray
    unpatched: np.ndarray | None = None


def hostile_pictures() -> Iterator[Hostile]:
    """All pictures of the set, the same every time."""
    for name, pixels in whole_pictures().items():
        yield Hostile(name, pixels)
    import skimage.data  # of the evaluation extra

    photograph = skimage.data.coffee()[:PATCHED_HEIGHT, 100 : 100 + PATCHED_WIDTH]
    for name, pixels in patches().items():
        patched = photograph.copy()
        patched[PATCH] = pixels[PATCH]
        yield Hostile(f"patch-{name}", patched, photograph)


def far_from_patch() -> np.ndarray:
    """Where a patched photograph is farther than 64 pixels from the patch, (H, W) bool."""
    far = np.ones((PATCHED_HEIGHT, PATCHED_WIDTH), dtype=bool)
    rows, columns = PATCH
    far[max(0, rows.start - 64) : rows.stop + 64, max(0, columns.start - 64) : columns.stop + 64] = False
    return far


def whole_pictures() -> dict[str, np.ndarray]:
    """Pictures that are hostile all over."""
    import skimage.data

    random = np.random.default_rng(22)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    found: dict[str, np.ndarray] = {}
    for size in (1, 2):
        for contrast in (8, 32, 128, 255):
            found[f"checkers-{size}px-{contrast}"] = _between(checkers(rows, columns, size), contrast)
    for degrees in range(0, 180, 15):
        found[f"lines-{degrees:03d}"] = _between(lines(rows, columns, degrees), 255)
    found["zone-plate"] = _grey(zone_plate(rows, columns))
    photograph = skimage.data.astronaut()[:384, 64:448]
    grey = np.array(Image.fromarray(photograph).convert("L"))
    for size in (2, 8):
        found[f"bayer-{size}"] = _grey(ordered(grey, size))
    found["diffused-1bit"] = _grey(np.array(Image.fromarray(grey).convert("1"), dtype=np.uint8) * 255)
    few = Image.fromarray(photograph).quantize(16, dither=Image.Dither.FLOYDSTEINBERG)
    found["diffused-16-colours"] = np.array(few.convert("RGB"))
    found["halftone"] = _grey(halftone(grey, 5.3, math.radians(45)))
    found["halftone-colour"] = np.stack(
        [halftone(photograph[..., i], 6.0, math.radians(angle)) for i, angle in enumerate((15, 75, 45))], -1
    )
    found["salt-and-pepper"] = salt_and_pepper(photograph[:HEIGHT, :WIDTH], random)
    found["noise-grey"] = _grey(random.integers(256, size=(HEIGHT, WIDTH)))
    found["noise-colour"] = random.integers(256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8)
    found["text-1bit"] = text(HEIGHT, WIDTH)
    found["pixel-art"] = pixel_art(HEIGHT, WIDTH, random)
    found["colour-bars"] = colour_bars(HEIGHT, WIDTH)
    found["white-pixel"] = white_pixel(HEIGHT, WIDTH)
    return found


def patches() -> dict[str, np.ndarray]:
    """One of each kind, of the size of a patched photograph."""
    import skimage.data

    random = np.random.default_rng(23)
    height, width = PATCHED_HEIGHT, PATCHED_WIDTH
    rows, columns = np.mgrid[:height, :width]
    photograph = skimage.data.astronaut()[:height, :width]
    grey = np.array(Image.fromarray(photograph).convert("L"))
    pixel = np.zeros((height, width, 3), dtype=np.uint8)
    pixel[PATCH[0].start + 20, PATCH[1].start + 22] = 255
    return {
        "checkers-1px": _between(checkers(rows, columns, 1), 255),
        "checkers-2px": _between(checkers(rows, columns, 2), 255),
        "lines": _between(lines(rows, columns, 30), 255),
        "zone-plate": _grey(zone_plate(rows, columns)),
        "bayer": _grey(ordered(grey, 8)),
        "diffused": _grey(np.array(Image.fromarray(grey).convert("1"), dtype=np.uint8) * 255),
        "halftone": _grey(halftone(grey, 5.3, math.radians(45))),
        "salt-and-pepper": salt_and_pepper(photograph, random),
        "noise": random.integers(256, size=(height, width, 3), dtype=np.uint8),
        "text": text(height, width),
        "pixel-art": pixel_art(height, width, random),
        "colour-bars": colour_bars(height, width // 8).repeat(8, 0)[:height].repeat(8, 1)[:, :width],
        "white-pixel": pixel,
    }


def checkers(rows: np.ndarray, columns: np.ndarray, size: int) -> np.ndarray:
    """Fields of so many pixels, 0 and 1."""
    return (rows // size + columns // size) % 2


def lines(rows: np.ndarray, columns: np.ndarray, degrees: float) -> np.ndarray:
    """Lines of 3 pixels' period at an angle, 0 and 1."""
    angle = math.radians(degrees)
    return np.floor((rows * math.cos(angle) + columns * math.sin(angle)) / 1.5) % 2


def zone_plate(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Rings that grow finer up to the finest there are, 0..255."""
    far = (rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2
    return 127.5 + 127.5 * np.cos(math.pi * far / max(rows.shape))


def ordered(grey: np.ndarray, size: int) -> np.ndarray:
    """Ordered dither of (H, W) grey levels, 0 and 255."""
    height, width = grey.shape
    thresholds = np.tile(bayer(size), (-(-height // size), -(-width // size)))[:height, :width]
    return np.where(grey / 255 > thresholds, 255, 0)


def salt_and_pepper(photograph: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A photograph of which a tenth of the pixels are black or white."""
    height, width = photograph.shape[:2]
    hit = random.random((height, width, 1)) < 0.1
    return np.where(hit, 255 * random.integers(2, size=(height, width, 1)), photograph).astype(np.uint8)


def text(height: int, width: int) -> np.ndarray:
    """Small black text without smoothed edges."""
    image = Image.new("1", (width, height), 1)
    drawing = ImageDraw.Draw(image)
    line = "Sphinx of black quartz, judge my vow: 0123456789 (3.14159) {a+b=c}; "
    for number, top in enumerate(range(2, height, 12)):
        shown = (line[number % len(line) :] + line * 3)[: width // 4]
        drawing.text((2, top), shown, font=ImageFont.load_default(10), fill=0)
    return np.array(image.convert("RGB"))


def pixel_art(height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """Symmetric tiles of 8x8 in eight colours, twice enlarged."""
    palette = random.integers(256, size=(8, 3), dtype=np.uint8)
    half = random.integers(8, size=(-(-height // 16), 8, -(-width // 16), 4))
    tiles = np.concatenate([half, half[..., ::-1]], -1)
    index = tiles.transpose(0, 1, 2, 3).reshape(tiles.shape[0] * 8, tiles.shape[2] * 8)
    return palette[index].repeat(2, 0).repeat(2, 1)[:height, :width]


def colour_bars(height: int, width: int) -> np.ndarray:
    """White, yellow, cyan, green, magenta, red, blue, black, at full saturation."""
    bars = [(7 - i) for i in range(8)]
    colours = np.array([[255 * (b >> 1 & 1), 255 * (b >> 2 & 1), 255 * (b & 1)] for b in bars], dtype=np.uint8)
    return np.broadcast_to(colours[np.arange(width) * 8 // width], (height, width, 3)).copy()


def white_pixel(height: int, width: int) -> np.ndarray:
    """One white pixel on black."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[height // 2 + 3, width // 2 + 5] = 255
    return pixels


def _between(on: np.ndarray, contrast: int) -> np.ndarray:
    low = (255 - contrast) // 2
    return _grey(low + contrast * on)


def _grey(values: np.ndarray) -> np.ndarray:
    shown = np.clip(np.round(values), 0, 255).astype(np.uint8)
    return np.repeat(shown[..., None], 3, -1)
