"""The toy family of clips of tests/seam/package, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nicodec.media.clips import FrameList, from_rgb

PACKAGE = Path(__file__).resolve().parents[1] / "seam" / "package"


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The toy is installed; its name."""
    monkeypatch.syspath_prepend(str(PACKAGE))
    monkeypatch.chdir(tmp_path)
    return "blink"


def smooth(number: int, width: int = 48, height: int = 32) -> NDArray[np.uint8]:
    """RGB of a frame with a patch that moves over a ramp."""
    y, x = np.mgrid[:height, :width]
    picture = np.stack([60 + x, 90 + y, 120 + 0 * x], -1).astype(np.uint8)
    picture[8:20, (3 * number) % width : (3 * number) % width + 9] = (220, 40, 60)
    return picture


@pytest.fixture
def clip() -> Callable[..., FrameList]:
    """Makes a clip of so many frames."""

    def make(count: int, width: int = 48, height: int = 32) -> FrameList:
        return from_rgb([smooth(n, width, height) for n in range(count)])

    return make
