"""Goals, and controls that users bring."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import nicodec
from nicodec.container import ClipReader, FramePacket
from nicodec.control import Spent, Together
from nicodec.errors import InputError, QualityError
from nicodec.media.clips import FrameList, PlanarFrame, from_rgb
from nicodec.media.picture import LossyConversionWarning
from nicodec.video import VideoReader
from nicodec.video.passes import Psnr

from .conftest import smooth


@pytest.fixture(scope="module")
def noisy() -> FrameList:
    """60 frames whose detail comes and goes."""
    rng = np.random.default_rng(5)
    frames = []
    for number in range(60):
        strength = 4 + 14 * (number // 20 == 1)
        frames.append(np.clip(smooth(number, 64, 48) + rng.normal(0, strength, (48, 64, 3)), 0, 255).astype(np.uint8))
    return from_rgb(frames)


@pytest.fixture
def file(noisy: FrameList, toy: str) -> str:
    """The same as a file."""
    from nicodec.media.clip_writing import open_sink

    with open("noisy.mkv", "w+b") as target:
        sink = open_sink(target, ".mkv", noisy.format, "ffv1")
        for frame in noisy:
            sink.write(frame)
        sink.close()
    return "noisy.mkv"


def rate_of(data: bytes | None) -> float:
    assert data is not None
    frames = [item for item in ClipReader(io.BytesIO(data)) if isinstance(item, FramePacket)]
    return 25 * 8 * sum(len(frame.data) for frame in frames) / len(frames)


@pytest.mark.parametrize("rate", [300_000, 500_000])
def test_bitrate_of_a_file(file: str, toy: str, rate: float) -> None:
    assert abs(rate_of(nicodec.compress_video(file, bitrate=rate, codec=toy)) / rate - 1) < 0.05


@pytest.mark.parametrize("hold", [1, 8])
def test_bitrate_of_a_pipe_in_one_pass(file: str, toy: str, hold: int) -> None:
    with open(file, "rb") as pipe:
        data = nicodec.compress_video(pipe, bitrate=450_000, codec=toy, hold=hold)
    assert abs(rate_of(data) / 450_000 - 1) < 0.05


def test_a_rate_that_cannot_be_is_told(file: str, toy: str) -> None:
    with pytest.warns(LossyConversionWarning, match="quality 100 needs no more"):
        nicodec.compress_video(file, bitrate=5_000_000, codec=toy)


def test_size_is_not_exceeded(file: str, toy: str) -> None:
    data = nicodec.compress_video(file, max_bytes=150_000, codec=toy)
    assert data is not None
    assert 0.93 * 150_000 < len(data) <= 150_000
    with pytest.raises(QualityError, match="does not fit"):
        nicodec.compress_video(file, max_bytes=3000, codec=toy)


def test_psnr_is_reached(noisy: FrameList, file: str, toy: str) -> None:
    data = nicodec.compress_video(file, psnr=36, codec=toy)
    assert data is not None
    psnr = Psnr()
    for a, b in zip(noisy.frames, VideoReader(io.BytesIO(data)), strict=True):
        psnr.add(a, b)
    assert 36 <= psnr.value < 36.5


def test_goals_that_make_no_sense(noisy: FrameList, toy: str) -> None:
    with pytest.raises(QualityError, match="contradict"):
        nicodec.compress_video(noisy, quality=50, bitrate=1e6, codec=toy)
    with pytest.raises(InputError, match="only once"):
        nicodec.compress_video(noisy, psnr=30, codec=toy)
    with pytest.raises(QualityError):
        nicodec.compress_video(noisy, bitrate=-1, codec=toy)


class Notes(nicodec.EncoderControl):
    """Keys where it likes, more quality at the end, and nothing but the left half counts."""

    def __init__(self) -> None:
        self.spent: list[Spent] = []

    def wish(self, frame: PlanarFrame, spent: Spent) -> nicodec.Wish:
        self.spent.append(spent)
        importance = torch.zeros(3, 4)
        importance[:, :2] = 2
        return nicodec.Wish(
            quality=40 if spent.frames >= 50 else 0, is_key=spent.frames % 7 == 0, importance=importance
        )

    def finish(self, spent: Spent) -> None:
        self.spent.append(spent)


def test_a_users_control_is_followed(noisy: FrameList, toy: str) -> None:
    from nicodec.video import VideoWriter

    control, held = Notes(), io.BytesIO()
    with VideoWriter(held, codec=toy, format=noisy.format, quality=20, control=control) as writer:
        for frame in noisy.frames:
            writer.write(frame)
    packets = [item for item in ClipReader(io.BytesIO(held.getvalue())) if isinstance(item, FramePacket)]
    assert {p.number for p in packets if p.is_key} >= set(range(0, 60, 7))
    usual = np.mean([len(p.data) for p in packets[42:50] if not p.is_key])
    assert np.mean([len(p.data) for p in packets[52:] if not p.is_key]) > 1.1 * usual
    assert [spent.frames for spent in control.spent] == list(range(61))
    assert sum(len(spent.new) for spent in control.spent) == 60
    assert control.spent[-1].coded == 60
    frames = list(VideoReader(io.BytesIO(held.getvalue())))
    assert np.array_equal(frames[1].y[:, 32:], frames[0].y[:, 32:])  # what counts nothing stays as it was
    assert not np.array_equal(frames[1].y[:, :32], frames[0].y[:, :32])


def test_controls_add_up(noisy: FrameList) -> None:
    class One(nicodec.EncoderControl):
        def wish(self, frame: PlanarFrame, spent: Spent) -> nicodec.Wish:
            return nicodec.Wish(quality=3, importance=torch.full((3, 4), 2.0))

    both = Together(One(), One(), nicodec.EncoderControl())
    wish = both.wish(noisy.frames[0], Spent(0, 0, 0, ()))
    assert wish.quality == 6
    assert not wish.is_key
    assert wish.ends_group is None
    assert wish.importance is not None
    assert torch.equal(wish.importance, torch.full((3, 4), 4.0))


@pytest.mark.parametrize(
    ("wishes", "found"), [([None, None], None), ([None, False], False), ([True, False], True), ([True, None], True)]
)
def test_a_group_ends_where_one_control_says_so(
    noisy: FrameList, wishes: list[bool | None], found: bool | None
) -> None:
    class Ends(nicodec.EncoderControl):
        def __init__(self, wished: bool | None) -> None:
            self.wished = wished

        def wish(self, frame: PlanarFrame, spent: Spent) -> nicodec.Wish:
            return nicodec.Wish(ends_group=self.wished)

    wish = Together(*(Ends(wished) for wished in wishes)).wish(noisy.frames[0], Spent(0, 0, 0, ()))
    assert wish.ends_group is found


def test_a_map_of_another_size_is_refused(noisy: FrameList, toy: str) -> None:
    class Wrong(nicodec.EncoderControl):
        def wish(self, frame: PlanarFrame, spent: Spent) -> nicodec.Wish:
            return nicodec.Wish(importance=torch.ones(2, 2))

    with pytest.raises(InputError, match=r"\(3, 4\)"):
        nicodec.compress_video(noisy, codec=toy, control=Wrong())


@pytest.mark.parametrize("example", ["region_of_interest", "saliency"])
def test_examples_run(example: str, file: str, toy: str) -> None:
    import runpy
    import sys

    root = Path(__file__).resolve().parents[2]
    before = sys.argv
    sys.argv = [example, file, "out.nic", "--codec", toy]
    try:
        runpy.run_path(str(root / "examples" / f"{example}.py"), run_name="__main__")
    finally:
        sys.argv = before
    assert nicodec.info("out.nic").frames == 60


@pytest.fixture(autouse=True)
def two_threads() -> None:
    torch.set_num_threads(min(2, torch.get_num_threads()))


def test_api_reads_frames_in_every_form(clip: Callable[..., FrameList], toy: str) -> None:
    data = nicodec.compress_video(clip(10), quality=90, codec=toy)
    assert data is not None
    reader = VideoReader(io.BytesIO(data))
    frame = reader.frame_at(0.25)
    assert frame.pts == 6
    assert reader.seconds_of(frame) == 0.24
    assert reader.frame_at(99).pts == 9
    assert reader.frame_at(-1).pts == 0
    array = reader.as_array(frame)
    assert array.shape == (32, 48, 3)
    assert reader.as_pil(frame).size == (48, 32)
    assert reader.as_tensor(frame).shape == (3, 32, 48)
    reader.seek(0.25)
    assert [each.pts for each in reader] == [4, 5, 6, 7, 8, 9]


def test_api_writes_frames_in_every_form(toy: str) -> None:
    from PIL import Image

    from nicodec.media.clips import planar_of
    from nicodec.video import VideoWriter

    held, picture = io.BytesIO(), smooth(3)
    with VideoWriter(held, codec=toy, width=48, height=32, quality=90) as writer:
        writer.write(picture)
        writer.write(Image.fromarray(picture))
        writer.write(torch.from_numpy(picture).permute(2, 0, 1) / 255)
        writer.write(planar_of(picture, 3, 1))
        for wrong in (picture[:20], "no", torch.zeros(3, 4), planar_of(picture, 3, 1)):
            with pytest.raises(InputError):
                writer.write(wrong)
    frames = list(VideoReader(io.BytesIO(held.getvalue())))
    assert len(frames) == 4
    assert all(np.array_equal(frame.y, frames[0].y) for frame in frames)


def test_compress_says_which_call_is_for_clips(file: str) -> None:
    with pytest.raises(InputError, match="compress_video"):
        nicodec.compress(file)
