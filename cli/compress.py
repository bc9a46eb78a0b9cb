"""`nicodec compress`: pictures to .nic files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nicodec import DEFAULT_CLIP_CODEC, DEFAULT_CODEC, LOSSLESS_CODEC
from nicodec.errors import InputError
from nicodec_cli import options
from nicodec_cli.console import UsageError
from nicodec_cli.family_options import check_family_flags
from nicodec_cli.folders import PICTURES, REMEDIES
from nicodec_cli.tasks import Task

if TYPE_CHECKING:
    from nicodec.codecs.base import Progress, Watch
    from nicodec_cli.progress import Tell
    from nicodec_cli.reports import Done

SUFFIX = ".nic"


@dataclass(frozen=True)
class Request:
    """How pictures are compressed: the arguments of `nicodec.compress`, what is left out, and the limits.

    Attributes:
        quality: 0..100; None where another goal is given, or for the default. At most one goal is not None.
        bpp: most bits a pixel.
        max_bytes: most bytes.
        psnr: least PSNR in dB.
        codec: name or folder of the model.
        device: torch device.
        strip: names of `nicodec.media.Picture`'s fields that are dropped.
        max_pixels: largest picture that is read; None for no limit.
        options: of the codec's encoder, by name.
        lossless: whether every pixel is to come back.
        preview: folder for pictures of a long encode; None for none.
        bitrate: bits a second of a clip's frames.
        shows: whether a line tells how far a clip is.
        streams: whether a clip is written as it comes; else its bytes are handed back.
        overwrite: whether an existing file may be replaced by a clip that is written so.
        make_folders: whether its folder is made.

    """

    quality: float | None
    bpp: float | None
    max_bytes: int | None
    psnr: float | None
    codec: str
    device: str
    strip: tuple[str, ...]
    max_pixels: int | None
    options: dict[str, Any] = field(default_factory=dict)
    lossless: bool = False
    preview: Path | None = None
    bitrate: float | None = None
    shows: bool = False
    streams: bool = False
    overwrite: bool = False
    make_folders: bool = False

    def watch(self, task: Task, tell: Tell | None) -> Watch | None:
        """What shows how the encode of a task goes; None where nothing is to be shown."""
        return None if tell is None and self.preview is None else Watcher(task.source_name, tell, self.preview)


class Watcher:
    """Passes on how far an encode is, and writes pictures NAME-0001.png and so on."""

    def __init__(self, name: str, tell: Tell | None, folder: Path | None) -> None:
        self.name, self.tell, self.folder = name, tell, folder
        self.pictures = 0

    def __call__(self, progress: Progress) -> None:
        """Show how far an encode is."""
        if self.tell is not None:
            self.tell(progress.share, progress.text)
        if self.folder is not None and progress.preview is not None:
            from nicodec import media

            self.folder.mkdir(parents=True, exist_ok=True)
            self.pictures += 1
            path = self.folder / f"{Path(self.name).stem}-{self.pictures:04d}.png"
            media.save_picture(media.read_picture(progress.preview().clamp(0, 1)), path, overwrite=True)


def compress(
    inputs: Annotated[
        list[str], typer.Argument(metavar="IN", help="Pictures or clips, folders with -r, or - for standard input.")
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="File, folder (made with -r), or - for standard output.",
            show_default="beside the input, as .nic",
        ),
    ] = None,
    quality: Annotated[
        float | None,
        typer.Option(
            "--quality",
            "-q",
            metavar="0..100",
            show_default="50",
            help="Larger is better and bigger; in half steps.",
        ),
    ] = None,
    bpp: Annotated[
        float | None, typer.Option("--bpp", metavar="B", help="Best quality of at most B bits a pixel.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="BYTES", help="Best quality of at most so many: 40kB, 1.5MB, 40000."),
    ] = None,
    psnr: Annotated[
        float | None, typer.Option("--psnr", metavar="D", help="Smallest file of at least D decibels.")
    ] = None,
    bitrate: Annotated[
        str | None,
        typer.Option("--bitrate", metavar="RATE", help="Clips: bits a second of the frames: 500k, 1.5M, 250000."),
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            "--codec",
            metavar="NAME",
            help="Model: a name of `nicodec models`, or a folder.",
            show_default=f"{DEFAULT_CODEC}, of clips {options.CLIP_DEFAULT}",
        ),
    ] = None,
    lossless: Annotated[
        bool,
        typer.Option(
            "--lossless",
            help="Every pixel comes back, on every machine; a quarter to a third less than PNG. Pictures of 8 bits.",
            show_default=False,
        ),
    ] = False,
    strip: options.Strip = None,
    preview: Annotated[
        Path | None,
        typer.Option("--preview", metavar="DIR", help="Write pictures of a long encode as it goes into DIR."),
    ] = None,
    recursive: options.Recursive = False,
    jobs: options.Jobs = 1,
    cluster: options.Cluster = None,
    force: options.Force = False,
    skip_existing: options.SkipExisting = False,
    quiet: options.Quiet = False,
    device: options.Device = "cpu",
    max_pixels: options.MaxPixels = None,
    *,
    given: dict[str, Any] | None = None,
) -> None:
    """Compress pictures, or clips, into .nic files.

    Colour profile, EXIF and XMP are kept, alpha is kept without loss. Give one at most of -q, --bpp, --size,
    --psnr, --bitrate and --lossless. A folder given with -r keeps its tree below the folder of -o; what is left
    out of it is counted by kind.
    """
    from nicodec.zoo import find_model
    from nicodec_cli.batch import run_tasks
    from nicodec_cli.clips import are_clips, is_for_clips, parse_bitrate, refuse_goals_of_other_medium
    from nicodec_cli.tasks import plan

    if lossless and codec is not None:
        raise UsageError("--lossless and --codec contradict each other; give one of them")
    for_clips = None  # asking the model loads torch
    if lossless:
        codec = LOSSLESS_CODEC
    elif codec is None:
        for_clips = are_clips(inputs)
        codec = DEFAULT_CLIP_CODEC if for_clips else DEFAULT_CODEC
    request = Request(
        quality=100 if lossless else options.check_quality(quality),
        bpp=_positive("--bpp", bpp),
        max_bytes=None if size is None else options.parse_bytes(size),
        psnr=_positive("--psnr", psnr),
        codec=codec,
        device=device,
        strip=options.stripped(strip),
        max_pixels=_pixel_limit(max_pixels),
        options=given or {},
        lossless=lossless,
        preview=preview,
        bitrate=None if bitrate is None else parse_bitrate(bitrate),
        streams=jobs == 1 and cluster is None,
        shows=jobs == 1 and cluster is None and not quiet,
        overwrite=force,
        make_folders=recursive,
    )
    goals = {
        "--lossless": lossless or None,
        "-q": quality,
        "--bpp": bpp,
        "--size": size,
        "--psnr": psnr,
        "--bitrate": bitrate,
    }
    wanted = [name for name, value in goals.items() if value is not None]
    if len(wanted) > 1:
        raise UsageError(f"{' and '.join(wanted)} contradict each other; give one of them")
    for text in inputs:
        if Path(text).suffix.lower() == SUFFIX and not Path(text).is_dir():
            raise UsageError(f"{text}: a {SUFFIX} file cannot be compressed; name the output with -o {text}")
    if output is not None and Path(output).suffix.lower() in PICTURES and not Path(output).is_dir():
        raise UsageError(f"-o {output}: compressed files end in {SUFFIX}; give such a name")
    options.check_skipping(skip_existing, force)
    find_model(codec)
    planned = plan(
        inputs,
        output,
        suffix=lambda path: SUFFIX,
        recursive=recursive,
        wanted=_is_input_of(codec) if recursive else _is_picture,
        kind="pictures or clips",
    )
    check_family_flags(codec, request.options)
    refuse_goals_of_other_medium(codec, bpp=bpp, bitrate=bitrate)
    work = partial(compress_task, request=request)
    code = run_tasks(
        planned,
        work,
        processes=jobs,
        overwrite=force,
        skip_existing=skip_existing,
        quiet=quiet,
        cluster=cluster,
        pixels=_pixels,
        bar=not (is_for_clips(codec) if for_clips is None else for_clips),
        remedies=REMEDIES,
    )
    raise typer.Exit(code)


def _positive(option: str, value: float | None) -> float | None:
    if value is not None and not 0 < value < float("inf"):
        raise UsageError(f"{option} {value:g}: give a number above 0")
    return value


def _pixel_limit(max_pixels: int | None) -> int | None:
    """Give `read_picture`'s limit: the default for None, None for 0."""
    from nicodec.container.limits import DEFAULT_LIMITS

    return DEFAULT_LIMITS.pixels if max_pixels is None else max_pixels or None


def _pixels(task: Task) -> int | None:
    from nicodec import media

    return None if task.source is None else media.pixel_count(task.source)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES


def _is_input_of(codec: str) -> Callable[[Path], bool]:
    """Whether a file of a folder is a picture or, for a codec of clips, a clip."""
    from nicodec.media.suffixes import CLIP_SUFFIXES
    from nicodec_cli.clips import is_for_clips

    if is_for_clips(codec):
        return lambda path: path.suffix.lower() in CLIP_SUFFIXES
    return _is_picture


def compress_task(task: Task, tell: Tell | None = None, *, request: Request) -> Done:
    """Compress the picture or clip of a task.

    Raises:
        NicodecError: as `nicodec.compress` does.

    """
    import dataclasses
    import time

    from nicodec import container, media
    from nicodec_cli.clips import compress_clip, is_for_clips
    from nicodec_cli.reports import Done
    from nicodec_cli.tasks import read_input

    start = time.perf_counter()
    if task.source is not None and not (task.folder or Path()).joinpath(task.source).is_file():
        raw = read_input(task)  # says what is wrong before torch is loaded
        if is_for_clips(request.codec):
            raise InputError(f"{task.source_name}: is no file; give a file, or - for standard input")
    elif is_for_clips(request.codec):
        return compress_clip(task, request)
    else:
        raw = read_input(task)
    if task.source is not None:
        media.refuse_clip(task.source)
    picture, bytes_in = media.read_picture(raw, name=task.source_name, max_pixels=request.max_pixels), len(raw)
    del raw
    if request.lossless and picture.pixels.itemsize > 1:
        raise InputError(
            f"{task.source_name}: has more than 8 bits a sample, which --lossless does not keep; convert it to "
            "8 bits, or leave --lossless out"
        )
    left_out: dict[str, Any] = dict.fromkeys(request.strip)
    picture = dataclasses.replace(picture, **left_out)
    seconds = time.perf_counter() - start
    model = options.load_model(request.codec, request.device)
    start = time.perf_counter()
    data = model.compress(
        picture,
        request.quality,
        bpp=request.bpp,
        max_bytes=request.max_bytes,
        psnr=request.psnr,
        watch=request.watch(task, tell),
        **request.options,
    )
    return Done(
        data=data,
        bytes_in=bytes_in,
        bytes_out=len(data),
        nic_bytes=len(data),
        width=picture.width,
        height=picture.height,
        quality=container.read_header(data, container.Limits(0, 0)).quality / 2,
        seconds=seconds + time.perf_counter() - start,
    )
