"""Loss, optimisers, averages, and the fitting of the integer networks."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from nicodec.codecs.latent import LatentCodec
from nicodec.entropy.coder import LeastCost, RateEstimator
from nicodec.training.budget import Budget
from nicodec.training.loss import drawn_qualities, rate_distortion
from nicodec.training.optimisers import build_average, build_optimisers, build_schedulers, rate_factor
from nicodec.training.scales import learn_scales
from nicodec.training.workers import Workers

from ..conftest import tiny_codec
from .conftest import opened


def test_qualities_are_drawn_from_all_of_the_range() -> None:
    for count in (1, 3, 8):
        quality = drawn_qualities(count)
        assert quality.dtype == torch.int64
        for part, half_steps in enumerate(quality.tolist()):
            assert part * 201 / count - 1 < half_steps < (part + 1) * 201 / count


def test_loss_is_lambda_distortion_plus_rate() -> None:
    x, x_hat = torch.zeros(2, 3, 8, 8), torch.full((2, 3, 8, 8), 0.1)
    weight = torch.tensor([0.001, 0.002])
    loss, bpp, mse = rate_distortion(x, x_hat, torch.tensor([64.0, 128.0]), weight, 0.0)
    assert bpp.tolist() == [1, 2]
    assert mse.tolist() == pytest.approx([0.01, 0.01])
    assert float(loss) == pytest.approx((0.65025 + 1 + 1.3005 + 2) / 2, rel=1e-4)


def test_large_losses_count_by_their_logarithm() -> None:
    x, x_hat = torch.zeros(2, 3, 8, 8), torch.full((2, 3, 8, 8), 0.1)
    weight = torch.tensor([0.01, 0.02])
    loss, _, _ = rate_distortion(x, x_hat, torch.tensor([64.0, 128.0]), weight, 0.0)
    expected = (8 + 4 * math.log(7.5025 / 4) + 4 * math.log(15.005 / 4)) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_rates_warm_up_and_fall() -> None:
    assert rate_factor(0.0, 0, warmup_steps=10, decay_from=0.5) == pytest.approx(0.1)
    assert rate_factor(0.4, 100, warmup_steps=10, decay_from=0.5) == pytest.approx(1.0)
    assert rate_factor(1.0, 100, warmup_steps=0, decay_from=0.5) == pytest.approx(0.02)


@pytest.mark.parametrize("muon", [0.0, 1e-3])
def test_every_parameter_is_trained_once_and_bases_slowly(muon: float) -> None:
    codec = tiny_codec().requires_grad_(True)
    optimisers = build_optimisers(codec, rate=1e-3, muon_rate=muon)
    build_schedulers(optimisers, lambda step: 0.5)
    rates = {id(p): group["lr"] for o in optimisers for group in o.param_groups for p in group["params"]}
    listed = [id(p) for o in optimisers for group in o.param_groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in codec.parameters())
    for name, parameter in codec.named_parameters():
        slow = name.startswith(("to_fine.", "to_latents.", "from_latents.", "from_fine."))
        assert rates[id(parameter)] == pytest.approx(1e-4 if slow else 5e-4), name


def test_averages_follow_the_parameters() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = build_average(model, 0.9)
    expected = 0.0
    for step in range(40):
        with torch.no_grad():
            model.weight.fill_(step)
        average.update_parameters(model)
        decay = min(0.9, (step + 1) / (step + 10))
        expected = step if step == 0 else decay * expected + (1 - decay) * step
    assert average.module.weight.item() == pytest.approx(expected, rel=1e-5)


def test_scales_are_learned_alone(pictures: Path, alone: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nicodec.training.scales.LEARNING_RATE", 5e-3)
    codec = tiny_codec().requires_grad_(True)
    assert isinstance(codec, LatentCodec)
    source = opened([pictures], alone)
    before = {name: value.clone() for name, value in codec.named_parameters()}
    learns = [name for name, value in codec.named_parameters() if value.requires_grad]
    x = source.batch(4, 64)
    quality = torch.tensor([20, 70, 120, 170])

    def bits() -> float:
        estimator = RateEstimator(noise=False)
        with torch.no_grad():
            codec.code_latents(LeastCost(estimator), x, (64, 64), quality)
        return float(estimator.bits.sum())

    bits_before = bits()
    steps = learn_scales(codec, source, Budget(steps=20), batch=4, crop=64, power=-0.5, bfloat16=False)
    assert steps == 20
    assert not codec.training
    assert bits() < 0.998 * bits_before
    changed = {name for name, value in codec.named_parameters() if not torch.equal(value, before[name])}
    whole = {id(value) for value in codec.integer_parameters()}
    assert changed <= {name for name, value in codec.named_parameters() if id(value) in whole}
    assert any(name.startswith("scale_context") for name in changed)
    assert learns == [name for name, value in codec.named_parameters() if value.requires_grad]
