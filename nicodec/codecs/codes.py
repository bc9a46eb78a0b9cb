"""What families of codes of codebooks share: their indices, level by level, through a coder.

Each level of a `CodeNetwork` (vqgan_network.py) has a grid of indices. How they are coded is a `Mode`: at a fixed
length, by how often each code is used, or by what neighbours and the levels before tell of them, in the four passes
of `layers/index_context.py`. Indices are data: what chose them may differ between machines, what codes them is
integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum

import torch
from torch import Tensor

from nicodec.codecs.base import PictureCodec
from nicodec.codecs.vqgan_network import ALIGNMENT, CodeNetwork, Level, VqganConfig
from nicodec.entropy.coder import Coder, PictureWriter, Stream
from nicodec.entropy.indices import AT_ONCE, code_indices
from nicodec.entropy.priors import Categorical
from nicodec.errors import SymbolMismatchError
from nicodec.layers.index_context import PASSES, pass_of


class Mode(IntEnum):
    """How indices are coded."""

    EVEN = 0
    """Every index costs the same."""
    FREQUENCIES = 1
    """By how often each is used."""
    CONTEXT = 2
    """By what is known around it."""


class CodesCodec(PictureCodec):
    """See the module's docstring."""

    Config = VqganConfig
    alignment = ALIGNMENT
    pixels_a_byte = 2**21  # no table gives an index less than 1/50 bit, and one stands for 64x64 pixels

    config: VqganConfig

    def __init__(self, config: VqganConfig | None = None) -> None:
        super().__init__()
        self.config = config or self.Config()
        self.network = CodeNetwork(self.config)

    def code_levels(
        self,
        coder: Coder,
        numbers: range,
        indices: Sequence[Tensor] | None,
        before: Sequence[Tensor],
        size: tuple[int, int],
        quality: int,
        mode: Mode,
    ) -> list[Tensor]:
        """Hand the indices of some levels of one picture to `coder`, in the order of the stream.

        Args:
            coder: what is done with them.
            numbers: of the levels, those after `before`.
            indices: of each of these levels, (1, H, W); None when decoding.
            before: those of all levels before.
            size: H, W in pixels.
            quality: half steps.
            mode: how they are coded.

        Returns:
            The indices of these levels, int64.

        """
        levels, known = list(self.network.each_level()), list(before)
        for place, number in enumerate(numbers):
            level, grid = levels[number], levels[number].grid(size)
            own = None if indices is None else indices[place].flatten()
            if mode == Mode.CONTEXT:
                known.append(self._code_by_context(coder, level, own, known, grid, quality))
            else:
                count = grid[0] * grid[1]
                known.append(self.code_by_frequency(coder, level, own, count, quality, mode).view(1, *grid))
        return known[len(before) :]

    def code_by_frequency(
        self, coder: Coder, level: Level, own: Tensor | None, count: int, quality: int, mode: Mode
    ) -> Tensor:
        """Hand over `count` indices of a level, (count,)."""
        logarithms = level.frequencies.logarithms(quality)
        if mode == Mode.EVEN:
            logarithms = torch.zeros_like(logarithms)
        return code_indices(coder, own, logarithms[:, None].expand(-1, count))

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
        return found.view(1, *grid)


def smallest(modes: Iterable[Mode], device: torch.device, write: Callable[[Coder, Mode], object]) -> Stream:
    """The smallest of the streams that `write` makes by these modes; each begins with its mode."""
    tried = []
    for mode in modes:
        writer = PictureWriter()
        code_mode(writer, mode, device)
        write(writer, mode)
        tried.append(writer.finish())
    return min(tried, key=lambda stream: len(stream.data))


def code_mode(coder: Coder, mode: Mode | None, device: torch.device) -> Mode:
    """Hand over how indices are coded, the first symbol of a stream; `mode` is None when decoding.

    Raises:
        SymbolMismatchError: it is none that this version knows.

    """
    value = None if mode is None else torch.full((1, 1, 1, 1), float(mode), device=device)
    prior = Categorical(torch.zeros(1, len(Mode) + 1, 1, 1, 1, dtype=torch.int64, device=device))
    found = int(coder.code(value, prior))
    if found >= len(Mode):
        raise SymbolMismatchError("the stream is coded in a way that this nicodec does not know; update nicodec")
    return Mode(found)
