"""Pictures at 0.003 to 0.2 bits a pixel: codes of codebooks, which a decoder makes a picture of.

Order of the stream: for each level, coarse to fine, how its indices are coded (`Mode`), and the indices: row by row
where they are coded by their frequencies, and in the four passes of `layers/index_context.py` where neighbours and
coarser levels tell of them. The encoder takes what is smallest. Indices are data: what chose them may differ between
machines, what codes them is integers.

A picture may be written in pieces that decode by themselves: indices go to them in turn, shifted from row to row, so
that a lost piece leaves neighbours, from which the network that codes indices fills in what is missing.

The network is in `vqgan_network.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from nicodec.codecs.base import Packets, PictureCodec, Watch
from nicodec.codecs.options import Options, option
from nicodec.codecs.vqgan_network import ALIGNMENT, CodeNetwork, Level, VqganConfig
from nicodec.codecs.window import Window
from nicodec.entropy.coder import Coder, PictureReader, PictureWriter, RateEstimator, Stream
from nicodec.entropy.indices import AT_ONCE, code_indices
from nicodec.entropy.priors import Weighted
from nicodec.errors import CorruptError
from nicodec.layers.index_context import PASSES, pass_of

REPAIR_ROUNDS = 4
"""In which lost indices are filled in, each seeing those before."""

PIECE_SHIFT = 0.38
"""Of the number of pieces: by so many their order is shifted from row to row."""


class Mode(IntEnum):
    """How the indices of a level are coded."""

    EVEN = 0
    """Every index costs the same."""
    FREQUENCIES = 1
    """By how often each is used."""
    CONTEXT = 2
    """By what is known around it."""


MODE_WEIGHTS = (1, 31, 31)
"""Of the modes where they are coded themselves."""


@dataclass(frozen=True)
class Piece:
    """A piece of a picture: its number, and how many there are."""

    number: int
    count: int

    def places(self, grid: tuple[int, int], device: torch.device) -> Tensor:
        """Which positions of a grid it holds, (n,) int64, row by row; neighbours are in different pieces."""
        rows, columns = (torch.arange(n, device=device) for n in grid)
        holder = (columns[None] + max(1, round(PIECE_SHIFT * self.count)) * rows[:, None]) % self.count
        return torch.nonzero(holder.flatten() == self.number)[:, 0]


WHOLE = Piece(0, 1)
"""All of a picture."""


@dataclass(frozen=True)
class VqganOptions(Options):
    """What the encoder can be asked for."""

    packets: int = option(
        1,
        "Pieces that decode by themselves, 1 to 64: a file that loses some can be repaired. Costs some percent.",
        low=1,
        high=64,
        metavar="N",
    )


class Vqgan(PictureCodec):
    """See the module's docstring."""

    Config = VqganConfig
    Options = VqganOptions
    packets = Packets.PIECE
    alignment = ALIGNMENT
    pixels_a_byte = 2**21  # no table gives an index less than 1/50 bit, and one stands for 64x64 pixels

    config: VqganConfig

    def __init__(self, config: VqganConfig | None = None) -> None:
        super().__init__()
        self.config = config or VqganConfig()
        self.network = CodeNetwork(self.config)

    # The one traversal

    def code_indices(
        self,
        coder: Coder,
        indices: Sequence[Tensor] | None,
        size: tuple[int, int],
        quality: int,
        modes: Sequence[Mode] | None = None,
        piece: Piece = WHOLE,
    ) -> list[Tensor]:
        """Hand the indices of one picture, or those of a piece of it, to `coder`, in the order of the stream.

        Args:
            coder: what is done with them.
            indices: of each level (1, H, W); None when decoding.
            size: H, W in pixels.
            quality: half steps.
            modes: how those of each level are coded; None when decoding.
            piece: see `Piece`.

        Returns:
            The indices of each level, int64 (n,): those of the piece, row by row.

        """
        found: list[Tensor] = []
        for number in range(self.config.levels(quality)):
            own = None if indices is None else indices[number]
            device = self.network.to_fine.weight.device
            mode = _code_mode(coder, None if modes is None else modes[number], piece, device)
            found.append(self.code_level(coder, own, found, size, quality, mode, piece))
        return found

    def code_level(
        self,
        coder: Coder,
        indices: Tensor | None,
        before: Sequence[Tensor],
        size: tuple[int, int],
        quality: int,
        mode: Mode,
        piece: Piece = WHOLE,
    ) -> Tensor:
        """The part of `code_indices` that is one level's, which the number of those `before` it tells; (n,)."""
        level = list(self.network.each_level())[len(before)]
        grid = level.grid(size)
        if mode == Mode.CONTEXT:
            own = None if indices is None else indices.flatten()
            shaped = [
                each.view(1, *other.grid(size))
                for each, other in zip(before, self.network.each_level(), strict=False)
            ]
            return self._code_by_context(coder, level, own, shaped, grid, quality)
        places = piece.places(grid, level.basis.device)
        own = None if indices is None else indices.flatten()[places]
        logarithms = level.frequencies.logarithms(quality)
        if mode == Mode.EVEN:
            logarithms = torch.zeros_like(logarithms)
        return code_indices(coder, own, logarithms[:, None].expand(-1, len(places)))

    def _code_by_context(
        self,
        coder: Coder,
        level: Level,
        own: Tensor | None,
        before: Sequence[Tensor],
        grid: tuple[int, int],
        quality: int,
    ) -> Tensor:
        device = level.basis.device
        order, context = pass_of(grid, device), level.context.at(torch.tensor([quality], device=device))
        parents = self.network.parents(before)
        found = torch.zeros(grid[0] * grid[1], dtype=torch.int64, device=device)
        for number in range(len(PASSES)):
            places = torch.nonzero(order.flatten() == number)[:, 0]
            features = level.context.embedded(found.view(1, *grid))
            activations = context.activations(features, (order < number)[None], parents).flatten(2)
            for part in torch.split(places, AT_ONCE):
                logits = context.logits(activations[:, :, None, part])[0, :, 0]
                found[part] = code_indices(coder, None if own is None else own[part], logits)
        return found

    # Streams

    def encode(
        self, x: Tensor, quality: Tensor, options: VqganOptions, watch: Watch | None = None
    ) -> list[tuple[Stream, ...]]:
        """See `PictureCodec.encode`."""
        latents = self.network.analyse(x, quality)
        size = (x.shape[2], x.shape[3])
        streams: list[tuple[Stream, ...]] = []
        for one, half_steps in zip(torch.split(latents, 1), quality.tolist(), strict=True):
            indices = self.network.indices(one, half_steps)
            pieces = [Piece(number, options.packets) for number in range(options.packets)]
            streams.append(tuple(self._written(indices, size, half_steps, piece) for piece in pieces))
        return streams

    def _written(self, indices: Sequence[Tensor], size: tuple[int, int], quality: int, piece: Piece) -> Stream:
        """The stream of a piece, each level in the way that makes it smallest."""
        modes = []
        for number, own in enumerate(indices):
            before = [each.flatten() for each in indices[:number]]
            costs = {}
            for mode in _modes_of(piece):
                coder = RateEstimator(noise=False)
                self.code_level(coder, own, before, size, quality, mode, piece)
                costs[mode] = float(coder.bits)
            modes.append(min(costs, key=lambda mode: costs[mode]))
        writer = PictureWriter()
        self.code_indices(writer, indices, size, quality, modes, piece)
        return writer.finish()

    def decode(self, streams: Sequence[tuple[Stream, ...]], size: tuple[int, int], quality: Tensor) -> Tensor:
        """See `PictureCodec.decode`."""
        latents = []
        for own, half_steps in zip(streams, quality.tolist(), strict=True):
            indices, _ = self._read(own, size, half_steps)
            latents.append(self.network.latents(indices))
        return self.network.synthesise(torch.cat(latents), quality)

    def decode_parts(
        self, streams: Sequence[Stream | None], size: tuple[int, int], quality: Tensor, window: Window
    ) -> Iterator[tuple[Window, Tensor | None]]:
        """See `PictureCodec.decode_parts`; of lost pieces there are gaps all over the picture, so none is shown."""
        lost = streams.count(None)
        if lost:
            raise CorruptError(
                f"{lost} of {len(streams)} packets are lost; --repair (repair=True) fills in what they held"
            )
        yield from super().decode_parts(streams, size, quality, window)

    def _read(
        self, streams: Sequence[Stream | None], size: tuple[int, int], quality: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Indices of each level, (1, H, W), 0 where they are lost, and which ones are known, likewise."""
        device = self.network.to_fine.weight.device
        levels = list(self.network.each_level())[: self.config.levels(quality)]
        indices = [torch.zeros(1, *level.grid(size), dtype=torch.int64, device=device) for level in levels]
        known = [torch.zeros_like(each, dtype=torch.bool) for each in indices]
        for number, stream in enumerate(streams):
            if stream is None:
                continue
            reader, piece = PictureReader(stream), Piece(number, len(streams))
            found = self.code_indices(reader, None, size, quality, piece=piece)
            for level, own, all_of, there in zip(levels, found, indices, known, strict=True):
                places = piece.places(level.grid(size), device)
                all_of.view(-1)[places] = own
                there.view(-1)[places] = True
            reader.finish()
        return indices, known

    # Repair

    @torch.no_grad()
    def repair(self, streams: Sequence[Stream | None], size: tuple[int, int], quality: int) -> tuple[Tensor, float]:
        """See `PictureCodec.repair`."""
        indices, known = self._read(streams, size, quality)
        lost = sum(int((~each).sum()) for each in known)
        filled: list[Tensor] = []
        for level, own, there in zip(self.network.each_level(), indices, known, strict=False):
            filled.append(self._filled(level, own, there, filled, quality))
        half_steps = torch.tensor([quality], device=filled[0].device)
        x = self.network.synthesise(self.network.latents(filled), half_steps)
        return x, lost / sum(each.numel() for each in known)

    def _filled(self, level: Level, own: Tensor, known: Tensor, before: Sequence[Tensor], quality: int) -> Tensor:
        """A level's indices with the likeliest where they are lost, the surest first."""
        context = level.context.at(torch.tensor([quality], device=own.device))
        parents, own, known = self.network.parents(before), own.clone(), known.clone()
        for rounds_left in range(REPAIR_ROUNDS, 0, -1):
            places = torch.nonzero(~known.flatten())[:, 0]
            if not len(places):
                break
            activations = context.activations(level.context.embedded(own), known, parents).flatten(2)
            surest, likeliest = [], []
            for part in torch.split(places, AT_ONCE):
                logits = context.logits(activations[:, :, None, part])[0, :, 0]
                best = torch.log_softmax(logits.float() / 16, 0).max(0)
                surest.append(best.values)
                likeliest.append(best.indices)
            taken = torch.cat(surest).topk(-(-len(places) // rounds_left)).indices
            own.view(-1)[places[taken]] = torch.cat(likeliest)[taken]
            known.view(-1)[places[taken]] = True
        return own


def _modes_of(piece: Piece) -> tuple[Mode, ...]:
    """Those that a level of a piece may have: what is lost with other pieces is no context."""
    return tuple(Mode) if piece == WHOLE else (Mode.EVEN, Mode.FREQUENCIES)


def _code_mode(coder: Coder, mode: Mode | None, piece: Piece, device: torch.device) -> Mode:
    value = None if mode is None else torch.full((1, 1, 1, 1), float(mode), device=device)
    weights = torch.tensor(MODE_WEIGHTS[: len(_modes_of(piece))], device=device)
    return Mode(int(coder.code(value, Weighted(weights.view(1, -1, 1, 1, 1)))))
