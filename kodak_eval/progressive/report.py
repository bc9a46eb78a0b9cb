"""The report's section on files that are cut short: a plot, a table, and strips of pictures."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from kodak_eval.progressive.cutting import QUALITY, STRIP_SHARES, CutFile
from kodak_eval.progressive.means import TABLE_SHARES, CutGroup, cut_groups, text_of
from kodak_eval.style import PLOT_STYLE, colour, marker, save_figure


def plot_cuts(files: Sequence[CutFile], stem: Path) -> list[Path]:
    """Write ``STEM.png``, ``.svg`` and ``.pdf``: mean PSNR by bytes received; return their paths."""
    groups = cut_groups(files)
    if not groups:
        return []
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context({**PLOT_STYLE, "font.size": 8}):
        figure, panels = pyplot.subplots(
            1, len(groups), figsize=(8 * len(groups), 4.5), layout="constrained", squeeze=False
        )
        for axes, group in zip(panels[0], groups, strict=True):
            _draw(axes, group)
        paths = save_figure(figure, stem, dpi=110)
        pyplot.close(figure)
    return paths


def _draw(axes, group: CutGroup) -> None:
    for number, curve in enumerate(group.curves):
        own = number == 0
        shown = [
            (size / 1000, value) for size, value in zip(curve.sizes, curve.psnr, strict=True) if value is not None
        ]
        axes.plot(
            [size for size, _ in shown],
            [value for _, value in shown],
            color=colour(curve.name.removesuffix("-progressive")),
            marker=marker(curve.name.removesuffix("-progressive")),
            linewidth=2.8 if own else 1.4,
            markersize=7 if own else 4.5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            label=curve.label,
        )
    first = group.curves[0]
    made = [(size / 1000, value) for size, value in zip(first.sizes, first.made, strict=True) if value is not None]
    if made:
        label = f"{first.label}, made of so many bytes"
        axes.plot(*zip(*made, strict=True), color=colour(first.name), linestyle="--", linewidth=1, label=label)
    axes.set_xlabel("kB received, mean")
    axes.set_ylabel("PSNR (dB), mean")
    axes.set_xlim(left=0)
    axes.grid(color="#e3e3e3", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="lower right", frameon=False)


def section_of(files: Sequence[CutFile], plot: Path) -> str:
    """Return the section as HTML; empty where there are no such files.

    Args:
        files: of a run.
        plot: the SVG that `plot_cuts` wrote.

    """
    groups = cut_groups(files)
    if not groups:
        return ""
    svg = plot.read_text(encoding="utf-8")
    parts = [
        '<section id="progressive-section">',
        "<h2>While it arrives</h2>",
        '<p class="note">What the first bytes of a file give. The files in levels are made at quality '
        f"{QUALITY}, the others at the setting whose size is nearest to theirs; all are cut at the same bytes. "
        "Dashed, or in the last row: a file that is made of so many bytes, between measured ones. "
        "–: nothing is to be seen of some picture yet.</p>",
        svg[svg.index("<svg") :],
        *(_table(group) for group in groups),
        *_strips(files),
        "</section>",
    ]
    return "\n".join(parts)


def _table(group: CutGroup) -> str:
    head = "".join(f"<th>{100 * share:g} %</th>" for share in TABLE_SHARES)
    rows = "\n".join(
        f"<tr><th>{html.escape(label)}</th>" + "".join(f"<td>{text_of(value)}</td>" for value in values) + "</tr>"
        for label, values in group.rows()
    )
    head = f"<thead><tr><th>PSNR in dB, mean of {group.pictures} pictures</th>{head}</tr></thead>"
    return f'<div class="scroll"><table>{head}<tbody>{rows}</tbody></table></div>'


def _strips(files: Sequence[CutFile]) -> list[str]:
    strips: dict[str, list[CutFile]] = {}
    for file in files:
        if any(cut.image for cut in file.cuts):
            strips.setdefault(file.picture, []).append(file)
    return [_strip(picture, own) for picture, own in strips.items()]


def _strip(picture: str, files: Sequence[CutFile]) -> str:
    rows = []
    for file in files:
        cells = "".join(_cell(file, share) for share in STRIP_SHARES)
        rows.append(f"<tr><th>{html.escape(file.label)}</th>{cells}</tr>")
    return f'<h3>{html.escape(picture)}</h3><div class="scroll"><table class="strip">{"".join(rows)}</table></div>'


def _cell(file: CutFile, share: float) -> str:
    cut = next(cut for cut in file.cuts if cut.share == share)
    caption = f"{100 * share:g} %, {cut.size / 1000:.1f} kB"
    if not cut.image:
        return f"<td>{caption}: nothing yet</td>"
    text = base64.b64encode(cut.image).decode("ascii")
    name = f"{file.picture} by {file.label}, {caption}"
    return (
        f'<td><img alt="{html.escape(name)}" src="data:image/avif;base64,{text}"><br>'
        f"{caption}, {text_of(cut.psnr)} dB</td>"
    )
