"""Puts the page, its style and scripts, the results and the viewer's pictures into one HTML file."""

from __future__ import annotations

import base64
import html
import json
import os
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from kodak_eval.decibels import METRIC, decibels, shown_document
from kodak_eval.matched import LARGEST_SIDE, Shown
from kodak_eval.style import PLOTTED_PUBLISHED, colour, marker, published_colour

SCRIPTS = ("state.js", "curves.js", "agreement.js", "speed.js", "viewer.js", "facts.js")
"""In the order in which they run."""

ORIGINAL = "original"
"""The viewer's name for the pictures that nothing was done to."""


def build_report(
    document: Mapping[str, Any],
    path: Path,
    *,
    anchor: str,
    shown: Iterable[Shown] = (),
    originals: Mapping[str, bytes] | None = None,
    bpp: float = 0.0,
    progressive: str = "",
) -> None:
    """Write the report to ``path``, whole or not at all.

    Args:
        document: the value of ``results.as_json``.
        path: of the HTML file.
        anchor: label of the curve that the scatter plot opens with.
        shown: the viewer's decoded pictures; none hides the viewer.
        originals: lossless WebP by picture name, for the viewer.
        bpp: the size that the viewer's pictures were matched to.
        progressive: HTML of the section on files that are cut short; empty for none.

    """
    files = resources.files("kodak_eval") / "report"
    viewer, images = _viewer(document, list(shown), originals or {}, bpp)
    data = {key: value for key, value in shown_document(document).items() if key != "measurements"}
    data |= {"anchor": anchor, "viewer": viewer} | _looks(document)
    name = document["dataset"]["name"]
    title = f"Rate and distortion on {name[0].upper()}{name[1:]}"
    parts = {
        "title": html.escape(title),
        "style": (files / "style.css").read_text(encoding="utf-8"),
        "data": json.dumps(data, ensure_ascii=False, allow_nan=False).replace("</", "<\\/"),
        "progressive": progressive,
        "images": "\n".join(images),
        "script": "\n".join((files / name).read_text(encoding="utf-8") for name in SCRIPTS),
    }
    page = (files / "page.html").read_text(encoding="utf-8")
    pieces = page.split("{{")
    text = pieces[0] + "".join(parts[name] + rest for name, rest in (p.split("}}", 1) for p in pieces[1:]))
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def _looks(document: Mapping[str, Any]) -> dict[str, object]:
    """Colours by label, markers by name, and the published curves that are hidden at first."""
    colours = {codec["label"]: colour(name) for name, codec in document["codecs"].items()}
    colours |= {speed["label"]: colour(speed["codec"]) for speed in document["speeds"]}
    hidden: list[str] = []
    for curves in document["curves"].values():
        for curve in curves["published"]:
            if curve["label"] not in colours:
                usual = curve["name"] in PLOTTED_PUBLISHED
                place = PLOTTED_PUBLISHED.index(curve["name"]) if usual else len(colours)
                colours[curve["label"]] = published_colour(place)
                if not usual:
                    hidden.append(curve["label"])
    markers = {name: marker(name) for name in document["codecs"]}
    markers |= {speed["codec"]: marker(speed["codec"]) for speed in document["speeds"]}
    return {"colours": colours, "markers": markers, "hidden": hidden}


def _shown(metric: str, value: float) -> float | None:
    """A value as the viewer shows it; None for an infinite one."""
    if metric == METRIC:
        return decibels(value)
    return value if abs(value) < 1e9 else None


def _viewer(
    document: Mapping[str, Any], shown: list[Shown], originals: Mapping[str, bytes], bpp: float
) -> tuple[dict[str, object], list[str]]:
    """Return what the script needs to know, and the elements that hold the pictures."""
    elements: list[str] = []

    def hold(image: bytes, kind: str) -> dict[str, object]:
        name = f"image-{len(elements)}"
        text = base64.b64encode(image).decode("ascii")
        elements.append(f'<script type="text/plain" id="{name}">{text}</script>')
        return {"id": name, "type": kind}

    images = {name: {ORIGINAL: hold(image, "image/webp")} for name, image in originals.items()}
    for item in shown:
        if item.measurement is not None and item.picture in images:
            images[item.picture][item.codec] = hold(item.image, "image/avif") | {
                "setting": item.measurement.setting,
                "size": item.measurement.size,
                "bpp": item.measurement.bpp,
                "values": {k: _shown(k, v) for k, v in item.measurement.values.items()},
            }
    present = [name for name in document["codecs"] if any(name in entry for entry in images.values())]
    preferred = [name for name in ("x265-444", "webp", "jpeg") if name in present]
    viewer = {
        "pictures": list(images) if present else [],
        "codecs": [ORIGINAL, *present],
        "left": preferred[0] if preferred else ORIGINAL,
        "right": present[0] if present else ORIGINAL,
        "images": images,
        "bpp": round(bpp, 3),
        "largest_side": LARGEST_SIDE,
    }
    return viewer, elements
