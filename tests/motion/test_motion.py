"""Fields of vectors: what they predict, how they are found, and that they are coded without loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nicodec.entropy.coder import RateEstimator, StreamDecoder, StreamEncoder
from nicodec.exact.module import ExactModule
from nicodec.motion.choice import LeastCostChoice
from nicodec.motion.compensation import Phases, compensate, moved_smoothly, phases, runs_at
from nicodec.motion.field import VECTOR_MAX, Motion, cells_of, moved_to_nearest
from nicodec.motion.search import find_motion, price_of
from nicodec.motion.vectors import VectorCoder, continued_from, places

from ..conftest import smooth_picture


def luma(height: int, width: int, seed: int = 0) -> torch.Tensor:
    picture = smooth_picture(height, width, seed).mean(2).astype(np.float32) / 255
    return torch.from_numpy(picture)[None, None]


def trained_like(seed: int) -> VectorCoder:
    """A coder of vectors with random tables."""
    torch.manual_seed(seed)
    coder = VectorCoder(12)
    with torch.no_grad():
        for parameter in coder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    for module in coder.modules():
        if isinstance(module, ExactModule):
            module.to_integers()
    return coder.eval().requires_grad_(False)


class Given:
    """A `Chooser` that takes drawn modes and vectors."""

    def __init__(self, seed: int) -> None:
        self.random = torch.Generator().manual_seed(seed)

    def draw(self, most: int, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.randint(most, shape, generator=self.random)

    def weights(self, place, bits):
        return self.draw(3, (len(bits), bits.shape[2]))

    def modes(self, place, candidates, bits, new_bits):
        batch, fields, _, _, count = candidates.shape
        new = self.draw(401, (batch, fields, 2, count)) - 200
        return self.draw(bits.shape[2], (batch, fields, count)), new

    def splits(self, blocks, candidates, split_bits, bits, new_bits):
        batch, fields, _, rows, columns = blocks.shape
        shape = (batch, fields, 2 * rows, 2 * columns)
        new = self.draw(4001, (batch, fields, 2, *shape[2:])) - 2000
        return self.draw(2, (batch, fields, rows, columns)) > 0, self.draw(bits.shape[2], shape), new


@settings(max_examples=5)
@given(
    seed=st.integers(0, 1000),
    fields=st.sampled_from([1, 2]),
    rows=st.sampled_from([4, 8]),
    columns=st.sampled_from([4, 12]),
    quality=st.integers(0, 200),
)
def test_any_motion_is_read_as_it_was_written(seed: int, fields: int, rows: int, columns: int, quality: int) -> None:
    coder = trained_like(seed % 3)
    continued = torch.randint(-100, 100, (1, fields, 2, rows, columns), generator=torch.Generator().manual_seed(seed))
    half_steps, distances = torch.tensor([quality]), tuple(range(1, 1 + fields))
    encoder, estimator = StreamEncoder(1), RateEstimator(noise=False)
    written = coder(encoder, Given(seed), continued, distances, half_steps)
    (stream,) = encoder.finish()
    decoder = StreamDecoder([stream])
    read = coder(decoder, None, continued, distances, half_steps)
    decoder.finish()
    assert torch.equal(written.vectors, read.vectors)
    assert torch.equal(written.weight, read.weight)
    coder(estimator, Given(seed), continued, distances, half_steps)
    # Drawn modes take candidates that repeat another: estimates of those have no floor, tables have one.
    assert 8 * len(stream.data) <= 1.01 * float(estimator.bits) + 8 * 64


@given(rows=st.integers(1, 9), columns=st.integers(1, 9))
def test_passes_see_what_is_known(rows: int, columns: int) -> None:
    known = torch.zeros(4 * rows, 4 * columns, dtype=torch.bool)
    for place in places(4 * rows, 4 * columns):
        for row, column in place.near or ():
            assert bool(known[row, column].all())
        assert not bool(known[place.row, place.column].any())
        known[place.row, place.column] = True
    assert bool(known.all())


@settings(max_examples=15)
@given(row=st.integers(-12, 12), column=st.integers(-12, 12), seed=st.integers(0, 5))
def test_whole_pixels_are_moved_exactly(row: int, column: int, seed: int) -> None:
    plane = luma(64, 80, seed)
    vectors = 4 * torch.tensor([row, column])[None, :, None, None].expand(1, 2, 8, 10)
    found = compensate(phases(plane, 24), vectors, 8)
    rows, columns = (torch.arange(64) + row).clamp(0, 63), (torch.arange(80) + column).clamp(0, 79)
    assert torch.allclose(found[0, 0], plane[0, 0][rows][:, columns], atol=1e-5)


@settings(max_examples=15)
@given(row=st.integers(-5000, 5000), column=st.integers(-5000, 5000))
def test_vectors_may_lead_far_outside(row: int, column: int) -> None:
    plane = luma(64, 64)
    vectors = torch.tensor([row, column])[None, :, None, None].expand(1, 2, 8, 8)
    for values in (
        compensate(phases(plane, 24), vectors, 8),
        compensate(phases(plane, 12), vectors // 2, 4)[..., :32],
    ):
        assert bool(torch.isfinite(values).all())
        assert float(values.min()) > -0.5
        assert float(values.max()) < 1.5
    assert torch.isfinite(moved_smoothly(torch.rand(1, 3, 8, 8), vectors)).all()
    assert moved_to_nearest(torch.rand(1, 3, 4, 4), vectors).shape == (1, 3, 4, 4)


def test_gradients_of_the_filter() -> None:
    plane = torch.rand(1, 1, 16, 16, dtype=torch.double, requires_grad=True)
    vectors = torch.randint(-30, 30, (1, 2, 2, 2))
    assert torch.autograd.gradcheck(lambda p: compensate(phases(p, 24), vectors, 8), (plane,))


def test_nearest_and_smooth_moves_agree_on_whole_steps() -> None:
    values = torch.rand(1, 3, 8, 8)
    vectors = torch.full((1, 2, 16, 16), 4 * 16)
    moved = moved_to_nearest(values, vectors)
    assert torch.equal(moved[..., :-1, :-1], values[..., 1:, 1:])
    smooth = moved_smoothly(values, torch.full((1, 2, 8, 8), 4 * 8))
    assert torch.allclose(smooth[..., :-1, :-1], values[..., 1:, 1:], atol=1e-5)


@pytest.mark.parametrize("shift", [(3, -5), (0, 0), (-7, 2)])
def test_a_pan_is_found_and_costs_little(shift: tuple[int, int]) -> None:
    wide = luma(192, 192, 3)
    reference = wide[..., 32:160, 32:160].contiguous()
    current = wide[..., 32 + shift[0] : 160 + shift[0], 32 + shift[1] : 160 + shift[1]].contiguous()
    quality = torch.tensor([0.01])
    found = find_motion(current, [(reference, phases(reference, 24))], price_of(quality))
    coder, estimator = trained_like(0), RateEstimator(noise=False)
    continued = torch.zeros(1, 1, 2, 8, 8, dtype=torch.int64)
    motion = coder(estimator, LeastCostChoice(found), continued, (1,), torch.tensor([100]))
    inner = motion.of(0)[0, :, 4:-4, 4:-4].float().flatten(1).median(1).values
    assert inner.tolist() == [4.0 * shift[0], 4.0 * shift[1]]
    assert float(estimator.bits) < 64 * 8


def test_two_references_are_chosen_by_block() -> None:
    one, other = luma(128, 128, 1), luma(128, 128, 2)
    current = torch.cat([one[..., :64], other[..., 64:]], 3)
    found = find_motion(current, [(p, phases(p, 24)) for p in (one, other)], price_of(torch.tensor([0.01])))
    coder = trained_like(0)
    continued = torch.zeros(1, 2, 2, 8, 8, dtype=torch.int64)
    motion: Motion = coder(RateEstimator(noise=False), LeastCostChoice(found), continued, (1, 1), torch.tensor([100]))
    assert float((motion.weight[..., :6] == 2).float().mean()) > 0.8
    assert float((motion.weight[..., 10:] == 0).float().mean()) > 0.8


@given(a=st.integers(-300, 300), d=st.integers(1, 16), w=st.integers(-16, 16))
def test_motion_goes_on_at_the_same_speed(a: int, d: int, w: int) -> None:
    vectors = torch.full((1, 2, 2, 2), a)
    exact = max(-VECTOR_MAX, min(VECTOR_MAX, a * w / d))
    assert float((continued_from(vectors, d, w).float() - exact).abs().max()) <= 0.5
    assert torch.equal(continued_from(vectors, d, w), continued_from(vectors, -d, -w))


def test_cells_and_blocks() -> None:
    blocks = torch.arange(6).view(1, 1, 2, 3)
    assert torch.equal(cells_of(blocks)[..., ::2, ::2], blocks)


@pytest.mark.parametrize("shift", [(0, 44), (-37, 20)])
def test_far_motion_is_found(shift: tuple[int, int]) -> None:
    torch.manual_seed(3)
    wide = torch.nn.functional.avg_pool2d(torch.rand(1, 1, 256, 320), 5, 1, 2)
    wide = (wide - 0.5) * 3 + 0.5
    row, column = shift
    before = wide[..., 48:208, 48:240].contiguous()
    now = wide[..., 48 + row : 208 + row, 48 + column : 240 + column].contiguous()
    price = price_of(torch.tensor([0.02]))
    found = find_motion(now, [(before, phases(before, 24))], price).motion().of(0)
    inside = found[:, :, 5:-5, 7:-7]  # elsewhere it leads out of the picture
    right = (inside == 4 * torch.tensor(shift)[:, None, None]).all(1)
    assert float(right.float().mean()) > 0.95


def test_pixels_in_runs_have_the_gradient_of_pixels() -> None:
    torch.manual_seed(0)
    values = torch.rand(1, 16, 12, 14, dtype=torch.float64, requires_grad=True)
    places = torch.randint(16 * 12 * 14 - 4, (5, 3))
    found = runs_at(Phases(values, 2), places, 4)
    assert torch.equal(found, values.flatten()[places[..., None] + torch.arange(4)])
    assert torch.autograd.gradcheck(lambda v: runs_at(Phases(v, 2), places, 4), (values,))
