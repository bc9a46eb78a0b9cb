"""Writes what a run found: ``results.json``, plots, the HTML report."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from kodak_eval.codecs.base import Codec
from kodak_eval.curves import Curve
from kodak_eval.datasets import DatasetPicture
from kodak_eval.errors import DatasetError
from kodak_eval.matched import MatchTask, Shown, as_shown
from kodak_eval.measurement import Job
from kodak_eval.metrics import METRICS, of_pictures
from kodak_eval.plots import chosen_published, plot_rate_distortion
from kodak_eval.report import build_report
from kodak_eval.results import Results, as_json, write_json
from kodak_eval.runner import run

AXES = {"ms_ssim": "MS-SSIM, RGB (dB, −10 log10(1 − MS-SSIM))"}
"""Titles of the static plots' vertical axes where they are not the metrics' labels."""


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Write ``rd-METRIC.png`` and ``.svg`` for each metric that has curves; return their paths."""
    paths: list[Path] = []
    for metric, averages in results.averages.items():
        if averages.curves:
            title = f"{results.dataset.name}, mean of {len(averages.pictures)} pictures"
            paths += plot_rate_distortion(
                [_as_plotted(metric, curve) for curve in averages.curves],
                [_as_plotted(metric, curve) for curve in chosen_published(results.published(metric))],
                title=title[0].upper() + title[1:],
                axis=AXES.get(metric, METRICS[metric].label),
                stem=folder / f"rd-{metric}",
            )
    return paths


def _as_plotted(metric: str, curve: Curve) -> Curve:
    """Return the curve with MS-SSIM in decibels, as papers draw it, and all else as it is."""
    if metric != "ms_ssim":
        return curve
    return replace(curve, qualities=tuple(-10 * math.log10(max(1 - value, 1e-9)) for value in curve.qualities))


def match_tasks(results: Results, pictures: Sequence[DatasetPicture], bpp: float) -> list[MatchTask]:
    """Return the viewer's tasks: every codec on ``pictures`` at about ``bpp`` bits a pixel, picture by picture."""
    known: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for m in results.measurements:
        if not m.error:
            known.setdefault((m.codec, m.picture), []).append((m.setting, m.bpp))

    def task(codec: Codec, picture: DatasetPicture) -> MatchTask:
        job = Job(picture, codec, codec.settings[0], results.versions[codec.name], of_pictures(results.metrics))
        return MatchTask(job, bpp, tuple(known.get((codec.name, picture.name), ())))

    return [task(codec, picture) for picture in pictures for codec in results.codecs]


def write_all(
    results: Results,
    folder: Path,
    cache_folder: Path,
    *,
    anchor: str,
    viewer_pictures: int,
    viewer_bpp: float,
    processes: int = 0,
    cluster: str | None = None,
    done: Callable[[Shown], None] = lambda shown: None,
) -> list[Path]:
    """Write everything into ``folder`` (made if missing) and return the files' paths.

    Args:
        results: of a finished run.
        folder: for the output.
        cache_folder: of the run, for the viewer's pictures.
        anchor: label of the curve that the report's scatter plot opens with.
        viewer_pictures: how many pictures the viewer has, from the first on; 0 for no viewer.
        viewer_bpp: the size that its files are matched to.
        processes: for the viewer's pictures, as ``run`` takes them.
        cluster: likewise.
        done: called after each of them.

    """
    folder.mkdir(parents=True, exist_ok=True)
    document = as_json(results)
    write_json(document, folder / "results.json")
    paths = [folder / "results.json", *write_plots(results, folder)]
    pictures = results.dataset.pictures[:viewer_pictures]
    tasks = match_tasks(results, pictures, viewer_bpp)
    shown = run(tasks, cache_folder, processes=processes, cluster=cluster, done=done)
    report = folder / "report.html"
    build_report(document, report, anchor=anchor, shown=shown, originals=_originals(pictures), bpp=viewer_bpp)
    return [*paths, report]


def _originals(pictures: Sequence[DatasetPicture]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for picture in pictures:
        try:
            found[picture.name] = as_shown(picture.read(), lossless=True)
        except DatasetError:  # gone since it was measured: the viewer goes without it
            continue
    return found
