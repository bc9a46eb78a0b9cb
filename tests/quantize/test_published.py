"""What the papers say of their quantisers, on small cases."""

from __future__ import annotations

import pytest
import torch

from nicodec.quantize.affine import AffineSettings
from nicodec.quantize.base import Quantiser, Settings
from nicodec.quantize.bsq import SphereSettings
from nicodec.quantize.fsq import FiniteQuantiser, FiniteSettings
from nicodec.quantize.gaussian import GaussianSettings
from nicodec.quantize.lfq import SignSettings
from nicodec.quantize.optvq import TransportSettings
from nicodec.quantize.orthogonal import OrthogonalSettings
from nicodec.quantize.product import ProductSettings
from nicodec.quantize.residual import ResidualSettings
from nicodec.quantize.simvq import SimSettings
from nicodec.quantize.vector import VectorSettings, rotate

MANY = 65536


def source(count: int, seed: int) -> torch.Tensor:
    """Rows (count, 8) as pictures of one position, away from where codes begin."""
    generator = torch.Generator().manual_seed(seed)
    return 3 + 0.3 * torch.randn(count, 8, 1, 1, generator=generator)


def used_after(settings: Settings, steps: int, rate: float) -> float:
    """Codes that 1024 rows meet after a training of the codes alone, without a start from features; as a share."""
    torch.manual_seed(0)
    quantiser = settings.build(8)
    optimiser = torch.optim.Adam([p for p in quantiser.parameters() if p.requires_grad], rate)
    for step in range(steps):
        found = quantiser(source(128, step))
        optimiser.zero_grad()
        (found.loss + (found.features - source(128, step)).square().mean()).backward()
        optimiser.step()
        quantiser.after_step()
    return len(quantiser.eval().indices(source(1024, 999)).unique()) / 1024


def test_a_plain_codebook_of_65536_collapses() -> None:
    assert used_after(VectorSettings(MANY, revive=False), 8, 0.1) < 0.1


@pytest.mark.parametrize("settings", [SimSettings(MANY), AffineSettings(MANY)])
def test_codes_that_move_together_do_not(settings: Settings) -> None:
    """SimVQ's layer and the affine codes' mean and deviation reach the features, and all codes with them."""
    assert used_after(settings, 30, 0.3) > 0.6


def test_optimal_transport_does_not() -> None:
    assert used_after(TransportSettings(MANY), 30, 0.3) > 0.4


def test_dead_codes_of_a_small_codebook_come_back() -> None:
    def share(revive: bool) -> float:
        torch.manual_seed(0)
        quantiser = VectorSettings(256, revive=revive, decay=0.9).build(8)
        for step in range(300):
            quantiser(source(512, step))
            quantiser.after_step()
        return len(quantiser.eval().indices(source(4096, 999)).unique()) / 256

    assert share(False) < 0.1
    assert share(True) > 0.9


def test_finite_scalars_use_all_their_levels() -> None:
    quantiser = FiniteSettings((8, 5, 4)).build(3)
    assert isinstance(quantiser, FiniteQuantiser)
    x = 1.2 * torch.randn(4096, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    assert len(quantiser.indices(x).unique()) == 160
    zero = quantiser.decode(quantiser.indices(torch.zeros(1, 3, 1, 1)))
    assert torch.equal(zero, torch.zeros(1, 3, 1, 1))
    assert quantiser.stored_bytes == 0


@pytest.mark.parametrize("settings", [SignSettings(entropy=1.0, sharpness=1.0), SphereSettings(entropy=1.0)])
def test_the_entropies_even_the_bits_out(settings: SignSettings) -> None:
    """Trained on nothing else, features of a mean away from zero come to use each bit both ways."""
    torch.manual_seed(0)
    quantiser, layer = settings.build(6), torch.nn.Linear(8, 6)
    torch.nn.init.constant_(layer.bias, 2.0)
    optimiser = torch.optim.Adam(layer.parameters(), 0.05)

    def bits() -> torch.Tensor:
        index = quantiser.indices(layer(source(2048, 5)[:, :, 0, 0] - 3)[:, :, None, None])
        return torch.stack([(index >> k) & 1 for k in range(6)]).float().flatten(1).mean(1)

    before = bits()
    for step in range(200):
        loss = quantiser(layer(source(256, step)[:, :, 0, 0] - 3)[:, :, None, None]).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert ((before < 0.1) | (before > 0.9)).all()
    assert ((bits() > 0.25) & (bits() < 0.75)).all()


def test_the_kl_is_held_at_the_bits() -> None:
    """Gaussian Quant: the codes are good once the divergence is log2 K; its weight finds that."""
    torch.manual_seed(0)
    quantiser = GaussianSettings(1024, dimensions=4, weight=1e-2).build(8)
    x = torch.randn(512, 8, 1, 1) * torch.tensor([4.0, 3, 2, 1.5, 0.2, 0.1, 0.1, 0.1])[:, None, None]
    quantiser.start(x[:, :, 0, 0])
    optimiser = torch.optim.Adam(quantiser.parameters(), 3e-3)
    for _ in range(300):
        found = quantiser(x)
        loss = (found.features - x).square().mean() + found.loss
        optimiser.zero_grad()
        loss.backward()
        kl = quantiser._seen.mean()
        optimiser.step()
        quantiser.after_step()
    assert kl == pytest.approx(10, abs=1.5)
    quantiser.eval()
    left = (quantiser.decode(quantiser.indices(x)) - x).square().mean() / x.square().mean()
    assert left < 0.15


def test_the_rotation_trick_turns_the_gradient_with_the_feature() -> None:
    torch.manual_seed(0)
    x, codes = torch.randn(50, 6).requires_grad_(), torch.randn(50, 6)
    features = rotate(x, codes)
    assert torch.equal(features, codes)
    # A gradient along the code comes back along the feature, scaled by their lengths.
    features.backward(codes)
    long, far = x.detach().norm(dim=1, keepdim=True), codes.norm(dim=1, keepdim=True)
    assert torch.allclose(x.grad, (far / long) ** 2 * x.detach(), atol=1e-4)


def test_an_orthogonal_codebook_leans_less() -> None:
    def leaning(settings: Settings) -> float:
        torch.manual_seed(0)
        quantiser = settings.build(8)
        quantiser.start(source(2048, 1)[:, :, 0, 0])
        optimiser = torch.optim.Adam(quantiser.parameters(), 0.02)
        for step in range(60):
            loss = quantiser(source(256, step)).loss
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        unit = torch.nn.functional.normalize(quantiser.codes(), dim=1)
        return (unit @ unit.t()).abs().mean().item()

    assert leaning(OrthogonalSettings(16)) < leaning(VectorSettings(16)) - 0.1


def correlated(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(count, 8, generator=generator) * torch.linspace(3, 0.3, 8)
    return x[:, :, None, None]


def started(settings: Settings) -> Quantiser:
    torch.manual_seed(0)
    quantiser = settings.build(8)
    quantiser.start(correlated(2048)[:, :, 0, 0])
    return quantiser.eval()


def test_each_stage_leaves_less_and_a_beam_less_still() -> None:
    x = correlated(1024)
    errors = []
    quantiser = started(ResidualSettings(VectorSettings(16), 4, beam=1))
    indices = quantiser.indices(x)
    for stages in range(1, 5):
        errors.append((quantiser.decode(indices[:, :stages]) - x).square().mean().item())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.5 * errors[0]
    wide = started(ResidualSettings(VectorSettings(16), 4, beam=8))
    assert (wide.decode(wide.indices(x)) - x).square().mean() < 0.99 * errors[-1]


def test_stages_of_any_quantiser_follow_what_is_left() -> None:
    """Scalars of a fixed scale get each stage's scale from what the stages before left."""
    x = correlated(1024)
    quantiser = started(ResidualSettings(FiniteSettings((3,) * 8), 3, scaled=True))
    indices = quantiser.indices(x)
    errors = [(quantiser.decode(indices[:, :n]) - x).square().mean().item() for n in (1, 2, 3)]
    assert errors[2] < 0.5 * errors[1] < 0.25 * errors[0] * 1.5


def test_nested_groups_decode_from_the_first() -> None:
    x = correlated(1024)
    quantiser = started(ProductSettings(VectorSettings(16), 2, drop=0.5))
    indices = quantiser.indices(x)
    first, both = quantiser.decode(indices[:, :1]), quantiser.decode(indices)
    assert torch.equal(first[:, :4], both[:, :4])
    assert torch.equal(first[:, 4:], torch.zeros_like(first[:, 4:]))
    assert not started(ProductSettings(VectorSettings(16), 2)).prefixes


def test_averages_follow_the_features() -> None:
    torch.manual_seed(0)
    quantiser = VectorSettings(4, decay=0.9).build(2)
    centres = torch.tensor([[5.0, 5], [5, -5], [-5, 5], [-5, -5]])
    x = (centres.repeat(64, 1) + 0.1 * torch.randn(256, 2))[:, :, None, None]
    quantiser.start(centres)
    for _ in range(60):
        quantiser(x + 0.5)
        quantiser.after_step()
    moved = quantiser.eval()(x + 0.5).features - (x + 0.5)
    assert moved.square().mean() < 0.02
