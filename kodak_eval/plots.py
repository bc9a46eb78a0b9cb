"""Rate-distortion plots as PNG, SVG (its text is text) and PDF.

Measured curves are solid, published ones dashed with their sources.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kodak_eval.curves import Curve
from kodak_eval.style import PLOTTED_PUBLISHED, colour, marker, published_colour

DPI = 200
"""Of the PNG."""

WIDTH, HEIGHT = 9.0, 5.2
"""Of the figure, in inches."""

DASHES = ((0, (4, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (2.5, 1.2)), (0, (1, 3)), (0, (9, 3)))
"""Of published curves, in turn. They are drawn last and nicodec's thick line first, so that none hides another."""

MIDDLE_RATE = 0.5
"""Bits a pixel at which the legends' order is taken."""


def chosen_published(curves: Sequence[Curve]) -> list[Curve]:
    """Return the published curves of the static plot, in the order of ``PLOTTED_PUBLISHED``."""
    by_name = {curve.name: curve for curve in curves}
    return [by_name[name] for name in PLOTTED_PUBLISHED if name in by_name]


def plot_rate_distortion(
    measured: Sequence[Curve],
    published: Sequence[Curve],
    *,
    title: str,
    axis: str,
    stem: Path,
    greatest_rate: float = 1.6,
) -> list[Path]:
    """Write ``stem``.png, ``.svg`` and ``.pdf`` and return their paths.

    Args:
        measured: drawn solid with markers.
        published: drawn dashed without markers; their sources are printed under the plot.
        title: over the plot: data set and number of pictures.
        axis: title of the vertical axis with the unit.
        stem: path without a suffix; its folder exists.
        greatest_rate: right end of the horizontal axis in bits a pixel, if curves reach it.

    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style: dict[Any, Any] = {
        "font.size": 9,
        "font.family": "DejaVu Sans",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "nicodec",
        "svg.fonttype": "none",
        "pdf.fonttype": 42,
    }
    with pyplot.rc_context(style):
        figure = pyplot.figure(figsize=(WIDTH, HEIGHT))
        axes = figure.add_axes((0.075, 0.17, 0.62, 0.76))
        _draw(axes, measured, published)
        _limit(axes, [*measured, *published], greatest_rate)
        axes.set_xlabel("bits per pixel (whole file)")
        axes.set_ylabel(axis)
        axes.set_title(title, loc="left", fontsize=10)
        axes.grid(color="#e3e3e3", linewidth=0.6)
        axes.set_axisbelow(True)
        _legends(axes, bool(published))
        if published:
            figure.text(0.01, 0.01, _sources(published), fontsize=5.5, color="#555555", va="bottom")
        paths = [stem.with_name(stem.name + suffix) for suffix in (".png", ".svg", ".pdf")]
        figure.savefig(paths[0], dpi=DPI)
        figure.savefig(paths[1], metadata={"Date": None})
        figure.savefig(paths[2], metadata={"CreationDate": None})
        pyplot.close(figure)
    return paths


def _draw(axes, measured: Sequence[Curve], published: Sequence[Curve]) -> None:
    for position, curve in enumerate(published):
        axes.plot(
            curve.rates,
            curve.qualities,
            color=published_colour(position),
            linestyle=DASHES[position % len(DASHES)],
            linewidth=1,
            zorder=5,
            label=curve.name,
            gid="published",
        )
    for curve in measured:
        own = curve.name.startswith("nicodec-")
        axes.plot(
            curve.rates,
            curve.qualities,
            color=colour(curve.name),
            marker=marker(curve.name),
            markersize=8 if own else 4.5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            linewidth=3.4 if own else 1.4,
            zorder=3 if own else 4,
            label=curve.label,
            gid="measured",
        )


def _limit(axes, curves: Sequence[Curve], greatest_rate: float) -> None:
    """Show the rates up to ``greatest_rate`` and just the qualities found there."""
    right = min(greatest_rate, max((curve.rates[-1] for curve in curves), default=greatest_rate))
    seen = [q for curve in curves for r, q in zip(curve.rates, curve.qualities, strict=True) if r <= right]
    axes.set_xlim(0, right)
    if seen and max(seen) > min(seen):
        margin = 0.04 * (max(seen) - min(seen))
        axes.set_ylim(min(seen) - margin, max(seen) + margin)


def _legends(axes, published: bool) -> None:
    style = {"loc": "upper left", "frameon": False, "fontsize": 7.5, "alignment": "left", "title_fontsize": 8}
    lines = sorted(axes.lines, key=_height, reverse=True)
    measured = [line for line in lines if line.get_gid() == "measured"]
    others = [line for line in lines if line.get_gid() == "published"]
    first = axes.legend(handles=measured, title="Measured", bbox_to_anchor=(1.01, 1.02), **style)
    if published:
        axes.add_artist(first)
        top = 1.02 - 0.042 * (len(measured) + 2)
        axes.legend(handles=others, title="Published", bbox_to_anchor=(1.01, top), **style)


def _height(line) -> float:
    """Return where a curve runs in the middle of the plot: legends name the uppermost first."""
    import numpy as np

    return float(np.interp(MIDDLE_RATE, *line.get_data()))


def _sources(published: Sequence[Curve]) -> str:
    by_source: dict[str, list[str]] = {}
    for curve in published:
        by_source.setdefault(curve.source.split(" results")[0].split(";")[0], []).append(curve.name)
    text = "Published curves: " + "; ".join(f"{', '.join(names)}: {source}" for source, names in by_source.items())
    return "\n".join(textwrap.wrap(text, 170))
