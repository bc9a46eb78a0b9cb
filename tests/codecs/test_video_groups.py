"""Groups of frames as long as suits them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nicodec.codecs import video_groups
from nicodec.codecs.video_groups import error, error_between, group_lengths, moved, small


def noise(seed: int) -> torch.Tensor:
    """Smooth noise (96, 128) of deviation 0.15 about a half."""
    random = torch.Generator().manual_seed(seed)
    rough = torch.randn(1, 1, 24, 32, generator=random)
    grown = torch.nn.functional.interpolate(rough, scale_factor=4, mode="bicubic", align_corners=False)[0, 0]
    return 0.15 * grown / grown.std()


def turning(angle: float, count: int) -> list[torch.Tensor]:
    """Frames that turn from one picture into another, so that far ones have nothing in common."""
    one, other = noise(0), noise(1)
    return [(0.5 + math.cos(n * angle) * one + math.sin(n * angle) * other).clamp(0, 1) for n in range(count)]


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 8), height=st.integers(1, 60), width=st.integers(1, 60), seed=st.integers(0, 99))
def test_lengths_add_up_whatever_the_frames(count: int, height: int, width: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    frames = [small(torch.rand(height, width, generator=random)) for _ in range(count + 1)]
    lengths = group_lengths(frames)
    assert sum(lengths) == count
    assert min(lengths) >= 1


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_what_stands_still_is_one_group(count: int) -> None:
    assert group_lengths([small(0.5 + noise(3))] * (count + 1)) == [count]
    assert group_lengths([small(frame) for frame in turning(0.002, count + 1)]) == [count]


def test_groups_are_short_where_far_frames_have_nothing_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_groups, "moved", lambda frame, reference: reference.astype(np.float32))
    assert max(group_lengths([small(frame) for frame in turning(math.pi / 8, 9)])) <= 2
    still = [small(frame) for frame in turning(0.002, 5)]
    lengths = group_lengths([*still, *(small(frame) for frame in turning(math.pi / 6, 5)[1:])])
    assert lengths[0] == 4
    assert max(lengths[1:]) <= 2


def test_errors_are_those_of_the_better_prediction() -> None:
    frame = np.full((32, 40), 100, np.uint8)
    near, far = np.full((32, 40), 102, np.float32), np.full((32, 40), 90, np.float32)
    assert error(frame, near) == pytest.approx(2.3)
    assert error_between(frame, near, far) == pytest.approx(2.3)
    assert error_between(frame, near, np.full((32, 40), 98, np.float32)) == pytest.approx(0.3)
    half = near.copy()
    half[:, 16:] = 120
    assert error_between(frame, half, half[:, ::-1].copy()) == pytest.approx(0.3 + (32 * 2 + 8 * 20) / 40)


def test_motion_is_followed() -> None:
    picture = noise(5)
    one, other = small(0.5 + picture[:, :120]), small(0.5 + picture[:, 4:124])
    still = np.abs(one.astype(np.float32) - other)[8:-8, 8:-8].mean()
    assert np.abs(moved(one, other) - one)[8:-8, 8:-8].mean() < 0.3 * still
