"""Previews: every one of a run looks at the same held-out pictures, however long it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from nicodec.codecs.codes_network import CodesConfig
from nicodec.codecs.latent import LatentCodec
from nicodec.codecs.vqgan import Vqgan
from nicodec.training.codes import CodesObjective, CodesSettings, CodesStage
from nicodec.training.preview import LOOKED_AT, SIDE, preview_pictures
from nicodec.training.rate_distortion import RateDistortion, RateDistortionSettings
from nicodec.training.workers import Workers

from ..codecs.test_vqgan import TINY
from ..conftest import smooth_picture, tiny_codec
from .conftest import opened


def held_out(count: int) -> list[Tensor]:
    return [torch.from_numpy(smooth_picture(80, 90, seed)).permute(2, 0, 1) for seed in range(count)]


def test_the_first_large_ones_are_looked_at() -> None:
    given = [torch.zeros(3, 40, 90, dtype=torch.uint8), *held_out(LOOKED_AT + 2)]
    looked_at = preview_pictures(given, 64)
    assert len(looked_at) == LOOKED_AT
    assert torch.equal(looked_at[0][0], given[1][:, 8:72, 13:77].float() / 255)
    assert preview_pictures([torch.zeros(3, 700, 1000, dtype=torch.uint8)], 64)[0].shape == (1, 3, SIDE, SIDE)


@pytest.mark.parametrize("kind", ["rate-distortion", "codes"])
def test_two_previews_look_at_the_same(
    kind: str, pictures: Path, alone: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened([pictures], alone)
    source.held_out = held_out(LOOKED_AT + 2)
    objective: RateDistortion | CodesObjective
    if kind == "codes":
        stages = (CodesStage(crop=64),)
        objective = CodesObjective(
            Vqgan(CodesConfig(**TINY)), CodesSettings(stages=stages, start_crop=64, prior_crop=64), source, alone
        )
    else:
        codec = tiny_codec().requires_grad_(True)
        assert isinstance(codec, LatentCodec)
        objective = RateDistortion(codec, RateDistortionSettings(), source, alone)
    seen: list[Tensor] = []

    def watch(module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0].clone())

    finished = objective.codec.eval()
    if isinstance(finished, Vqgan):
        encode = finished.encode
        monkeypatch.setattr(finished, "encode", lambda x, *rest: (seen.append(x.clone()), encode(x, *rest))[1])
    else:
        finished.register_forward_pre_hook(watch)
    rows = objective.preview(finished)
    first, before = list(seen), len(seen)
    assert {float(x.sum()) for x in first} == {float(x.sum()) for x in preview_pictures(source.held_out, 64)}
    assert before == LOOKED_AT * len(rows)
    seen.clear()
    assert objective.preview(finished) == rows
    assert all(torch.equal(one, two) for one, two in zip(first, seen, strict=True))
