from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nicodec.errors import InputError
from nicodec.training.budget import Budget
from nicodec.training.data import Pictures, PictureSettings, find_pictures, held_out_of, read_pixels
from nicodec.training.workers import Workers

from ..conftest import smooth_picture
from .conftest import opened


def test_crops_are_pieces_of_the_pictures(pictures: Path, alone: Workers) -> None:
    source = opened([pictures], alone, half_size_share=0.0)
    batch = source.batch(5, 64)
    assert batch.shape == (5, 3, 64, 64)
    assert 0 <= float(batch.min()) < float(batch.max()) <= 1
    assert source.blocks(33, 64).shape == (33, 3, 16, 16)
    assert source.describe() == "5 pictures, 1 more held out"
    assert [tuple(p.shape) for p in source.held_out] == [(3, 140, 150)]
    with pytest.raises(InputError, match="at least 141 pixels"):
        source.need(141)


def test_a_share_is_held_out() -> None:
    paths = [Path(str(number)) for number in range(400)]
    counts = {n: len(set(held_out_of(paths[:n], 16))) for n in (1, 2, 20, 100, 160, 400)}
    assert counts == {1: 0, 2: 1, 20: 2, 100: 10, 160: 16, 400: 16}


def solid(folder: Path, value: int, side: int = 100, count: int = 3) -> Path:
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (side, side), (value,) * 3).save(folder / f"{value}-{number}.png")
    return folder


def test_folders_have_shares_of_the_crops(tmp_path: Path, alone: Workers) -> None:
    folders = [solid(tmp_path / "dark", 0, side=700), solid(tmp_path / "light", 255)]
    source = opened(folders, alone, shares=(0.9, 0.1), half_size_share=0.5)
    light = float(source.batch(2000, 16).mean())
    assert light == pytest.approx(0.1, abs=0.025)
    assert float(source.batch(20, 120).mean()) == 0  # those of one folder alone are large enough
    as_one = opened(folders, alone)
    assert float(as_one.batch(2000, 16).mean()) == pytest.approx(1 / 8, abs=0.05)  # roots of areas


def test_a_picture_of_two_folders_counts_once(tmp_path: Path, alone: Workers) -> None:
    solid(tmp_path / "a", 9)
    assert opened([tmp_path, tmp_path / "a"], alone, holdout=0).describe() == "3 pictures, 0 more held out"


@pytest.mark.filterwarnings("ignore::nicodec.media.LossyConversionWarning")
def test_pictures_of_all_depths_come_as_8_bits(tmp_path: Path) -> None:
    picture = smooth_picture(40, 50)
    grey = picture[:, :, 0]
    Image.fromarray(picture).save(tmp_path / "rgb.png")
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "grey16.png")
    Image.fromarray(np.dstack([picture, np.full_like(grey, 9)])).save(tmp_path / "rgba.png")
    expected = torch.from_numpy(picture).permute(2, 0, 1)
    assert torch.equal(read_pixels(tmp_path / "rgb.png"), expected)
    assert torch.equal(read_pixels(tmp_path / "rgba.png"), expected)
    for name in ("grey.png", "grey16.png"):
        assert torch.equal(read_pixels(tmp_path / name), expected[:1].expand(3, -1, -1))


def test_16_bit_pixels_are_rounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deep:
        pixels = np.array([[[0, 128, 129], [65535, 65534, 32896]]], dtype=np.uint16)

    monkeypatch.setattr("nicodec.training.data.read_picture", lambda path: Deep)
    assert read_pixels(tmp_path).permute(1, 2, 0).tolist() == [[[0, 0, 1], [255, 255, 128]]]


def test_large_pictures_are_scaled_down(pictures: Path) -> None:
    assert tuple(read_pixels(pictures / "0.png", 70).shape) == (3, 70, 75)
    assert tuple(read_pixels(pictures / "0.png", 150).shape) == (3, 140, 150)


def test_broken_pictures_are_left_out_and_told(pictures: Path) -> None:
    (pictures / "broken.png").write_bytes(b"no picture")
    (pictures / "notes.txt").write_bytes(b"no picture")
    lines: list[str] = []
    workers = Workers(torch.device("cpu"), say=lines.append)
    source = opened([pictures], workers, holdout=0)
    assert source.describe() == "6 pictures, 0 more held out"
    assert any("1 could not be read" in line and "broken.png" in line for line in lines)


def test_reading_stops_where_time_or_memory_is_spent(tmp_path: Path) -> None:
    solid(tmp_path / "many", 3, side=400, count=60)
    for budget, settings, why in (
        (Budget(minutes=0.0), PictureSettings(), "time"),
        (Budget(minutes=9), PictureSettings(memory_mb=1), "memory"),
    ):
        lines: list[str] = []
        source = Pictures([tmp_path / "many"], settings, 1, budget, Workers(torch.device("cpu"), say=lines.append))
        assert any(f"the {why} for reading" in line for line in lines)
        assert source.batch(1, 64).shape == (1, 3, 64, 64)
        assert len(source.held_out) == 6  # all of them, or two previews would not look at the same


def test_missing_pictures_say_what_to_do(tmp_path: Path, alone: Workers) -> None:
    with pytest.raises(InputError, match="no such folder"):
        find_pictures(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        find_pictures(tmp_path / "empty")
    (tmp_path / "empty" / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="no picture to train on"):
        opened([tmp_path / "empty"], alone)


def test_two_seeds_draw_different_crops(pictures: Path, alone: Workers) -> None:
    one, other = (
        Pictures([pictures], PictureSettings(), seed, Budget(minutes=5), alone).batch(4, 64) for seed in (1, 2)
    )
    assert not torch.equal(one, other)
