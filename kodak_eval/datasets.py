"""Data sets of pictures: known ones checked against their checksums, and any folder.

A picture is known by the SHA-256 of its decoded pixels, so that a lossless repacking of a set is
still that set. CLIC's archives are checked as files when they are downloaded.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from kodak_eval.errors import DatasetError
from nicodec import media
from nicodec.errors import NicodecError

SUFFIXES = {".png", ".webp", ".jpg", ".jpeg", ".ppm", ".bmp", ".tif", ".tiff", ".avif", ".jp2"}
"""Endings that make a file of a folder a picture; all else is left alone."""


@dataclass(frozen=True)
class DatasetPicture:
    """A picture by its file; the pixels are read when they are needed.

    Attributes:
        name: the file's name without its ending, unique in the set.
        path: the file.
        sha256: of the decoded pixels, as ``pixels_sha256`` says.
        width, height: in pixels.

    """

    name: str
    path: Path
    sha256: str
    width: int
    height: int

    def read(self) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB."""
        return read_pixels(self.path)


@dataclass(frozen=True)
class Dataset:
    """Pictures under one name, and the files that are none.

    Attributes:
        name: ``kodak``, ``clic-professional``, ``clic-mobile``, or the folder's name.
        pictures: in the order of their names.
        failures: reason by file name of each file that could not be read.
        verified: whether every picture's checksum is a known one of this set.

    """

    name: str
    pictures: tuple[DatasetPicture, ...]
    failures: dict[str, str]
    verified: bool


@dataclass(frozen=True)
class KnownSet:
    """What is known of a public set: its home, and what must be found in it.

    Attributes:
        files: public files, each with its ``url`` and ``sha256``.
        pictures: number of pictures.
        pixels: SHA-256 of the pixels by picture name; empty where it is not known.
        licence: one line.

    """

    name: str
    files: tuple[dict[str, object], ...]
    pictures: int
    pixels: dict[str, str]
    licence: str


def known_sets() -> dict[str, KnownSet]:
    """Return the known sets by name, from ``known_sets.json``."""
    text = (resources.files("kodak_eval") / "known_sets.json").read_text(encoding="utf-8")
    return {
        name: KnownSet(name, tuple(entry["files"]), entry["pictures"], entry["pixels"], entry["licence"])
        for name, entry in json.loads(text).items()
    }


def pixels_sha256(pixels: np.ndarray) -> str:
    """Return the SHA-256, in hex, of ``{W}x{H}``, a line feed, and the (H, W, 3) uint8 samples row by row."""
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(f"{width}x{height}\n".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


_RULE = "only opaque 8-bit RGB and grey pictures are evaluated"


def read_pixels(path: Path) -> np.ndarray:
    """Return a picture file as (H, W, 3) uint8 RGB, upright.

    Raises:
        DatasetError: it cannot be read, or would lose something as 8-bit RGB (transparency, 16 bits, CMYK).

    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", media.LossyConversionWarning)
            picture = media.read_picture(path.read_bytes())
    except media.LossyConversionWarning as loss:
        raise DatasetError(f"{_RULE}: {loss}") from loss
    except (OSError, NicodecError) as error:
        raise DatasetError(f"cannot be read: {str(error).removeprefix('bytes: ')}") from error
    if picture.pixels.dtype != np.uint8:
        depth = 8 * picture.pixels.dtype.itemsize
        raise DatasetError(f"{_RULE}: this one has {depth} bits a channel")
    if picture.alpha is not None:
        raise DatasetError(f"{_RULE}: this one has transparency")
    return np.ascontiguousarray(np.broadcast_to(picture.pixels, (*picture.pixels.shape[:2], 3)))


def load(
    name: str,
    folder: Path,
    *,
    strict: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Dataset:
    """Return the pictures in ``folder`` (and its sub-folders); a known ``name`` is verified.

    A file that cannot be read is named in ``failures`` and left out. Where ``strict`` is false, a
    folder that merely has a known set's name and other contents is taken as it is.

    Raises:
        DatasetError: no folder, no usable picture in it, or not all of a known set.

    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is no folder; --download fetches: {', '.join(known_sets())}")
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise DatasetError(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    pictures: list[DatasetPicture] = []
    failures: dict[str, str] = {}
    names = _unique_names(files, folder)
    for done, (file, picture_name) in enumerate(zip(files, names, strict=True), 1):
        try:
            pixels = read_pixels(file)
        except DatasetError as error:
            failures[file.relative_to(folder).as_posix()] = str(error)
        else:
            height, width = pixels.shape[:2]
            pictures.append(DatasetPicture(picture_name, file.absolute(), pixels_sha256(pixels), width, height))
        progress(done, len(files))
    if not pictures:
        name_of_first, reason = next(iter(failures.items()))
        raise DatasetError(f"{folder}: none of its {len(files)} pictures can be used; {name_of_first}: {reason}")
    known = known_sets().get(name)
    try:
        verified = known is not None and _verify(known, pictures, failures, folder)
    except DatasetError:
        if strict:
            raise
        verified = False
    return Dataset(name, tuple(pictures), failures, verified)


def _unique_names(files: list[Path], folder: Path) -> list[str]:
    stems = [file.stem for file in files]
    if len(set(stems)) == len(stems):
        return stems
    return [file.relative_to(folder).as_posix() for file in files]


def _verify(known: KnownSet, pictures: list[DatasetPicture], failures: dict[str, str], folder: Path) -> bool:
    """Whether checksums could be compared; raises where they do not hold."""
    if failures or len(pictures) != known.pictures:
        unreadable = f", {len(failures)} unreadable ({', '.join(failures)})" if failures else ""
        raise DatasetError(
            f"{folder} is not {known.name}: {len(pictures)} pictures{unreadable}, expected {known.pictures}. "
            f"Give the folder without the set's name to evaluate what is there"
        )
    if not known.pixels:
        return False
    wrong = [p.name for p in pictures if known.pixels.get(p.name) != p.sha256]
    if wrong:
        raise DatasetError(
            f"{folder} is not {known.name}: the pixels of {', '.join(wrong)} differ from the published ones. "
            f"Fetch it again (--download), or give the folder without the set's name"
        )
    return True
