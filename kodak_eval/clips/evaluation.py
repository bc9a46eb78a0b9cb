"""``nicodec eval --video``: every clip through every codec, then tables, plots and the report."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kodak_eval.cache import Cache
from kodak_eval.clips import plots, report
from kodak_eval.clips.anchors import ANCHORS
from kodak_eval.clips.base import ClipCoder
from kodak_eval.clips.learned import NicodecClips, NicodecPictures, medium_of, variants
from kodak_eval.clips.measurement import METRICS, ClipJob, ClipMeasurement
from kodak_eval.clips.results import ClipResults, as_json
from kodak_eval.clips.sources import Clip, open_folder
from kodak_eval.clips.viewer import as_mp4
from kodak_eval.codecs.catalogue import codec_from_name
from kodak_eval.codecs.learned import Nicodec
from kodak_eval.errors import CodecUnavailableError, EvaluationError
from kodak_eval.results import write_json
from kodak_eval.runner import run
from nicodec.errors import NicodecError
from nicodec.threads import usable_cores

Progress = Callable[[str, int, int], None]

PICTURES = "pictures-"
"""What names of picture models that code every frame begin with."""


@dataclass(frozen=True)
class ClipOptions:
    """How to evaluate clips.

    Attributes:
        folder: of clips.
        output: folder for the results.
        cache: folder of the cache.
        codecs: names with options; empty for the default ones.
        model: nicodec's model among the default codecs.
        metrics: names in ``METRICS``; None for all.
        processes: measuring at a time, each on one thread; 0: one a core.
        cluster: measures instead, as ``nicodec.jobs.run`` says.
        anchor: name of the anchor that tables open with; None: the first that was measured.
        viewer_clips: clips in the report's player.
        viewer_bpp: the size that its files are nearest to.
        limit: clips that are taken; 0 for all.
        frames: of each clip that are taken at most; 0 for all.

    """

    folder: Path
    output: Path
    cache: Path
    codecs: tuple[str, ...] = ()
    model: str = "video"
    metrics: tuple[str, ...] | None = None
    processes: int = 0
    cluster: str | None = None
    anchor: str | None = None
    viewer_clips: int = 4
    viewer_bpp: float = 0.1
    limit: int = 0
    frames: int = 0


def clip_codec_from_name(text: str) -> ClipCoder:
    """Return the codec that ``text`` names, with options: ``x265-medium:settings=20/30/40``, ``nicodec-MODEL:gop=8``.

    ``pictures-MODEL`` codes every frame by a model of pictures.

    Raises:
        EvaluationError: no such codec or option.

    """
    name, _, options = text.partition(":")
    if name in ANCHORS:
        anchor = ANCHORS[name]
        for pair in filter(None, options.split(",")):
            key, _, value = pair.partition("=")
            if key != "settings":
                raise EvaluationError(f"{name} has no option {pair!r}; it has: settings (settings=20/30/40)")
            anchor = dataclasses.replace(anchor, settings=_numbers(value))
        return anchor
    as_pictures = name.startswith(PICTURES)
    if as_pictures:
        text = "nicodec-" + text.removeprefix(PICTURES)
    if not text.startswith("nicodec"):
        raise EvaluationError(f"unknown codec {name!r}; known: nicodec-MODEL, pictures-MODEL, {', '.join(ANCHORS)}")
    model = codec_from_name(text)
    assert isinstance(model, Nicodec)
    settings = model.settings if "settings=" in options else NicodecClips(model).settings
    if as_pictures:
        return NicodecPictures(model, settings)
    try:
        if medium_of(model.model) != "clip":
            raise EvaluationError(f"{model.model} codes pictures; name it pictures-{model.model} to code every frame")
    except NicodecError as error:
        raise CodecUnavailableError(str(error)) from error
    return NicodecClips(model, settings)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split("/"))
    except ValueError:
        raise EvaluationError(f"settings {text!r}: give numbers with / between them: 20/30/40") from None


def choose(options: ClipOptions) -> tuple[list[ClipCoder], dict[str, str], dict[str, str]]:
    """Return the codecs, their versions, and why others do not run.

    Raises:
        EvaluationError: a codec that was asked for cannot run here, or is not known.

    """
    asked = [clip_codec_from_name(name) for name in options.codecs]
    chosen: list[ClipCoder] = []
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for codec in asked or [*variants(options.model), *ANCHORS.values()]:
        if codec.name in versions:
            raise EvaluationError(f"{codec.name} is asked for twice")
        try:
            versions[codec.name] = codec.version()
        except CodecUnavailableError as error:
            if asked:
                raise
            missing[codec.name] = str(error)
        else:
            chosen.append(codec)
    return chosen, versions, missing


def evaluate(
    options: ClipOptions, *, progress: Progress = lambda what, done, total: None
) -> tuple[ClipResults, list[Path]]:
    """Measure and write everything; return the results and the files' paths.

    Raises:
        EvaluationError: no clip, no codec or no metric of that name.

    """
    start = time.perf_counter()
    metrics = tuple(METRICS) if options.metrics is None else options.metrics
    if unknown := [name for name in metrics if name not in METRICS]:
        raise EvaluationError(f"unknown metric {unknown[0]!r} of clips; known: {', '.join(METRICS)}")
    metrics = ("psnr_yuv", *(name for name in metrics if name != "psnr_yuv"))
    chosen, versions, missing = choose(options)
    clips, unread = open_folder(options.folder, options.frames, options.limit)
    jobs = [
        ClipJob(clip, codec, setting, versions[codec.name], metrics)
        for clip in clips
        for codec in chosen
        for setting in codec.settings
    ]
    done = 0
    progress("measure", 0, len(jobs))

    def count(_: ClipMeasurement) -> None:
        nonlocal done
        done += 1
        progress("measure", done, len(jobs))

    found = run(jobs, options.cache, processes=options.processes, cluster=options.cluster, done=count)
    name = options.folder.resolve().name
    results = ClipResults(name, clips, unread, chosen, versions, metrics, found, missing)
    results.seconds = time.perf_counter() - start
    return results, _write(results, jobs, options)


def anchor_of(results: ClipResults, wanted: str | None) -> str:
    """Return the name of the anchor: the one that is wanted or, without it, the first that is not nicodec's."""
    names = [codec.name for codec in results.codecs]
    if wanted in names:
        return str(wanted)
    return next((name for name in names if name in ANCHORS), names[0] if names else "")


def _write(results: ClipResults, jobs: list[ClipJob], options: ClipOptions) -> list[Path]:
    folder = options.output
    folder.mkdir(parents=True, exist_ok=True)
    document = as_json(results)
    write_json(document, folder / "results.json")
    drawn = plots.plot_curves(results, folder)
    shown: list[report.Shown] = []
    for clip in results.clips[: options.viewer_clips]:
        nearest = [m for codec in results.codecs if (m := results.nearest(codec.name, clip.name, options.viewer_bpp))]
        if nearest:
            drawn += plots.plot_time(results, clip.name, nearest, folder)
            shown += _shown(clip, nearest, jobs, Cache(options.cache))
    page = folder / "report.html"
    report.build(
        results,
        document,
        page,
        anchor=anchor_of(results, options.anchor),
        shown=shown,
        plots=drawn,
        bpp=options.viewer_bpp,
        processes=options.processes or usable_cores(),
    )
    return [folder / "results.json", *drawn, page]


def _shown(clip: Clip, nearest: list[ClipMeasurement], jobs: list[ClipJob], cache: Cache) -> list[report.Shown]:
    """Return a clip as it was, and as the codecs that are nearest in size give it."""
    form = clip.read().format
    empty = {"size": 0, "bpp": 0, "bit_rate": 0, "psnr": [], "bits": []}
    shown = [report.Shown(clip.name, report.ORIGINAL, as_mp4(list(clip.read().frames), form), empty)]
    by_key = {(job.clip.name, job.codec.name, job.setting): job for job in jobs}
    for m in nearest:
        job = by_key[m.clip, m.codec, m.setting]
        held = cache.load(job.cache_key())
        if held is None:
            continue
        facts = {
            "size": m.size,
            "bpp": m.bpp,
            "bit_rate": m.bit_rate,
            "psnr": m.series.get("psnr_yuv", []),
            "bits": m.series["bits"],
        }
        shown.append(report.Shown(clip.name, m.codec, as_mp4(list(job.codec.decode(held[0])), form), facts))
    return shown
