"""`nicodec truncate`: smaller files of pictures in levels, without coding anew."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from nicodec_cli import options
from nicodec_cli.tasks import Task

if TYPE_CHECKING:
    from nicodec_cli.progress import Tell
    from nicodec_cli.reports import Done

SUFFIX = ".nic"


def truncate(
    inputs: Annotated[
        list[str], typer.Argument(metavar="IN", help="Files, folders with -r, or - for standard input.")
    ],
    size: Annotated[
        str, typer.Option("--size", metavar="BYTES", help="Most bytes of the result: 20kB, 1.5MB, 40000.")
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="File, folder (made with -r), or - for standard output.",
            show_default="beside the input, as NAME.SIZE.nic",
        ),
    ] = None,
    strip: options.Strip = None,
    recursive: options.Recursive = False,
    force: options.Force = False,
    skip_existing: options.SkipExisting = False,
    quiet: options.Quiet = False,
) -> None:
    """Make smaller .nic files of pictures in levels.

    The last levels are left out until the file fits; what is left is a whole file, and nothing is coded anew. Colour
    profile, EXIF and XMP are kept unless stripped; alpha is kept. A file that fits comes out as it is.
    """
    from nicodec_cli.batch import run_tasks
    from nicodec_cli.tasks import plan

    most = options.parse_bytes(size)
    options.check_skipping(skip_existing, force)
    suffix = SUFFIX if output is not None else f".{''.join(size.split())}{SUFFIX}"
    planned = plan(
        inputs,
        output,
        suffix=lambda path: suffix,
        recursive=recursive,
        wanted=lambda path: path.suffix.lower() == SUFFIX,
        kind=f"{SUFFIX} files",
    )
    code = run_tasks(
        planned,
        partial(truncate_task, max_bytes=most, strip=options.stripped(strip)),
        processes=1,
        overwrite=force,
        skip_existing=skip_existing,
        quiet=quiet,
        pixels=lambda task: None,
        bar=False,
    )
    raise typer.Exit(code)


def truncate_task(task: Task, tell: Tell | None = None, *, max_bytes: int, strip: tuple[str, ...]) -> Done:
    """Make the file of a task smaller.

    Raises:
        NicodecError: as `nicodec.truncate` does.

    """
    import time

    import nicodec
    from nicodec.container import Limits, read_header
    from nicodec_cli.reports import Done
    from nicodec_cli.tasks import read_input

    start = time.perf_counter()
    raw = read_input(task)
    data = nicodec.truncate(raw, max_bytes, strip=strip)
    header = read_header(data, Limits(0, 0))
    return Done.of_picture(data, header, bytes_in=len(raw), nic_bytes=len(data), start=start)
