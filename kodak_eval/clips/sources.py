"""Clips of a folder: anything that FFmpeg reads, and raw planes whose size stands in the file's name."""

from __future__ import annotations

import functools
import hashlib
import re
import warnings
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from kodak_eval.errors import DatasetError
from nicodec.container import Colour
from nicodec.errors import NicodecError
from nicodec.media import CLIP_SUFFIXES
from nicodec.media.clip_reading import ClipFile
from nicodec.media.clips import ClipFormat, FrameList, PlanarFrame

RAW_SUFFIX = ".yuv"


@dataclass(frozen=True)
class Clip:
    """A clip of a folder; its frames are read when they are asked for.

    Attributes:
        path: of the file.
        sha256: of the file.
        width, height: pixels.
        frames: how many are taken.
        rate: frames a second.
        most: how many are taken at most; 0 for all.

    """

    path: Path
    sha256: str
    width: int
    height: int
    frames: int
    rate: Fraction
    most: int = 0

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def pixels(self) -> int:
        """Of all frames."""
        return self.width * self.height * self.frames

    @property
    def seconds(self) -> float:
        """How long it lasts at its rate."""
        return float(self.frames / self.rate)

    def read(self) -> FrameList:
        """Return the frames, numbered 0, 1, 2 ... at the clip's rate."""
        return _read(self.path, self.most)


@functools.lru_cache(maxsize=1)
def _read(path: Path, most: int) -> FrameList:
    try:
        if path.suffix.lower() == RAW_SUFFIX:
            return _read_raw(path, most)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sound is left out, and nobody misses it here
            source = ClipFile(path)
            planes: list[PlanarFrame] = []
            for item in source:
                if isinstance(item, PlanarFrame):
                    planes.append(PlanarFrame(item.y, item.u, item.v, len(planes), 1))
                if most and len(planes) == most:
                    break
    except NicodecError as error:
        raise DatasetError(f"{path}: {error}") from error
    rate = source.format.rate or Fraction(25)
    return _listed(planes, rate, source.format.colour)


def _listed(planes: list[PlanarFrame], rate: Fraction, colour: Colour) -> FrameList:
    height, width = planes[0].y.shape
    form = ClipFormat(width, height, 1 / rate, rate, colour, frames=len(planes), seconds=len(planes) / rate)
    return FrameList(tuple(planes), form)


def _read_raw(path: Path, most: int) -> FrameList:
    """Read 8-bit planes of 4:2:0; the name has the size, and maybe the rate: NAME_832x480_30fps.yuv."""
    size = re.search(r"(?<!\d)(\d{2,5})x(\d{2,5})(?!\d)", path.stem)
    if size is None:
        raise DatasetError(f"{path}: raw planes without a size; name it in the file's name: NAME_832x480.yuv")
    if re.search(r"(?:1[02]|16)(?:bit|le)|42[24]p|444", path.stem):
        raise DatasetError(f"{path}: only 8-bit 4:2:0 is read raw; write it as .y4m or .mkv")
    width, height = int(size[1]), int(size[2])
    found = re.search(r"(\d+(?:\.\d+)?)\s*(?:fps|hz)", path.stem, re.IGNORECASE)
    rate = Fraction(found[1]) if found else Fraction(25)
    half = (-(-height // 2), -(-width // 2))
    sides = ((height, width), half, half)
    data = np.fromfile(path, np.uint8)
    each = sum(h * w for h, w in sides)
    count = len(data) // each
    if not count or count * each != len(data):
        raise DatasetError(f"{path}: {len(data)} bytes are no whole number of {width}x{height} frames of 4:2:0")
    planes = []
    for number in range(min(count, most) if most else count):
        parts, place = [], number * each
        for h, w in sides:
            parts.append(data[place : place + h * w].reshape(h, w))
            place += h * w
        planes.append(PlanarFrame(parts[0], parts[1], parts[2], number, 1))
    return _listed(planes, rate, Colour())


def open_folder(folder: Path, most: int = 0, limit: int = 0) -> tuple[list[Clip], dict[str, str]]:
    """Return the clips of a folder, in order of their names, and why others could not be read.

    Args:
        folder: of clips.
        most: frames of each that are taken; 0 for all.
        limit: clips that are taken; 0 for all.

    Raises:
        DatasetError: there is no clip that can be read.

    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; give one with clips")
    suffixes = (*CLIP_SUFFIXES, RAW_SUFFIX)
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith("."))
    clips: list[Clip] = []
    failures: dict[str, str] = {}
    for path in paths[: limit or None]:
        try:
            form = _read(path, most).format
        except DatasetError as error:
            failures[path.name] = str(error)
            continue
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert form.rate is not None
        clips.append(Clip(path, digest, form.width, form.height, form.frames or 0, form.rate, most))
    if not clips:
        reason = next(iter(failures.values()), f"no file ends in {', '.join(suffixes)}")
        raise DatasetError(f"{folder}: holds no clip that can be read ({reason})")
    return clips, failures
