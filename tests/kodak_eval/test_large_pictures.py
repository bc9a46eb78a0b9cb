"""The measurement of large pictures: its pictures, and what it says of a command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kodak_eval.large_pictures import collage, measure


def test_photographs_fill_a_picture(tmp_path: Path) -> None:
    colours = ((200, 10, 10), (10, 200, 10))
    photos = [tmp_path / f"{number}.png" for number in range(2)]
    for colour, photo in zip(colours, photos, strict=True):
        Image.new("RGB", (40, 30), colour).save(photo)
    picture = np.asarray(collage(photos, 100, 70))
    assert picture.shape == (70, 100, 3)
    assert {tuple(each) for each in picture.reshape(-1, 3).tolist()} == set(colours)


def test_a_command_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="exit code 3"):
        measure("compress", str(tmp_path / "none.png"))
    seconds, processor, peak = measure("--version")
    assert float(seconds) > 0
    assert float(processor) > 0
    assert peak.endswith(" MiB")
