"""One look for plots and report: each codec keeps its colour from run to run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

COLOURS = {
    "jpeg": "#8c6d5a",
    "jpeg2000": "#b8860b",
    "webp": "#2a9d8f",
    "avif-444": "#d1495b",
    "avif-420": "#e58fa0",
    "jpegxl": "#3a6ea5",
    "x265-444": "#6a4c93",
    "svtav1-420": "#e07b1f",
    "nicodec-hyperprior": "#111111",
    "nicodec-vqgan": "#0b7a3b",
}
"""Colours of the codecs of a default run, apart from each other in hue or lightness."""

SPARE = ("#0b7a3b", "#a61c6f", "#4f7cff", "#7a7a00", "#008b9c", "#b24a00")
"""Colours of further codecs, by their name's hash."""

MARKERS = {
    "jpeg": "s",
    "jpeg2000": "D",
    "webp": "v",
    "avif-444": "o",
    "avif-420": "P",
    "jpegxl": "^",
    "x265-444": "X",
    "svtav1-420": "p",
}
"""Matplotlib's markers; others have a star."""

PLOTTED_PUBLISHED = (
    "VTM 18.0",
    "BPG 4:4:4 (x265)",
    "mbt2018-mean (CompressAI)",
    "ELIC",
    "MLIC++",
    "HPCM-Large",
    "QARV",
    "Cool-chic 5.0",
    "COIN",
    "COIN++",
    "MS-ILLM",
    "StableCodec",
)
"""Published curves of the static plots and of the report at its opening; the report has all."""

PUBLISHED_COLOURS = (
    "#5b5b5b",
    "#9370c8",
    "#4aa3a2",
    "#c2912e",
    "#b04848",
    "#4c72b0",
    "#6b8e23",
    "#c774a8",
    "#999999",
    "#8a5a44",
    "#d0a0a0",
)


def colour(name: str) -> str:
    """Return the hex colour of a measured codec."""
    return COLOURS.get(name) or SPARE[hashlib.sha256(name.encode()).digest()[0] % len(SPARE)]


def marker(name: str) -> str:
    """Return Matplotlib's marker of a measured codec."""
    return MARKERS.get(name, "*")


def published_colour(position: int) -> str:
    """Return the hex colour of the published curve at ``position`` of the legend."""
    return PUBLISHED_COLOURS[position % len(PUBLISHED_COLOURS)]


PLOT_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "nicodec",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}
"""Matplotlib's settings of every plot: text stays text, and equal figures give equal bytes."""


def save_figure(figure, stem: Path, dpi: int) -> list[Path]:
    """Write ``STEM.png``, ``.svg`` and ``.pdf``, of which equal figures give equal bytes; return their paths."""
    paths = [stem.with_name(stem.name + suffix) for suffix in (".png", ".svg", ".pdf")]
    figure.savefig(paths[0], dpi=dpi)
    figure.savefig(paths[1], metadata={"Date": None})
    figure.savefig(paths[2], metadata={"CreationDate": None})
    return paths
