"""Training pictures: decoded once into memory, cropped at random."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from nicodec.errors import InputError, NicodecError
from nicodec.media import LossyConversionWarning, read_picture
from nicodec.training.budget import Budget
from nicodec.training.objective import DataSettings
from nicodec.training.settings import setting
from nicodec.training.workers import Workers

SUFFIXES = {".avif", ".png", ".webp", ".jpg", ".jpeg", ".jp2", ".bmp", ".ppm", ".tif", ".tiff", ".heic", ".jxl"}

HALF_FROM = 256
"""Pictures with a shorter side than that are not halved."""


@dataclass(frozen=True)
class PictureSettings(DataSettings):
    """The [data] table of objectives that train on pictures."""

    half_size_share: float = setting(
        0.25, help="Share of crops taken from pictures scaled to one half.", least=0, most=1
    )
    short_side: int = setting(
        0, help="Larger pictures are scaled down to this when they are read; 0: they are not.", least=0
    )
    holdout: int = setting(16, help="Pictures kept aside for the preview: at most a tenth of all.", least=0)
    memory_mb: int = setting(6000, help="Of pictures at most; of more, a part is read.", least=1)


def find_pictures(folder: Path) -> list[Path]:
    """All pictures in a folder and its subfolders, sorted by name.

    Raises:
        InputError: it is missing or holds no picture.

    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of training pictures; give --data or edit the recipe")
    found = [p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()]
    if not found:
        raise InputError(f"{folder}: holds no pictures; give --data or edit the recipe")
    return sorted(found, key=lambda p: (p.name, p))


def held_out_of(paths: Sequence[Path], most: int) -> list[Path]:
    """Evenly spaced ones of the paths: `most` of them, but no more than a tenth (one of two to nineteen)."""
    count = min(most, max(1, len(paths) // 10)) if len(paths) > 1 else 0
    return [paths[number * len(paths) // count] for number in range(count)]


def read_pixels(path: Path, short_side: int = 0) -> Tensor:
    """A picture as uint8 (3, H, W), upright; grey in three equal planes, 16 bits rounded to 8.

    Args:
        path: of the file.
        short_side: a larger picture is scaled down to it; 0: none is.

    Raises:
        InputError: it cannot be read.

    """
    pixels = read_picture(path).pixels
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    pixels = np.repeat(pixels, 3 // pixels.shape[2], axis=2)
    if 0 < short_side < min(pixels.shape[:2]):
        factor = short_side / min(pixels.shape[:2])
        pixels = _scaled(pixels, round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def _scaled(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def _halved(picture: Tensor) -> Tensor:
    pixels = picture.permute(1, 2, 0).contiguous().numpy()
    return torch.from_numpy(_scaled(pixels, pixels.shape[1] // 2, pixels.shape[0] // 2)).permute(2, 0, 1).contiguous()


@dataclass
class _Group:
    """Pictures that one share of the crops is taken from; as they are, and at half size."""

    share: float
    full: list[Tensor] = field(default_factory=list)
    half: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class _Usable:
    """Those of a group that are large enough for a crop."""

    full: tuple[list[Tensor], NDArray[np.float64]]
    half: tuple[list[Tensor], NDArray[np.float64]]


def _large_enough(pictures: list[Tensor], crop: int) -> tuple[list[Tensor], NDArray[np.float64]]:
    """The pictures, and their cumulative probabilities, in proportion to the root of their area."""
    large = [p for p in pictures if min(p.shape[1:]) >= crop]
    roots = np.array([p.shape[1] * p.shape[2] for p in large], dtype=np.float64) ** 0.5
    return large, np.cumsum(roots / max(roots.sum(), 1.0))


class Pictures:
    """Random crops, flips and transpositions of pictures held as uint8 on the training device.

    A folder is drawn by its share, a picture of it with probability in proportion to the root of its area, a share
    of them at half size.

    Attributes:
        held_out: uint8 (3, H, W) each, on the CPU: for the preview, never trained on.

    """

    def __init__(
        self,
        folders: Sequence[Path],
        settings: PictureSettings,
        seed: int,
        budget: Budget,
        workers: Workers,
        shares: Sequence[float] = (),
    ) -> None:
        """Read the pictures; see `Objective.open_source`.

        Raises:
            InputError: a folder is missing or empty, or nothing in it can be read.

        """
        self._settings, self._workers, self._budget = settings, workers, budget
        self._random = np.random.default_rng(seed)
        self._usable: dict[int, tuple[list[_Usable], NDArray[np.float64]]] = {}
        self._broken: list[str] = []
        self._bytes = 0
        place: dict[Path, int] = {}  # a picture that two folders hold is the first one's
        for number, folder in enumerate(folders):
            for path in find_pictures(folder):
                place.setdefault(path.resolve(), number if shares else 0)
        paths = sorted(place, key=lambda p: (p.name, p))
        kept = held_out_of(paths, settings.holdout)
        training = [path for path in paths if path not in set(kept)]
        workers.say(f"reading {len(training)} pictures, and {len(kept)} that are held out")
        order = np.random.default_rng(0).permutation(len(training))  # what is read in time is a fair sample
        self._groups = [_Group(share) for share in shares or (1.0,)]
        self.held_out = [pixels for _, pixels, _ in self._read(kept, all_of_them=True)]
        for path, full, half in self._read([training[number] for number in order]):
            group = self._groups[place[path]]
            group.full.append(full.to(workers.device))
            if half is not None:
                group.half.append(half.to(workers.device))
        self._tell(len(training))

    def _read(self, paths: list[Path], *, all_of_them: bool = False) -> list[tuple[Path, Tensor, Tensor | None]]:
        """Each picture, as it is and at half size, as far as time and memory go, or `all_of_them`."""

        def one(path: Path) -> tuple[Path, Tensor, Tensor | None] | str:
            try:
                pixels = read_pixels(path, self._settings.short_side)
            except (NicodecError, OSError) as error:
                return str(error)
            wanted = self._settings.half_size_share > 0 and min(pixels.shape[1:]) > HALF_FROM
            return path, pixels, _halved(pixels) if wanted else None

        threads = os.cpu_count() or 1
        found: list[tuple[Path, Tensor, Tensor | None]] = []
        with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
            warnings.simplefilter("ignore", LossyConversionWarning)
            for start in range(0, len(paths), 2 * threads):
                spent = self._budget.share() >= 1 or self._bytes > 1e6 * self._settings.memory_mb
                if found and spent and not all_of_them:
                    break
                for result in pool.map(one, paths[start : start + 2 * threads]):
                    if isinstance(result, str):
                        self._broken.append(result)
                    else:
                        found.append(result)
                        self._bytes += sum(t.numel() for t in result[1:] if t is not None)
        return found

    def _tell(self, wanted: int) -> None:
        if self._broken:
            self._workers.say(f"{len(self._broken)} could not be read and are left out, such as {self._broken[0]}")
        count = sum(len(group.full) for group in self._groups)
        if not count:
            why = f", such as {self._broken[0]}" if self._broken else "; give more than one"
            raise InputError(f"no picture to train on{why}")
        if count + len(self._broken) < wanted:
            why = "time" if self._budget.share() >= 1 else "memory"
            self._workers.say(f"the {why} for reading was enough for {count} pictures of {wanted}; training on those")

    def describe(self) -> str:
        """See `Source.describe`."""
        return f"{sum(len(group.full) for group in self._groups)} pictures, {len(self.held_out)} more held out"

    def need(self, crop: int) -> None:
        """Check that there are pictures for crops of so many pixels a side.

        Raises:
            InputError: there are none.

        """
        self._choices(crop)

    def need_crops(self, sides: Sequence[int], alignment: int) -> None:
        """Check that crops of these sides suit a codec, and that there are pictures for them.

        Raises:
            InputError: a side is not a multiple of the codec's alignment, or there are no such pictures.

        """
        for side in sides:
            if side % alignment:
                raise InputError(f"crops of {side} pixels: the codec takes multiples of {alignment}")
            self.need(side)

    def _choices(self, crop: int) -> tuple[list[_Usable], NDArray[np.float64]]:
        """The groups that have pictures for such crops, and their cumulative shares."""
        if crop not in self._usable:
            pairs = []
            for group in self._groups:
                usable = _Usable(_large_enough(group.full, crop), _large_enough(group.half, crop))
                if usable.full[0] and group.share:
                    pairs.append((usable, group.share))
            if not pairs:
                raise InputError(
                    f"no training picture is at least {crop} pixels on its short side; give larger ones, or make the "
                    "crops of the recipe smaller"
                )
            shares = np.array([share for _, share in pairs])
            self._usable[crop] = [usable for usable, _ in pairs], np.cumsum(shares / shares.sum())
        return self._usable[crop]

    def _one(self, crop: int) -> Tensor:
        groups, cumulative = self._choices(crop)
        group = groups[self._drawn(cumulative)]
        half = group.half[0] and self._random.random() < self._settings.half_size_share
        pictures, cumulative = group.half if half else group.full
        picture = pictures[self._drawn(cumulative)]
        top = int(self._random.integers(picture.shape[1] - crop + 1))
        left = int(self._random.integers(picture.shape[2] - crop + 1))
        piece = picture[:, top : top + crop, left : left + crop]
        if self._random.random() < 0.5:
            piece = piece.flip(2)
        return piece.transpose(1, 2) if self._random.random() < 0.5 else piece

    def _drawn(self, cumulative: NDArray[np.float64]) -> int:
        return min(int(np.searchsorted(cumulative, self._random.random())), len(cumulative) - 1)

    def batch(self, count: int, crop: int) -> Tensor:
        """(count, 3, crop, crop) float32 in [0, 1], on the training device."""
        return torch.stack([self._one(crop) for _ in range(count)]).float() / 255

    def blocks(self, count: int, crop: int, side: int = 16) -> Tensor:
        """(count, 3, side, side) float32 in [0, 1], cut from random crops: for principal components."""
        crops = self.batch(-(-count // (crop // side) ** 2), crop)
        blocks = crops.unfold(2, side, side).unfold(3, side, side)
        return blocks.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, side, side)[:count]
