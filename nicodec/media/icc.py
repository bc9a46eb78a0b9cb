"""ICC profiles (version 4.3) of a matrix and curves, or of one grey curve: as small as they come.

A profile is built from chromaticities (CIE 1931 x, y of white and the three primaries) and a curve, which says how
values of 0..1 become light of 0..1.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nicodec.media.picture import Plane

_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_DATE = (2026, 1, 1, 0, 0, 0)  # a fixed one, so that the same picture gives the same file

XY = tuple[float, float]


@dataclass(frozen=True)
class Primaries:
    """Chromaticities (x, y) of white and of the three primaries."""

    white: XY
    red: XY
    green: XY
    blue: XY


D65 = (0.3127, 0.3290)
SRGB = Primaries(D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))


@dataclass(frozen=True)
class Curve:
    """From value to light: (a v + b)^gamma where v >= d, and c v below; the plain power where only gamma is given.

    Attributes:
        gamma: the exponent, above 0.
        a, b: of the power.
        c: of the straight part.
        d: where the straight part ends.

    """

    gamma: float
    a: float = 1
    b: float = 0
    c: float = 0
    d: float = 0

    def element(self) -> bytes:
        """Give the profile's element of type 'para'."""
        if (self.a, self.b, self.c, self.d) == (1, 0, 0, 0):
            return b"para\0\0\0\0\0\0\0\0" + _fixed(self.gamma)
        return b"para\0\0\0\0\0\3\0\0" + _fixed(self.gamma, self.a, self.b, self.c, self.d)


SRGB_CURVE = Curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def rgb_profile(primaries: Primaries, curve: Curve, description: str) -> bytes:
    """Build the profile of RGB pixels.

    Args:
        primaries: of the pixels.
        curve: the same for the three channels.
        description: a few words of ASCII that tell people what it is.

    Raises:
        ValueError: the chromaticities span no colours (three on a line, or a y of zero).

    """
    adapted = _adaptation(_xyz(primaries.white))
    columns = adapted @ _matrix(primaries)
    tags = [(b"wtpt", _xyz_element(_D50)), (b"chad", b"sf32\0\0\0\0" + _fixed(*adapted.ravel()))]
    tags += [(name, _xyz_element(columns[:, i])) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))]
    tags += [(name, curve.element()) for name in (b"rTRC", b"gTRC", b"bTRC")]
    return _profile(b"RGB ", tags, description)


def grey_profile(curve: Curve, description: str) -> bytes:
    """Build the profile of grey pixels; see `rgb_profile`."""
    return _profile(b"GRAY", [(b"wtpt", _xyz_element(_D50)), (b"kTRC", curve.element())], description)


def _profile(space: bytes, tags: Sequence[tuple[bytes, bytes]], description: str) -> bytes:
    tags = [(b"desc", _text(description)), (b"cprt", _text("CC0")), *tags]
    start = 128 + 4 + 12 * len(tags)
    index, data, places = b"", b"", dict[bytes, int]()
    for name, element in tags:
        if element not in places:  # equal curves are stored once
            places[element] = start + len(data)
            data += element + b"\0" * (-len(element) % 4)
        index += struct.pack(">4sII", name, places[element], len(element))
    header = struct.pack(">I4sI4s4s4s6H4s", start + len(data), b"\0\0\0\0", 0x04300000, b"mntr", space, b"XYZ ",
                         *_DATE, b"acsp")  # fmt: skip
    header = header.ljust(68, b"\0") + _fixed(*_D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + index + data


def _matrix(primaries: Primaries) -> Plane:
    """From linear RGB to XYZ, with white of Y = 1."""
    columns = np.stack([_xyz(primaries.red), _xyz(primaries.green), _xyz(primaries.blue)], axis=1)
    if not np.isfinite(columns).all() or abs(np.linalg.det(columns)) < 1e-6:
        raise ValueError("the primaries span no colours")
    weights = np.linalg.solve(columns, _xyz(primaries.white))
    return np.asarray(columns * weights)


def _xyz(xy: XY) -> Plane:
    x, y = xy
    if y <= 0:
        raise ValueError("a chromaticity has a y of zero")
    return np.array([x / y, 1, (1 - x - y) / y])


def _adaptation(white: Plane) -> Plane:
    """From colours under this white to those under D50, after Bradford."""
    scale = (_BRADFORD @ np.array(_D50)) / (_BRADFORD @ white)
    return np.asarray(np.linalg.inv(_BRADFORD) @ np.diag(scale) @ _BRADFORD)


def _fixed(*values: float) -> bytes:
    """Numbers as s15Fixed16."""
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _xyz_element(xyz: Sequence[float] | Plane) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*xyz)


def _text(text: str) -> bytes:
    data = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(data), 28) + data
