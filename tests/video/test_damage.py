"""Clips that are cut short or altered: an error, or with `partial` whole frames, and the missing are named."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable

import numpy as np
import pytest

import nicodec
from nicodec import container
from nicodec.container import Stream, StreamPacket
from nicodec.errors import NicodecError, StreamError
from nicodec.media.clips import FrameList
from nicodec.video import VideoReader, VideoWriter
from tests.media.clip_drawing import SOUND, SOUND_PACKETS

Frames = dict[int, bytes]


def frames_in(reader: VideoReader) -> Frames:
    return {frame.pts: frame.y.tobytes() + frame.u.tobytes() + frame.v.tobytes() for frame in reader}


@pytest.fixture
def small(clip: Callable[..., FrameList], toy: str) -> tuple[bytes, Frames]:
    """A clip of 6 frames of 8x8, keys at 0 and 4, with two packets of sound; and its frames."""
    source = clip(6, 8, 8)
    held = io.BytesIO()
    form = source.format.__class__(8, 8, streams=(Stream(SOUND.type, SOUND.codec, SOUND.time_base),))
    with VideoWriter(held, codec=toy, format=form, quality=0) as writer:
        for packet in SOUND_PACKETS[:2]:
            writer.write(StreamPacket(1, b"sound", packet.pts))
        for frame in source.frames:
            writer.write(frame)
    return held.getvalue(), frames_in(VideoReader(io.BytesIO(held.getvalue())))


def check(data: bytes, whole: Frames) -> None:
    """Without `partial` an error; with it an error, or whole frames, and a loss for every other."""
    with pytest.raises(NicodecError):
        frames_in(VideoReader(io.BytesIO(data)))
    try:
        reader = VideoReader(io.BytesIO(data), partial=True)
        found = frames_in(reader)
    except NicodecError:
        return
    for pts, planes in found.items():
        assert planes == whole[pts]
    if len(found) < len(whole):
        assert reader.losses
        numbered = {n for loss in reader.losses if loss.frames is not None for n in loss.frames}
        cut = any(loss.frames is None for loss in reader.losses)
        assert cut or numbered == set(whole) - set(found)


def test_every_truncation(small: tuple[bytes, Frames]) -> None:
    data, whole = small
    for length in range(len(data)):
        check(data[:length], whole)


def test_every_change_of_a_byte(small: tuple[bytes, Frames]) -> None:
    data, whole = small
    for place in range(len(data)):
        check(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :], whole)


def test_a_damaged_packet_costs_its_gop(clip: Callable[..., FrameList], toy: str) -> None:
    data = nicodec.compress_video(clip(12), quality=20, codec=toy)
    assert data is not None
    reader = container.ClipReader(io.BytesIO(data))
    places = []
    for item in reader:
        assert isinstance(item, container.FramePacket)
        places.append(reader.offset)
    broken = bytearray(data)
    broken[places[5] + 9] ^= 255
    video = VideoReader(io.BytesIO(bytes(broken)), partial=True)
    assert [frame.pts for frame in video] == [0, 1, 2, 3, 4, 8, 9, 10, 11]
    (loss,) = video.losses
    assert loss.frames == range(5, 8)
    assert str(loss).startswith("frames 5 to 7 after 0.160 s are left out")
    with pytest.raises(StreamError):
        list(VideoReader(io.BytesIO(bytes(broken))))


@pytest.mark.parametrize("number", [1, 2, 4])
def test_frames_that_wait_for_a_wrong_one_are_given(clip: Callable[..., FrameList], number: int) -> None:
    """A frame whose symbols are wrong, though its packet is whole: the end, the middle and a leaf of a pyramid."""
    data = nicodec.compress_video(clip(9), quality=30)
    assert data is not None
    whole = frames_in(VideoReader(io.BytesIO(data)))
    reader, held = container.ClipReader(io.BytesIO(data)), io.BytesIO()
    writer = container.ClipWriter(held, reader.header, reader.streams)
    pts = {}
    for item in reader:
        assert isinstance(item, container.FramePacket)
        pts[item.number] = item.pts
        if item.number == number:
            item = dataclasses.replace(item, symbol_checksum=item.symbol_checksum ^ 1)
        writer.write(item)
    writer.close()
    with pytest.raises(StreamError):
        frames_in(VideoReader(io.BytesIO(held.getvalue())))
    video = VideoReader(io.BytesIO(held.getvalue()), partial=True)
    found = frames_in(video)
    assert all(whole[each] == planes for each, planes in found.items())
    lost = {pts[n] for loss in video.losses if loss.frames is not None for n in loss.frames}
    assert lost | set(found) == set(whole)
    assert not lost & set(found)


def test_a_cut_clip_is_written_as_far_as_it_goes(clip: Callable[..., FrameList], toy: str) -> None:
    data = nicodec.compress_video(clip(12), quality=20, codec=toy)
    assert data is not None
    cut = data[: len(data) // 2]
    with pytest.raises(StreamError):
        nicodec.decompress_video(cut, "cut.mkv")
    with pytest.warns(nicodec.media.LossyConversionWarning, match="the clip ends after"):
        count = nicodec.decompress_video(cut, "cut.mkv", partial=True)
    assert 0 < count < 12


def test_lossless_frames_survive(small: tuple[bytes, Frames]) -> None:
    data, whole = small
    assert len(whole) == 6
    assert all(np.frombuffer(planes, np.uint8).size == 8 * 8 * 3 // 2 for planes in whole.values())
    assert nicodec.info(data).frames == 6
