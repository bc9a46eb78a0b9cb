from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from importlib import resources

import constriction
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nicodec.entropy.tables import (
    TOTAL,
    Table,
    as_probabilities,
    gaussian_scale,
    gaussian_tables,
    latent_tables,
    normal_cdf,
    normalise,
)


def test_stored_tables_never_change() -> None:
    data = resources.files("nicodec.entropy").joinpath("gaussian_tables.npz").read_bytes()
    arrays = np.load(io.BytesIO(data))
    digest = hashlib.sha256()
    for name in sorted(arrays.files):
        digest.update(name.encode() + arrays[name].astype("<i8").tobytes())
    assert len(data) < 100_000
    assert digest.hexdigest() == "67f799d1fb18b46ee173d0264a9f7d0dbc099533beb4bd8cc161719e06689695"


@pytest.mark.parametrize("tables", [gaussian_tables, latent_tables])
def test_tables_are_distributions(tables: Callable[[], tuple[Table, ...]]) -> None:
    assert len(tables()) == 64
    for table in tables():
        assert table.frequencies.min() >= 1
        assert table.frequencies.sum() == TOTAL
        assert len(table.frequencies) == 2 * table.half_width + 2


@pytest.mark.parametrize(("tables", "tolerance"), [(gaussian_tables, 3e-3), (latent_tables, 5e-3)])
@pytest.mark.parametrize("index", [5, 20, 40, 63])
def test_tables_have_the_deviation_they_stand_for(
    tables: Callable[[], tuple[Table, ...]], tolerance: float, index: int
) -> None:
    table = tables()[index]
    x = np.arange(-table.half_width, table.half_width + 1)
    p = table.frequencies[:-1] / TOTAL
    rounded = gaussian_scale(index) ** 2 + 1 / 12 if index > 10 else None
    if rounded is not None:
        assert (p * x * x).sum() == pytest.approx(rounded, rel=tolerance)  # entries of 2^-24 widen the widest


@given(st.lists(st.integers(0, 2**40), min_size=2, max_size=300))
def test_normalise_gives_rows_of_the_total(values: list[int]) -> None:
    row = normalise(np.array(values, dtype=np.int64) // 2**20)
    assert row.min() >= 1
    assert row.sum() == TOTAL


@given(st.integers(2, 400), st.integers(0, 2**32 - 1))
def test_constriction_uses_exactly_these_frequencies(size: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    frequencies = normalise((random.pareto(1, size) * 1000).astype(np.int64) + 1)
    model = Table(0, frequencies).model
    symbols = np.arange(size, dtype=np.int32)
    encoder = constriction.stream.stack.AnsCoder()
    encoder.encode_reverse(symbols, model)
    bits = encoder.num_valid_bits()
    ideal = -np.log2(frequencies / TOTAL).sum()
    assert abs(bits - ideal) < 32 + 1e-3 * ideal  # the stack's state has up to a word to fill
    rows = constriction.stream.stack.AnsCoder()
    family = constriction.stream.model.Categorical(perfect=False)
    rows.encode_reverse(symbols, family, np.repeat(as_probabilities(frequencies)[None], size, 0))
    assert (rows.get_compressed() == encoder.get_compressed()).all()


def test_normal_cdf_rises_from_zero_to_one() -> None:
    values = normal_cdf(np.arange(-(2**18), 2**18, 37, dtype=np.int64))
    assert (np.diff(values) >= 0).all()
    assert values[0] == 0
    assert values[-1] == 2**30
    assert normal_cdf(np.array([0]))[0] == 2**29
