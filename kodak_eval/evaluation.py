"""A whole evaluation: every picture through every codec, then the times, then the files."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kodak_eval import codecs as codec_room
from kodak_eval import datasets, download, metrics, patches, screens
from kodak_eval.averages import Averages, average
from kodak_eval.cache import Cache
from kodak_eval.codecs.base import Codec
from kodak_eval.curves import published_curves
from kodak_eval.datasets import Dataset
from kodak_eval.errors import CodecUnavailableError, DatasetError, EvaluationError
from kodak_eval.measurement import Job
from kodak_eval.outputs import write_all
from kodak_eval.progressive.planning import cut_tasks
from kodak_eval.results import Results
from kodak_eval.runner import plan, run
from kodak_eval.set_curves import set_averages
from kodak_eval.speed import measure_speeds
from kodak_eval.tables import choose_anchor
from nicodec.threads import usable_cores, use_threads

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
        processes: measuring at a time, each on one thread; 0: one a core.
        cluster: measures instead, as ``nicodec.jobs.run`` says; None for this machine.
        threads: for the times.
        speed_pictures: pictures to time; 0 for no times.
        zoo: further codecs in the table of times.
        anchor: a codec's or published curve's name for the summary; None to choose.
        viewer_pictures: pictures in the report's viewer.
        viewer_bpp: the size that the viewer's files are matched to.
        progressive_pictures: pictures whose files in levels are cut short; 0 for none.
        inception: file of the weights that FID and KID need; None to look in torch's cache.
        tables: whether what was measured is written as CSV too.

    """

    cache: Path
    output: Path
    codecs: tuple[str, ...] = ()
    model: str = "hyperprior"
    metrics: tuple[str, ...] | None = None
    processes: int = 0
    cluster: str | None = None
    threads: int = 0
    speed_pictures: int = 3
    zoo: tuple[str, ...] = ZOO_FOR_TIMES
    anchor: str | None = None
    viewer_pictures: int = 24
    viewer_bpp: float = 0.25
    progressive_pictures: int = 24
    inception: Path | None = None
    tables: bool = False


def open_dataset(name: str, folder: Path | None, *, fetch: bool, limit: int, progress: Progress) -> Dataset:
    """Return the data set that the command line means.

    Args:
        name: a known set's name, "screens" (drawn here), or a folder.
        folder: where a known set lies; by default a folder of its name in the working directory.
        fetch: download a known set into its folder first.
        limit: take this many pictures from the first on (the set then no longer counts as verified);
            0 for all.
        progress: told of files done.

    Raises:
        DatasetError: as ``datasets.load`` and ``download.fetch`` say.

    """
    known = datasets.known_sets().get(name)
    if name == screens.NAME:
        folder = folder or Path(name)
        screens.draw_set(folder)
    elif known is None:
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
    names, missing_metrics = metrics.choose(options.metrics, options.inception)
    if not metrics.of_pictures(names):
        names.insert(0, "psnr")  # rates and pictures of FID's curves are those of another metric's
    variants = _variants(dataset, options, names)
    jobs = [*plan(dataset, chosen, metrics.of_pictures(names)), *plan(dataset, variants, ["psnr"])]
    count = _counter(progress, "measure", len(jobs))
    measurements = run(jobs, options.cache, processes=options.processes, cluster=options.cluster, done=count)
    versions = {job.codec.name: job.version for job in jobs}
    timed, missing_zoo = _to_time(chosen, options)
    speeds = measure_speeds(
        timed,
        dataset.pictures[: options.speed_pictures],
        threads=options.threads or usable_cores(),
        done=_counter(progress, "time", len(timed)),
    )
    missing |= missing_metrics | missing_zoo
    results = Results(dataset, chosen, versions, names, measurements, speeds, missing, variants=variants)
    _cut_files(results, options, progress)
    results.of_sets = _sets(results, jobs, options, progress)
    results.seconds = time.perf_counter() - start
    viewer_pictures = min(options.viewer_pictures, len(dataset.pictures))
    paths = write_all(
        results,
        options.output,
        options.cache,
        anchor=choose_anchor(results, options.anchor),
        viewer_pictures=viewer_pictures,
        viewer_bpp=options.viewer_bpp,
        processes=options.processes,
        cluster=options.cluster,
        tables=options.tables,
        done=_counter(progress, "viewer", viewer_pictures * len(chosen)),
    )
    return results, paths


def _cut_files(results: Results, options: Options, progress: Progress) -> None:
    """Cut files of the codecs in levels short, and others of their size."""
    pictures = results.dataset.pictures[: options.progressive_pictures]
    tasks, missing = cut_tasks(results.codecs, results.versions, pictures, results.measurements)
    if tasks:
        count = _counter(progress, "cut", len(tasks))
        for done in run(tasks, options.cache, processes=options.processes, cluster=options.cluster, done=count):
            results.cut_files += done.files
            if done.error:
                results.cut_failures[done.picture] = done.error
        results.missing |= missing


def _variants(dataset: Dataset, options: Options, names: Sequence[str]) -> list[Codec]:
    """Return what a default run on a set with published curves measures for the table of agreement."""
    if options.codecs or "psnr" not in names or not (dataset.verified and published_curves("psnr", dataset.name)):
        return []
    return [codec for codec in codec_room.VARIANTS.values() if _missing(codec) is None]


def _missing(codec: Codec) -> str | None:
    """Return why a codec cannot run here; None where it can."""
    try:
        codec.version()
    except CodecUnavailableError as error:
        return str(error)
    return None


def _sets(results: Results, jobs: Sequence[Job], options: Options, progress: Progress) -> dict[str, Averages]:
    """Return the curves of metrics of sets, if they were asked for."""
    names = [name for name in results.metrics if name not in metrics.of_pictures(results.metrics)]
    if not names:
        return {}
    use_threads(options.threads or usable_cores())
    first = metrics.of_pictures(results.metrics)[0]
    like = average(first, results.codecs, results.measurements)
    points = sum(len(curve.settings) for curve in like.curves)
    cache, found = Cache(options.cache), {}
    by_inception = [name for name in names if name in metrics.INCEPTION_METRICS]
    if by_inception:
        file = patches.inception_file(options.inception)
        fingerprint = f"{metrics.METRICS['fid'].package} {hashlib.sha256(file.read_bytes()).hexdigest()}"
        count = _counter(progress, "sets", points)
        found |= set_averages(by_inception, like, jobs, cache, patches.inception(file), fingerprint, count)
    for name in set(names) - set(by_inception):
        network, fingerprint = patches.efficientnet()
        count = _counter(progress, "sets", points)
        (curves,) = set_averages(["fid"], like, jobs, cache, network, fingerprint, count).values()
        found[name] = dataclasses.replace(curves, metric=name)
    return found


def _to_time(chosen: Sequence[Codec], options: Options) -> tuple[list[Codec], dict[str, str]]:
    if not options.speed_pictures:
        return [], {}
    timed, missing = list(chosen), {}
    for name in options.zoo:
        codec = codec_room.codec_from_name(name)
        if codec.name in {other.name for other in timed}:
            continue
        if (reason := _missing(codec)) is not None:
            missing[codec.name] = reason
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
