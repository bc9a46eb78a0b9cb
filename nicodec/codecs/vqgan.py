"""Pictures at 0.003 to 0.12 bits a pixel: codes of codebooks, which a decoder makes a picture of.

Order of the stream: for each level, coarse to fine, how its indices are coded (`Mode`), and the indices: row by row
where they are coded by their frequencies, and in the four passes of `layers/index_context.py` where neighbours and
coarser levels tell of them. The encoder takes what is smallest. Indices are data: what chose them may differ between
machines, what codes them is integers.

A picture may be written in pieces that decode by themselves: indices go to them in turn, shifted from row to row, so
that a lost piece leaves neighbours, from which the network that codes indices fills in what is missing. Those of
coarse grids are in two pieces each: few are lost, and no large square goes with one.

The network is in `codes_network.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nicodec.codecs.base import Packets, Watch
from nicodec.codecs.codes import CodesCodec, Piece
from nicodec.codecs.codes_network import Level
from nicodec.codecs.options import Options, option
from nicodec.codecs.window import Window
from nicodec.entropy.coder import PictureReader, Stream
from nicodec.entropy.indices import AT_ONCE
from nicodec.errors import CorruptError

REPAIR_ROUNDS = 4
"""In which lost indices are filled in, each seeing those before."""


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


class Vqgan(CodesCodec):
    """See the module's docstring."""

    Options = VqganOptions
    packets = Packets.PIECE

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
            streams.append(tuple(self.smallest(indices, size, half_steps, piece) for piece in pieces))
        return streams

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
                places = piece.places(level, size)
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
