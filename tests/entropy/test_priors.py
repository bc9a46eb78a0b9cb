from __future__ import annotations

import torch

from nicodec.entropy.coder import PictureWriter
from nicodec.entropy.priors import TAIL_START, ScaleMixture
from nicodec.entropy.tables import SCALES, latent_tables


def drawn(seed: int, low: float, high: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Values, many of them far out, and positions on the scale axis."""
    generator = torch.Generator().manual_seed(seed)
    index = low + (high - low) * torch.rand(1, 4, 8, 8, generator=generator, dtype=torch.float64)
    spread = torch.exp(0.12 * index + torch.randn(index.shape, generator=generator))
    return 0.2 * spread * torch.randn(index.shape, generator=generator, dtype=torch.float64), index


def test_gradients_of_a_mixtures_bits_are_its_differences() -> None:
    x, index = drawn(0, 5, 60)
    scale = 0.11 * torch.exp(0.123 * index)
    assert (x.abs() > 0.5 + 2 * TAIL_START * scale).any()
    assert (x.abs() < 0.5 * scale).any()
    at = [x.float().requires_grad_(), index.float().requires_grad_()]
    ScaleMixture(at[1]).bits(at[0]).sum().backward()
    for number, (value, step) in enumerate(((x, 0.02), (index, 0.1))):
        around = []
        for sign in (-1, 1):
            moved = [x, index]
            moved[number] = value + sign * step
            around.append(ScaleMixture(moved[1].float()).bits(moved[0].float()))
        slope = (around[1] - around[0]) / (2 * step)
        # Where x passes zero or the tail's start within the step, a difference is no derivative.
        error = (at[number].grad - slope).abs() / (1 + slope.abs())
        assert float(error.median()) < 2e-3
        assert float(error.quantile(0.97)) < 0.06


def test_a_position_out_of_range_is_led_back_only() -> None:
    index = torch.tensor([-3.0, -3.0, SCALES + 3.0, SCALES + 3.0]).view(1, 4, 1, 1).requires_grad_()
    x = torch.tensor([0.0, 9.0, 0.0, 4000.0]).view(1, 4, 1, 1)
    ScaleMixture(index).bits(x).sum().backward()
    assert index.grad.flatten().sign().tolist() == [0, -1, 1, 0]


def test_bits_of_the_training_are_those_of_the_tables() -> None:
    for number in (5, 20, 40):
        table = latent_tables()[number]
        symbols = torch.arange(-table.half_width // 2, table.half_width // 2 + 1).view(1, 1, 1, -1).float()
        bits = ScaleMixture(torch.full_like(symbols, number)).bits(symbols).flatten()
        frequencies = table.frequencies[(symbols.flatten().int() + table.half_width).numpy()]
        expected = 24 - torch.log2(torch.from_numpy(frequencies).double())
        assert float((bits - expected).abs().max()) < 0.02
        exact = ScaleMixture(torch.full(symbols.shape, number)).bits(symbols).flatten()
        assert torch.allclose(exact, expected.float())


def test_bits_of_escapes_are_those_that_they_take() -> None:
    for number, outside in ((3, 9), (20, 200), (50, 3), (50, 300)):
        prior = ScaleMixture(torch.full((1, 1, 1, 50), number))
        symbols = torch.full(prior.shape, float(latent_tables()[number].half_width + outside))
        encoder = PictureWriter()
        encoder.code(symbols, prior)
        assert abs(8 * len(encoder.finish().data) - float(prior.bits(symbols).sum())) < 40
