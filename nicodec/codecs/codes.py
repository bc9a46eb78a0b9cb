"""What families of codes of codebooks share: their indices, level by level, through a coder.

Each level of a `CodeNetwork` (codes_network.py) has a grid of indices. How they are coded is its `Mode`: at a fixed
length, by how often each code is used, or by what is known of them: the levels before alone, or neighbours as well,
in the four passes of `layers/index_context.py`. Indices are data: what chose them may differ between machines, what
codes them is integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from nicodec.codecs.base import PictureCodec
from nicodec.codecs.codes_network import ALIGNMENT, CodeNetwork, CodesConfig, Level
from nicodec.entropy.coder import Coder, PictureWriter, RateEstimator, Stream
from nicodec.entropy.indices import code_alike, code_indices, lot
from nicodec.entropy.priors import Weighted
from nicodec.layers.index_context import PASSES, PLACES, enlarged, pass_of, places

PIECE_SHIFT = 0.38
"""Of the number of pieces: by so many their order is shifted from row to row."""


COPIES = {4: 3, 2: 2}
"""In how many pieces an index is, by its level's factor; one where it is not named."""


class Mode(IntEnum):
    """How the indices of a level are coded."""

    EVEN = 0
    """Every index costs the same."""
    FREQUENCIES = 1
    """By how often each is used."""
    CONTEXT = 2
    """By what is known around it, in four passes."""
    BEFORE = 3
    """By what the levels before tell, in one pass."""


APART = (Mode.EVEN, Mode.FREQUENCIES)
"""Those that need nothing but the level itself."""

MODE_WEIGHTS = (1, 31, 31, 31)
"""Of the modes where they are coded themselves."""

WORTH = {Mode.EVEN: 0.0, Mode.FREQUENCIES: 0.0, Mode.CONTEXT: 0.16, Mode.BEFORE: 0.12}
"""Bits that a way must save an index to be taken: a decoder takes longer over some."""


@dataclass(frozen=True)
class Piece:
    """A piece of a picture: its number, and how many there are."""

    number: int
    count: int

    def places(self, level: Level, size: tuple[int, int]) -> Tensor:
        """Which positions it holds of a level's grid, of H, W pixels: (n,) int64, row by row.

        Neighbours are in different pieces. Coarse indices, which stand for much and cost little, are in several, as
        far apart as can be.
        """
        rows, columns = (torch.arange(n, device=level.basis.device) for n in level.grid(size))
        if self.count == 1:
            return torch.arange(len(rows) * len(columns), device=rows.device)
        first = columns[None] + max(1, round(PIECE_SHIFT * self.count)) * rows[:, None]
        copies = min(self.count, COPIES.get(level.factor, 1))
        held = torch.zeros_like(first, dtype=torch.bool)
        for copy in range(copies):
            held |= (first + copy * self.count // copies) % self.count == self.number
        return torch.nonzero(held.flatten())[:, 0]


WHOLE = Piece(0, 1)
"""All of a picture."""


class Known:
    """What is known of a picture: indices of its first levels, and what the prior makes of them.

    Args:
        network: whose levels they are.
        size: H, W of the picture in pixels.
        indices: of the first levels, each of H·W/(16·f)² values, row by row.

    """

    def __init__(self, network: CodeNetwork, size: tuple[int, int], indices: Sequence[Tensor] = ()) -> None:
        self._network, self.size, self.indices = network, size, list(indices)
        self._buffer: Tensor | None = None
        self._count = 0

    def parents(self) -> Tensor:
        """See `CodeNetwork.parents`; kept, so that each level's features are made once a grid."""
        levels, done = list(self._network.each_level()), len(self.indices)
        level, each = levels[done], self._network.config.embedding
        grid = level.grid(self.size)
        if self._buffer is None or self._buffer.shape[2:] != grid:
            alike = sum(other.factor >= level.factor for other in levels)
            self._buffer, self._count = level.basis.new_empty(1, PLACES + each * alike, *grid), 0
            self._buffer[:, :PLACES] = places(grid, level.basis.device) * level.context.one
        for number in range(self._count, done):
            other = levels[number]
            own = other.context.embedded(self.indices[number].view(1, *other.grid(self.size)))
            start = PLACES + each * number
            self._buffer[:, start : start + each] = enlarged(own, other.factor // level.factor)
        self._count = done
        return self._buffer[:, : PLACES + each * done]


class CodesCodec(PictureCodec):
    """See the module's docstring."""

    Config = CodesConfig
    alignment = ALIGNMENT
    pixels_a_byte = 2**21  # no table gives an index less than 1/50 bit, and one stands for 64x64 pixels

    config: CodesConfig

    def __init__(self, config: CodesConfig | None = None) -> None:
        super().__init__()
        self.config = config or self.Config()
        self.network = CodeNetwork(self.config)

    def load_initial(self, tensors: dict[str, Tensor]) -> None:
        """See `Codec.load_initial`; levels that these weights lack stay as they are, for training to start."""
        given = {name.split(".")[2] for name in tensors if name.startswith("network.levels.")}
        further = tuple(
            f"network.levels.{number}." for number in range(len(self.config.factors)) if str(number) not in given
        )
        own = {name: tensor for name, tensor in self.exported().items() if name.startswith(further)}
        self.load_exported({**own, **tensors})

    # The one traversal

    def code_indices(
        self,
        coder: Coder,
        indices: Sequence[Tensor] | None,
        size: tuple[int, int],
        quality: int,
        modes: Sequence[Mode] | None = None,
        piece: Piece = WHOLE,
        before: Sequence[Tensor] = (),
        stop: int | None = None,
    ) -> list[Tensor]:
        """Hand the indices of some levels of one picture, or those of a piece of it, to `coder`, in order.

        Args:
            coder: what is done with them.
            indices: of each of these levels (1, H, W); None when decoding.
            size: H, W in pixels.
            quality: half steps.
            modes: how those of each of these levels are coded; None when decoding.
            piece: see `Piece`.
            before: what this returned of the levels before, which are not coded.
            stop: the number of the level that ends them; None: the number of levels that the quality has.

        Returns:
            The indices of each of these levels, int64 (n,): those of the piece, row by row.

        """
        known, device = Known(self.network, size, before), self.network.to_fine.weight.device
        for place in range((self.config.levels(quality) if stop is None else stop) - len(before)):
            own = None if indices is None else indices[place]
            mode = _code_mode(coder, None if modes is None else modes[place], piece, device)
            known.indices.append(self.code_level(coder, own, known, quality, mode, piece))
        return known.indices[len(before) :]

    def code_level(
        self, coder: Coder, indices: Tensor | None, known: Known, quality: int, mode: Mode, piece: Piece = WHOLE
    ) -> Tensor:
        """The part of `code_indices` that is the level's after those that are known; (n,)."""
        level = list(self.network.each_level())[len(known.indices)]
        if mode in (Mode.CONTEXT, Mode.BEFORE):
            own = None if indices is None else indices.flatten()
            return self._code_by_context(coder, level, own, known, quality, alone=mode == Mode.BEFORE)
        held = piece.places(level, known.size)
        own = None if indices is None else indices.flatten()[held]
        logarithms = level.frequencies.logarithms(quality)
        if mode == Mode.EVEN:
            logarithms = torch.zeros_like(logarithms)
        return code_alike(coder, own, logarithms, len(held))

    def _code_by_context(
        self, coder: Coder, level: Level, own: Tensor | None, known: Known, quality: int, *, alone: bool
    ) -> Tensor:
        """By the levels before `alone`, in one pass, or else with neighbours in four."""
        (height, width), device = level.grid(known.size), level.basis.device
        context = level.context.at(torch.tensor([quality], device=device))
        order = pass_of((height, width), device)
        surroundings = context.surroundings(known.parents())
        found, at_once = torch.zeros(height * width, dtype=torch.int64, device=device), lot(level.codes)
        for number in range(1 if alone else len(PASSES)):
            if alone:
                features = None
                parts: Sequence[slice | Tensor] = [
                    slice(start, start + at_once) for start in range(0, len(found), at_once)
                ]
            else:
                features = level.context.embedded(found.view(1, height, width)) if number else None
                own_places = torch.nonzero(order.flatten() == number)[:, 0]
                parts = torch.split(own_places, at_once) if len(own_places) else ()
            activations = context.activations(features, (order < number)[None], surroundings).flatten(2)
            for part in parts:
                logits = context.logits(activations[:, :, None, part])[0, :, 0]
                found[part] = code_indices(coder, None if own is None else own[part], logits)
        return found

    def smallest(
        self,
        indices: Sequence[Tensor],
        size: tuple[int, int],
        quality: int,
        piece: Piece = WHOLE,
        numbers: range | None = None,
        *,
        static: bool = False,
        writer: PictureWriter | None = None,
    ) -> Stream:
        """The stream of a piece, each level in the way that makes it smallest, with what a decoder's time is worth.

        Args:
            indices: of each level, (1, H, W).
            size: H, W in pixels.
            quality: half steps.
            piece: see `Piece`.
            numbers: the levels that it holds; None: all of these.
            static: whether no context is used, as where pieces may be lost.
            writer: what has begun the stream; None: nothing has.

        """
        numbers, modes = range(len(indices)) if numbers is None else numbers, []
        flat = [each.flatten() for each in indices]
        known = Known(self.network, size, flat[: numbers.start])
        for number in numbers:
            costs = {}
            for mode in APART if static else _modes_of(piece):
                coder = RateEstimator(noise=False)
                self.code_level(coder, indices[number], known, quality, mode, piece)
                costs[mode] = float(coder.bits) + WORTH[mode] * indices[number].numel()
            known.indices.append(flat[number])
            modes.append(min(costs, key=lambda mode: costs[mode]))
        writer, own = writer or PictureWriter(), indices[numbers.start : numbers.stop]
        self.code_indices(writer, own, size, quality, modes, piece, flat[: numbers.start], numbers.stop)
        return writer.finish()


def _modes_of(piece: Piece) -> tuple[Mode, ...]:
    """Those that a level of a piece may have: what is lost with other pieces is no context."""
    return tuple(Mode) if piece == WHOLE else APART


def _code_mode(coder: Coder, mode: Mode | None, piece: Piece, device: torch.device) -> Mode:
    value = None if mode is None else torch.full((1, 1, 1, 1), float(mode), device=device)
    weights = torch.tensor(MODE_WEIGHTS[: len(_modes_of(piece))], device=device)
    return Mode(int(coder.code(value, Weighted(weights[None]))))
