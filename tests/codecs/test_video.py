"""The codec of clips: what is encoded is what is decoded, in every order, size and setting."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nicodec
from nicodec.codecs import video as module
from nicodec.codecs.clip import CodedFrame, Frame, Wish
from nicodec.codecs.tile_pool import TilePool
from nicodec.codecs.video import EncoderState, Video, VideoOptions, Written
from nicodec.codecs.video_head import read_head
from nicodec.codecs.video_memory import Known, Memory, with_prepared
from nicodec.codecs.video_network import prepare
from nicodec.codecs.video_order import Turn
from nicodec.codecs.video_padding import padded
from nicodec.codecs.video_planes import Planes, from_grid, planes_to_rgb, rgb_to_planes, to_grid
from nicodec.codecs.video_stills import Still
from nicodec.entropy.coder import RateEstimator, Stream, StreamDecoder, StreamEncoder
from nicodec.errors import NicodecError
from nicodec.media.clips import from_rgb

from ..conftest import smooth_picture, without_onednn
from ..tiny_video import moving_clip, tiny_video


@pytest.fixture(scope="module")
def codec() -> Video:
    return tiny_video()


@pytest.fixture(autouse=True)
def predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that nobody trained lose against pictures, but they are what is tested here."""
    monkeypatch.setattr(module, "PICTURE_TRIED", float("inf"))


def encoded(codec: Video, frames: list[Frame], quality: int = 90, **options: object) -> list[CodedFrame]:
    size = (frames[0].y.shape[0], frames[0].y.shape[1])
    state, packets = codec.start_encoding(size, quality, VideoOptions(**options)), []  # type: ignore[arg-type]
    with torch.inference_mode():
        for frame in [*frames, None]:
            coded, state = codec.encode(frame, state)
            packets += coded
    return packets


def decoded(codec: Video, packets: list[CodedFrame], size: tuple[int, int], quality: int = 90) -> list[Frame]:
    state, frames = codec.start_decoding(size, quality), []
    with torch.inference_mode():
        for packet in [*packets, None]:
            more, state = codec.decode(packet, state)
            frames += more
    return frames


def check(codec: Video, frames: list[Frame], **options: object) -> list[CodedFrame]:
    """Code frames and compare with what comes back; the packets."""
    packets = encoded(codec, frames, **options)
    size = (frames[0].y.shape[0], frames[0].y.shape[1])
    back = decoded(codec, packets, size)
    assert [f.pts for f in back] == [f.pts for f in frames]
    assert [f.duration for f in back] == [f.duration for f in frames]
    assert [p.number for p in packets] == list(range(len(frames)))
    assert packets[0].is_key
    for packet in packets:
        assert all(r < packet.number for r in packet.references)
        assert packet.is_key == (packet.type == 0) == (not packet.references)
    for one, other in zip(frames, back, strict=True):
        assert other.y.shape == one.y.shape
        assert other.u.shape == other.v.shape == one.u.shape
        assert float((one.y - other.y).abs().mean()) < 0.3
    return packets


@settings(max_examples=4)
@given(
    count=st.integers(1, 5),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    gop=st.sampled_from([0, 1, 2, 3, 8]),
    low_delay=st.booleans(),
)
def test_every_length_and_size(codec: Video, count: int, height: int, width: int, gop: int, low_delay: bool) -> None:
    check(codec, moving_clip(count, height, width), gop=gop, low_delay=low_delay)


def test_pyramid_is_coded_from_the_middle(codec: Video) -> None:
    packets = check(codec, moving_clip(11, 64, 64), gop=8)
    assert [p.pts // 40 for p in packets] == [0, 8, 4, 2, 6, 1, 3, 5, 7, 10, 9]
    assert [p.type for p in packets] == [0, 1, 2, 2, 2, 2, 2, 2, 2, 1, 2]
    assert packets[2].references == (0, 1)


def test_a_frame_that_nothing_predicts_is_a_picture(codec: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    still = moving_clip(4, 64, 64)
    board = (torch.arange(64)[:, None] // 8 + torch.arange(64) // 8) % 2
    first = still[0].y
    means = torch.nn.functional.avg_pool2d(first[None], 16)[0].repeat_interleave(16, 0).repeat_interleave(16, 1)
    other = means + 0.3 * (board - 0.5)  # of the same means: no new scene
    frames = [dataclasses.replace(f, y=y) for f, y in zip(still, (first, first, other, other), strict=True)]

    def pictures() -> list[bool]:
        packets = check(codec, frames, gop=1)
        assert [p.type for p in packets] == [0, 1, 1, 1]
        heads = [read_head(StreamDecoder([p.stream]), 90, len(p.references)) for p in packets]
        return [as_picture for _, _, as_picture in heads]

    assert pictures() == [True, False, False, False]
    monkeypatch.setattr(module, "PICTURE_TRIED", 0.4)
    found = pictures()
    assert found[2]
    assert not all(found)


def test_groups_are_tried_unless_their_length_is_given(codec: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    coded: list[int] = []

    class Dear(Video):
        def _best(self, state: EncoderState, turn: Turn, used: Sequence[Known]) -> Written:
            written = codec._best(state, turn, used)
            return dataclasses.replace(written, bits=written.bits + 10**6 * (turn.kind == 2 and turn.index < 9))

        def _taken(
            self, state: EncoderState, turn: Turn, used: Sequence[Known], written: Written
        ) -> tuple[CodedFrame, EncoderState]:
            coded.append(turn.index)
            return super()._taken(state, turn, used, written)

    monkeypatch.setattr(module, "GROUPS_ALIKE", 1)
    packets = encoded(Dear(codec.config), moving_clip(36, 64, 64), intra_period=27)
    assert [p.pts // 40 for p in packets][:9] == [0, 2, 1, 4, 3, 6, 5, 8, 7]  # B-frames cost much at first
    assert coded[1:9] == [8, 4, 2, 6, 1, 3, 5, 7]
    assert coded[9:18] == coded[:9]  # the key frame coarser
    assert coded[18:26] == [4, 2, 1, 3, 8, 6, 5, 7]
    assert coded[26:34] == [2, 1, 4, 3, 6, 5, 8, 7]
    assert coded[34:42] == [10, 9, 12, 11, 14, 13, 16, 15]
    assert [p.number for p in packets if p.is_key] == [0, 27]
    assert coded.count(24) > 1  # tried again
    assert coded.count(35) > 1  # and after a key frame
    assert len(check(codec, moving_clip(4, 64, 64), gop=3)) == 4


@pytest.mark.parametrize(("loss", "bonus"), [(-1e3, 20), (1e3, 44)])
def test_a_key_frame_is_as_fine_as_pays(codec: Video, loss: float, bonus: int) -> None:
    class CoarseIsWorse(Video):
        def _best(self, state: EncoderState, turn: Turn, used: Sequence[Known]) -> Written:
            written = codec._best(state, turn, used)
            return dataclasses.replace(written, level=written.level + loss * (turn.bonus == 20))

    key, *_ = encoded(CoarseIsWorse(codec.config), moving_clip(3, 64, 64))
    assert read_head(StreamDecoder([key.stream]), 90, 0)[0] == 90 + bonus
    (alone,) = encoded(codec, moving_clip(1, 64, 64))
    assert read_head(StreamDecoder([alone.stream]), 90, 0)[0] == 110


def test_groups_end_where_a_control_wishes(codec: Video) -> None:
    frames = [dataclasses.replace(f, wish=Wish(ends_group=n in (3, 5))) for n, f in enumerate(moving_clip(8, 64, 64))]
    packets = check(codec, frames)
    assert [p.pts // 40 for p in packets if p.type == 1] == [3, 5, 7]


def test_nothing_is_spent_on_padding(codec: Video) -> None:
    frames = moving_clip(3, 70, 90)  # in 128x128
    state = codec.start_encoding((70, 90), 120, VideoOptions(gop=1))
    with torch.inference_mode():
        for frame in [*frames, None]:
            _, state = codec.encode(frame, state)
    magnitudes = state.memory.known[-1].reference.magnitudes
    assert magnitudes.shape[2:] == (8, 8)
    assert bool(magnitudes[:, :, :5, :6].any())
    assert not bool(magnitudes[:, :, 5:].any())
    assert not bool(magnitudes[:, :, :, 6:].any())


def test_low_delay_gives_a_packet_a_frame(codec: Video) -> None:
    frames = moving_clip(6, 64, 64)
    state = codec.start_encoding((64, 64), 90, VideoOptions(low_delay=True))
    read, shown = codec.start_decoding((64, 64), 90), 0
    with torch.inference_mode():
        for frame in frames:
            packets, state = codec.encode(frame, state)
            assert len(packets) == 1
            back, read = codec.decode(packets[0], read)
            shown += len(back)
            assert len(back) == 1
    assert shown == 6


def test_decoder_has_the_references_of_the_encoder(codec: Video) -> None:
    frames = moving_clip(5, 64, 128, speed=5)
    write = codec.start_encoding((64, 128), 60, VideoOptions(gop=4))
    read = codec.start_decoding((64, 128), 60)
    with torch.inference_mode():
        for frame in [*frames, None]:
            packets, write = codec.encode(frame, write)
            for packet in packets:
                _, read = codec.decode(packet, read)
            for one, other in zip(write.memory.known, read.memory.known, strict=True):
                assert one.index == other.index
                for a, b in zip(one.reference.planes.each(), other.reference.planes.each(), strict=True):
                    assert torch.equal(a, b)
                assert torch.equal(one.reference.magnitudes, other.reference.magnitudes)


def test_two_frames_are_decoded_at_once(codec: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    packets = encoded(codec, moving_clip(9, 64, 64), gop=8)
    at_once: list[int] = []

    def prepared(pool: TilePool, memory: Memory, used: Sequence[Sequence[Known]]) -> Memory:
        at_once.append(len(used))
        return with_prepared(pool, memory, used)

    monkeypatch.setattr(module, "with_prepared", prepared)
    state, found = codec.start_decoding((64, 64), 90), []
    with torch.inference_mode():
        for start, end in ((0, 1), (1, 2), (2, 3), (3, 5), (5, 7), (7, 9)):
            frames, state = codec.decode_together(packets[start:end], state)
            found += frames
    assert at_once == [1, 1, 1, 2, 2, 2]
    for one, other in zip(found, decoded(codec, packets, (64, 64)), strict=True):
        assert torch.equal(one.y, other.y)


def test_states_are_values(codec: Video) -> None:
    packets = encoded(codec, moving_clip(4, 64, 64), gop=1)
    with torch.inference_mode():
        _, state = codec.decode(packets[0], codec.start_decoding((64, 64), 90))
        _, state = codec.decode(packets[1], state)
        one, _ = codec.decode(packets[2], state)
        other, _ = codec.decode(packets[2], state)
    assert torch.equal(one[0].y, other[0].y)


def test_size_is_what_is_estimated(codec: Video) -> None:
    x = padded(moving_clip(2, 128, 128)[1])
    before = padded(moving_clip(2, 128, 128)[0])
    quality = torch.tensor([110])
    with torch.inference_mode():
        references = [(codec.first_reference(before, quality), prepare(before))]
        sizes, found = [], []
        for coder in (StreamEncoder(1), RateEstimator(noise=False)):
            motion = codec.code_motion(coder, x, references, (-1,), quality)
            found.append(codec.code_frame(coder, x, motion, references, (-1,), quality).planes.y)
            sizes.append(8 * len(coder.finish()[0].data) if isinstance(coder, StreamEncoder) else float(coder.bits))
    assert torch.equal(*found)
    assert abs(sizes[0] - sizes[1]) <= 0.01 * sizes[1] + 8 * 64


def test_keys_are_where_they_are_wished_and_where_scenes_begin(codec: Video) -> None:
    one, other = moving_clip(4, 64, 64, 1), [dataclasses.replace(f, y=1 - f.y) for f in moving_clip(4, 64, 64, 8)]
    frames = [dataclasses.replace(f, pts=40 * n) for n, f in enumerate([*one, *other])]
    frames[2] = dataclasses.replace(frames[2], wish=Wish(is_key=True))
    packets = check(codec, frames, gop=8)
    assert [p.pts // 40 for p in packets if p.is_key] == [0, 2, 4]
    packets = check(codec, frames[:4], gop=8, intra_period=3)
    assert [p.pts // 40 for p in packets if p.is_key] == [0, 2]


def test_decoding_starts_at_any_key(codec: Video) -> None:
    frames = moving_clip(6, 64, 64)
    packets = encoded(codec, frames, gop=2, intra_period=3)
    start = next(p.number for p in packets[1:] if p.is_key)
    whole = decoded(codec, packets, (64, 64))
    part = decoded(codec, packets[start:], (64, 64))
    assert [f.pts for f in part] == [f.pts for f in frames[3:]]
    assert all(torch.equal(a.y, b.y) for a, b in zip(part, whole[3:], strict=True))


def test_a_wish_for_quality_is_heard(codec: Video) -> None:
    frames = moving_clip(2, 64, 64)
    finer = [frames[0], dataclasses.replace(frames[1], wish=Wish(quality=60))]
    rough, fine = (encoded(codec, f)[1].stream.data for f in (frames, finer))
    assert len(fine) > len(rough)
    check(codec, finer)
    important = dataclasses.replace(frames[1], wish=Wish(importance=torch.rand(4, 4) * 2))
    check(codec, [frames[0], important])


def test_damage_is_an_error_or_another_frame_never_a_crash(codec: Video) -> None:
    packets = encoded(codec, moving_clip(3, 64, 64), gop=2)
    random = torch.Generator().manual_seed(0)
    noticed = 0
    for _ in range(12):
        number = int(torch.randint(len(packets), (1,), generator=random))
        data = bytearray(packets[number].stream.data)
        place = int(torch.randint(len(data), (1,), generator=random))
        data[place] ^= 1 << int(torch.randint(8, (1,), generator=random))
        broken = list(packets)
        stream = Stream(bytes(data), packets[number].stream.checksum)
        broken[number] = dataclasses.replace(packets[number], stream=stream)
        try:
            decoded(codec, broken, (64, 64))
        except NicodecError:
            noticed += 1
    assert noticed >= 11
    with pytest.raises(NicodecError, match="not there"):
        decoded(codec, [packets[0], packets[2]], (64, 64))


def test_scales_see_symbols_only(codec: Video) -> None:
    """Noise on every float of the mean path, over a chain, leaves tables and so symbols as they are."""
    packets = encoded(codec, moving_clip(5, 64, 64), gop=4)
    handles = []
    names = ("mean_", "coarse_", "fine_", "context", "to_", "from_", "first_memory")
    for name, part in codec.named_modules():
        if name.startswith(names) and not list(part.children()):
            handles.append(part.register_forward_hook(lambda m, i, o: o + 1e-3 * torch.randn_like(o)))
    try:
        assert len(decoded(codec, packets, (64, 64))) == 5
    finally:
        for handle in handles:
            handle.remove()


def test_every_setting_reads_every_other(codec: Video) -> None:
    frames, before = moving_clip(3, 64, 64), torch.get_num_threads()
    streams = {}
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            streams[threads] = encoded(codec, frames, gop=2)
        with without_onednn():
            streams[0] = encoded(codec, frames, gop=2)
        pictures = []
        for packets in streams.values():
            for threads in (1, 2):
                torch.set_num_threads(threads)
                pictures.append(decoded(codec, packets, (64, 64)))
            with without_onednn():
                pictures.append(decoded(codec, packets, (64, 64)))
            with torch.autocast("cpu", dtype=torch.bfloat16):
                decoded(codec, packets, (64, 64))
    finally:
        torch.set_num_threads(before)
    for start in range(0, len(pictures), 3):
        for other in pictures[start + 1 : start + 3]:
            for a, b in zip(pictures[start], other, strict=True):
                assert float((a.y - b.y).abs().mean()) <= 1 / 255


@given(st.integers(0, 100))
def test_grid_and_colours_are_turned_back(seed: int) -> None:
    torch.manual_seed(seed)
    planes = Planes(torch.rand(1, 1, 64, 64), torch.rand(1, 1, 32, 32), torch.rand(1, 1, 32, 32))
    back = from_grid(to_grid(planes))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(planes.each(), back.each(), strict=True))
    assert torch.allclose(rgb_to_planes(planes_to_rgb(planes)).y, planes.y, atol=1e-5)
    smooth = Planes(planes.y, *(torch.linspace(a, b, 32).expand(1, 1, 32, 32) for a, b in torch.rand(2, 2)))
    back = rgb_to_planes(planes_to_rgb(smooth))
    assert all(torch.allclose(a, b, atol=5e-3) for a, b in zip(smooth.each(), back.each(), strict=True))


def test_weights_go_out_and_in(codec: Video) -> None:
    other = Video(codec.config)
    other.load_exported(codec.exported())
    other.to_integers()
    other.borrow(codec.config.intra, codec.pictures)
    packets = encoded(other.eval().requires_grad_(False), moving_clip(3, 64, 64))
    assert len(decoded(other, packets, (64, 64))) == 3
    with pytest.raises(ValueError, match="lent"):
        _ = Video(codec.config).pictures


def test_decoder_of_one_stream_needs_the_same_head(codec: Video) -> None:
    packets = encoded(codec, moving_clip(2, 64, 64))
    decoder = StreamDecoder([packets[1].stream])
    quality, distances, as_picture = read_head(decoder, 90, 1)
    assert (quality, distances, as_picture) == (90, [-1], False)


def test_what_stands_still_is_not_worn_down() -> None:
    picture = np.clip(
        smooth_picture(96, 128, 3).astype(int) + np.random.default_rng(1).integers(-8, 9, (96, 128, 1)), 0, 255
    )
    clip = from_rgb([picture.astype(np.uint8)] * 25)
    data = nicodec.compress_video(clip, quality=20, low_delay=True)
    assert data is not None
    shown = nicodec.VideoReader(io.BytesIO(data))
    errors = [float(np.square(a.y.astype(float) - b.y).mean()) for a, b in zip(clip, shown, strict=True)]
    assert max(errors) < 1.02 * errors[0]


def test_symbols_that_a_copy_makes_up_for_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    picture = smooth_picture(96, 128, 3).astype(int)
    frames = [np.clip(picture + random.normal(0, 4, (96, 128, 1)).round().astype(int), 0, 255) for _ in range(4)]
    clip = from_rgb([frame.astype(np.uint8) for frame in frames])

    def size() -> int:
        data = nicodec.compress_video(clip, quality=70, low_delay=True)
        assert data is not None
        assert len(list(nicodec.VideoReader(io.BytesIO(data)))) == 4
        return len(data)

    less = size()
    monkeypatch.setattr(module, "weighed", lambda *_: Still(0.0, None))
    assert less < size()
