"""Clips in and out: times, rotation, colour, precision, and what is copied."""

from __future__ import annotations

import io
import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from nicodec.container import Colour, Stream, StreamPacket
from nicodec.errors import InputError, OutputError
from nicodec.media.clip_planes import PlanarFrame, planar, turned, video_frame
from nicodec.media.clip_reading import ClipFile
from nicodec.media.clip_writing import MovieSink, PicturesSink, Y4mSink, is_pattern, open_sink
from nicodec.media.clips import ClipFormat, from_rgb, to_rgb
from nicodec.media.picture import LossyConversionWarning
from tests.media.clip_drawing import SOUND, SOUND_PACKETS, WORDS, WORDS_PACKETS, draw, picture, turn

PICTURES = [picture(n) for n in range(8)]


def frames_of(source: ClipFile) -> list[PlanarFrame]:
    return [item for item in source if isinstance(item, PlanarFrame)]


def test_variable_times_are_kept_as_they_are(tmp_path: Path) -> None:
    pts = [0, 7, 20, 41, 45, 90, 140, 141]
    path = draw(tmp_path / "v.mov", PICTURES, encoder="libx264", pts=pts, time_base=Fraction(1, 600))
    source = ClipFile(path)
    times = [frame.pts * source.format.time_base for frame in frames_of(source)]
    assert times == [Fraction(n, 600) for n in pts]
    assert source.format.rate is None


def test_a_constant_rate_is_told(tmp_path: Path) -> None:
    rate = Fraction(30000, 1001)
    path = draw(tmp_path / "c.mov", PICTURES, encoder="libx264", rate=rate, time_base=1 / rate)
    source = ClipFile(path)
    assert source.format.rate == rate
    assert source.format.frames == 8
    assert [f.pts * source.format.time_base for f in frames_of(source)] == [n / rate for n in range(8)]


def test_frames_are_turned_upright(tmp_path: Path) -> None:
    path = draw(
        tmp_path / "r.mov", PICTURES, encoder="libx264", options={"crf": "0", "preset": "ultrafast"},
        aspect=Fraction(4, 3),
    )  # fmt: skip
    (plain,) = frames_of(ClipFile(path))[:1]
    turn(path)
    source = ClipFile(path)
    assert (source.format.width, source.format.height) == (32, 48)
    assert source.format.sample_aspect == Fraction(3, 4)
    found = frames_of(source)[0]
    assert np.array_equal(found.y, np.rot90(plain.y, -1))
    assert np.array_equal(found.u, np.rot90(plain.u, -1))
    assert np.array_equal(turned(found, 3).y, plain.y)


def test_colour_and_aspect_are_kept(tmp_path: Path) -> None:
    tags = {"color_primaries": 9, "color_trc": 16, "colorspace": 9, "color_range": 2}
    wide = [picture(n, 64, 32) for n in range(8)]
    path = draw(tmp_path / "t.mkv", wide, encoder="libx264", aspect=Fraction(16, 11), tags=tags)
    form = ClipFile(path).format
    assert form.colour == Colour(9, 16, 9, True)
    assert form.sample_aspect == Fraction(16, 11)
    for suffix, encoder in ((".mkv", "x264"), (".mp4", "x264"), (".mov", "x265")):
        with (tmp_path / f"again{suffix}").open("w+b") as file:
            sink = open_sink(file, suffix, form, encoder)
            for frame in frames_of(ClipFile(path)):
                sink.write(frame)
            sink.close()
        again = ClipFile(tmp_path / f"again{suffix}").format
        assert again.colour == form.colour, suffix
        assert again.sample_aspect == form.sample_aspect, suffix
    with pytest.warns(LossyConversionWarning, match="wide"):
        open_sink(io.BytesIO(), ".mkv", form, "ffv1")


def test_x265_is_kept_from_narrow_frames() -> None:
    with pytest.raises(OutputError, match="at least 64 pixels in width, these have 48; take x264"):
        open_sink(io.BytesIO(), ".mkv", from_rgb(PICTURES).format, "x265")


@pytest.mark.parametrize("suffix", [".mkv", ".y4m"])
def test_odd_sizes_pass_through_without_loss(tmp_path: Path, suffix: str) -> None:
    clip = from_rgb([picture(n, 47, 31) for n in range(3)])
    with (tmp_path / f"o{suffix}").open("w+b") as file:
        sink = open_sink(file, suffix, clip.format, "ffv1")
        for frame in clip:
            sink.write(frame)
        sink.close()
    found = frames_of(ClipFile(tmp_path / f"o{suffix}"))
    for a, b in zip(clip.frames, found, strict=True):
        assert np.array_equal(a.y, b.y)
        assert np.array_equal(a.u, b.u)
        assert np.array_equal(a.v, b.v)


def test_odd_sizes_keep_their_size_in_h264(tmp_path: Path) -> None:
    clip = from_rgb([picture(n, 47, 31) for n in range(3)])
    with (tmp_path / "o.mp4").open("w+b") as file:
        sink = open_sink(file, ".mp4", clip.format)
        for frame in clip:
            sink.write(frame)
        sink.close()
    source = ClipFile(tmp_path / "o.mp4")
    assert (source.format.width, source.format.height) == (47, 31)
    for a, b in zip(clip.frames, frames_of(source), strict=True):
        assert np.abs(a.y.astype(int) - b.y).mean() < 2
        assert np.abs(a.u.astype(int) - b.u).mean() < 2


def test_ten_bits_are_rounded_to_the_nearest() -> None:
    rng = np.random.default_rng(1)
    deep = rng.integers(0, 1021, (48, 32), dtype=np.uint16)  # 32 rows of Y, then U and V
    frame = av.VideoFrame.from_ndarray(deep, format="yuv420p10le")
    found = planar(frame, 3, 1)
    assert np.array_equal(found.y, (deep[:32] + 2) // 4)
    assert found.pts == 3
    frame.color_range = 2
    assert np.array_equal(planar(frame, 0, 1).y, np.floor(deep[:32] * (255 / 1023) + 0.5))


def test_chroma_of_other_formats_is_brought_to_a_quarter() -> None:
    grey = np.full((16, 16, 3), 128, np.uint8)
    for form in ("yuv444p", "yuv422p", "yuv411p", "yuv410p", "nv12", "yuyv422", "yuv422p10le", "gbrp10le", "gray",
                 "gray10le", "rgb48le", "yuva420p", "p010le", "ya8", "pal8"):  # fmt: skip
        try:
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format=form, threads=1)
        except (ValueError, av.FFmpegError):
            assert form == "pal8"
            continue
        found = planar(frame, 0, 1)
        assert found.u.shape == found.v.shape == (8, 8)
        assert np.abs(found.u.astype(int) - 128).max() <= 1, form
        assert found.y.shape == (16, 16)


def test_rgb_comes_back() -> None:
    clip = from_rgb(
        [np.full((20, 30, 3), colour, np.uint8) for colour in ((200, 40, 90), (16, 16, 16), (250, 250, 3))]
    )
    for frame, colour in zip(clip.frames, ((200, 40, 90), (16, 16, 16), (250, 250, 3)), strict=True):
        assert np.abs(to_rgb(frame).astype(int) - colour).max() <= 3


def test_alpha_is_left_out_with_a_warning(tmp_path: Path) -> None:
    arrays = [np.dstack([p, np.full(p.shape[:2], 9, np.uint8)]) for p in PICTURES[:2]]
    path = draw(tmp_path / "a.mkv", arrays, form="bgra", source_form="rgba")
    with pytest.warns(LossyConversionWarning, match="alpha"):
        source = ClipFile(path)
    assert len(frames_of(source)) == 2


def test_interlaced_clips_are_refused_with_the_remedy(tmp_path: Path) -> None:
    path = draw(
        tmp_path / "i.mkv",
        [picture(n, 64, 64) for n in range(4)],
        encoder="libx264",
        options={"x264-params": "tff=1"},
    )
    with pytest.raises(InputError, match=r"interlaced.*bwdif"):
        frames_of(ClipFile(path))


@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_sound_and_subtitles_are_copied(tmp_path: Path, suffix: str) -> None:
    copied = (SOUND, WORDS) if suffix == ".mkv" else (SOUND,)
    packets = [*SOUND_PACKETS, *(WORDS_PACKETS if suffix == ".mkv" else ())]
    path = draw(tmp_path / f"s{suffix}", PICTURES, encoder="libx264", copied=copied, packets=packets)
    source = ClipFile(path)
    items = list(source)
    sound = [item for item in items if isinstance(item, StreamPacket) and item.stream == 1]
    assert b"".join(p.data for p in sound) == b"".join(p.data for p in SOUND_PACKETS)
    with (tmp_path / f"again{suffix}").open("w+b") as file:
        sink = open_sink(file, suffix, source.format)
        for item in items:
            sink.write(item)
        sink.close()
    second = ClipFile(tmp_path / f"again{suffix}")
    assert [s.language for s in second.format.streams] == [s.language for s in copied]
    assert [s.codec for s in second.format.streams] == [s.codec for s in copied]

    def copies(source: ClipFile, items: list) -> list:
        return sorted(
            (p.stream, p.pts * source.format.streams[p.stream - 1].time_base, p.data)
            for p in items
            if isinstance(p, StreamPacket)
        )

    assert copies(second, list(second)) == copies(source, items)


def test_a_stream_that_the_format_lacks_is_left_out(tmp_path: Path) -> None:
    form = ClipFormat(48, 32, streams=(WORDS, Stream("audio", "nonsense", Fraction(1, 8000), sample_rate=8000)))
    with (tmp_path / "x.mp4").open("w+b") as file:
        with pytest.warns(LossyConversionWarning, match="left out") as caught:
            sink = open_sink(file, ".mp4", form)
        assert len(caught) == 2
        for frame in from_rgb(PICTURES):
            sink.write(frame)
        sink.write(WORDS_PACKETS[0].__class__(1, b"lost", 0))
        sink.close()
    assert len(frames_of(ClipFile(tmp_path / "x.mp4"))) == 8


def test_y4m_says_what_it_has() -> None:
    held = io.BytesIO()
    form = ClipFormat(
        48, 32, rate=Fraction(30000, 1001), sample_aspect=Fraction(4, 3), colour=Colour(full_range=True)
    )
    sink = Y4mSink(held, form)
    for frame in from_rgb(PICTURES):
        sink.write(frame)
    sink.close()
    assert held.getvalue().startswith(b"YUV4MPEG2 W48 H32 F30000:1001 Ip A4:3 C420mpeg2 XCOLORRANGE=FULL\nFRAME\n")
    source = ClipFile(held.getvalue())
    assert source.format.rate == Fraction(30000, 1001)
    assert source.format.colour.full_range
    assert len(frames_of(source)) == 8
    with pytest.warns(LossyConversionWarning, match="varying"):
        Y4mSink(io.BytesIO(), ClipFormat(48, 32, rate=None))


def test_numbered_pictures(tmp_path: Path) -> None:
    assert is_pattern("a/%04d.png")
    assert not is_pattern("a/b.png")
    assert not is_pattern("a/%04d.mkv")
    clip = from_rgb(PICTURES)
    sink = PicturesSink(str(tmp_path / "f%03d.png"), clip.format)
    for frame in clip:
        sink.write(frame)
    sink.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"f{n:03d}.png" for n in range(1, 9)]


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    form = ClipFormat(48, 32)
    with pytest.raises(OutputError, match=r"\.mkv"):
        open_sink(io.BytesIO(), ".gif", form)
    with pytest.raises(OutputError, match="known"):
        MovieSink(io.BytesIO(), form, encoder="theora")
    with pytest.raises(OutputError, match="ffv1"):
        open_sink(io.BytesIO(), ".mp4", form, "ffv1")


def test_what_is_no_clip_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(b"no clip at all" * 100)
    with pytest.raises(InputError, match=r"a\.mkv"):
        ClipFile(tmp_path / "a.mkv")
    with pytest.raises(InputError, match="missing"):
        ClipFile(tmp_path / "missing.mkv")
    with pytest.raises(InputError):
        ClipFile(b"")


def test_the_default_encoder_is_near_transparent(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    noisy = [np.clip(p + rng.normal(0, 4, p.shape), 0, 255).astype(np.uint8) for p in PICTURES]
    clip = from_rgb(noisy)
    with (tmp_path / "q.mp4").open("w+b") as file:
        sink = open_sink(file, ".mp4", clip.format)
        for frame in clip:
            sink.write(frame)
        sink.close()
    for a, b in zip(clip.frames, frames_of(ClipFile(tmp_path / "q.mp4")), strict=True):
        assert np.mean((a.y.astype(float) - b.y) ** 2) < 255**2 * 10**-4.0


def test_phone_clips_keep_times_and_sound(shared: Path, tmp_path: Path) -> None:
    for name in ("phone_audio_568x320.mov", "realshort_audio.mp4"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LossyConversionWarning)
            source = ClipFile(shared / "data" / "video" / "eval" / name)
        items = list(source)
        with (tmp_path / "p.mov").open("w+b") as file:
            sink = open_sink(file, ".mov", source.format)
            for item in items:
                sink.write(item)
            sink.close()
        second = ClipFile(tmp_path / "p.mov")
        again = list(second)
        times = [[i.pts * s.format.time_base for i in found if isinstance(i, PlanarFrame)]
                 for s, found in ((source, items), (second, again))]  # fmt: skip
        assert times[0] == times[1]
        assert second.format.seconds == source.format.seconds
        packets = [[(i.data, i.pts) for i in found if isinstance(i, StreamPacket)] for found in (items, again)]
        assert packets[0] == packets[1]


def test_colours_of_a_flat_picture_are_flat() -> None:
    """With threads of its own choice, FFmpeg's converter leaves some samples as they were in memory."""
    flat = [np.full((34, 50, 3), 60, np.uint8)] * 40
    for frame in from_rgb(flat).frames:
        assert all(plane.min() == plane.max() for plane in (frame.y, frame.u, frame.v))


def test_video_frame_holds_the_planes() -> None:
    frame = from_rgb(PICTURES).frames[1]
    again = planar(video_frame(frame), frame.pts, frame.duration)
    assert np.array_equal(again.y, frame.y)
    assert np.array_equal(again.v, frame.v)
