"""Pictures at 0.003 to 0.19 bits a pixel: codes of codebooks, which a decoder makes a picture of.

Order of the stream: whether the picture is without loss (`areas.plain`), as drawings of few colours are where that
takes hardly more than their codes, and then nothing else; for each level, coarse to fine, how its indices are coded
(`Mode`), and the indices: row by row where they are coded by their frequencies, and in the four passes of
`layers/index_context.py` where neighbours and coarser levels tell of them. The encoder takes what is smallest.
Indices are data: what chose them may differ between machines, what codes them is integers.

A picture may be written in pieces that decode by themselves: indices go to them in turn, shifted from row to row, so
that a lost piece leaves neighbours, and indices of coarse grids are in two or three, so that few are lost, and no
large square with one. In the place of a lost code comes the mean of what the network that codes indices expects
there: its likeliest code adds detail that is wrong more often than not.

The network is in `codes_network.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from nicodec.areas.lossless import is_available
from nicodec.areas.plain import LOSSLESS, SOME, Pixels, PlainAreas
from nicodec.codecs.base import Packets, Watch
from nicodec.codecs.codes import CodesCodec, Piece
from nicodec.codecs.codes_network import Level
from nicodec.codecs.options import Options, option
from nicodec.codecs.window import Window
from nicodec.entropy.coder import PictureReader, PictureWriter, Stream
from nicodec.entropy.indices import lot
from nicodec.errors import CorruptError

DRAWN_COLOURS, LOSSLESS_WORTH = 256, 1.5
"""A picture of at most so many colours is tried without loss, and kept so where it takes at most so many times the
bytes of its codes."""


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
        for picture, one, half_steps in zip(x, torch.split(latents, 1), quality.tolist(), strict=True):
            indices = self.network.indices(one, half_steps)
            if options.packets == 1:
                streams.append((self._whole(picture, indices, half_steps),))
                continue
            pieces = [Piece(number, options.packets) for number in range(options.packets)]
            streams.append(tuple(self.smallest(indices, size, half_steps, piece) for piece in pieces))
        return streams

    def _whole(self, x: Tensor, indices: Sequence[Tensor], quality: int) -> Stream:
        """The stream of a picture (3, H, W) in one piece: its codes, or without loss; see `LOSSLESS_WORTH`."""
        size = (x.shape[1], x.shape[2])
        writer, none = PictureWriter(), PlainAreas.none(size)
        PlainAreas.code(writer, none, size)
        codes = self.smallest(indices, size, quality, writer=writer)
        pixels = _drawn(x)
        if pixels is None:
            return codes
        writer = PictureWriter()
        PlainAreas.code(writer, PlainAreas.of(torch.full_like(none.mode, LOSSLESS), pixels), size)
        lossless = writer.finish()
        return lossless if len(lossless.data) <= LOSSLESS_WORTH * len(codes.data) else codes

    def decode(self, streams: Sequence[tuple[Stream, ...]], size: tuple[int, int], quality: Tensor) -> Tensor:
        """See `PictureCodec.decode`."""
        return torch.cat(
            [self._decode(own, size, half_steps) for own, half_steps in zip(streams, quality.tolist(), strict=True)]
        )

    def _decode(self, streams: Sequence[Stream], size: tuple[int, int], quality: int) -> Tensor:
        """One picture, (1, 3, H, W)."""
        indices, _, areas = self._read(streams, size, quality)
        return self._plain(areas, size) if areas.cover_all else self._pictured(self.network.latents(indices), quality)

    def _plain(self, areas: PlainAreas, size: tuple[int, int]) -> Tensor:
        return areas.lay_over(torch.zeros(3, *size, device=self.network.to_fine.weight.device), None, 0.0)[None]

    def _pictured(self, latents: Tensor, quality: int) -> Tensor:
        return self.network.synthesise(latents, torch.tensor([quality], device=latents.device))

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
    ) -> tuple[list[Tensor], list[Tensor], PlainAreas]:
        """Indices of each level, (1, H, W), 0 where they are lost, which ones are known, and what is without loss."""
        device = self.network.to_fine.weight.device
        levels = list(self.network.each_level())[: self.config.levels(quality)]
        indices = [torch.zeros(1, *level.grid(size), dtype=torch.int64, device=device) for level in levels]
        known = [torch.zeros_like(each, dtype=torch.bool) for each in indices]
        areas = PlainAreas.none(size)
        for number, stream in enumerate(streams):
            if stream is None:
                continue
            reader, piece = PictureReader(stream), Piece(number, len(streams))
            if len(streams) == 1:
                areas = PlainAreas.code(reader, None, size)
            if areas.form == SOME:
                raise CorruptError(
                    "some areas are without loss, which no writer writes; fetch or copy the file again"
                )
            if areas.cover_all:
                reader.finish()
                break
            found = self.code_indices(reader, None, size, quality, piece=piece)
            for level, own, all_of, there in zip(levels, found, indices, known, strict=True):
                places = piece.places(level, size)
                all_of.view(-1)[places] = own
                there.view(-1)[places] = True
            reader.finish()
        return indices, known, areas

    # Repair

    @torch.no_grad()
    def repair(self, streams: Sequence[Stream | None], size: tuple[int, int], quality: int) -> tuple[Tensor, float]:
        """See `PictureCodec.repair`."""
        indices, known, areas = self._read(streams, size, quality)
        if areas.cover_all:
            return self._plain(areas, size), 0.0
        lost = sum(int((~each).sum()) for each in known)
        latents = torch.zeros((), device=indices[0].device)
        for number, level in enumerate(list(self.network.each_level())[: len(indices)]):
            values = self._expected(level, indices[number], known[number], indices[:number], quality)
            latents = latents + level.latents(values)
        return self._pictured(latents, quality), lost / sum(each.numel() for each in known)

    def _expected(self, level: Level, own: Tensor, known: Tensor, before: Sequence[Tensor], quality: int) -> Tensor:
        """What a level's codes stand for, (1, channels, H, W); the mean of what may be there where they are lost."""
        values, places = level.values(own), torch.nonzero(~known.flatten())[:, 0]
        if not len(places):
            return values
        context = level.context.at(torch.tensor([quality], device=own.device))
        surroundings = context.surroundings(self.network.parents(before, (own.shape[1], own.shape[2])))
        activations = context.activations(level.context.embedded(own), known, surroundings).flatten(2)
        flat = values.flatten(2)
        for part in torch.split(places, lot(level.codes)):
            logits = context.logits(activations[:, :, None, part])[0, :, 0]
            flat[0, :, part] = (torch.softmax(logits.float() / 16, 0).T @ level.quantiser.codebook).T
        return flat.view(values.shape)


def _drawn(x: Tensor) -> Pixels | None:
    """The codes (H, W, 3) of a picture (3, H, W) of few colours; None of another."""
    if not is_available():
        return None
    pixels = (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return None if Image.fromarray(pixels).getcolors(DRAWN_COLOURS) is None else pixels
