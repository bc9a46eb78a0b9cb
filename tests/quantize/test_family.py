"""What holds for every quantiser of the family."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nicodec.errors import InputError
from nicodec.quantize.base import Quantiser, Settings
from nicodec.quantize.registry import QUANTISERS, settings_of
from nicodec.quantize.residual import ResidualSettings
from nicodec.quantize.vector import VectorSettings

CHANNELS = 24

SETTINGS: dict[str, Settings] = {
    "vq": VectorSettings(codes=64),
    "vq, averaged": VectorSettings(codes=64, decay=0.9),
    "vq, rotated": VectorSettings(codes=64, rotation=True),
    "residual": ResidualSettings(stage=VectorSettings(codes=16), stages=3),
    "residual, scaled and dropped": ResidualSettings(stage=VectorSettings(codes=16), stages=3, scaled=True, drop=0.5),
}
"""Small ones of every kind."""


@pytest.fixture(params=SETTINGS)
def quantiser(request: pytest.FixtureRequest) -> Quantiser:
    torch.manual_seed(0)
    return SETTINGS[request.param].build(CHANNELS)


def features(batch: int = 2, side: int = 12, seed: int = 1) -> torch.Tensor:
    """Features of unequal and correlated channels."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(CHANNELS, CHANNELS, generator=torch.Generator().manual_seed(9)) / CHANNELS**0.5
    x = torch.randn(batch, CHANNELS, side, side, generator=generator)
    return torch.einsum("dc,bchw->bdhw", mix, x)


def rows(batch: int = 8) -> torch.Tensor:
    return features(batch, seed=2).movedim(1, -1).reshape(-1, CHANNELS)


def test_every_kind_is_tried_here() -> None:
    assert {type(each) for each in SETTINGS.values()} == set(QUANTISERS.values())


def test_shapes_and_ranges(quantiser: Quantiser) -> None:
    x = features()
    found = quantiser(x)
    assert found.features.shape == x.shape
    assert found.features.dtype == torch.float32
    assert found.indices.shape == (2, len(quantiser.sizes), 12, 12)
    assert found.indices.dtype == torch.int64
    assert found.loss.shape == ()
    assert torch.isfinite(found.loss)
    for number, size in enumerate(quantiser.sizes):
        assert found.indices[:, number].min() >= 0
        assert found.indices[:, number].max() < size
    assert quantiser.bits == pytest.approx(sum(torch.tensor(quantiser.sizes).double().log2()).item())
    assert quantiser.stored_bytes >= 0


def test_gradients_reach_the_features(quantiser: Quantiser) -> None:
    quantiser.start(rows())
    x = features().requires_grad_()
    target = features(seed=3)
    (quantiser(x).features - target).square().mean().backward()
    assert torch.isfinite(x.grad).all()
    assert (x.grad.abs().sum((0, 2, 3)) > 0).all()


def test_decoded_indices_are_the_features(quantiser: Quantiser) -> None:
    quantiser.start(rows())
    quantiser.eval()
    x = features()
    found = quantiser(x)
    assert torch.equal(quantiser.decode(found.indices), found.features)


def test_an_encoder_searches_no_worse_than_training(quantiser: Quantiser) -> None:
    quantiser.start(rows())
    quantiser.eval()
    x = features()
    chosen = quantiser.indices(x)
    assert chosen.shape == (2, len(quantiser.sizes), 12, 12)
    error = (quantiser.decode(chosen) - x).square().mean()
    assert error <= (quantiser(x).features - x).square().mean() * 1.0001


def test_the_same_code_again(quantiser: Quantiser) -> None:
    """What was decoded and is encoded again stays, where an encoder looks at every code."""
    if quantiser.prefixes:
        pytest.skip("a beam over stages does not look at every sum of codes")
    quantiser.start(rows())
    quantiser.eval()
    decoded = quantiser.decode(quantiser.indices(features()))
    again = quantiser.decode(quantiser.indices(decoded))
    assert torch.allclose(again, decoded, atol=1e-4)


def test_it_runs_in_float32_within_bfloat16(quantiser: Quantiser) -> None:
    quantiser.eval()
    x = features()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        within = quantiser(x)
    assert torch.equal(within.indices, quantiser(x).indices)
    assert within.features.dtype == torch.float32
    assert quantiser(x.bfloat16()).features.dtype == torch.float32


def test_a_toy_autoencoder_trains(quantiser: Quantiser) -> None:
    torch.manual_seed(3)
    encoder, decoder = nn.Conv2d(12, CHANNELS, 1), nn.Conv2d(CHANNELS, 12, 1)
    source = torch.randn(64, 12, 8, 8) * torch.linspace(2, 0.1, 12)[:, None, None]
    quantiser.start(encoder(source).detach().movedim(1, -1).reshape(-1, CHANNELS))
    parameters = [p for part in (encoder, quantiser, decoder) for p in part.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, 3e-3)
    distortions = []
    for step in range(80):
        x = source[step % 4 * 16 :][:16]
        found = quantiser(encoder(x))
        distortion = (decoder(found.features) - x).square().mean()
        optimiser.zero_grad()
        (distortion + found.loss).backward()
        optimiser.step()
        quantiser.after_step()
        distortions.append(distortion.item())
    assert sum(distortions[-4:]) < 0.8 * sum(distortions[:4])
    quantiser.eval()
    with torch.no_grad():
        decoded = decoder(quantiser.decode(quantiser.indices(encoder(source))))
    assert (decoded - source).square().mean() < 0.8 * source.square().mean()


def test_weights_are_enough_to_decode(quantiser: Quantiser) -> None:
    quantiser.start(rows())
    quantiser.train()
    quantiser(features())
    quantiser.after_step()
    quantiser.eval()
    other = SETTINGS[next(name for name, each in SETTINGS.items() if each == quantiser.settings)].build(CHANNELS)
    other.load_state_dict(quantiser.state_dict())
    other.eval()
    indices = quantiser.indices(features())
    assert torch.equal(other.decode(indices), quantiser.decode(indices))


def test_a_recipe_names_it() -> None:
    read = settings_of({"name": "residual", "stages": 2, "drop": 0, "stage": {"name": "vq", "codes": 8}})
    assert read == ResidualSettings(stage=VectorSettings(codes=8), stages=2)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"name": "none"}, "no quantiser 'none'"),
        ({}, "no quantiser None"),
        ({"name": "vq", "colours": 3}, "has no 'colours'"),
        ({"name": "vq", "codes": 2.5}, "codes is 2.5"),
        ({"name": "vq", "codes": 1}, "at least 2"),
        ({"name": "residual", "stage": 3}, "stage is 3"),
        ({"name": "residual", "stages": 0}, "at least one stage"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_said(table: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        settings_of(table)


def test_wrong_numbers_of_indices_are_refused(quantiser: Quantiser) -> None:
    wrong = torch.zeros(1, len(quantiser.sizes) + 1, 2, 2, dtype=torch.int64)
    with pytest.raises(InputError, match="indices a position"):
        quantiser.decode(wrong)
