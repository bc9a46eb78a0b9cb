"""`nicodec compress`: pictures to .nic files."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nicodec import DEFAULT_CODEC
from nicodec_cli import options, splat
from nicodec_cli.console import UsageError, progress_line
from nicodec_cli.splat import FitRequest
from nicodec_cli.tasks import Task

if TYPE_CHECKING:
    from nicodec_cli.batch import Done

SUFFIX = ".nic"
PICTURES = (
    *(
        ".avif",
        ".bmp",
        ".dib",
        ".gif",
        ".j2k",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".jpx",
        ".pbm",
        ".pgm",
    ),
    *(".png", ".pnm", ".ppm", ".qoi", ".tga", ".tif", ".tiff", ".webp"),
)
"""Suffixes, in lower case, of the files of a folder that count as pictures."""


class Strippable(StrEnum):
    """Metadata that can be left out of a .nic file."""

    ALL = "all"
    EXIF = "exif"
    XMP = "xmp"
    ICC = "icc"


@dataclass(frozen=True)
class Request:
    """How pictures are compressed: the arguments of `nicodec.compress`, what is left out, and the limits.

    Attributes:
        quality: 0..100; None where another goal is given, or for the default. At most one goal is not None.
        bpp: most bits a pixel.
        size: most bytes.
        psnr: least PSNR in dB.
        codec: name or folder of the model.
        device: torch device.
        strip: names of `nicodec.media.Picture`'s fields that are dropped.
        max_pixels: largest picture that is read; None for no limit.
        effort: 1..9; None for the default, and for a codec that fits.
        fit: what the codec that fits is asked for.
        shows: whether a line on standard error tells how a long encode goes.

    """

    quality: float | None
    bpp: float | None
    size: int | None
    psnr: float | None
    codec: str
    device: str
    strip: tuple[str, ...]
    max_pixels: int | None
    effort: int | None = None
    fit: FitRequest = field(default_factory=FitRequest)
    shows: bool = False

    def encoder_arguments(self, task: Task, fits: bool) -> dict[str, Any]:
        """Give the keyword arguments of the codec's `encode`."""
        if fits:
            return self.fit.arguments(task, self.shows)
        arguments: dict[str, Any] = {} if self.effort is None else {"effort": self.effort}
        if self.shows:
            arguments["report"] = partial(progress_line, task.source_name, text="refined")
        return arguments


def compress(
    inputs: Annotated[
        list[str], typer.Argument(metavar="IN", help="Pictures, folders with -r, or - for standard input.")
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="File, existing folder, or - for standard output.",
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
        typer.Option("--size", metavar="SIZE", help="Best quality of at most this size: 40kB, 1.5MB, 40000."),
    ] = None,
    psnr: Annotated[
        float | None, typer.Option("--psnr", metavar="D", help="Smallest file of at least D decibels.")
    ] = None,
    codec: Annotated[
        str, typer.Option("--codec", metavar="NAME", help="Model: a name of `nicodec models`, or a folder.")
    ] = DEFAULT_CODEC,
    strip: Annotated[
        list[Strippable] | None,
        typer.Option("--strip", metavar="WHAT", help="Leave out all, exif, xmp or icc; may be given again."),
    ] = None,
    effort: Annotated[
        int | None,
        typer.Option(
            "--effort",
            "-e",
            min=1,
            max=9,
            metavar="1..9",
            show_default="7",
            help="9 refines each picture for one or two minutes a megapixel, 8 for half of that; 1 to 3 take half as "
            "long as 7. Decodes as fast.",
        ),
    ] = None,
    gaussians: splat.Count = None,
    seconds: splat.Seconds = None,
    iterations: splat.Iterations = None,
    preview: splat.Preview = None,
    recursive: options.Recursive = False,
    jobs: options.Jobs = 1,
    force: options.Force = False,
    quiet: options.Quiet = False,
    device: options.Device = "cpu",
    max_pixels: options.MaxPixels = None,
) -> None:
    """Compress pictures into .nic files.

    Colour profile, EXIF and XMP are kept, alpha is kept without loss. Give one at most of -q, --bpp, --size and
    --psnr. A folder given with -r keeps its tree below the folder of -o.
    """
    from nicodec.zoo import find_model
    from nicodec_cli.batch import run_tasks
    from nicodec_cli.tasks import plan

    request = Request(
        quality=options.check_quality(quality),
        bpp=_positive("--bpp", bpp),
        size=None if size is None else options.parse_bytes(size),
        psnr=_positive("--psnr", psnr),
        codec=codec,
        device=device,
        strip=_fields(strip or []),
        max_pixels=_pixel_limit(max_pixels),
        effort=effort,
        fit=FitRequest(gaussians, seconds, iterations, preview),
        shows=jobs == 1 and not quiet and sys.stderr.isatty(),
    )
    request.fit.check(codec)
    if effort is not None and codec == splat.NAME:
        raise UsageError(f"-e {effort}: {codec} has no efforts; give --iterations or --seconds")
    goals = {"--gaussians": gaussians, "-q": quality, "--bpp": bpp, "--size": size, "--psnr": psnr}
    given = [name for name, value in goals.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} contradict each other; give one of them")
    for text in inputs:
        if Path(text).suffix.lower() == SUFFIX and not Path(text).is_dir():
            raise UsageError(f"{text}: a {SUFFIX} file cannot be compressed; name the output with -o {text}")
    if output is not None and Path(output).suffix.lower() in PICTURES and not Path(output).is_dir():
        raise UsageError(f"-o {output}: compressed files end in {SUFFIX}; give such a name")
    tasks = plan(inputs, output, suffix=SUFFIX, recursive=recursive, wanted=_is_picture, kind="pictures")
    find_model(codec)
    work = partial(compress_task, request=request)
    raise typer.Exit(run_tasks(tasks, work, processes=jobs, overwrite=force, quiet=quiet, make_folders=recursive))


def _positive(option: str, value: float | None) -> float | None:
    if value is not None and not 0 < value < float("inf"):
        raise UsageError(f"{option} {value:g}: give a number above 0")
    return value


def _fields(strip: list[Strippable]) -> tuple[str, ...]:
    kinds = (Strippable.EXIF, Strippable.XMP, Strippable.ICC)
    return tuple(kind.value for kind in kinds if Strippable.ALL in strip or kind in strip)


def _pixel_limit(max_pixels: int | None) -> int | None:
    """Give `read_picture`'s limit: the default for None, None for 0."""
    from nicodec.container.limits import DEFAULT_LIMITS

    return DEFAULT_LIMITS.pixels if max_pixels is None else max_pixels or None


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES


def compress_task(task: Task, request: Request) -> Done:
    """Compress the picture of a task.

    Raises:
        NicodecError: as `nicodec.compress` does.

    """
    import dataclasses
    import time

    from nicodec import container, media
    from nicodec_cli.batch import Done
    from nicodec_cli.tasks import read_input

    start = time.perf_counter()
    raw = read_input(task)
    picture = media.read_picture(raw, max_pixels=request.max_pixels)
    left_out: dict[str, Any] = dict.fromkeys(request.strip)
    picture = dataclasses.replace(picture, **left_out)
    seconds = time.perf_counter() - start
    model = options.load_model(request.codec, request.device)
    start = time.perf_counter()
    encoder = request.encoder_arguments(task, model.codec.fits)
    data = model.compress(picture, request.quality, bpp=request.bpp, size=request.size, psnr=request.psnr, **encoder)
    return Done(
        data=data,
        bytes_in=len(raw),
        bytes_out=len(data),
        nic_bytes=len(data),
        width=picture.width,
        height=picture.height,
        quality=container.read_header(data, container.Limits(0, 0)).quality / 2,
        seconds=seconds + time.perf_counter() - start,
    )
