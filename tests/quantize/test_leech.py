from __future__ import annotations

import torch

from nicodec.quantize.leech import NORM, LeechQuantiser, golay_words, leech_vectors


def test_the_golay_code_has_its_weights() -> None:
    weights = torch.bincount(golay_words().sum(1))
    assert {weight: count for weight, count in enumerate(weights.tolist()) if count} == {
        0: 1,
        8: 759,
        12: 2576,
        16: 759,
        24: 1,
    }


def test_the_vectors_are_the_shortest_of_the_leech_lattice() -> None:
    vectors = leech_vectors()
    assert vectors.shape == (196_560, 24)
    assert len(torch.unique(vectors, dim=0)) == len(vectors)
    assert (vectors.int().square().sum(1) == NORM).all()
    # Inner products with any one of them: 1, 4600, 47104, 93150, 47104, 4600, 1 (Conway and Sloane, chapter 14).
    for kind in (0, 100_000, 196_000):
        products = vectors.float() @ vectors[kind].float()
        values, counts = products.unique(return_counts=True)
        assert values.tolist() == [-32, -16, -8, 0, 8, 16, 32]
        assert counts.tolist() == [1, 4600, 47104, 93150, 47104, 4600, 1]


def test_the_quick_search_finds_the_nearest() -> None:
    torch.manual_seed(0)
    quantiser = LeechQuantiser()
    rows = torch.randn(200, 24)
    rows[:50] = quantiser.table[torch.randint(len(quantiser.table), (50,))] + 0.1 * rows[:50]
    rows[50:60] = quantiser.table[-10:]
    found = quantiser.search(rows)[:, 0]
    best = (rows @ quantiser.table.t()).amax(1)
    assert torch.allclose((rows * quantiser.table[found]).sum(1), best, atol=1e-5)
    assert torch.equal(found[50:60], torch.arange(len(quantiser.table) - 10, len(quantiser.table)))
    few = quantiser.candidates(rows, 4)[..., 0]
    assert torch.equal(few[:, 0], found)
    assert (few.sort(1).values.diff(dim=1) > 0).all()
