"""`nicodec decompress`: .nic files to pictures."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nicodec_cli import options
from nicodec_cli.clips import CLIP_OUTPUTS, ClipOutput, decompress_clip, is_clip
from nicodec_cli.console import UsageError
from nicodec_cli.tasks import Task

if TYPE_CHECKING:
    from nicodec.codecs.base import Progress
    from nicodec_cli.progress import Tell
    from nicodec_cli.reports import Done

SUFFIX = ".nic"
DEFAULT_FORMAT = "png"
CLIP_SUFFIX = ".mkv"


def decompress(
    inputs: Annotated[
        list[str], typer.Argument(metavar="IN", help="Files, folders with -r, or - for standard input.")
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="File, folder (made with -r), or - for standard output.",
            show_default="beside the input, as .png",
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="SUFFIX",
            help="png, jpg, webp, avif, tiff, jp2, bmp or ppm.",
            show_default="as OUT ends, else png",
        ),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(
            "--scale",
            min=0.01,
            max=64,
            metavar="F",
            help="Files without pixels (splat): draw F times as large, 0.01 to 64.",
        ),
    ] = None,
    draw_size: Annotated[
        str | None,
        typer.Option("--draw", metavar="WxH", help="Files without pixels (splat): draw W by H pixels, as 1920x1280."),
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option("--crop", metavar="X,Y,W,H", help="Decode W by H pixels, X from the left and Y from the top."),
    ] = None,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="Decode what is whole of a damaged or unfinished picture in levels or tiles, or of a clip.",
            show_default=False,
        ),
    ] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="The same, and fill in what is lost (files of vqgan in packets).", show_default=False
        ),
    ] = False,
    upto: Annotated[
        str | None,
        typer.Option(
            "--upto",
            metavar="30%|20kB|N",
            help="Pictures in levels: decode those that are whole in so much of the file, or the first N.",
        ),
    ] = None,
    encoder: Annotated[
        str, typer.Option("--encoder", metavar="NAME", help="Clips: x264, x265 (both near-transparent) or ffv1.")
    ] = "x264",
    lossless_out: Annotated[
        bool,
        typer.Option(
            "--lossless-out", help="Clips: the same as --encoder ffv1, for .mkv and .mov.", show_default=False
        ),
    ] = False,
    recursive: options.Recursive = False,
    jobs: options.Jobs = 1,
    cluster: options.Cluster = None,
    force: options.Force = False,
    skip_existing: options.SkipExisting = False,
    quiet: options.Quiet = False,
    device: options.Device = "cpu",
    max_pixels: options.MaxPixels = None,
) -> None:
    """Decompress .nic files into pictures or clips.

    Clips become .mkv, .mp4, .mov or .y4m files, numbered pictures (-o frames/%04d.png), or y4m on standard output.

    Nothing is written unless the decoder's symbols are those of the encoder. JPEG and AVIF are written at
    quality 95, all else without loss. A folder given with -r keeps its tree below the folder of -o.
    """
    from nicodec.container.limits import DEFAULT_LIMITS
    from nicodec.media import PICTURE_SUFFIXES
    from nicodec.upto import Upto
    from nicodec_cli.batch import run_tasks
    from nicodec_cli.tasks import is_device, plan

    for text in inputs:
        if Path(text).suffix.lower() in PICTURE_SUFFIXES and not Path(text).exists():
            raise UsageError(f"{text}: no such file; if it is the output, name it with -o {text}")
    if format is not None:
        format = format.lower().lstrip(".")
        if f".{format}" not in (*PICTURE_SUFFIXES, *CLIP_OUTPUTS):
            raise UsageError(
                f"--format {format}: cannot be written; give png, jpg, webp, avif, tiff, jp2, bmp or ppm; "
                "for clips mkv, mp4, mov or y4m"
            )
    planned = plan(
        inputs,
        output,
        suffix=lambda path: CLIP_SUFFIX if is_clip(path) else f".{format or DEFAULT_FORMAT}",
        recursive=recursive,
        wanted=lambda path: path.suffix.lower() == SUFFIX,
        kind=f"{SUFFIX} files",
    )
    target = planned.tasks[0].target
    if (
        format is None
        and target is not None
        and not is_device(target)
        and target.suffix.lower() not in (*PICTURE_SUFFIXES, *CLIP_OUTPUTS)
    ):
        what = f"{target.suffix} pictures cannot be written" if target.suffix else "no folder, and has no suffix"
        raise UsageError(f"-o {output}: {what}; give a name such as {target.with_suffix('.png')}")
    options.check_skipping(skip_existing, force)
    if scale is not None and draw_size is not None:
        raise UsageError("--scale and --draw contradict each other; give one of them")
    if crop is not None and (scale is not None or draw_size is not None):
        raise UsageError("--crop goes with neither --scale nor --draw; give one of them")
    if upto is not None:
        Upto.of(upto)  # says what is wrong before any file is read
    work = functools.partial(
        decompress_task,
        scale=scale,
        draw_size=None if draw_size is None else options.parse_draw_size(draw_size),
        crop=None if crop is None else options.parse_crop(crop),
        format=format,
        partial=partial,
        repair=repair,
        upto=upto,
        device=device,
        max_pixels=DEFAULT_LIMITS.pixels if max_pixels is None else max_pixels,
        clip=ClipOutput(
            encoder="ffv1" if lossless_out else encoder,
            format=format,
            streams=jobs == 1 and cluster is None,
            shows=jobs == 1 and cluster is None and not quiet,
            overwrite=force,
            make_folders=recursive,
        ),
    )
    if target is not None and "%" in target.name:  # numbered pictures of a clip
        planned = dataclasses.replace(planned, make_folders=True)
    code = run_tasks(
        planned,
        work,
        processes=jobs,
        overwrite=force,
        skip_existing=skip_existing,
        quiet=quiet,
        cluster=cluster,
        pixels=_pixels,
        bar=not any(task.source is not None and is_clip(task.source) for task in planned.tasks),
    )
    raise typer.Exit(code)


def _pixels(task: Task) -> int | None:
    from nicodec import container
    from nicodec.errors import NicodecError

    if task.source is None:
        return None
    try:
        with task.source.open("rb") as file:
            header = container.read_header(file.read(64), container.Limits(0, 0))
    except (OSError, NicodecError):
        return None  # decoding it says it better
    return header.width * header.height


def decompress_task(
    task: Task,
    tell: Tell | None = None,
    *,
    format: str | None,
    device: str,
    max_pixels: int,
    partial: bool = False,
    repair: bool = False,
    upto: str | None = None,
    scale: float | None = None,
    draw_size: tuple[int, int] | None = None,
    crop: tuple[int, int, int, int] | None = None,
    clip: ClipOutput | None = None,
) -> Done:
    """Decompress the .nic file of a task.

    Args:
        task: the .nic file, and the picture to write.
        tell: is told how far it is.
        format: suffix of the picture without the dot; None takes the target's, or PNG for standard output.
        device: torch device.
        max_pixels: largest picture that is decoded; 0 for no limit.
        partial: decode what is whole of a damaged file of packets.
        repair: the same, and fill in what is lost.
        upto: how much of a file of levels is decoded, as `nicodec.decompress` takes it.
        scale: how many times as wide and high it is drawn; None for its own size.
        draw_size: width and height to draw; None for its own.
        crop: left, top, width and height of what is wanted of a picture; None for all of it.
        clip: how a clip is written.

    Raises:
        NicodecError: as `nicodec.decompress` does.
        OutputError: the format cannot hold the picture.

    """
    import time

    from nicodec import container, media
    from nicodec.errors import QualityError
    from nicodec.upto import read_part
    from nicodec_cli.reports import Done
    from nicodec_cli.tasks import read_input

    limits = container.Limits(pixels=max_pixels)
    if clip is not None and is_clip(task.source):
        if crop is not None:
            raise QualityError(f"{task.source_name} is a clip, of which no part can be cropped; leave --crop out")
        if upto is not None:
            raise QualityError(f"{task.source_name} is a clip, which has no levels; leave --upto out")
        return decompress_clip(task, clip, limits=limits, partial=partial or repair, device=device)
    raw = read_input(task)
    # the whole file is checked before torch is loaded
    stored = read_part(raw, limits, partial=partial or repair, upto=upto)
    header = stored.header
    model = options.load_model(header.model, device)
    start = time.perf_counter()
    if scale is not None:
        draw_size = (max(1, round(header.width * scale)), max(1, round(header.height * scale)))
    if format is None:
        format = (task.target.suffix if task.target else "") or DEFAULT_FORMAT

    def watch(progress: Progress) -> None:
        if tell is not None:
            tell(progress.share, progress.text)

    decode = functools.partial(model.decode_file, stored, limits, draw_size, crop, repair=repair, watch=watch)
    data = media.encode_picture(decode(), format)
    return Done.of_picture(data, header, bytes_in=len(raw), nic_bytes=len(raw), start=start)
