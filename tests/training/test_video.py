"""The objective of the codec of clips: sequences, steps, checkpoints."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nicodec.codecs.video import Video
from nicodec.codecs.video_padding import padded
from nicodec.codecs.video_start import start_rest
from nicodec.errors import InputError
from nicodec.training.budget import Budget
from nicodec.training.video import VideoObjective, VideoSettings, VideoStage, chain, pyramid, whole_pyramid
from nicodec.training.video_data import Clips, ClipSettings
from nicodec.training.workers import Workers
from nicodec.zoo import fingerprint_of

from ..conftest import smooth_picture
from ..media.clip_drawing import draw
from ..tiny_video import moving_clip, tiny_video


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "clips").mkdir()
    (folder / "pictures").mkdir()
    for number in range(3):
        frames = []
        for frame in moving_clip(10, 96, 112, number):
            y, u, v = ((p * 255).round().to(torch.uint8).numpy() for p in (frame.y, frame.u, frame.v))
            frames.append(np.concatenate([y.ravel(), u.ravel(), v.ravel()]).reshape(144, 112))
        draw(folder / "clips" / f"{number}.mkv", frames, source_form="yuv420p")
        Image.fromarray(smooth_picture(200, 200, number)).save(folder / "pictures" / f"{number}.png")
    return folder


def workers() -> Workers:
    return Workers(torch.device("cpu"), say=lambda text: None)


def source(data: Path, **changes: object) -> Clips:
    settings = ClipSettings(pictures=(str(data / "pictures"),), picture_share=0.4, holdout=1, **changes)  # type: ignore[arg-type]
    return Clips([data / "clips"], settings, 1, Budget(minutes=1), workers())


@given(st.integers(0, 1000), st.integers(1, 5), st.sampled_from([2, 4, 8]))
def test_plans_refer_to_what_is_coded(seed: int, frames: int, span: int) -> None:
    random = np.random.default_rng(seed)
    for plan in (
        chain(frames, 2, random),
        chain(frames, 1, random, 3),
        pyramid(frames, span, 20, random),
        pyramid(frames, span, 20, random, 2),
        whole_pyramid(span, 20),
    ):
        assert len(plan.bonuses) == len(plan.times)
        known = {0}
        for step in plan.steps:
            assert set(step.references) <= known
            known.add(step.frame)
        assert known == set(range(len(plan.times)))
        assert len(plan.steps) == len(plan.times) - 1


@given(st.integers(0, 1000))
def test_half_of_the_chains_begin_with_frames_that_are_not_learned(seed: int) -> None:
    plan = chain(2, 1, np.random.default_rng(seed), 5)
    assert [step.frame for step in plan.learned] == [plan.before + 1, plan.before + 2]
    assert 0 <= plan.before <= 5


@given(st.integers(0, 1000), st.integers(1, 4))
def test_pyramids_begin_with_anchors_that_are_not_learned(seed: int, before: int) -> None:
    plan = pyramid(4, 8, 20, np.random.default_rng(seed), before)
    assert 0 <= plan.before <= before
    first = plan.before + 1
    anchor, middle = plan.learned[:2]
    assert (anchor.frame, anchor.references) == (first, (first - 1,))
    assert plan.times[first] == 8 * first
    assert middle.references == (first - 1, first)
    assert plan.times[middle.frame] == 8 * first - 4


def test_sequences_hold_together(data: Path) -> None:
    clips = source(data)
    assert "2 clips of 20 frames, 1 more held out" in clips.describe()
    frames = clips.sequence(4, 64, (0, 4, 2))
    assert len(frames) == 3
    assert frames[0].y.shape == (4, 1, 64, 64)
    assert frames[0].u.shape == (4, 1, 32, 32)
    near = (frames[0].y - frames[2].y).abs().mean()
    far = (frames[0].y - frames[1].y).abs().mean()
    assert float(near) < float(far) + 0.05
    with pytest.raises(InputError, match="no clip has 41 frames"):
        Clips([data / "clips"], ClipSettings(), 1, Budget(minutes=1), workers()).sequence(1, 64, (0, 40))
    with pytest.raises(InputError, match="no training clips"):
        Clips([data / "pictures"], ClipSettings(), 1, Budget(minutes=1), workers())


def test_three_steps_and_a_checkpoint(data: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NICODEC_MODELS", str(tiny_model_folder))
    fingerprint = fingerprint_of(tiny_model_folder / "tiny" / "weights.safetensors").hex()
    codec = tiny_video(intra=fingerprint).train().requires_grad_(True)
    settings = VideoSettings(stages=(VideoStage(crop=64, batch=2, frames=2, before=3),), start_blocks=500)
    objective = VideoObjective(codec, settings, source(data), workers())
    objective.start(initialised=False)
    before = {name: p.detach().clone() for name, p in codec.named_parameters()}
    for share in (0.0, 0.3, 0.6):
        numbers = objective.step(share)
        assert all(np.isfinite(float(value)) for value in numbers.values())
    still = [name for name, p in codec.named_parameters() if torch.equal(before[name], p)]
    assert len(still) < 0.1 * len(before)
    state = objective.state_dict()
    finished = objective.finish(Budget(steps=1))
    assert not finished.training
    rows = objective.preview(finished)
    assert [row["quality"] for row in rows] == [25, 45, 65]
    assert all(row["bpp"] > 0 for row in rows)
    other = VideoObjective(
        tiny_video(intra=fingerprint).train().requires_grad_(True), settings, source(data), workers()
    )
    other.load_state_dict(state)
    for one, two in zip(codec.parameters(), other.codec.parameters(), strict=True):
        assert torch.equal(one, two)


def test_weights_of_fewer_latents_start_a_codec_of_more(
    data: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NICODEC_MODELS", str(tiny_model_folder))
    fingerprint = fingerprint_of(tiny_model_folder / "tiny" / "weights.safetensors").hex()
    fewer = tiny_video(intra=fingerprint, latents=16)
    codec = Video(dataclasses.replace(fewer.config, latents=24))
    codec.load_initial(fewer.exported())
    assert (fewer.lacking(), codec.lacking()) == (0, 8)
    settings = VideoSettings(stages=(VideoStage(crop=64, batch=2, frames=1),), start_blocks=500)
    objective = VideoObjective(codec.train(), settings, source(data), workers())
    objective.start(initialised=True)
    assert codec.lacking() == 0
    assert all(np.isfinite(float(value)) for value in objective.step(0.0).values())


def test_more_latents_stand_for_what_the_others_leave_out() -> None:
    fewer = tiny_video(latents=16)
    codec = Video(dataclasses.replace(fewer.config, latents=24))
    codec.load_initial(fewer.exported())
    first, second = (padded(frame) for frame in moving_clip(2, 256, 256, speed=7))
    quality = torch.tensor([120])
    differences, errors = fewer.left_out(second, first, quality)
    start_rest(codec, differences, errors)
    codec.to_integers()
    _, rest = codec.eval().left_out(second, first, quality)
    assert float(rest.square().mean()) < 0.9 * float(errors.square().mean())
