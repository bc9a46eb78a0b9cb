"""Plots of clips: rate and distortion, PSNR over time, bits of each frame."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kodak_eval.clips.measurement import METRICS, ClipMeasurement
from kodak_eval.clips.results import ClipResults
from kodak_eval.style import SPARE

COLOURS = (
    *("#111111", "#d1495b", "#0b5cad", "#8fb3d9", "#6a4c93"),
    *("#b79ad6", "#e07b1f", "#f0b37e", "#0b7a3b", "#7fbf95"),
)
"""In the order of codecs."""


def colour_of(place: int) -> str:
    """Return the colour of the codec at this place."""
    return COLOURS[place] if place < len(COLOURS) else SPARE[place % len(SPARE)]


@contextlib.contextmanager
def _figure(size: tuple[float, float], rows: int, stem: Path, paths: list[Path]) -> Iterator[Any]:
    """A figure that is written as PNG and SVG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style: dict[Any, Any] = {
        "font.size": 9,
        "font.family": "DejaVu Sans",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e3e3e3",
        "grid.linewidth": 0.6,
        "svg.hashsalt": "nicodec",
    }
    with pyplot.rc_context(style):
        figure, axes = pyplot.subplots(rows, 1, figsize=size, sharex=True, squeeze=False, layout="constrained")
        yield axes[:, 0]
        for suffix, facts in ((".png", {}), (".svg", {"metadata": {"Date": None}})):
            path = stem.with_name(stem.name + suffix)
            figure.savefig(path, dpi=160, **facts)
            paths.append(path)
        pyplot.close(figure)


def plot_curves(results: ClipResults, folder: Path) -> list[Path]:
    """Write ``rd-METRIC.png`` and ``.svg``: the mean over the clips, each codec a curve."""
    paths: list[Path] = []
    for metric in results.metrics:
        curves = [(k, results.mean_curve(codec, metric)) for k, codec in enumerate(results.codecs)]
        drawn = [(k, curve) for k, curve in curves if curve is not None]
        if not drawn:
            continue
        with _figure((9, 5.2), 1, folder / f"rd-{metric}", paths) as (axes,):
            for k, curve in drawn:
                own = curve.name.startswith("nicodec-")
                axes.plot(
                    curve.rates,
                    curve.qualities,
                    color=colour_of(k),
                    marker="o",
                    markersize=5 if own else 3,
                    linewidth=2.2 if own else 1.4,
                    label=curve.label,
                )
            axes.set_xscale("log")
            axes.set_xlabel("bits per pixel (whole streams), logarithmic")
            axes.set_ylabel(METRICS[metric])
            axes.set_title(f"{results.name}: mean over the clips", loc="left", fontsize=10)
            axes.legend(frameon=False, fontsize=8)
    return paths


def plot_time(results: ClipResults, clip: str, shown: Sequence[ClipMeasurement], folder: Path) -> list[Path]:
    """Write ``time-CLIP.png`` and ``.svg``: PSNR and bits of each frame."""
    paths: list[Path] = []
    places = {codec.name: k for k, codec in enumerate(results.codecs)}
    labels = {codec.name: codec.label for codec in results.codecs}
    with _figure((9, 5.6), 2, folder / f"time-{clip}", paths) as (upper, lower):
        for m in shown:
            colour, psnr, bits = colour_of(places[m.codec]), m.series.get("psnr_yuv", []), m.series["bits"]
            label = f"{labels[m.codec]}, {m.bpp:.3f} bpp"
            upper.plot(range(len(psnr)), psnr, color=colour, linewidth=1.3, label=label)
            lower.step(range(len(bits)), [max(bit, 1) for bit in bits], color=colour, linewidth=1.1, where="mid")
        upper.set_ylabel(METRICS["psnr_yuv"])
        upper.set_title(clip, loc="left", fontsize=10)
        upper.legend(frameon=False, fontsize=7, ncols=2)
        lower.set_yscale("log")
        lower.set_ylabel("bits of the frame")
        lower.set_xlabel("frame")
        lower.xaxis.get_major_locator().set_params(integer=True)
    return paths
