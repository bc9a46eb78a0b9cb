"""Writes what a run found: ``results.json``, tables as CSV where asked for, plots, the HTML report."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kodak_eval.codecs.base import Codec
from kodak_eval.curves import PUBLISHED_METRICS
from kodak_eval.datasets import DatasetPicture
from kodak_eval.decibels import LABEL, METRIC, as_plotted
from kodak_eval.errors import DatasetError
from kodak_eval.matched import MatchTask, Shown, as_shown
from kodak_eval.measurement import Job
from kodak_eval.metrics import METRICS, of_pictures
from kodak_eval.plots import LOW_RATES, chosen_published, plot_rate_distortion
from kodak_eval.progressive.report import plot_cuts, section_of
from kodak_eval.report import build_report
from kodak_eval.results import Results, as_json, write_json
from kodak_eval.runner import run


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Write ``rd-METRIC.png``, ``.svg`` and ``.pdf`` for each metric that has curves; return their paths."""
    paths: list[Path] = []
    for metric, averages in results.averages.items():
        if averages.curves:
            title = f"{results.dataset.name}, mean of {len(averages.pictures)} pictures"
            paths += plot_rate_distortion(
                [as_plotted(metric, curve) for curve in averages.curves],
                [as_plotted(metric, curve) for curve in chosen_published(results.published(metric))],
                title=title[0].upper() + title[1:],
                axis=_axis(metric),
                stem=folder / f"rd-{metric}",
            )
    return paths


def write_published_plots(results: Results, folder: Path) -> list[Path]:
    """Write ``published-METRIC.png`` and so on of each metric that others' curves have and this run has not.

    Curves with nothing measured beside them: their metrics need networks that are not here.
    """
    paths: list[Path] = []
    for metric in PUBLISHED_METRICS:
        curves = results.published(metric)
        if curves and metric not in results.averages:
            name = results.dataset.name
            paths += plot_rate_distortion(
                [],
                [as_plotted(metric, curve) for curve in curves],
                title=f"{name[0].upper()}{name[1:]}, as others printed it: nothing here was measured",
                axis=_axis(metric),
                stem=folder / f"published-{metric}",
                greatest_rate=LOW_RATES,
            )
    return paths


def _axis(metric: str) -> str:
    label = LABEL if metric == METRIC else METRICS[metric].label
    return label if METRICS[metric].higher_is_better else f"{label}, lower is better"


def write_tables(results: Results, folder: Path) -> list[Path]:
    """Write ``measurements.csv``, every picture at every setting, and ``curves.csv``, the means; return their paths.

    Values are as measured: MS-SSIM is not in decibels.
    """
    names = of_pictures(results.metrics)
    measured = [
        [m.picture, m.codec, m.setting, m.size, m.bpp, m.encode_seconds, m.decode_seconds]
        + [m.values.get(name, "") for name in names]
        + [m.error]
        for m in results.measurements
    ]
    heads = ["picture", "codec", "setting", "bytes", "bpp", "encode_seconds", "decode_seconds", *names, "error"]
    means = [
        [metric, curve.name, setting, rate, quality, curve.source]
        for metric, averages in results.averages.items()
        for curve in [*averages.curves, *results.published(metric)]
        for setting, rate, quality in zip(
            curve.settings or [""] * len(curve.rates), curve.rates, curve.qualities, strict=True
        )
    ]
    return [
        _write_csv(folder / "measurements.csv", heads, measured),
        _write_csv(folder / "curves.csv", ["metric", "codec", "setting", "bpp", "value", "source"], means),
    ]


def _write_csv(path: Path, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([heads, *rows])
    part = path.with_name(path.name + ".part")
    part.write_text(text.getvalue(), encoding="utf-8")
    part.replace(path)
    return path


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
    tables: bool = False,
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
        tables: whether ``measurements.csv`` and ``curves.csv`` are written too.
        done: called after each of them.

    """
    folder.mkdir(parents=True, exist_ok=True)
    document = as_json(results)
    write_json(document, folder / "results.json")
    paths = [
        folder / "results.json",
        *(write_tables(results, folder) if tables else ()),
        *write_plots(results, folder),
        *write_published_plots(results, folder),
        *plot_cuts(results.cut_files, folder / "progressive"),
    ]
    pictures = results.dataset.pictures[:viewer_pictures]
    tasks = match_tasks(results, pictures, viewer_bpp)
    shown = run(tasks, cache_folder, processes=processes, cluster=cluster, done=done)
    report = folder / "report.html"
    build_report(
        document,
        report,
        anchor=anchor,
        shown=shown,
        originals=_originals(pictures),
        bpp=viewer_bpp,
        progressive=section_of(results.cut_files, folder / "progressive.svg"),
    )
    return [*paths, report]


def _originals(pictures: Sequence[DatasetPicture]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for picture in pictures:
        try:
            found[picture.name] = as_shown(picture.read(), lossless=True)
        except DatasetError:  # gone since it was measured: the viewer goes without it
            continue
    return found
