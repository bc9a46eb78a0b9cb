"""Means over pictures of what the first bytes of files give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kodak_eval.progressive.cutting import SHARES, CutFile

TABLE_SHARES = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class CutCurve:
    """A codec's means at each of ``SHARES``; None where some picture shows nothing yet, or it is not known.

    Attributes:
        name, label: of the codec.
        sizes: bytes.
        psnr: of what is shown, in dB.
        made: of files made of so many bytes.

    """

    name: str
    label: str
    sizes: tuple[float, ...]
    psnr: tuple[float | None, ...]
    made: tuple[float | None, ...]


@dataclass(frozen=True)
class CutGroup:
    """A codec in levels and the others beside it.

    Attributes:
        pictures: how many all of them have.
        curves: the codec in levels first.

    """

    pictures: int
    curves: tuple[CutCurve, ...]

    def rows(self) -> list[tuple[str, tuple[float | None, ...]]]:
        """Labels and values at ``TABLE_SHARES``: each codec's, then those of files made of so many bytes."""
        places = [SHARES.index(share) for share in TABLE_SHARES]
        rows = [(curve.label, curve.psnr) for curve in self.curves]
        rows.append((f"{self.curves[0].label}, made of so many bytes", self.curves[0].made))
        return [(label, tuple(values[place] for place in places)) for label, values in rows]


def cut_groups(files: Sequence[CutFile]) -> list[CutGroup]:
    """Return the means, a group for each codec in levels."""
    groups: dict[str, dict[str, list[CutFile]]] = {}
    for file in files:
        groups.setdefault(file.against, {}).setdefault(file.codec, []).append(file)
    found = []
    for against, by_codec in groups.items():
        names = [against, *(name for name in by_codec if name != against)]
        found.append(CutGroup(len(by_codec[against]), tuple(_curve(by_codec[name]) for name in names)))
    return found


def _curve(files: Sequence[CutFile]) -> CutCurve:
    places = range(len(SHARES))
    sizes = tuple(float(np.mean([file.cuts[place].size for file in files])) for place in places)
    psnr = tuple(_mean([file.cuts[place].psnr for file in files]) for place in places)
    made = tuple(_mean([file.cuts[place].made for file in files]) for place in places)
    return CutCurve(files[0].codec, files[0].label, sizes, psnr, made)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def text_of(value: float | None) -> str:
    """Return a value in decibels, or a dash."""
    return "–" if value is None else f"{value:.2f}"
