"""The network of indices: integers that do not see what is not known yet, near to what was trained."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nicodec.entropy.frequencies import IndexFrequencies
from nicodec.exact.anchors import ANCHORS
from nicodec.layers.index_context import PASSES, IndexContext, enlarged, pass_of, places

QUALITY = torch.tensor([70])


def network() -> IndexContext:
    torch.manual_seed(0)
    made = IndexContext(12, 6, 5, 10)
    torch.nn.init.normal_(made.leave.weight, std=0.3)
    for layer in (made.embedding, made.enter, made.near, made.mix, made.further, made.refine, made.leave):
        layer.to_integers()
    return made.eval()


def logits(made: IndexContext, indices: Tensor, known: Tensor, parents: Tensor) -> Tensor:
    at, where = made.at(QUALITY), places((6, 7), indices.device)[None] * made.one
    surroundings = at.surroundings(torch.cat([where, parents], 1))
    return at.logits(at.activations(made.embedded(indices), known, surroundings))


def test_every_position_is_in_one_pass() -> None:
    order = pass_of((5, 6), torch.device("cpu"))
    assert [int((order == number).sum()) for number in range(len(PASSES))] == [9, 6, 9, 6]


@settings(max_examples=20)
@given(number=st.integers(0, 3), seed=st.integers(0, 1000))
def test_a_pass_sees_those_before_alone(number: int, seed: int) -> None:
    made, generator = network(), torch.Generator().manual_seed(seed)
    indices, other = torch.randint(12, (2, 1, 6, 7), generator=generator)
    known = (pass_of((6, 7), indices.device) < number)[None]
    other = torch.where(known, indices, other)
    parents = torch.randint(-255, 256, (1, 5, 6, 7), generator=generator).float()
    found = [logits(made, each, known, parents) for each in (indices, other)]
    assert torch.equal(*found)
    assert torch.equal(found[0], found[0].round())


def test_integers_are_near_to_what_was_trained() -> None:
    made = network()
    indices, known = torch.randint(12, (1, 6, 7)), torch.rand(1, 6, 7) < 0.5
    parents = torch.randint(-64, 65, (1, 5, 6, 7)).float()
    integers = logits(made, indices, known, parents) / 16
    made.train()
    reals = logits(made, indices, known, parents / 16)
    assert float((integers - reals.detach()).abs().mean()) < 0.15


def test_enlarged_repeats() -> None:
    x = torch.arange(6.0).view(1, 1, 2, 3)
    assert torch.equal(enlarged(x, 2)[0, 0, 2:, 4:], torch.full((2, 2), 5.0))
    assert enlarged(x, 1) is x


def test_frequencies_follow_use() -> None:
    made = IndexFrequencies(8)
    counts = torch.zeros(ANCHORS, 8)
    counts[5, 3] = 1e7
    made.note(counts)
    made.to_integers()
    assert float(made.bits(100)[3]) < 0.1
    assert float(made.bits(100)[0]) > 8
    assert float(made.bits(0)[0]) == 3
    assert torch.equal(made.logarithms(100), -made.costs[5].int())
    before = made.costs.clone()
    made.from_integers()
    made.to_integers()
    assert int((before.int() - made.costs.int()).abs().max()) <= 12
