"""The report of clips: one HTML file that plays both sides of a comparison in step."""

from __future__ import annotations

import base64
import html
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from kodak_eval.clips.results import ClipResults
from kodak_eval.clips.viewer import FRAMES_MAX

ORIGINAL = "original"


@dataclass(frozen=True)
class Shown:
    """A clip of the viewer.

    Attributes:
        clip: name.
        codec: name, or ``ORIGINAL``.
        video: MP4.
        facts: size, bpp, bit_rate, psnr and bits of each frame; empty values of the original.

    """

    clip: str
    codec: str
    video: bytes
    facts: Mapping[str, Any]


def build(
    results: ClipResults,
    document: Mapping[str, Any],
    path: Path,
    *,
    anchor: str,
    shown: list[Shown],
    plots: list[Path],
    bpp: float,
    processes: int,
) -> None:
    """Write the report to ``path``, whole or not at all.

    Args:
        results: of the run.
        document: ``results.as_json`` of them.
        path: of the HTML file.
        anchor: name of the codec that the table opens with.
        shown: the viewer's clips.
        plots: all that were drawn; the SVGs are taken into the page.
        bpp: what the viewer's clips are nearest to.
        processes: how many were measured at a time.

    """
    rooms = resources.files("kodak_eval")
    data = {key: value for key, value in document.items() if key != "measurements"}
    viewer, elements = _viewer(results, shown)
    data |= {"anchor": anchor, "viewer": viewer}
    frames = sum(clip.frames for clip in results.clips)
    parts = {
        "title": html.escape(f"Rate and distortion on the clips of {results.name}"),
        "style": (rooms / "report" / "style.css").read_text(encoding="utf-8"),
        "facts": f"{len(results.clips)} clips, {frames} frames, {len(results.codecs)} codecs; one intra frame a clip "
        "for the anchors; bits of whole .nic files against whole elementary streams.",
        "curves": "\n".join(_svg(plot) for plot in plots if plot.name.startswith("rd-")),
        "times": "\n".join(_svg(plot) for plot in plots if plot.name.startswith("time-")),
        "metric": html.escape(document["metrics"][results.metrics[0]]),
        "most": str(FRAMES_MAX),
        "bpp": f"{bpp:g}",
        "processes": str(processes),
        "machine": html.escape(f"{document['machine']['cores']} cores of {document['machine']['cpu']}"),
        "data": json.dumps(data, ensure_ascii=False).replace("</", "<\\/"),
        "videos": "\n".join(elements),
        "script": (rooms / "clips" / "report.js").read_text(encoding="utf-8"),
    }
    pieces = (rooms / "clips" / "report.html").read_text(encoding="utf-8").split("{{")
    text = pieces[0] + "".join(parts[name] + rest for name, rest in (piece.split("}}", 1) for piece in pieces[1:]))
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def _svg(plot: Path) -> str:
    if plot.suffix != ".svg":
        return ""
    text = plot.read_text(encoding="utf-8")
    stem = plot.stem.replace(" ", "-")
    text = text[text.index("<svg") :]
    # names inside the pictures must differ: they are all in one page
    return text.replace('id="', f'id="{stem}-').replace('"#', f'"#{stem}-').replace("url(#", f"url(#{stem}-")


def _viewer(results: ClipResults, shown: list[Shown]) -> tuple[dict[str, Any], list[str]]:
    elements: list[str] = []
    videos: dict[str, dict[str, Any]] = {}
    for item in shown:
        name = f"video-{len(elements)}"
        text = base64.b64encode(item.video).decode("ascii")
        elements.append(f'<script type="text/plain" id="{name}">{text}</script>')
        videos.setdefault(item.clip, {})[item.codec] = {"id": name, **item.facts}
    clips = {clip.name: clip for clip in results.clips if clip.name in videos}
    names = [codec.name for codec in results.codecs]
    anchors = [name for name in names if not name.startswith("nicodec-")]
    return {
        "clips": list(clips),
        "facts": {
            name: {
                "width": clip.width // 2 * 2,
                "height": clip.height // 2 * 2,
                "frames": min(FRAMES_MAX, clip.frames),
                "rate": float(clip.rate),
            }
            for name, clip in clips.items()
        },
        "videos": videos,
        "left": anchors[0] if anchors else ORIGINAL,
        "right": names[0] if names else ORIGINAL,
    }, elements
