"""``nicodec eval``: rate-distortion of nicodec beside other codecs, on a data set or a folder of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nicodec import DEFAULT_CLIP_CODEC, DEFAULT_CODEC
from nicodec_cli import console, options

if TYPE_CHECKING:
    from rich.console import Console

    from kodak_eval.results import Results

STEPS = {
    "download": "downloading",
    "read": "reading pictures",
    "measure": "encoding and measuring",
    "cut": "cutting files short",
    "time": "timing",
    "sets": "comparing sets of patches",
    "viewer": "matching sizes for the viewer",
}
"""What the progress bar says."""


MOST_CLIPS_SHOWN = 4
"""Clips in the player of a report: each is in it once for every codec."""

WIDTH = 150
"""Columns of the tables where the output is no terminal."""


def evaluate(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="SET", help="kodak, clic-professional, clic-mobile, screens (drawn here), or any folder."
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER", help="Where a known set lies, or is downloaded to; by default ./ and its name."
        ),
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch a known set from its public home first.")
    ] = False,
    codec: Annotated[
        list[str] | None,
        typer.Option(
            "--codec",
            "-c",
            metavar="CODEC",
            help="Codec to run, with options: webp, avif-444:speed=2, nicodec-hyperprior, "
            "compressai-mbt2018-mean:checkpoints=FOLDER. May be repeated. Default: nicodec and all anchors.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="nicodec's model among the default codecs.",
            show_default=f"{DEFAULT_CODEC}, of clips {options.CLIP_DEFAULT}",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="NAME",
            help="psnr, psnr_yuv, ms_ssim, ssimulacra2, lpips, dists, efficientnet, fid, kid, efficientnet_frechet. "
            "May be repeated. Default: all that run here, but the last three.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder of the results; default runs/eval-SET."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the cache; default ~/.cache/nicodec/eval.")
    ] = None,
    processes: Annotated[
        int, typer.Option(min=0, metavar="N", help="Codecs measured at a time, one thread each; 0: every core.")
    ] = 0,
    threads: Annotated[
        int, typer.Option(min=0, metavar="N", help="Threads of a codec that is timed; 0: every core.")
    ] = 0,
    speed_pictures: Annotated[int, typer.Option(min=0, metavar="N", help="Pictures to time; 0: no times.")] = 3,
    anchor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help='Anchor of the summary\'s BD-rates: a codec, or a published curve ("VTM 18.0").'
        ),
    ] = None,
    viewer: Annotated[
        int, typer.Option(min=0, metavar="N", help="Pictures in the report's viewer; 0: no viewer.")
    ] = 24,
    viewer_bpp: Annotated[
        float, typer.Option(min=0.01, metavar="B", help="Bits a pixel that the viewer's files are matched to.")
    ] = 0.25,
    progressive: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Pictures whose files are cut short, where a codec writes levels, beside progressive JPEG and "
            "JPEG XL; 0: none.",
        ),
    ] = 24,
    inception: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Inception's weights for fid and kid; default: torch's cache.")
    ] = None,
    csv: Annotated[
        bool, typer.Option("--csv", help="Write measurements.csv and curves.csv too.", show_default=False)
    ] = False,
    cluster: options.Cluster = None,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="Take the first pictures only; 0: all.")] = 0,
    video: Annotated[
        bool,
        typer.Option(
            "--video", help="SET is a folder of clips: .mkv, .mp4, .y4m, or raw NAME_WxH.yuv; see docs/clips.md."
        ),
    ] = False,
    frames: Annotated[
        int, typer.Option(min=0, metavar="N", help="With --video: the first frames of each clip; 0: all.")
    ] = 0,
) -> None:
    """Measure rate and distortion beside JPEG, WebP, AVIF, JPEG XL, HEVC and AV1, and write a report.

    What was measured once is taken from the cache; an interrupted run goes on.
    """
    from rich.console import Console

    from kodak_eval import evaluation
    from kodak_eval.cache import default_folder
    from kodak_eval.errors import EvaluationError

    screen = Console()
    if not screen.is_terminal:
        screen = Console(width=WIDTH)
    if video:
        from kodak_eval.clips.evaluation import ClipOptions, anchor_of
        from kodak_eval.clips.evaluation import evaluate as evaluate_clips
        from nicodec_cli.evaluate_clips import report_clips

        clip_options = ClipOptions(
            folder=folder or Path(dataset),
            output=output or Path("runs") / f"eval-{Path(dataset).resolve().name}",
            cache=cache or default_folder(),
            codecs=tuple(codec or ()),
            model=model or DEFAULT_CLIP_CODEC,
            metrics=tuple(metric) if metric else None,
            processes=processes,
            cluster=cluster,
            anchor=anchor,
            viewer_clips=min(viewer, MOST_CLIPS_SHOWN),
            viewer_bpp=viewer_bpp,
            limit=limit,
            frames=frames,
        )
        with _Progress(screen) as progress:
            found, files = evaluate_clips(clip_options, progress=progress)
        report_clips(screen, found, files, anchor_of(found, anchor))
        if all(m.error for m in found.measurements):
            raise EvaluationError(f"none of {len(found.measurements)} measurements succeeded; see above")
        return
    with _Progress(screen) as progress:
        pictures = evaluation.open_dataset(dataset, folder, fetch=download, limit=limit, progress=progress)
        for name, reason in pictures.failures.items():
            console.warning(f"{name}: {reason}; left out")
        request = evaluation.Options(
            cache=cache or default_folder(),
            output=output or Path("runs") / f"eval-{Path(dataset).resolve().name}",
            codecs=tuple(codec or ()),
            model=model or DEFAULT_CODEC,
            metrics=tuple(metric) if metric else None,
            processes=processes,
            cluster=cluster,
            threads=threads,
            speed_pictures=speed_pictures,
            anchor=anchor,
            viewer_pictures=viewer,
            viewer_bpp=viewer_bpp,
            progressive_pictures=progressive,
            inception=inception,
            tables=csv,
        )
        results, paths = evaluation.evaluate(pictures, request, progress=progress)
    _report(screen, results, paths, anchor)
    if all(m.error for m in results.measurements):
        reason = results.measurements[0].error if results.measurements else "there was nothing to measure"
        raise EvaluationError(f"none of {len(results.measurements)} measurements succeeded; the first: {reason}")


def _report(screen: Console, results: Results, paths: list[Path], anchor: str | None) -> None:
    """Print the tables, what failed, and where the files are."""
    from kodak_eval import tables
    from kodak_eval.agreement_table import agreement_table
    from kodak_eval.progressive.means import cut_groups
    from kodak_eval.progressive.table import cut_table

    label = tables.choose_anchor(results, anchor)
    if anchor and not label:
        screen.print(f"No curve is called {anchor!r}: no BD-rates in the summary.", markup=False)
    screen.print(*tables.summary_tables(results, label, screen.width))
    if results.averages[results.metrics[0]].curves:
        screen.print(*tables.matrix_tables(results, results.metrics[0], screen.width))
    if results.agreements:
        screen.print(agreement_table(results.agreements))
    if any(not speed.error for speed in results.speeds):
        screen.print(*tables.ratio_tables(results, screen.width))
    for group in cut_groups(results.cut_files):
        screen.print(cut_table(group))
    for name, reason in results.missing.items():
        screen.print(f"Not run: {name}: {reason}", highlight=False, markup=False)
    for row in results.failures():
        who = " ".join(filter(None, (row["picture"], row["codec"], row["what"])))
        screen.print(f"Failed: {who}: {row['reason']}", highlight=False, markup=False)
    measured = sum(not m.cached for m in results.measurements)
    screen.print(
        f"{len(results.measurements)} measurements ({measured} new) in {results.seconds:.0f} s; wrote "
        f"{paths[0].parent}: {', '.join(path.name for path in paths)}",
        highlight=False,
        markup=False,
    )


class _Progress:
    """A bar a step on a terminal, nothing elsewhere; called as ``Progress``."""

    def __init__(self, screen: Console) -> None:
        from rich import progress

        self.bars = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            console=screen,
            disable=not screen.is_terminal,
        )
        self.tasks: dict[str, progress.TaskID] = {}

    def __enter__(self) -> _Progress:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self.tasks:
            self.tasks[what] = self.bars.add_task(STEPS[what], total=total)
        self.bars.update(self.tasks[what], completed=done)
