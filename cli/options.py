"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from nicodec import DEFAULT_CLIP_CODEC
from nicodec.sizes import size_in_bytes
from nicodec.zoo import has_packaged_weights
from nicodec_cli.console import UsageError

if TYPE_CHECKING:
    from nicodec.model import Model


class Strippable(StrEnum):
    """Metadata that can be left out of a .nic file."""

    ALL = "all"
    EXIF = "exif"
    XMP = "xmp"
    ICC = "icc"


CLIP_DEFAULT = (
    DEFAULT_CLIP_CODEC
    if has_packaged_weights(DEFAULT_CLIP_CODEC)
    else (f"{DEFAULT_CLIP_CODEC}, whose weights are not packaged yet")
)
"""The default codec of clips, as help texts name it."""

Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite existing files.", show_default=False)]
SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Skip inputs whose output exists.", show_default=False)
]
Recursive = Annotated[
    bool,
    typer.Option("--recursive", "-r", help="Take folders, with their subfolders.", show_default=False),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs", "-j", min=0, metavar="N", help="Files at once, or parts of one large picture; 0: one a processor."
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help="Compute on a cluster that sees the same files: dask://HOST:PORT, ray, or ray://HOST:PORT.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but errors and warnings.", show_default=False)]
Device = Annotated[
    str, typer.Option("--device", metavar="NAME", help="Where the networks run: cpu, cuda, cuda:1, mps.")
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        min=0,
        metavar="N",
        help="Refuse larger pictures; 0: no limit.",
        show_default="178956970",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.", show_default=False)]


Strip = Annotated[
    list[Strippable] | None,
    typer.Option("--strip", metavar="WHAT", help="Leave out all, exif, xmp or icc; may be given again."),
]


def stripped(strip: list[Strippable] | None) -> tuple[str, ...]:
    """Give the names of the metadata that is left out."""
    kinds = (Strippable.EXIF, Strippable.XMP, Strippable.ICC)
    return tuple(kind.value for kind in kinds if strip and (Strippable.ALL in strip or kind in strip))


def check_skipping(skip_existing: bool, force: bool) -> None:
    """Raise UsageError where existing files are to be skipped and to be overwritten."""
    if skip_existing and force:
        raise UsageError("--skip-existing and --force contradict each other; give one of them")


def check_quality(quality: float | None) -> float | None:
    """Give back a quality of 0 to 100 or None; UsageError for another."""
    if quality is not None and not 0 <= quality <= 100:
        raise UsageError(f"-q {quality:g}: give a number from 0 (small) to 100 (best)")
    return quality


def parse_bytes(text: str) -> int:
    """Read a size such as "40000", "40kB", "40 KiB" or "1.5MB" as bytes, rounded down; case plays no part.

    Raises:
        UsageError: it is no such size, or less than one byte.

    """
    count = size_in_bytes(text)
    if count is None:
        raise UsageError(f"--size {text}: not a size; give bytes or a unit: 40000, 40kB, 40KiB, 1.5MB")
    if count < 1:
        raise UsageError(f"--size {text}: less than one byte; give a larger size")
    return count


def parse_draw_size(text: str) -> tuple[int, int]:
    """Read a size such as "1920x1280" as width and height; UsageError for another text."""
    match = re.fullmatch(r"([1-9]\d{0,9})\s*[x\u00d7]\s*([1-9]\d{0,9})", text.strip(), re.IGNORECASE | re.ASCII)
    if match is None:
        raise UsageError(f"--draw {text}: give width x height in pixels: 1920x1280")
    return int(match[1]), int(match[2])


def parse_crop(text: str) -> tuple[int, int, int, int]:
    """Read a crop such as "100,50,640,480" as left, top, width and height; UsageError for another text."""
    match = re.fullmatch(r"(\d{1,10}),(\d{1,10}),([1-9]\d{0,9}),([1-9]\d{0,9})", "".join(text.split()), re.ASCII)
    if match is None:
        raise UsageError(f"--crop {text}: give left, top, width and height in pixels: 1200,800,512,512")
    left, top, width, height = map(int, match.groups())
    return left, top, width, height


def load_model(key: str | bytes, device: str) -> Model:
    """Load a model by name, folder or fingerprint on a torch device; quick from the second time on.

    Raises:
        UnknownModelError: it is not installed.
        DeviceError: there is no such device.

    """
    from nicodec.zoo import find_model

    find_model(key)  # an unknown model is told before torch is loaded
    from nicodec.shared import shared_model

    return shared_model(key, device)
