"""What an encoder's effort does, and what it leaves alone."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch

import nicodec
from nicodec.areas.plain import PlainAreas
from nicodec.codecs import refinement
from nicodec.codecs.latent import LatentCodec
from nicodec.entropy.coder import PictureWriter, Replay
from nicodec.errors import QualityError

from .codecs.test_hyperprior import picture_tensor
from .conftest import smooth_picture


@pytest.fixture(scope="module")
def codec() -> LatentCodec:
    return nicodec.load("hyperprior").codec


def learner_of(codec: LatentCodec) -> LatentCodec:
    """A copy in training mode, as an encoder makes it."""
    with torch.inference_mode(False):
        return deepcopy(codec).train()


@pytest.mark.parametrize("tile", [64, 128, 768])
def test_no_steps_leave_the_symbols_as_they_were(
    codec: LatentCodec, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refinement, "TILE", tile)
    x, quality = picture_tensor(192, 256, 3), torch.tensor([90])
    with torch.inference_mode():
        plain = codec.encode(x, quality, codec.Options())
        coder = PictureWriter()
        PlainAreas.code(coder, PlainAreas.none((192, 256)), (192, 256))
        values = refinement.refine(codec, learner_of(codec), x, quality, 0)
        latents = codec.code_latents(Replay(coder, values), None, (192, 256), quality)
        codec.code_filters([coder], x, latents, quality)
    assert plain == [(coder.finish(),)]


@pytest.mark.parametrize("quality", [20, 150])
def test_refined_symbols_have_less_loss(codec: LatentCodec, quality: int) -> None:
    pixels = pytest.importorskip("skimage.data").astronaut()[64:192, 160:288]
    x, q = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255, torch.tensor([quality])
    with torch.inference_mode():
        before, after = (refinement.refine(codec, learner_of(codec), x, q, steps) for steps in (0, 100))
        assert refinement.loss_of(codec, x, q, after) < refinement.loss_of(codec, x, q, before)
    assert not codec.training
    assert all(parameter.grad is None for parameter in codec.parameters())


def test_effort_is_for_the_encoder_alone() -> None:
    picture = smooth_picture(72, 100, 1)
    plain = nicodec.compress(picture, 40)
    assert nicodec.compress(picture, 40, effort=4) == nicodec.compress(picture, 40, effort=7) == plain
    quick, refined = (nicodec.compress(picture, 40, effort=effort) for effort in (8, 9))
    assert len({plain, quick, refined}) == 3
    assert np.asarray(nicodec.decompress(refined)).shape == picture.shape


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_usual_effort_has_less_loss_than_the_least(codec: LatentCodec, quality: int) -> None:
    pixels = pytest.importorskip("skimage.data").astronaut()[:256, 128:384]
    losses = []
    for effort in (1, 7):
        data = nicodec.compress(pixels, quality, effort=effort)
        error = np.mean((np.asarray(nicodec.decompress(data), dtype=np.float64) - pixels) ** 2)
        losses.append(float(codec.config.rate_weight(torch.tensor(2 * quality))) * error + 8 * len(data) / 256**2)
    assert losses[1] < 0.998 * losses[0]


@pytest.mark.parametrize("effort", [0, 10, 7.5])
def test_other_efforts_are_refused(effort: float) -> None:
    with pytest.raises(QualityError, match="from 1 to 9"):
        nicodec.compress(smooth_picture(64, 64, 1), effort=effort)


def test_search_of_a_size_with_effort() -> None:
    picture = smooth_picture(64, 64, 1)
    limit = len(nicodec.compress(picture, 60))
    assert 0.8 * limit < len(nicodec.compress(picture, max_bytes=limit, effort=8)) <= limit
