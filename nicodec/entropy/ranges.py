"""Range coding of arrays of symbols, by groups that share a table or by rows of frequencies (constriction).

Symbols outside a table's support are coded as its escape; how far outside follows after the tensor's other
symbols, as base-16 digits with a flag for more (`_write_escapes`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

import constriction
import numpy as np
from numpy.typing import NDArray

from nicodec.entropy.priors import Prior, RowPrior, SharedPrior, TablePrior
from nicodec.entropy.tables import DIGIT_BITS, Table, as_model
from nicodec.errors import SymbolMismatchError

Categorical, Uniform = constriction.stream.model.Categorical, constriction.stream.model.Uniform
RangeDecoder, RangeEncoder = constriction.stream.queue.RangeDecoder, constriction.stream.queue.RangeEncoder

_DIGIT = Uniform(2 ** (1 + DIGIT_BITS))
_MORE = 2**DIGIT_BITS
_MAX_DIGITS = 5

MISMATCH = (
    "the decoded symbols differ from the encoder's, so nothing was written: the file was made by a different "
    "nicodec; update nicodec, and report the file if that does not help"
)

_ROWS_AT_ONCE = 2**18
"""Frequencies held at a time when every symbol has a row of its own."""


_answers: dict[tuple[type, type], bool] = {}


def _is(prior: Prior, kind: type) -> bool:
    """Whether a prior is of a kind, asked once for each of their classes: to compare with a protocol takes long."""
    asked = (type(prior), kind)
    if asked not in _answers:
        _answers[asked] = isinstance(prior, kind)
    return _answers[asked]


def _has_tables(prior: Prior) -> TypeGuard[TablePrior]:
    return _is(prior, TablePrior)


def _has_rows(prior: Prior) -> TypeGuard[RowPrior]:
    return _is(prior, RowPrior)


def _is_shared(prior: Prior) -> TypeGuard[SharedPrior]:
    return _is(prior, SharedPrior)


def _groups(index: NDArray[np.unsignedinteger[Any]]) -> tuple[NDArray[np.intp], list[tuple[int, int, int]]]:
    """Stable order by table, and (table, start, stop) of each group in that order."""
    if index.max(initial=0) < 256:
        index = index.astype(np.uint8, copy=False)  # numpy sorts bytes by radix
    order = np.argsort(index, kind="stable")
    counts = np.bincount(index)
    stops = np.cumsum(counts)
    return order, [(int(t), int(stops[t] - counts[t]), int(stops[t])) for t in np.flatnonzero(counts)]


def _escape_codes(symbols: NDArray[np.int64], half_width: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """2·(|q| − R − 1), plus 1 where q is negative."""
    beyond: NDArray[np.int64] = np.subtract(np.abs(symbols), half_width) - 1
    sign: NDArray[np.int64] = (symbols < 0).astype(np.int64)
    return 2 * beyond + sign


class RangeWriter:
    """Writes one stream."""

    def __init__(self) -> None:
        self._encoder = RangeEncoder()

    def copy(self) -> RangeWriter:
        """One that has written the same and goes on by itself."""
        other = RangeWriter()
        other._encoder = self._encoder.clone()
        return other

    def write(self, symbols: NDArray[np.int32], prior: Prior, positions: NDArray[np.intp]) -> None:
        """Append the coded symbols (N,) of a tensor in C order, and where in it they are (N,)."""
        if _has_tables(prior):
            self._write_by_table(symbols, prior, positions)
        elif _has_rows(prior):
            self._write_by_row(symbols, prior, positions)
        elif _is_shared(prior):
            self._encoder.encode(symbols, as_model(prior.shared()))
        else:
            raise TypeError(f"{type(prior).__name__} has neither tables nor rows")

    def _write_by_table(self, symbols: NDArray[np.int32], prior: TablePrior, positions: NDArray[np.intp]) -> None:
        tables, index = prior.tables()
        order, groups = _groups(index[positions])
        ordered = symbols[order]
        escapes = []
        for t, start, stop in groups:
            table, values = tables[t], ordered[start:stop]
            outside = np.abs(values) > table.half_width
            if outside.any():
                escapes.append(_escape_codes(values[outside].astype(np.int64), table.half_width))
                values = np.where(outside, table.half_width + 1, values)
            self._encoder.encode((values + table.half_width).astype(np.int32), table.model)
        if escapes:
            self._write_escapes(np.concatenate(escapes))

    def _write_by_row(self, symbols: NDArray[np.int32], prior: RowPrior, positions: NDArray[np.intp]) -> None:
        family = Categorical(perfect=False)
        half_width, escapes = prior.half_width, []
        for chunk, where in _row_chunks(prior, positions):
            values = symbols[chunk]
            outside = np.abs(values) > half_width
            if outside.any():
                escapes.append(_escape_codes(values[outside].astype(np.int64), half_width))
                values = np.where(outside, half_width + 1, values)
            rows = prior.rows(where)
            self._encoder.encode((values + prior.first).astype(np.int32), family, rows)
        if escapes:
            self._write_escapes(np.concatenate(escapes))

    def _write_escapes(self, codes: NDArray[np.int64]) -> None:
        while codes.size:
            rest = codes >> DIGIT_BITS
            self._encoder.encode(((codes % _MORE) + _MORE * (rest > 0)).astype(np.int32), _DIGIT)
            codes = rest[rest > 0]

    def finish(self) -> bytes:
        """The stream, without the zero bytes at its end (a reader sees zeros past the end)."""
        words: NDArray[np.uint32] = self._encoder.get_compressed()
        return words.astype("<u4").tobytes().rstrip(b"\0")


class RangeReader:
    """Reads what `RangeWriter` wrote, with the same priors in the same order."""

    def __init__(self, stream: bytes) -> None:
        padded = stream + bytes(-len(stream) % 4)
        self._decoder = RangeDecoder(np.frombuffer(padded, dtype="<u4").astype(np.uint32))

    def read(self, prior: Prior, positions: NDArray[np.intp]) -> NDArray[np.int32]:
        """The coded symbols (N,) of a tensor in C order, from where in it they are (N,).

        Raises:
            SymbolMismatchError: the stream holds what no writer writes with these priors.

        """
        if _has_tables(prior):
            return self._read_by_table(prior, positions)
        if _has_rows(prior):
            return self._read_by_row(prior, positions)
        if _is_shared(prior):
            return self._decode(as_model(prior.shared()), len(positions))
        raise TypeError(f"{type(prior).__name__} has neither tables nor rows")

    def _decode(self, model: Any, amount: Any) -> NDArray[np.int32]:
        try:
            symbols: NDArray[np.int32] = self._decoder.decode(model, amount)
        except AssertionError as error:  # constriction: "invalid for the employed entropy model"
            raise SymbolMismatchError(MISMATCH) from error
        return symbols

    def _read_by_table(self, prior: TablePrior, positions: NDArray[np.intp]) -> NDArray[np.int32]:
        tables, index = prior.tables()
        order, groups = _groups(index[positions])
        ordered = np.empty(len(order), dtype=np.int32)
        limits = []
        for t, start, stop in groups:
            table: Table = tables[t]
            values = self._decode(table.model, stop - start) - table.half_width
            ordered[start:stop] = values
            outside = np.flatnonzero(values > table.half_width)
            if outside.size:
                limits.append((outside + start, np.full(outside.size, table.half_width)))
        if limits:
            where = np.concatenate([w for w, _ in limits])
            ordered[where] = self._read_escapes(np.concatenate([h for _, h in limits]))
        symbols = np.empty_like(ordered)
        symbols[order] = ordered
        return symbols

    def _read_by_row(self, prior: RowPrior, positions: NDArray[np.intp]) -> NDArray[np.int32]:
        family = Categorical(perfect=False)
        symbols = np.empty(len(positions), dtype=np.int32)
        for chunk, where in _row_chunks(prior, positions):
            rows = prior.rows(where)
            symbols[chunk] = self._decode(family, rows) - prior.first
        outside = np.flatnonzero(symbols > prior.half_width)
        if outside.size:
            symbols[outside] = self._read_escapes(np.full(outside.size, prior.half_width))
        return symbols

    def _read_escapes(self, half_width: NDArray[np.int64]) -> NDArray[np.int32]:
        codes = np.zeros(len(half_width), dtype=np.int64)
        active = np.arange(len(codes))
        for place in range(_MAX_DIGITS):
            digits = self._decode(_DIGIT, active.size).astype(np.int64)
            codes[active] += (digits % _MORE) << (DIGIT_BITS * place)
            active = active[digits >= _MORE]
            if not active.size:
                magnitude = (codes >> 1) + half_width + 1
                return np.where(codes & 1, -magnitude, magnitude).astype(np.int32)
        raise SymbolMismatchError(MISMATCH)


def _row_chunks(prior: RowPrior, positions: NDArray[np.intp]) -> Iterator[tuple[slice, NDArray[np.intp]]]:
    """Slices of the coded symbols and their positions in the tensor, few enough for the memory."""
    step = max(1, _ROWS_AT_ONCE // prior.row_length)
    for start in range(0, len(positions), step):
        yield slice(start, min(start + step, len(positions))), positions[start : start + step]
