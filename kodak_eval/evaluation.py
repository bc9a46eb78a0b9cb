"""A whole evaluation: every picture through every codec, then the times, then the files."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kodak_eval import codecs as codec_room
from kodak_eval import datasets, download, metrics
from kodak_eval.codecs.base import Codec
from kodak_eval.datasets import Dataset
from kodak_eval.errors import CodecUnavailableError, DatasetError, EvaluationError
from kodak_eval.outputs import write_all
from kodak_eval.results import Results
from kodak_eval.runner import plan, run, usable_cores
from kodak_eval.speed import measure_speeds
from kodak_eval.tables import choose_anchor

ZOO_FOR_TIMES = ("compressai-mbt2018-mean", "compressai-cheng2020-anchor")
"""CompressAI's models in the table of times where the package is installed: random weights do."""

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Options:
    """How to evaluate.

    Attributes:
        cache: folder of the cache.
        output: folder for the results.
        codecs: names with options, as ``codec_from_name`` takes them; empty for the default ones.
        model: nicodec's model among the default codecs.
        metrics: names; None for all that run here.
        processes: measuring at a time, each on one thread.
        threads: for the times.
        speed_pictures: pictures to time; 0 for no times.
        zoo: further codecs in the table of times.
        anchor: a codec's or published curve's name for the summary; None to choose.
        viewer_pictures: pictures in the report's viewer.
        viewer_bpp: the size that the viewer's files are matched to.

    """

    cache: Path
    output: Path
    codecs: tuple[str, ...] = ()
    model: str = "hyperprior"
    metrics: tuple[str, ...] | None = None
    processes: int = 0
    threads: int = 0
    speed_pictures: int = 3
    zoo: tuple[str, ...] = ZOO_FOR_TIMES
    anchor: str | None = None
    viewer_pictures: int = 24
    viewer_bpp: float = 0.25


def open_dataset(name: str, folder: Path | None, *, fetch: bool, limit: int, progress: Progress) -> Dataset:
    """Return the data set that the command line means.

    Args:
        name: a known set's name, or a folder.
        folder: where a known set lies; by default a folder of its name in the working directory.
        fetch: download a known set into its folder first.
        limit: take this many pictures from the first on (the set then no longer counts as verified);
            0 for all.
        progress: told of files done.

    Raises:
        DatasetError: as ``datasets.load`` and ``download.fetch`` say.

    """
    known = datasets.known_sets().get(name)
    if known is None:
        if fetch:
            raise DatasetError(f"--download knows {', '.join(datasets.known_sets())}, not {name!r}")
        if folder is not None:
            raise DatasetError(f"{name!r} is no known set; give the folder alone")
        folder, name = Path(name), Path(name).resolve().name
    elif folder is None:
        folder = Path(name)
    if fetch and known is not None:
        download.fetch(known, folder, progress=lambda done, total: progress("download", done, total))
    dataset = datasets.load(
        name, folder, strict=known is not None, progress=lambda done, total: progress("read", done, total)
    )
    if limit and limit < len(dataset.pictures):
        return Dataset(f"{name}, first {limit}", dataset.pictures[:limit], dataset.failures, False)
    return dataset


def choose_codecs(options: Options) -> tuple[list[Codec], dict[str, str]]:
    """Return the codecs to run and why others do not.

    Raises:
        EvaluationError: an unknown name, or a codec that was asked for cannot run here.

    """
    if not options.codecs:
        return codec_room.default_codecs(options.model)
    chosen = [codec_room.codec_from_name(name) for name in options.codecs]
    names = [codec.name for codec in chosen]
    if twice := {name for name in names if names.count(name) > 1}:
        raise EvaluationError(f"codecs asked for twice: {', '.join(sorted(twice))}")
    return chosen, {}


def evaluate(
    dataset: Dataset, options: Options, *, progress: Progress = lambda what, done, total: None
) -> tuple[Results, list[Path]]:
    """Measure, time, and write everything; return the results and the files' paths.

    Raises:
        EvaluationError: a codec or metric that was asked for cannot run here.

    """
    start = time.perf_counter()
    chosen, missing = choose_codecs(options)
    names, missing_metrics = metrics.choose(options.metrics)
    jobs = plan(dataset, chosen, names)
    count = _counter(progress, "measure", len(jobs))
    measurements = run(jobs, options.cache, processes=options.processes or None, done=count)
    versions = {job.codec.name: job.version for job in jobs}
    timed, missing_zoo = _to_time(chosen, options)
    speeds = measure_speeds(
        timed,
        dataset.pictures[: options.speed_pictures],
        threads=options.threads or usable_cores(),
        done=_counter(progress, "time", len(timed)),
    )
    results = Results(dataset, chosen, versions, names, measurements, speeds, missing | missing_metrics | missing_zoo)
    results.seconds = time.perf_counter() - start
    viewer_pictures = min(options.viewer_pictures, len(dataset.pictures))
    paths = write_all(
        results,
        options.output,
        options.cache,
        anchor=choose_anchor(results, options.anchor),
        viewer_pictures=viewer_pictures,
        viewer_bpp=options.viewer_bpp,
        processes=options.processes or None,
        done=_counter(progress, "viewer", viewer_pictures * len(chosen)),
    )
    return results, paths


def _to_time(chosen: Sequence[Codec], options: Options) -> tuple[list[Codec], dict[str, str]]:
    if not options.speed_pictures:
        return [], {}
    timed, missing = list(chosen), {}
    for name in options.zoo:
        codec = codec_room.codec_from_name(name)
        if codec.name in {other.name for other in timed}:
            continue
        try:
            codec.version()
        except CodecUnavailableError as error:
            missing[codec.name] = str(error)
        else:
            timed.append(codec)
    return timed, missing


def _counter(progress: Progress, what: str, total: int) -> Callable[[object], None]:
    """Return a callback that counts its calls; the first line is shown at once."""
    done = 0
    progress(what, 0, total)

    def count(_: object) -> None:
        nonlocal done
        done += 1
        progress(what, done, total)

    return count
