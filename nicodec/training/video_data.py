"""Training clips: decoded once into memory, and photographs that are moved about; cropped at random."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nicodec.codecs.video_planes import Planes, rgb_to_planes
from nicodec.errors import InputError
from nicodec.media.clip_reading import ClipFile
from nicodec.media.clips import PlanarFrame
from nicodec.training.budget import Budget
from nicodec.training.data import Pictures, PictureSettings, held_out_of
from nicodec.training.objective import DataSettings
from nicodec.training.settings import setting
from nicodec.training.workers import Workers

SUFFIXES = {".mkv", ".mp4", ".mov", ".webm", ".y4m", ".avi", ".m4v"}


@dataclass(frozen=True)
class ClipSettings(DataSettings):
    """The [data] table: folders of clips, and of photographs to be moved about."""

    pictures: tuple[str, ...] = setting((), help="Folders of photographs; ${NAME}: the environment's.")
    picture_share: float = setting(0.2, help="Share of the sequences made of moved photographs.", least=0, most=1)
    holdout: int = setting(4, help="Clips kept aside for the preview: at most a tenth of all.", least=0)
    frames: int = setting(96, help="Of a clip at most.", least=2)
    memory_mb: int = setting(4000, help="Of clips at most; of more, a part is read.", least=1)


@dataclass(frozen=True)
class _Clip:
    """uint8 (T, H, W), (T, H/2, W/2) twice."""

    y: NDArray[np.uint8]
    u: NDArray[np.uint8]
    v: NDArray[np.uint8]


def find_clips(folder: Path) -> list[Path]:
    """All clips in a folder and its subfolders, sorted by name.

    Raises:
        InputError: it is missing or holds none.

    """
    found = [p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()] if folder.is_dir() else []
    if not found:
        raise InputError(f"{folder}: holds no training clips; give --data or edit the recipe")
    return sorted(found, key=lambda p: (p.name, p))


class Clips:
    """Random crops, flips and transpositions of sequences.

    Attributes:
        held_out: clips that are never trained on.

    """

    def __init__(
        self,
        folders: Sequence[Path],
        settings: ClipSettings,
        seed: int,
        budget: Budget,
        workers: Workers,
    ) -> None:
        """Read the clips; see `Objective.open_source`.

        Raises:
            InputError: a folder is missing or empty, or nothing in it can be read.

        """
        self._settings, self._workers = settings, workers
        self._random = np.random.default_rng(seed)
        paths = sorted({path for folder in folders for path in find_clips(folder)}, key=lambda p: (p.name, p))
        kept = set(held_out_of(paths, settings.holdout))
        self.held_out = [_read(path, settings.frames) for path in paths if path in kept]
        self._clips: list[_Clip] = []
        size = 0
        order = np.random.default_rng(0).permutation(len(paths))
        for number in order:
            if paths[number] in kept:
                continue
            if self._clips and (budget.share() >= 1 or size > 1e6 * settings.memory_mb):
                workers.say(f"time or memory was enough for {len(self._clips)} clips of {len(paths)}")
                break
            clip = _read(paths[number], settings.frames)
            size += clip.y.size * 3 // 2
            self._clips.append(clip)
        self._pictures: Pictures | None = None
        pictures = [Path(os.path.expandvars(folder)) for folder in settings.pictures]
        if pictures and settings.picture_share:
            own = PictureSettings(half_size_share=0.5, short_side=720, holdout=0)
            self._pictures = Pictures(pictures, own, seed, budget, workers)

    def describe(self) -> str:
        """See `Source.describe`."""
        frames = sum(len(clip.y) for clip in self._clips)
        more = f", and {self._pictures.describe()}" if self._pictures else ""
        return f"{len(self._clips)} clips of {frames} frames, {len(self.held_out)} more held out{more}"

    def held_out_groups(self, count: int, side: int) -> Iterator[list[Planes]]:
        """The first frames of held-out clips that have so many: middles of sides that are multiples of 64."""
        for clip in self.held_out:
            height, width = (min(side, length) // 64 * 64 for length in clip.y.shape[1:])
            if len(clip.y) < count or not height or not width:
                continue
            top, left = ((clip.y.shape[1] - height) // 4 * 2, (clip.y.shape[2] - width) // 4 * 2)
            planes = [
                torch.from_numpy(
                    p[:count, top // share : (top + height) // share, left // share : (left + width) // share].copy()
                ).to(self._workers.device)
                for p, share in ((clip.y, 1), (clip.u, 2), (clip.v, 2))
            ]
            yield [Planes(*(p[n, None, None].float() / 255 for p in planes)) for n in range(count)]

    def sequence(self, count: int, crop: int, times: Sequence[int]) -> list[Planes]:
        """Frames of `count` sequences at given times from 0 on, crops of (crop, crop) pixels, on the device."""
        moved = sum(self._random.random() < self._settings.picture_share for _ in range(count))
        moved = moved if self._pictures else 0
        parts = []
        if moved:
            parts.append(self._moved(moved, crop, times))
        parts += [self._one(crop, times) for _ in range(count - moved)]
        device = self._workers.device
        frames = []
        for number in range(len(times)):
            planes = zip(*(part[number].each() for part in parts), strict=True)
            frames.append(Planes(*(torch.cat(each).to(device) for each in planes)))
        return frames

    def _one(self, crop: int, times: Sequence[int]) -> list[Planes]:
        random, span = self._random, max(times)
        usable = [c for c in self._clips if len(c.y) > span and min(c.y.shape[1:]) >= crop]
        if not usable:
            raise InputError(f"no clip has {span + 1} frames of {crop} pixels; give longer ones or change the recipe")
        shares = np.cumsum([math.sqrt(len(c.y)) for c in usable])
        clip = usable[int(np.searchsorted(shares, random.random() * shares[-1]))]
        start = int(random.integers(len(clip.y) - span))
        moments = [start + t for t in times]
        if random.random() < 0.5:
            moments = [start + span - t for t in times]
        top, left = (2 * int(random.integers((side - crop) // 2 + 1)) for side in clip.y.shape[1:])
        flips = [axis for axis in (-1, -2) if random.random() < 0.5]
        turned = random.random() < 0.3

        def piece(planes: NDArray[np.uint8], moment: int, share: int) -> Tensor:
            cut = planes[moment, top // share : (top + crop) // share, left // share : (left + crop) // share]
            found = torch.from_numpy(cut).float().div_(255)[None, None].flip(flips)
            return found.transpose(-1, -2).contiguous() if turned else found

        return [Planes(piece(clip.y, m, 1), piece(clip.u, m, 2), piece(clip.v, m, 2)) for m in moments]

    def _moved(self, count: int, crop: int, times: Sequence[int]) -> list[Planes]:
        """Photographs under a pan, zoom and turn, a second one in a soft ellipse before them, and a fade."""
        assert self._pictures is not None
        wide = 2 * crop
        back, front = self._pictures.batch(count, wide), self._pictures.batch(count, wide)
        paths = [_Path(self._random, count, crop) for _ in range(2)]
        size = torch.from_numpy(self._random.uniform(0.0, 0.6, (count, 1, 1, 1))).float()
        fade = torch.from_numpy(self._random.normal(0, 0.004, (count, 1, 1, 1))).float()
        noise = torch.from_numpy(np.abs(self._random.normal(0, 0.006, (count, 1, 1, 1)))).float()
        frames = []
        for time in times:
            behind, before = (
                _sampled(picture.cpu(), path.grid(time, crop))
                for picture, path in zip((back, front), paths, strict=True)
            )
            distance = paths[1].grid(time, crop).square().sum(-1)[:, None].sqrt() * 2
            mask = torch.sigmoid((size - distance) * 40)
            mixed = behind + mask * (before - behind) + fade * time
            planes = rgb_to_planes((mixed + noise * torch.randn_like(mixed)).clamp(0, 1))
            frames.append(planes)
        return frames


def _sampled(pictures: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(pictures, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


class _Path:
    """A random motion of `count` pictures."""

    def __init__(self, random: np.random.Generator, count: int, crop: int) -> None:
        speed = random.gamma(1.0, 3.0, count) / crop
        direction = random.uniform(0, 2 * math.pi, count)
        self._shift = np.stack([speed * np.cos(direction), speed * np.sin(direction)], 1)
        self._start = random.uniform(-0.2, 0.2, (count, 2))
        self._zoom = random.normal(0, 0.008, count)
        self._turn = random.normal(0, 0.006, count)

    def grid(self, time: int, crop: int) -> Tensor:
        """Where a crop looks at a picture twice as wide: (count, crop, crop, 2)."""
        scale, angle = 0.5 * np.exp(self._zoom * time), self._turn * time
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        offset = self._start + self._shift * time
        rows = np.stack([np.stack([cos, -sin, offset[:, 0]], 1), np.stack([sin, cos, offset[:, 1]], 1)], 1)
        matrix = torch.from_numpy(rows).float()
        return F.affine_grid(matrix, [len(matrix), 1, crop, crop], align_corners=False)


def _read(path: Path, most: int) -> _Clip:
    frames = []
    for frame in ClipFile(path):
        if not isinstance(frame, PlanarFrame):
            continue  # a packet of sound
        frames.append(frame)
        if len(frames) == most:
            break
    height, width = (side // 2 * 2 for side in frames[0].y.shape)
    y = np.stack([f.y[:height, :width] for f in frames])
    u = np.stack([f.u[: height // 2, : width // 2] for f in frames])
    v = np.stack([f.v[: height // 2, : width // 2] for f in frames])
    return _Clip(y, u, v)
