"""Rate-distortion plots as PNG, SVG (its text is text) and PDF.

Measured curves are solid, published ones dashed with their sources.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

from kodak_eval.curves import Curve
from kodak_eval.style import PLOT_STYLE, PLOTTED_PUBLISHED, colour, marker, published_colour, save_figure

DPI = 200
"""Of the PNG."""

WIDTH, HEIGHT = 9.0, 5.2
"""Of the figure, in inches."""

AXIS_LETTERS = 60
"""Of the vertical axis' title that fit in a line."""

DASHES = ((0, (4, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (2.5, 1.2)), (0, (1, 3)), (0, (9, 3)))
"""Of published curves, in turn. They are drawn last and nicodec's thick line first, so that none hides another."""

MIDDLE_RATE = 0.5
"""Bits a pixel at which the legends' order is taken; the middle of the axis where that is logarithmic."""

LOW_RATES = 0.5
"""If no measured curve goes beyond, the axis of rates is logarithmic, and begins with the first of them."""

RATE_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Of a logarithmic axis."""


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
        measured: drawn solid with markers; their rates are what the plot shows.
        published: drawn dashed without markers; their sources are printed under the plot.
        title: over the plot: data set and number of pictures.
        axis: title of the vertical axis with the unit.
        stem: path without a suffix; its folder exists.
        greatest_rate: right end of the horizontal axis in bits a pixel, if curves reach it.

    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context({**PLOT_STYLE, "font.size": 9}):
        figure = pyplot.figure(figsize=(WIDTH, HEIGHT))
        axes = figure.add_axes((0.075, 0.17, 0.62, 0.76))
        _draw(axes, measured, published)
        middle = _limit(axes, measured or published, published, greatest_rate)
        axes.set_xlabel("bits per pixel (whole file)")
        axes.set_ylabel("\n".join(textwrap.wrap(axis, AXIS_LETTERS)))
        axes.set_title(title, loc="left", fontsize=10)
        axes.grid(color="#e3e3e3", linewidth=0.6)
        axes.set_axisbelow(True)
        _legends(axes, middle)
        if published:
            figure.text(0.01, 0.01, _sources(published), fontsize=5.5, color="#555555", va="bottom")
        paths = save_figure(figure, stem, DPI)
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


def _limit(axes, curves: Sequence[Curve], others: Sequence[Curve], greatest_rate: float) -> float:
    """Show the rates of ``curves`` up to ``greatest_rate`` and just the qualities found there; return the middle."""
    rates = [rate for curve in curves for rate in curve.rates]
    right, left = min(greatest_rate, max(rates, default=greatest_rate)), 0.0
    if rates and right <= LOW_RATES:
        right, left = 1.05 * right, 0.95 * min(rates)
        axes.set_xscale("log")
        axes.set_xticks([tick for tick in RATE_TICKS if left <= tick <= right], minor=False)
        axes.minorticks_off()
        axes.xaxis.set_major_formatter("{x:g}")
    drawn = [point for curve in [*curves, *others] for point in zip(curve.rates, curve.qualities, strict=True)]
    seen = [quality for rate, quality in drawn if left <= rate <= right]
    axes.set_xlim(left, right)
    if seen and max(seen) > min(seen):
        margin = 0.04 * (max(seen) - min(seen))
        axes.set_ylim(min(seen) - margin, max(seen) + margin)
    return math.sqrt(left * right) if left else MIDDLE_RATE


def _legends(axes, middle: float) -> None:
    style = {"loc": "upper left", "frameon": False, "fontsize": 7.5, "alignment": "left", "title_fontsize": 8}
    lines = sorted(axes.lines, key=lambda line: _height(line, middle), reverse=True)
    measured = [line for line in lines if line.get_gid() == "measured"]
    others = [line for line in lines if line.get_gid() == "published"]
    top = 1.02
    if measured:
        axes.add_artist(axes.legend(handles=measured, title="Measured", bbox_to_anchor=(1.01, top), **style))
        top -= 0.042 * (len(measured) + 2)
    if others:
        axes.legend(handles=others, title="Published", bbox_to_anchor=(1.01, top), **style)


def _height(line, rate: float) -> float:
    """Return where a curve runs in the middle of the plot: legends name the uppermost first."""
    import numpy as np

    return float(np.interp(rate, *line.get_data()))


def _sources(published: Sequence[Curve]) -> str:
    by_source: dict[str, list[str]] = {}
    for curve in published:
        by_source.setdefault(curve.source.split(" results")[0].split(";")[0], []).append(curve.name)
    text = "Published curves: " + "; ".join(f"{', '.join(names)}: {source}" for source, names in by_source.items())
    return "\n".join(textwrap.wrap(text, 170))
