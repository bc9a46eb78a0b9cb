"""Pictures that are no photographs, drawn by seeds: text, interfaces, pages, drawings, pixel art, dithers, patterns.

The set of `nicodec eval screens` is drawn with what the evaluation extra carries (matplotlib's fonts and
scikit-image's photographs). Training content is drawn by the same functions with other fonts, photographs and
seeds:

    python -m kodak_eval.screens OUT --count 400 --seed 1000 --fonts /usr/share/fonts --photographs FOLDER
"""

from __future__ import annotations

import argparse
import colorsys
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from kodak_eval.errors import DatasetError

Colour = tuple[int, int, int]

NAME = "screens"
"""Of the set."""

SIZE = (768, 512)

SET = (
    *(("document", seed) for seed in (1, 2, 3)), ("sizes", 1), *(("code", seed) for seed in (1, 2)),
    *(("interface", seed) for seed in (1, 2)), *(("page", seed) for seed in (1, 2, 3)), ("sheet", 1), ("chart", 1),
    ("chart", 2), ("diagram", 1), ("map", 1), ("line-art", 1), ("pixel-art", 1), ("overlay", 1), ("overlay", 2),
)  # fmt: skip
"""Kind and seed of each picture of the set. Dithers, noise and patterns are in `tests/hostile.py`."""

FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "cmr10", "cmss10",
    "cmtt10",
)  # fmt: skip
"""Of matplotlib's, those that have all letters."""

LETTERS = "etaoinshrdlucmfwypvbgkqjxz"
LETTER_WEIGHTS = 1 / (np.arange(len(LETTERS)) + 3.0)
LETTER_WEIGHTS /= LETTER_WEIGHTS.sum()
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)


@dataclass(frozen=True)
class Material:
    """What pictures are drawn with.

    Attributes:
        fonts: files of fonts that have Latin letters.
        monospaced: files of fonts for code and tables.
        photographs: (H, W, 3) uint8.

    """

    fonts: Sequence[Path]
    monospaced: Sequence[Path]
    photographs: Sequence[np.ndarray]


class Drawing:
    """A picture being drawn, with its random numbers and material."""

    def __init__(self, width: int, height: int, random: np.random.Generator, material: Material) -> None:
        self.random, self.material = random, material
        self.width, self.height = width, height
        self.image = Image.new("RGB", (width, height), WHITE)
        self.draw = ImageDraw.Draw(self.image)

    def one_of(self, values: Sequence[object]) -> int:
        """A random place in a sequence."""
        return int(self.random.integers(len(values)))

    def between(self, low: int, high: int) -> int:
        """A random integer, both ends included."""
        return int(self.random.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return bool(self.random.random() < probability)

    def colour(self, saturation: float = 0.8, low: float = 0.0, high: float = 1.0) -> Colour:
        """A random colour whose value is between two bounds."""
        hue, strength = self.random.random(), saturation * self.random.random()
        value = low + (high - low) * self.random.random()
        red, green, blue = (round(255 * c) for c in colorsys.hsv_to_rgb(hue, strength, value))
        return red, green, blue

    def font(self, size: int, *, monospaced: bool = False) -> ImageFont.FreeTypeFont:
        """A random font."""
        files = self.material.monospaced if monospaced else self.material.fonts
        return ImageFont.truetype(str(files[self.one_of(files)]), size)

    def word(self) -> str:
        """A word of no language."""
        if self.chance(0.08):
            return str(self.between(0, 10 ** self.between(1, 5)))
        length = 1 + int(self.random.poisson(4))
        word = "".join(LETTERS[i] for i in self.random.choice(len(LETTERS), length, p=LETTER_WEIGHTS))
        return word.capitalize() if self.chance(0.12) else word

    def words(self, count: int) -> str:
        """Words with a little punctuation."""
        return " ".join(
            self.word() + (",.;:!?)"[self.between(0, 6)] if self.chance(0.1) else "") for _ in range(count)
        )

    def paragraph(
        self, box: tuple[int, int, int, int], font: ImageFont.FreeTypeFont, colour: Colour, spacing: float = 1.35
    ) -> int:
        """Lines of text that fill a box (left, top, right, bottom); returns where they end."""
        left, top, right, bottom = box
        line_height = max(4, round(font.size * spacing))
        while top + line_height <= bottom:
            line = self.words(max(1, int((right - left) / (font.size * 2.2))))
            while len(line) > 1 and font.getlength(line) > right - left:
                line = line[:-2]
            if self.chance(0.12):
                line = line[: len(line) // 2]
            self.draw.text((left, top), line, font=font, fill=colour)
            top += line_height
        return top

    def photograph(self, width: int, height: int) -> Image.Image:
        """A piece of a random photograph at this size."""
        pixels = self.material.photographs[self.one_of(self.material.photographs)]
        tall, wide = pixels.shape[:2]
        scale = max(width / wide, height / tall)
        scale = scale + (max(1.0, scale) - scale) * self.random.random() if scale < 1 else scale
        part_width, part_height = min(wide, int(width / scale)), min(tall, int(height / scale))
        left, top = self.between(0, wide - part_width), self.between(0, tall - part_height)
        part = Image.fromarray(pixels[top : top + part_height, left : left + part_width])
        return part.resize((width, height), Image.Resampling.LANCZOS)

    def line(self, points: Sequence[tuple[float, float]], colour: Colour, width: float) -> None:
        """A smooth-edged line, in a mask of four times the size."""
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        left, top = max(0, int(min(xs) - width - 1)), max(0, int(min(ys) - width - 1))
        right, bottom = min(self.width, int(max(xs) + width + 2)), min(self.height, int(max(ys) + width + 2))
        if right <= left or bottom <= top:
            return
        mask = Image.new("L", (4 * (right - left), 4 * (bottom - top)))
        moved = [(4 * (x - left), 4 * (y - top)) for x, y in points]
        ImageDraw.Draw(mask).line(moved, fill=255, width=max(1, round(4 * width)), joint="curve")
        small = mask.resize((right - left, bottom - top), Image.Resampling.BOX)
        self.image.paste(colour, (left, top), small)

    def curve(self, points: int, reach: float) -> list[tuple[float, float]]:
        """A random smooth path through the picture."""
        knots = self.random.normal(0, reach, (points, 2)).cumsum(0)
        knots += np.array([self.random.random() * self.width, self.random.random() * self.height])
        t = np.linspace(0, points - 1, 12 * points)
        smooth = np.stack([np.interp(t, np.arange(points), knots[:, axis]) for axis in range(2)], 1)
        kernel = np.hanning(13) / np.hanning(13).sum()
        padded = np.pad(smooth, ((6, 6), (0, 0)), mode="edge")
        return [
            (float(x), float(y))
            for x, y in zip(*(np.convolve(padded[:, a], kernel, "valid") for a in range(2)), strict=True)
        ]

    def flat(self, colour: Colour) -> None:
        """Fill the picture."""
        self.draw.rectangle((0, 0, self.width, self.height), fill=colour)

    def paste(self, pixels: np.ndarray) -> None:
        """Replace the picture by (H, W, 3) or (H, W) values 0..255."""
        shown = np.clip(np.round(pixels), 0, 255).astype(np.uint8)
        self.image.paste(Image.fromarray(shown).convert("RGB"), (0, 0))


def document(d: Drawing) -> None:
    """Paragraphs and headings, in one or two columns, dark on light or the other way."""
    ink, paper = (BLACK, WHITE) if d.chance(0.6) else (d.colour(0.8, 0.0, 0.4), d.colour(0.2, 0.85, 1.0))
    if d.chance(0.2):
        ink, paper = paper, ink
    d.flat(paper)
    if d.chance(0.15):
        d.draw.fontmode = "1"
    columns, gap = d.between(1, 2), 16
    width = (d.width - gap * (columns + 1)) // columns
    size = d.between(8, 22)
    for column in range(columns):
        left, top = gap + column * (width + gap), d.between(4, 40)
        while top < d.height - 40:
            if d.chance(0.5):
                heading = d.font(round(size * (1.3 + d.random.random())))
                d.draw.text(
                    (left, top), d.words(3), font=heading, fill=ink if d.chance(0.7) else d.colour(1.0, 0.2, 0.7)
                )
                top += round(heading.size * 1.5)
            end = min(d.height - 8, top + d.between(60, 260))
            top = d.paragraph((left, top, left + width, end), d.font(size), ink, 1.1 + 0.5 * d.random.random()) + size


def sizes(d: Drawing) -> None:
    """One line of every size from 6 to 60, in many fonts."""
    ink, paper = (d.colour(0.9, 0.0, 0.5), d.colour(0.3, 0.8, 1.0)) if d.chance(0.5) else (BLACK, WHITE)
    d.flat(paper)
    top, size = 4, 6
    while top < d.height:
        d.draw.text((6, top), d.words(24), font=d.font(size), fill=ink)
        top, size = top + round(size * 1.35), min(size + d.between(0, 3), 60)


def code(d: Drawing) -> None:
    """An editor: numbered lines of monospaced words in the colours of a theme."""
    dark = d.chance(0.6)
    paper = d.colour(0.4, 0.08, 0.2) if dark else d.colour(0.1, 0.93, 1.0)
    colours = [d.colour(0.9, 0.6, 1.0) if dark else d.colour(1.0, 0.1, 0.6) for _ in range(6)]
    d.flat(paper)
    size = d.between(9, 18)
    font = d.font(size, monospaced=True)
    step, advance = round(size * 1.4), font.getlength("m")
    indent = 0
    margin = round(5 * advance)
    for number, top in enumerate(range(4, d.height, step)):
        d.draw.text((4, top), f"{number + 1:4d}", font=font, fill=tuple((c + 128) // 2 for c in paper))
        if d.chance(0.04):
            d.draw.rectangle((margin, top, d.width, top + step), fill=tuple((3 * c + 128) // 4 for c in paper))
        indent = min(6, max(0, indent + d.between(-1, 1)))
        x = margin + 2 * indent * advance
        for _ in range(d.between(0, 9)):
            token = (
                d.word()
                if d.chance(0.7)
                else ["()", "{", "}", "= ", "->", "[0]", "// ", '"', "+=", "::"][d.between(0, 9)]
            )
            d.draw.text((x, top), token, font=font, fill=colours[d.between(0, 5)])
            x += advance * (len(token) + 1)


def interface(d: Drawing) -> None:
    """Windows with title bars, menus, buttons, fields, lists and icons."""
    d.flat(d.colour(0.5, 0.2, 0.9))
    if d.chance(0.4):
        d.image.paste(d.photograph(d.width, d.height), (0, 0))
    for _ in range(d.between(1, 3)):
        width, height = d.between(d.width // 2, d.width), d.between(d.height // 2, d.height)
        left, top = d.between(0, d.width - width), d.between(0, d.height - height)
        _window(d, left, top, width, height)


def _window(d: Drawing, left: int, top: int, width: int, height: int) -> None:
    dark = d.chance(0.4)
    back = d.colour(0.15, 0.12, 0.25) if dark else d.colour(0.06, 0.92, 1.0)
    ink: Colour = (230, 230, 230) if dark else (30, 30, 30)
    accent, radius = d.colour(0.9, 0.4, 0.9), d.between(0, 10)
    line: Colour = (90, 90, 90) if dark else (190, 190, 190)
    d.draw.rounded_rectangle((left, top, left + width, top + height), radius, fill=back, outline=line)
    size = d.between(9, 15)
    font = d.font(size)
    d.draw.rounded_rectangle((left, top, left + width, top + 2 * size), radius, fill=accent)
    d.draw.text((left + 12, top + size // 2), d.words(3), font=font, fill=WHITE)
    for i in range(3):
        centre = left + width - 14 - 18 * i
        d.draw.ellipse((centre - 5, top + size - 5, centre + 5, top + size + 5), fill=d.colour(1.0, 0.6, 1.0))
    x, y = left + 10, top + round(2.6 * size)
    for _ in range(d.between(3, 7)):
        word = d.word()
        d.draw.text((x, y), word, font=font, fill=ink)
        x += round(font.getlength(word)) + 14
    y += 2 * size
    side = width // 4
    for row in range((height - 5 * size) // (2 * size)):
        at = y + 2 * size * row
        if at + 2 * size > top + height:
            break
        if row == 2:
            d.draw.rectangle((left + 4, at - 3, left + side, at + size + 4), fill=accent)
        d.draw.rectangle((left + 10, at, left + 10 + size, at + size), fill=d.colour(0.9, 0.4, 1.0))
        d.draw.text((left + 16 + size, at), d.word(), font=font, fill=ink)
        x = left + side + 12
        kind = d.between(0, 4)
        if kind == 0:
            d.draw.rounded_rectangle((x, at - 3, x + 90, at + size + 5), 4, fill=accent, outline=line)
            d.draw.text((x + 12, at), d.word(), font=font, fill=WHITE)
        elif kind == 1:
            d.draw.rectangle((x, at - 2, x + 160, at + size + 4), outline=line, fill=back)
            d.draw.text((x + 4, at), d.words(2), font=font, fill=line)
        elif kind == 2:
            d.draw.rectangle((x, at, x + size, at + size), outline=ink)
            d.draw.line(
                (x + 2, at + size // 2, x + size // 2, at + size - 2, x + size - 1, at + 1), fill=accent, width=2
            )
            d.draw.text((x + size + 8, at), d.words(3), font=font, fill=ink)
        elif kind == 3:
            d.draw.line((x, at + size // 2, x + 150, at + size // 2), fill=line, width=3)
            place = x + d.between(0, 150)
            d.draw.ellipse((place - 6, at + size // 2 - 6, place + 6, at + size // 2 + 6), fill=accent)
        else:
            d.draw.text((x, at), d.words(max(1, (width - side) // (6 * size))), font=font, fill=ink)


def page(d: Drawing) -> None:
    """A web page: a banner, a menu, cards with photographs and text."""
    d.flat(WHITE if d.chance(0.6) else d.colour(0.1, 0.9, 1.0))
    banner, ink = d.colour(0.9, 0.1, 0.7), d.colour(0.6, 0.0, 0.3)
    bar = d.between(30, 60)
    d.draw.rectangle((0, 0, d.width, bar), fill=banner)
    d.draw.text((12, bar // 4), d.word().capitalize(), font=d.font(bar // 2), fill=WHITE)
    menu = d.font(12)
    for i in range(5):
        d.draw.text((d.width // 2 + 60 * i, bar // 2 - 6), d.word()[:8], font=menu, fill=WHITE)
    top, body, size = bar + 12, d.font(d.between(10, 15)), d.between(2, 4)
    while top < d.height - 20:
        height = d.between(120, 220)
        width = (d.width - 12 * (size + 1)) // size
        for column in range(size):
            left = 12 + column * (width + 12)
            shown = height // 2 if d.chance(0.7) else 0
            if shown:
                d.image.paste(d.photograph(width, shown), (left, top))
            d.draw.text((left, top + shown + 4), d.words(2), font=d.font(17), fill=banner)
            d.paragraph((left, top + shown + 28, left + width, top + height), body, ink)
        top += height + 16


def sheet(d: Drawing) -> None:
    """A table of numbers with grid lines."""
    d.flat(WHITE)
    size, width = d.between(9, 14), d.between(50, 110)
    font, height = d.font(size, monospaced=d.chance(0.5)), round(size * 1.7)
    head, stripe = d.colour(0.5, 0.6, 0.9), d.colour(0.1, 0.92, 0.98)
    for row, top in enumerate(range(0, d.height, height)):
        if row == 0 or row % 2:
            d.draw.rectangle((0, top, d.width, top + height), fill=head if row == 0 else stripe)
        for left in range(0, d.width, width):
            text = d.word() if row == 0 or left == 0 else f"{d.random.normal(0, 900):.2f}"
            d.draw.text((left + 4, top + size // 3), text, font=font, fill=BLACK)
    for top in range(0, d.height, height):
        d.draw.line((0, top, d.width, top), fill=(200, 200, 200))
    for left in range(0, d.width, width):
        d.draw.line((left, 0, left, d.height), fill=(200, 200, 200))


def chart(d: Drawing) -> None:
    """Curves, bars or points with axes, ticks and a legend."""
    d.flat(WHITE if d.chance(0.8) else d.colour(0.3, 0.05, 0.2))
    ink = (60, 60, 60)
    left, top, right, bottom = 50, 30, d.width - 20, d.height - 40
    font = d.font(11)
    for i in range(7):
        y = top + (bottom - top) * i // 6
        d.draw.line((left, y, right, y), fill=(215, 215, 215))
        d.draw.text((8, y - 6), f"{60 - 10 * i}", font=font, fill=ink)
        x = left + (right - left) * i // 6
        d.draw.line((x, bottom, x, bottom + 5), fill=ink)
        d.draw.text((x - 8, bottom + 8), f"{i * 5}", font=font, fill=ink)
    d.draw.line((left, top, left, bottom, right, bottom), fill=ink, width=1)
    kind = d.between(0, 2)
    for series in range(d.between(2, 5)):
        colour = d.colour(1.0, 0.4, 0.9)
        d.draw.rectangle((right - 90, top + 16 * series, right - 80, top + 10 + 16 * series), fill=colour)
        d.draw.text((right - 74, top - 2 + 16 * series), d.word()[:9], font=font, fill=ink)
        values = np.clip(0.5 + d.random.normal(0, 0.06, 60).cumsum(), 0.02, 0.98)
        xs = np.linspace(left, right, 60)
        ys = bottom - values * (bottom - top)
        if kind == 0:
            d.line([(float(x), float(y)) for x, y in zip(xs, ys, strict=True)], colour, 1 + 2 * d.random.random())
        elif kind == 1:
            for x, y in zip(xs[series::5], ys[series::5], strict=True):
                d.draw.rectangle((int(x), int(y), int(x) + 6, bottom), fill=colour)
        else:
            for x, y in zip(xs, ys, strict=True):
                d.draw.ellipse((int(x) - 3, int(y) - 3, int(x) + 3, int(y) + 3), outline=colour)


def diagram(d: Drawing) -> None:
    """Boxes with labels, joined by arrows."""
    d.flat(WHITE if d.chance(0.7) else d.colour(0.2, 0.85, 1.0))
    centres = []
    for y in range(60, d.height, 130):
        for x in range(90, d.width, 180):
            if d.chance(0.75):
                centres.append((x + d.between(-20, 20), y + d.between(-20, 20)))
    for start, stop in pairwise(centres):
        colour, width = d.colour(0.6, 0.0, 0.5), 1 + d.random.random()
        d.line([start, (stop[0], start[1]), stop] if d.chance(0.5) else [start, stop], colour, width)
        d.draw.polygon([stop, (stop[0] - 5, stop[1] - 44), (stop[0] + 5, stop[1] - 44)], fill=colour)
    for x, y in centres:
        box = (x - 60, y - 26, x + 60, y + 26)
        fill, line = d.colour(0.4, 0.8, 1.0), d.colour(0.8, 0.0, 0.6)
        if d.chance(0.3):
            d.draw.ellipse(box, fill=fill, outline=line, width=d.between(1, 2))
        else:
            d.draw.rounded_rectangle(box, d.between(0, 14), fill=fill, outline=line, width=d.between(1, 2))
        d.draw.text((x, y), d.words(2)[:14], font=d.font(d.between(10, 15)), fill=BLACK, anchor="mm")


def map_(d: Drawing) -> None:
    """Areas, rivers, roads with borders and names."""
    count = d.between(12, 40)
    seeds = d.random.random((count, 2)) * [d.height, d.width]
    rows, columns = np.mgrid[: d.height, : d.width]
    warp = 18 * np.sin(rows / 37 + 3 * np.sin(columns / 51))
    distance = (rows[..., None] + warp[..., None] - seeds[:, 0]) ** 2 + (
        columns[..., None] + warp[..., None] - seeds[:, 1]
    ) ** 2
    palette = np.array([d.colour(0.35, 0.8, 1.0) for _ in range(count)])
    d.paste(palette[distance.argmin(-1)])
    for _ in range(d.between(1, 3)):
        d.line(d.curve(9, 90), (150, 190, 235), d.between(3, 12))
    for _ in range(d.between(6, 16)):
        path, width = d.curve(8, 80), d.between(1, 5)
        d.line(path, (140, 120, 90), width + 2)
        d.line(path, (255, 240, 180) if d.chance(0.6) else WHITE, width)
    for _ in range(d.between(10, 30)):
        at = (d.between(0, d.width), d.between(0, d.height))
        font = d.font(d.between(9, 18))
        d.draw.text(
            at, d.word().capitalize(), font=font, fill=(50, 50, 60), stroke_width=d.between(0, 1), stroke_fill=WHITE
        )


def line_art(d: Drawing) -> None:
    """Pen strokes, hatching and concentric shapes."""
    ink, paper = (BLACK, WHITE) if d.chance(0.7) else (d.colour(0.9, 0.0, 0.5), d.colour(0.2, 0.9, 1.0))
    d.flat(paper)
    for _ in range(d.between(15, 50)):
        d.line(d.curve(d.between(3, 9), d.between(10, 70)), ink, 0.6 + 2.5 * d.random.random())
    for _ in range(d.between(2, 6)):
        x, y, size = d.between(0, d.width), d.between(0, d.height), d.between(30, 140)
        step, angle = d.between(3, 9), d.random.random() * math.pi
        along, across = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
        for offset in range(-size // 2, size // 2, step):
            middle = np.array([x, y]) + offset * across
            ends = middle + np.array([[-1], [1]]) * size / 2 * along
            d.line([tuple(ends[0]), tuple(ends[1])], ink, 0.5 + d.random.random())
    for _ in range(d.between(1, 4)):
        x, y = d.between(0, d.width), d.between(0, d.height)
        for radius in range(6, d.between(30, 120), d.between(3, 8)):
            d.draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=ink)


def pixel_art(d: Drawing) -> None:
    """Sprites and tiles of few colours, enlarged without smoothing."""
    scale = (1, 2, 3, 4, 6, 8)[d.between(0, 5)]
    rows, columns = -(-d.height // scale), -(-d.width // scale)
    palette = np.array([d.colour(1.0, 0.0, 1.0) for _ in range(d.between(4, 16))], dtype=np.uint8)
    side = (8, 16)[d.between(0, 1)]
    tiles = []
    for _ in range(8):
        half = d.random.integers(len(palette), size=(side, side // 2))
        if d.chance(0.7):
            half = np.where(d.random.random((side, side // 2)) < 0.6, half[0, 0], half)
        tiles.append(np.concatenate([half, half[:, ::-1]], 1))
    grid = d.random.choice(8, (-(-rows // side), -(-columns // side)), p=[0.5, *[0.5 / 7] * 7])
    index = np.block([[tiles[i] for i in row] for row in grid])[:rows, :columns]
    pixels = palette[index].repeat(scale, 0).repeat(scale, 1)[: d.height, : d.width]
    d.paste(pixels)


def overlay(d: Drawing) -> None:
    """A photograph with subtitles, logos and labels laid over it."""
    d.image.paste(d.photograph(d.width, d.height), (0, 0))
    for _ in range(d.between(2, 6)):
        font = d.font(d.between(10, 60))
        x, y = d.between(0, d.width * 2 // 3), d.between(0, d.height - 20)
        text = d.words(d.between(1, 4))
        if d.chance(0.4):
            d.draw.rectangle((x - 6, y - 4, x + font.getlength(text) + 6, y + font.size * 1.3), fill=d.colour(0.8))
        fill, edge = (WHITE, BLACK) if d.chance(0.6) else (d.colour(1.0, 0.5, 1.0), d.colour(1.0, 0.0, 0.3))
        d.draw.text((x, y), text, font=font, fill=fill, stroke_width=d.between(0, 2), stroke_fill=edge)
    for _ in range(d.between(1, 3)):
        x, y, r = d.between(0, d.width), d.between(0, d.height), d.between(12, 50)
        d.draw.regular_polygon((x, y, r), d.between(3, 8), rotation=d.between(0, 90), fill=d.colour(1.0, 0.3, 1.0))
        d.draw.ellipse((x - r // 2, y - r // 2, x + r // 2, y + r // 2), fill=d.colour(1.0), outline=WHITE, width=2)


def ramp(d: Drawing) -> None:
    """Gradients and flat fields of colour."""
    rows, columns = np.mgrid[: d.height, : d.width].astype(np.float64)
    pieces = d.between(1, 4)
    pixels = np.zeros((d.height, d.width, 3))
    for i in range(pieces):
        a, b = np.array(d.colour(1.0)), np.array(d.colour(1.0))
        angle = d.random.random() * 2 * math.pi
        if d.chance(0.3):
            t = np.hypot(rows - d.random.random() * d.height, columns - d.random.random() * d.width)
        elif d.chance(0.25):
            t = np.zeros_like(rows)
        else:
            t = rows * math.sin(angle) + columns * math.cos(angle)
        t = (t - t.min()) / max(1e-9, t.max() - t.min())
        part = a + (b - a) * t[..., None]
        top = d.height * i // pieces
        pixels[top:] = part[top:]
    d.paste(pixels)


def bayer(size: int) -> np.ndarray:
    """Thresholds of ordered dithering, (size, size) in 0..1; size is a power of two."""
    matrix = np.zeros((1, 1))
    while len(matrix) < size:
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return (matrix + 0.5) / matrix.size


def halftone(grey: np.ndarray, period: float, angle: float) -> np.ndarray:
    """Dots whose size follows the grey, (H, W) of 0..255 to 0 and 255."""
    rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]]
    u = (columns * math.cos(angle) + rows * math.sin(angle)) * 2 * math.pi / period
    v = (rows * math.cos(angle) - columns * math.sin(angle)) * 2 * math.pi / period
    screen = (np.cos(u) + np.cos(v)) / 4 + 0.5
    return np.where(grey / 255 > screen, 255, 0).astype(np.uint8)


def dither(d: Drawing) -> None:
    """A photograph in few colours: ordered, diffused or in dots."""
    picture = d.photograph(d.width, d.height)
    kind = d.between(0, 4)
    grey = np.array(picture.convert("L"), dtype=np.float64)
    if kind == 0:
        size = (2, 4, 8)[d.between(0, 2)]
        thresholds = np.tile(bayer(size), (-(-d.height // size), -(-d.width // size)))[: d.height, : d.width]
        levels = d.between(1, 3)
        d.paste(np.floor(grey / 255 * levels + thresholds).clip(0, levels) * 255 / levels)
    elif kind == 1:
        d.image.paste(picture.convert("1").convert("RGB"), (0, 0))
    elif kind == 2:
        d.image.paste(picture.quantize(d.between(4, 64), dither=Image.Dither.FLOYDSTEINBERG).convert("RGB"), (0, 0))
    elif kind == 3:
        d.paste(halftone(grey, 3 + 7 * d.random.random(), d.random.random() * math.pi))
    else:
        colours = np.array(picture)
        angles = d.random.random(3) * math.pi
        d.paste(np.stack([halftone(colours[..., i], 4 + 4 * d.random.random(), angles[i]) for i in range(3)], -1))


def noise(d: Drawing) -> None:
    """Noise, alone or over a photograph."""
    shape = (d.height, d.width, 3 if d.chance(0.6) else 1)
    kind = d.between(0, 3)
    if kind == 0:
        pixels = d.random.integers(256, size=shape) * np.ones(3)
    else:
        pixels = np.array(d.photograph(d.width, d.height), dtype=np.float64)
        if kind == 1:
            pixels += d.random.normal(0, d.between(5, 50), shape)
        elif kind == 2:
            share = 0.01 + 0.2 * d.random.random()
            pixels = np.where(d.random.random(shape) < share, 255 * d.random.integers(2, size=shape), pixels)
        else:
            pixels = 128 + d.random.normal(0, d.between(5, 60), shape) * np.ones(3)
    d.paste(pixels)


def pattern(d: Drawing) -> None:
    """Checkerboards, lines and waves of any contrast, side by side."""
    rows, columns = np.mgrid[: d.height, : d.width]
    pixels = np.zeros((d.height, d.width, 3))
    across = d.between(1, 3)
    for i in range(across):
        for j in range(across):
            part = (
                slice(d.height * i // across, d.height * (i + 1) // across),
                slice(d.width * j // across, d.width * (j + 1) // across),
            )
            r, c = rows[part], columns[part]
            kind, period = d.between(0, 3), d.between(1, 4)
            if kind == 0:
                on = ((r // period + c // period) % 2).astype(np.float64)
            elif kind == 1:
                angle = d.random.random() * math.pi
                on = ((r * math.sin(angle) + c * math.cos(angle)) / period % 2 < 1).astype(np.float64)
            elif kind == 2:
                far = (r - r.mean()) ** 2 + (c - c.mean()) ** 2
                on = 0.5 + 0.5 * np.cos(math.pi * far / max(r.shape))
            else:
                on = ((r % (2 * period) < period) & (c % (2 * period) < period)).astype(np.float64)
            contrast, middle = 8 + 247 * d.random.random(), np.array(d.colour(0.5))
            high = np.array(WHITE) if d.chance(0.5) else np.clip(middle + contrast, 0, 255)
            low = np.clip(high - contrast, 0, 255)
            pixels[part] = low + (high - low) * on[..., None]
    d.paste(pixels)


def patched(d: Drawing) -> None:
    """A photograph with a patch of a pattern, a dither or noise."""
    d.image.paste(d.photograph(d.width, d.height), (0, 0))
    for _ in range(d.between(1, 3)):
        part = Drawing(d.between(24, 160), d.between(24, 160), d.random, d.material)
        (pattern, dither, noise, pixel_art, document)[d.between(0, 4)](part)
        d.image.paste(part.image, (d.between(0, d.width - 160), d.between(0, d.height - 160)))


KINDS: dict[str, tuple[Callable[[Drawing], None], float]] = {
    "document": (document, 3), "sizes": (sizes, 1), "code": (code, 2), "interface": (interface, 3), "page": (page, 3),
    "sheet": (sheet, 1), "chart": (chart, 2), "diagram": (diagram, 1), "map": (map_, 2), "line-art": (line_art, 1),
    "pixel-art": (pixel_art, 1.5), "overlay": (overlay, 3), "ramp": (ramp, 1), "dither": (dither, 1.5),
    "noise": (noise, 1), "pattern": (pattern, 1.2), "patched": (patched, 1),
}  # fmt: skip
"""What draws each kind, and its weight among training content."""


def draw(kind: str, seed: int, width: int, height: int, material: Material) -> Image.Image:
    """The picture of a kind and a seed."""
    drawing = Drawing(width, height, np.random.default_rng([seed, zlib.crc32(kind.encode())]), material)
    KINDS[kind][0](drawing)
    return drawing.image


def own_material() -> Material:
    """What the evaluation extra carries: matplotlib's fonts, scikit-image's photographs.

    Raises:
        DatasetError: the extra is not installed.

    """
    try:
        import matplotlib
        import skimage.data
    except ImportError as error:
        raise DatasetError(f"{NAME} needs {error.name}: pip install 'nicodec[eval]'") from error
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    files = [folder / f"{name}.ttf" for name in FONTS]
    photographs = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea(), skimage.data.rocket()]
    return Material(files, [file for file in files if "Mono" in file.name or "cmtt" in file.name], photographs)


def draw_set(folder: Path) -> None:
    """Draw the set of `nicodec eval screens` into a folder; what is there already stays.

    Raises:
        DatasetError: the evaluation extra is not installed.

    """
    missing = [(kind, seed) for kind, seed in SET if not (folder / f"{kind}-{seed}.png").exists()]
    if not missing:
        return
    material = own_material()
    folder.mkdir(parents=True, exist_ok=True)
    for kind, seed in missing:
        draw(kind, seed, *SIZE, material).save(folder / f"{kind}-{seed}.png", optimize=True)


def _fonts(folder: Path) -> list[Path]:
    """Fonts in a folder and its subfolders that have Latin letters of their own."""
    found = []
    for path in sorted([*folder.rglob("*.ttf"), *folder.rglob("*.otf")]):
        try:
            font = ImageFont.truetype(str(path), 20)
            shapes = {bytes(font.getmask(c)) for c in "aegmR4"}
        except OSError:
            continue
        if len(shapes) == 6:
            found.append(path)
    return found


def main() -> None:
    """Draw training content into a folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--fonts", type=Path, required=True)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--size", type=int, default=600)
    given = parser.parse_args()
    random = np.random.default_rng(given.seed)
    fonts = _fonts(given.fonts)
    files = sorted(p for p in given.photographs.rglob("*") if p.suffix in {".avif", ".png", ".webp", ".jpg"})
    chosen = random.choice(len(files), min(60, len(files)), replace=False)
    photographs = [np.array(Image.open(files[i]).convert("RGB")) for i in chosen]
    material = Material(fonts, [f for f in fonts if "mono" in f.name.lower()], photographs)
    weights = np.array([weight for _, weight in KINDS.values()])
    given.out.mkdir(parents=True, exist_ok=True)
    for number in range(given.count):
        kind = list(KINDS)[random.choice(len(KINDS), p=weights / weights.sum())]
        image = draw(kind, given.seed + number, given.size, given.size, material)
        if random.random() < 0.05:
            image = image.filter(ImageFilter.GaussianBlur(0.5 + random.random()))
        image.save(given.out / f"{kind}-{given.seed + number}.png")


if __name__ == "__main__":
    main()
