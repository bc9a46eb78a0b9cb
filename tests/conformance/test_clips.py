"""A clip that the packaged model writes is the same symbols in every setting, and decodes as it did."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nicodec

from ..clip_contract import decoded, farthest, numbers
from ..test_numbers_contract import SETTINGS
from .make_clips import CASES, clip

FOLDER = Path(__file__).parent
FACTS = json.loads((FOLDER / "clips.json").read_text())


@pytest.mark.parametrize("name", sorted(FACTS))
def test_file_decodes_as_it_did(name: str) -> None:
    symbols, frames = decoded((FOLDER / f"{name}.nic").read_bytes())
    known = FACTS[name]
    assert symbols == known["symbols"]
    assert len(frames) == known["frames"]
    for frame, row in zip((frames[0], frames[-1]), known["rows"], strict=True):
        assert np.abs(frame.y[frame.y.shape[0] // 2].astype(int) - row).max() <= 6


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_setting_reads_every_other(name: str) -> None:
    for written in ("one thread", "bfloat16"):
        with numbers(written):
            data = nicodec.compress_video(clip(), **CASES[name])
        assert data is not None
        results = {}
        for read in SETTINGS:
            with numbers(read):
                results[read] = decoded(data)
        symbols, frames = results["one thread"]
        assert all(other == symbols for other, _ in results.values())
        # Differences of rounding travel from frame to frame, so that a few samples are further off than one level.
        assert max(farthest(frames, other) for _, other in results.values()) <= 6
